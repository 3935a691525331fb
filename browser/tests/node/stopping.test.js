// A load that is stopped, or whose caller makes a mistake, ends alone and leaves nothing behind.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { cpSync, mkdtempSync, openAsBlob, promises, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";

import { Classifier } from "../../out/package/index.js";
import { model, modelUrl, output } from "../package.js";
import { serve } from "../server.js";

const wasm = () => readFileSync(new URL("package/neuroprune.wasm", output));
const compiled = new WebAssembly.Module(wasm());
const folder = mkdtempSync(fileURLToPath(new URL("stopping-", output)));
/** Of what never happens. */
const never = new Promise(() => {});

let server;
before(async () => (server = await serve(new URL(".", modelUrl))));
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** The package as a page gets it that has loaded nothing yet. */
let copies = 0;
async function fresh() {
  copies += 1;
  const copy = `${folder}/${copies}`;
  cpSync(new URL("package/", output), copy, { recursive: true });
  return (await import(`${copy}/index.js`)).Classifier;
}

/** A response whose body never comes; `cancelled` is the promise that somebody gives it up. */
function endless() {
  let response;
  const cancelled = new Promise((resolve) => {
    response = new Response(new ReadableStream({ cancel: resolve }));
  });
  return { response, cancelled };
}

const sources = {
  bytes: () => model(),
  path: () => fileURLToPath(modelUrl),
  address: () => `${server.url}commands.neuro`,
  Blob: () => new Blob([model()]),
  Response: () => new Response(model()),
};

test("an error of onProgress is that load's own, at whichever call", async () => {
  for (const [name, source] of Object.entries(sources)) {
    for (let wrong = 1, done = false; !done; wrong += 1) {
      const Classifier = await fresh();
      const mistake = new Error("the caller's own");
      let calls = 0;
      const first = Classifier.load(source(), {
        onProgress() {
          calls += 1;
          if (calls >= wrong) {
            throw mistake;
          }
        },
      });
      const second = Classifier.load(source());
      const [one, other] = await Promise.allSettled([first, second]);
      done = one.status === "fulfilled";
      assert.ok(done || one.reason === mistake, `${name}, call ${wrong}: ${one.reason}`);
      // Not called again after its error.
      assert.equal(calls, done ? wrong - 1 : wrong);
      assert.equal(other.value?.info.name, "commands", `${name}, call ${wrong}: ${other.reason}`);
      assert.equal((await Classifier.load(source())).info.name, "commands");
      assert.ok(wrong < 100);
    }
  }
});

test("so is the rejection of an async onProgress, and anything else it throws", async () => {
  const Classifier = await fresh();
  const mistake = new Error("the caller's own");
  const onProgress = async () => {
    throw mistake;
  };
  await assert.rejects(Classifier.load(`${server.url}commands.neuro`, { onProgress }), (error) => error === mistake);
  const nothing = Classifier.load(model(), {
    onProgress() {
      throw undefined;
    },
  });
  assert.equal(await nothing.then(() => "loaded", (error) => error), undefined);
  await assert.rejects(Classifier.load(model(), { onProgress: "no function" }), TypeError);
  assert.equal((await Classifier.load(model())).info.name, "commands");
});

test("an onProgress that aborts and throws stops the load once", async () => {
  const Classifier = await fresh();
  const controller = new AbortController();
  const reason = new Error("enough");
  const loading = Classifier.load(model(), {
    signal: controller.signal,
    onProgress() {
      controller.abort(reason);
      throw new Error("too late");
    },
  });
  await assert.rejects(loading, reason);
  assert.equal((await Classifier.load(model())).info.name, "commands");
});

test("a download of the module is stopped when nobody waits for it, and then begins anew", async (context) => {
  const Classifier = await fresh();
  const signals = [];
  const { readFile } = promises;
  // The first download hangs.
  context.mock.method(promises, "readFile", (path, options) => {
    signals.push(options.signal);
    return signals.length === 1 ? never : readFile(path, options);
  });
  const [one, two] = [new AbortController(), new AbortController()];
  const loads = [one, two].map(({ signal }) => Classifier.load(model(), { signal }));
  one.abort();
  await assert.rejects(loads[0], { name: "AbortError" });
  assert.equal(signals.length, 1);
  assert.ok(!signals[0].aborted, "another load waits");
  two.abort();
  await assert.rejects(loads[1], { name: "AbortError" });
  assert.ok(signals[0].aborted);
  assert.equal((await Classifier.load(model())).info.name, "commands");
  assert.equal(signals.length, 2);
});

test("a load takes over a download whose first load was stopped", async (context) => {
  const Classifier = await fresh();
  const read = context.mock.method(promises, "readFile");
  const controller = new AbortController();
  const stopped = Classifier.load(model(), { signal: controller.signal });
  controller.abort();
  const next = Classifier.load(model());
  await assert.rejects(stopped, { name: "AbortError" });
  assert.equal((await next).info.name, "commands");
  // Nor does a load that is stopped when the module is there make it forgotten.
  const late = new AbortController();
  const third = Classifier.load(model(), { signal: late.signal });
  late.abort();
  await assert.rejects(third, { name: "AbortError" });
  assert.equal((await Classifier.load(model())).info.name, "commands");
  assert.equal(read.mock.callCount(), 1);
});

test("a download of the module that fails is tried again by the next load", async (context) => {
  const Classifier = await fresh();
  const { readFile } = promises;
  let calls = 0;
  context.mock.method(promises, "readFile", async (...parameters) => {
    calls += 1;
    if (calls === 1) {
      throw new Error("the disk is away");
    }
    return await readFile(...parameters);
  });
  const loads = await Promise.allSettled([Classifier.load(model()), Classifier.load(model())]);
  assert.deepEqual(loads.map(({ reason }) => reason?.code), ["file", "file"]);
  assert.equal(calls, 1);
  assert.equal((await Classifier.load(model())).info.name, "commands");
});

test("an abort ends reading from disk", async (context) => {
  const signals = [];
  context.mock.method(promises, "readFile", (_, { signal }) => {
    signals.push(signal);
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("stopped"))));
  });
  const controller = new AbortController();
  const loading = Classifier.load(modelUrl, { wasm: compiled, signal: controller.signal });
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(loading, reason);
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true]);
});

test("an abort ends reading a Blob", async () => {
  const { response, cancelled } = endless();
  class Slow extends Blob {
    stream() {
      return response.body;
    }
  }
  const controller = new AbortController();
  const loading = Classifier.load(new Slow(), { wasm: compiled, signal: controller.signal });
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(loading, reason);
  await cancelled;
});

test("an abort ends the caller's own response, before and after it arrives", async () => {
  const reason = new Error("enough");
  const ways = {
    "while its body arrives": (response) => response,
    "while it is awaited": (response, arrive) => arrive.then(() => response),
  };
  for (const [name, way] of Object.entries(ways)) {
    for (const part of ["model", "code"]) {
      const { response, cancelled } = endless();
      let arrive;
      const source = way(response, new Promise((resolve) => (arrive = resolve)));
      const controller = new AbortController();
      const { signal } = controller;
      const loading =
        part === "model"
          ? Classifier.load(source, { wasm: compiled, signal })
          : Classifier.load(model(), { wasm: source, signal });
      await new Promise((resolve) => setImmediate(resolve));
      controller.abort(reason);
      await assert.rejects(loading, reason, name);
      arrive();
      await cancelled;
    }
  }
});

test("a load that was aborted before it began takes nothing, and leaves nothing open", async (context) => {
  const Classifier = await fresh();
  const read = context.mock.method(promises, "readFile");
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  const [one, other] = [endless(), endless()];
  server.handlers.set("/asked.neuro", () => assert.fail("it was asked for"));
  const models = [
    one.response,
    Promise.resolve(other.response),
    // Its rejection is nobody's but the load's.
    Promise.reject(new Error("no network")),
    `${server.url}asked.neuro`,
    new Blob([]),
    model(),
    new Uint8Array(0),
  ];
  for (const model of models) {
    await assert.rejects(Classifier.load(model, { signal }), reason);
    await assert.rejects(Classifier.load(model, { signal }), reason);
  }
  await assert.rejects(Classifier.load(model(), { signal, wasm: Promise.reject(new Error("no network")) }), reason);
  await one.cancelled;
  await other.cancelled;
  assert.equal(read.mock.callCount(), 0);
});

test("a load that fails ends the rest of it", async () => {
  const [code, file] = [endless(), endless()];
  await assert.rejects(Classifier.load(new Uint8Array(50), { wasm: code.response }), { code: "not-a-model" });
  await code.cancelled;
  // The other way round it does not wait for the model.
  await assert.rejects(Classifier.load(file.response, { wasm: Uint8Array.of(1) }), { code: "wasm" });
  await file.cancelled;
});

test("a source without an end is left at the end that its file states", async () => {
  let cancelled = false;
  const chunks = [model()];
  const body = new ReadableStream({
    pull: (controller) => controller.enqueue(chunks.pop() ?? new Uint8Array(1000)),
    cancel: () => (cancelled = true),
  });
  await assert.rejects(Classifier.load(new Response(body)), { code: "damaged" });
  assert.ok(cancelled);
});

test("the body of an error is not waited for", async () => {
  server.handlers.set("/long-error.neuro", (response) => response.writeHead(500).write("a long story"));
  const loading = Classifier.load(`${server.url}long-error.neuro`, { wasm: compiled });
  await assert.rejects(loading, { code: "http", status: 500 });
  await server.left("/long-error.neuro");
});

test("a request's own signal counts beside the load's", async () => {
  server.handlers.set("/waiting.neuro", () => {});
  for (const both of [false, true]) {
    const controller = new AbortController();
    const request = new Request(`${server.url}waiting.neuro`, { signal: controller.signal });
    const options = both ? { signal: new AbortController().signal } : {};
    const loading = Classifier.load(request, { ...options, wasm: compiled });
    const reason = new Error("enough");
    setImmediate(() => controller.abort(reason));
    await assert.rejects(loading, reason);
  }
  await server.left("/waiting.neuro");
});

test("a signal that serves many loads collects no listeners", async () => {
  const { signal } = new AbortController();
  await Classifier.load(model(), { signal });
  await assert.rejects(Classifier.load("/nowhere.neuro", { signal }), { code: "file" });
  assert.deepEqual(getEventListeners(signal, "abort"), []);
});

test("no signal is undefined or null, as for fetch", async () => {
  for (const signal of [undefined, null]) {
    assert.equal((await Classifier.load(model(), { signal })).info.name, "commands");
  }
});

test("signals of older browsers, which have no reason, stop a load too", async () => {
  class Old extends EventTarget {
    aborted = false;
  }
  const signal = new Old();
  const loading = Classifier.load(endless().response, { wasm: compiled, signal });
  signal.aborted = true;
  signal.dispatchEvent(new Event("abort"));
  await assert.rejects(loading, { name: "AbortError" });
  await assert.rejects(Classifier.load(model(), { signal }), { name: "AbortError" });
});

test("a response is read once", async () => {
  const response = new Response(model());
  const [first, second] = await Promise.allSettled([Classifier.load(response), Classifier.load(response)]);
  assert.equal(first.value?.info.name, "commands");
  for (const error of [second.reason, await Classifier.load(response).catch((error) => error)]) {
    assert.ok(error instanceof TypeError);
    assert.match(error.message, /the model: this Response has already been read/);
  }
});

test("sources without bytes are files that break off", async () => {
  const path = `${folder}/empty.neuro`;
  writeFileSync(path, "");
  server.handlers.set("/empty.neuro", (response) => response.end());
  for (const source of [path, new Blob([]), new Response(null), new Response(""), `${server.url}empty.neuro`]) {
    await assert.rejects(Classifier.load(source), { code: "truncated" });
  }
});

test("a picked file that changes before it is read is a file that cannot be read", async () => {
  const path = `${folder}/picked.neuro`;
  writeFileSync(path, model());
  const blob = await openAsBlob(path);
  writeFileSync(path, "shorter");
  await assert.rejects(Classifier.load(blob, { wasm: compiled }), {
    code: "file",
    message: /the model: reading broke off after 0 bytes/,
  });
});

test("a host without memory for another instance says so", async (context) => {
  context.mock.method(WebAssembly, "instantiate", () => Promise.reject(new RangeError("Out of memory")));
  await assert.rejects(Classifier.load(model()), { code: "memory", message: /Out of memory/ });
});
