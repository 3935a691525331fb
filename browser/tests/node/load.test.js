// A model can be loaded from any source, and so can the module.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { runInNewContext } from "node:vm";
import { brotliCompressSync } from "node:zlib";

import { Classifier } from "../../out/package/index.js";
import { model, modelUrl, output, pairModel } from "../package.js";
import { serve, slowly } from "../server.js";

const wasmUrl = new URL("package/neuroprune.wasm", output);
const wasm = () => readFileSync(wasmUrl);
const labelOf = async (source, options) => {
  const classifier = await Classifier.load(source, options);
  return classifier.classify("turn on the kitchen light").label;
};

let server;
before(async () => (server = await serve(new URL(".", modelUrl))));
after(() => server.close());

test("every kind of source", async () => {
  const bytes = model();
  const padded = new Uint8Array(bytes.length + 7);
  padded.set(bytes, 3);
  const address = `${server.url}commands.neuro`;
  const sources = {
    path: fileURLToPath(modelUrl),
    "file URL": modelUrl,
    "file URL as a string": modelUrl.href,
    address,
    URL: new URL(address),
    Request: new Request(address),
    Response: await fetch(address),
    "promise of a Response": fetch(address),
    "Response without a body's length": new Response(new Blob([bytes]).stream()),
    Buffer: bytes,
    ArrayBuffer: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
    "view into a buffer": padded.subarray(3, 3 + bytes.length),
    Blob: new Blob([bytes]),
    File: new File([bytes], "commands.neuro"),
    "bytes of another realm": runInNewContext("Uint8Array").from(bytes),
    "buffer of another realm": runInNewContext("Uint8Array").from(bytes).buffer,
  };
  for (const [name, source] of Object.entries(sources)) {
    assert.equal(await labelOf(source), "light_on", name);
  }
});

test("where there is a page, a path is relative to it", async (context) => {
  globalThis.location = { href: server.url };
  context.after(() => delete globalThis.location);
  context.mock.method(globalThis, "fetch", (address) => new Response(model(), { headers: { address } }));
  assert.equal(await labelOf("/commands.neuro"), "light_on");
  assert.deepEqual(fetch.mock.calls.map(({ arguments: [address] }) => address), ["/commands.neuro"]);
  // The module is on disk all the same.
  assert.equal(await labelOf(modelUrl), "light_on");
  assert.equal(fetch.mock.callCount(), 1);
});

test("every kind of module", async () => {
  const bytes = wasm();
  server.handlers.set("/code.wasm", (response) => response.end(bytes));
  const sources = [
    bytes,
    new WebAssembly.Module(bytes),
    runInNewContext("new WebAssembly.Module(bytes)", { bytes }),
    wasmUrl,
    fileURLToPath(wasmUrl),
    new Response(bytes),
    `${server.url}code.wasm`,
  ];
  for (const source of sources) {
    assert.equal(await labelOf(model(), { wasm: source }), "light_on", String(source).slice(0, 40));
  }
});

test("info is that of the file", async () => {
  const { info } = await Classifier.load(modelUrl);
  assert.equal(info.name, "commands");
  assert.equal(info.labels.length, 17);
  assert.ok(info.labels.includes("out_of_scope"));
  assert.equal(info.bytes, model().length);
  assert.equal(info.maxTokens, 24);
  assert.equal(info.pair, false);
  assert.equal(info.denseWeights, 24_576);
  assert.equal(info.sparsity, 1 - info.nonzeroWeights / info.denseWeights);
  assert.ok(info.sparsity > 0.79 && info.sparsity < 0.81);
  assert.ok(info.accuracy.runtime > 85);
  assert.ok(Object.isFrozen(info));
});

test("an answer is a ranking of labels", async () => {
  const classifier = await Classifier.load(modelUrl);
  assert.deepEqual([...classifier.logits()], Array(17).fill(0));
  const answer = classifier.classify("turn on the kitchen light");
  assert.equal(answer.label, "light_on");
  assert.equal(classifier.info.labels[answer.class], "light_on");
  assert.deepEqual(answer.ranking[0], { label: "light_on", class: answer.class, probability: answer.probability });
  assert.equal(answer.ranking.length, 5);
  const probabilities = answer.ranking.map(({ probability }) => probability);
  assert.deepEqual(probabilities, [...probabilities].sort((a, b) => b - a));
  const logits = [...classifier.logits()];
  assert.equal(Math.max(...logits), logits[answer.class]);
  assert.throws(() => classifier.classify(5), TypeError);
});

test("a batch is its texts", async () => {
  const classifier = await Classifier.load(modelUrl);
  const texts = ["stop", "lock the front door", ""];
  const one = texts.map((text) => classifier.classify(text));
  assert.deepEqual(classifier.classifyBatch(texts), one);
  assert.deepEqual(classifier.classifyBatch(new Set(texts)), one);
  assert.deepEqual(classifier.classifyBatch([]), []);
  assert.throws(() => classifier.classifyBatch("stop"), TypeError);
});

test("a model of pairs takes pairs, others do not", async () => {
  const pairs = await Classifier.load(pairModel());
  assert.equal(pairs.info.pair, true);
  const [a, b] = ["one text", "another, with ünïcödé"];
  const answer = pairs.classify(a, b);
  assert.deepEqual(pairs.classifyBatch([[a, b]]), [answer]);
  assert.throws(() => pairs.classify(a), { code: "pair-expected" });
  const single = await Classifier.load(modelUrl);
  assert.throws(() => single.classify(a, b), { code: "single-expected" });
  // A refused text leaves the classifier as it was.
  assert.equal(single.classify("stop").ranking.length, 5);
});

test("weights are those that the tensor states", async () => {
  const classifier = await Classifier.load(modelUrl);
  const tensors = classifier.tensors();
  const encoder = tensors.filter(({ isEncoder }) => isEncoder);
  assert.ok(encoder.length >= 8);
  tensors.forEach((tensor, index) => {
    if (!tensor.isMatrix) {
      assert.throws(() => classifier.weights(index), RangeError);
      return;
    }
    const weights = classifier.weights(index);
    assert.equal(weights.length, tensor.rows * tensor.cols);
    assert.equal(weights.filter((weight) => weight !== 0).length, tensor.nonzeros);
  });
  assert.throws(() => classifier.weights(tensors.length), RangeError);
});

test("progress is one count of model and code, and ends at its total", async () => {
  server.handlers.set("/slow.neuro", slowly(model(), { length: false }));
  const events = [];
  await Classifier.load(`${server.url}slow.neuro`, {
    wasm: wasm(),
    onProgress: (progress) => events.push({ ...progress }),
  });
  const total = model().length + wasm().length;
  assert.deepEqual(events.at(-1), { loaded: total, total });
  // The file states its length, though the server does not.
  assert.ok(events.some((event) => event.total === total && event.loaded < total));
  // How many pieces arrive as one depends on how busy the machine is.
  assert.ok(events.length > 3, `${events.length} events`);
  events.slice(1).forEach((event, index) => assert.ok(event.loaded >= events[index].loaded));
});

test("a compressed download counts what comes out of it", async () => {
  const compressed = (bytes) => {
    const body = brotliCompressSync(bytes);
    return (response) => response.writeHead(200, { "content-encoding": "br", "content-length": body.length }).end(body);
  };
  server.handlers.set("/compressed.neuro", compressed(model()));
  server.handlers.set("/compressed.wasm", compressed(wasm()));
  const events = [];
  const classifier = await Classifier.load(`${server.url}compressed.neuro`, {
    wasm: `${server.url}compressed.wasm`,
    onProgress: (progress) => events.push(progress),
  });
  assert.equal(classifier.classify("turn on the kitchen light").label, "light_on");
  const total = model().length + wasm().length;
  assert.deepEqual(events.at(-1), { loaded: total, total });
  assert.ok(events.every((event) => event.total === undefined || event.total === total));
});
