// Every failure has a code, and a message that states the problem.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { Classifier, NeuropruneError } from "../../out/package/index.js";
import { model, modelUrl, output } from "../package.js";
import { serve, slowly } from "../server.js";

let server;
before(async () => (server = await serve(new URL(".", modelUrl))));
after(() => server.close());

async function refusal(source, options) {
  const error = await Classifier.load(source, options).then(
    () => assert.fail("it loaded"),
    (error) => error,
  );
  assert.ok(error instanceof NeuropruneError, String(error?.stack));
  return error;
}

const changed = (at, byte) => {
  const bytes = Uint8Array.from(model());
  bytes[at] = byte;
  return bytes;
};

test("a file of another kind", async () => {
  const error = await refusal(new TextEncoder().encode("<!doctype html><title>Sign in</title>"));
  assert.equal(error.code, "not-a-model");
  assert.match(error.message, /begins with “<!doctype html>/);
});

test("another kind of file is refused at its first bytes", async () => {
  const page = new TextEncoder().encode("<!doctype html>".padEnd(100_000));
  server.handlers.set("/page.neuro", slowly(page, { pieces: 1000, pause: 20 }));
  const error = await refusal(`${server.url}page.neuro`);
  assert.equal(error.code, "not-a-model");
  await server.left("/page.neuro");
});

test("files that break off", async () => {
  for (const length of [0, 5, 20, 40, 1000, model().length - 1]) {
    const error = await refusal(model().subarray(0, length));
    assert.equal(error.code, "truncated", `${length} bytes: ${error.message}`);
    assert.match(error.message, /not complete/);
  }
});

test("a damaged file", async () => {
  const error = await refusal(changed(model().length - 1, 0x55));
  assert.equal(error.code, "damaged");
  assert.match(error.message, /piece blocks at byte \d+: the CRC-32 does not match/);
  const more = new Uint8Array(model().length + 1);
  more.set(model());
  assert.equal((await refusal(more)).code, "damaged");
});

test("a file of a newer version", async () => {
  const error = await refusal(changed(8, 99));
  assert.equal(error.code, "too-new");
  assert.match(error.message, /version 99 is not known/);
});

test("every changed byte of a file is noticed", async () => {
  const bytes = model();
  for (let at = 0; at < bytes.length; at += 977) {
    const error = await refusal(changed(at, bytes[at] ^ 0x10));
    assert.ok(["not-a-model", "too-new", "truncated", "damaged"].includes(error.code), error.code);
  }
});

test("a server's errors", async () => {
  const error = await refusal(`${server.url}nowhere.neuro`);
  assert.deepEqual([error.code, error.status], ["http", 404]);
  assert.match(error.message, /HTTP 404 Not Found from http:.*nowhere\.neuro/);
});

test("no server", async () => {
  const error = await refusal("http://127.0.0.1:9/model.neuro");
  assert.equal(error.code, "network");
  assert.ok(error.cause instanceof Error);
});

test("a connection that breaks off", async () => {
  server.handlers.set("/cut.neuro", (response) => {
    response.setHeader("content-length", model().length);
    response.write(model().subarray(0, 5000));
    setTimeout(() => response.destroy(), 50);
  });
  const error = await refusal(`${server.url}cut.neuro`);
  assert.equal(error.code, "network");
  assert.match(error.message, /broke off after \d+ bytes/);
});

test("no file", async () => {
  const error = await refusal("/nowhere/model.neuro");
  assert.equal(error.code, "file");
  assert.match(error.message, /nowhere/);
});

test("another module", async () => {
  const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
  assert.equal((await refusal(model(), { wasm: empty })).code, "wasm");
  assert.equal((await refusal(model(), { wasm: Uint8Array.of(1, 2, 3) })).code, "wasm");
  assert.equal((await refusal(model(), { wasm: `${server.url}nowhere.wasm` })).code, "http");
});

test("what is no source", async () => {
  for (const source of [undefined, null, 5, {}]) {
    await assert.rejects(Classifier.load(source), { name: "TypeError", message: /expected an address/ });
  }
});

test("an abort stops the download and throws its reason", async () => {
  server.handlers.set("/slow.neuro", slowly(model(), { pieces: 500, pause: 20 }));
  const controller = new AbortController();
  const loading = Classifier.load(`${server.url}slow.neuro`, {
    // Compiled already, so that every byte is the model's.
    wasm: new WebAssembly.Module(readFileSync(new URL("package/neuroprune.wasm", output))),
    signal: controller.signal,
    onProgress: ({ loaded }) => loaded > 0 && controller.abort(),
  });
  await assert.rejects(loading, { name: "AbortError" });
  await server.left("/slow.neuro");
  const reason = new Error("enough");
  await assert.rejects(Classifier.load(modelUrl, { signal: AbortSignal.abort(reason) }), reason);
  // A stopped load leaves nothing behind for the next.
  assert.equal((await Classifier.load(modelUrl)).info.name, "commands");
});

test("a classifier that was disposed of", async () => {
  const classifier = await Classifier.load(modelUrl);
  classifier.dispose();
  classifier.dispose();
  assert.equal(classifier.memoryBytes, 0);
  assert.equal(classifier.info.name, "commands");
  for (const use of [() => classifier.classify("stop"), () => classifier.logits(), () => classifier.tensors()]) {
    assert.throws(use, { code: "disposed" });
  }
});
