// What runs in the page: ours and onnxruntime-web with the same shapes, called by bench.mjs.

import * as ort from "/peer/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = "/peer/";

const fetched = async (path) => {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
};

/// Our module with a model: a function that classifies a text.
async function ours(module, file) {
  const { exports } = await WebAssembly.instantiate(module);
  const bytes = await fetched(file);
  const at = exports.model_buffer(bytes.length);
  new Uint8Array(exports.memory.buffer, at, bytes.length).set(bytes);
  const status = exports.open(bytes.length);
  if (status !== 0) throw new Error(`${file}: status ${status}`);
  return ({ text }) => {
    const encoded = new TextEncoder().encode(text);
    return async () => {
      const at = exports.text_buffer(encoded.length);
      new Uint8Array(exports.memory.buffer, at, encoded.length).set(encoded);
      if (exports.classify(encoded.length) !== 0) throw new Error(`${file}: not classified`);
    };
  };
}

/// onnxruntime-web with a model: a function that classifies as many tokens.
async function theirs(file) {
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  const session = await ort.InferenceSession.create(await fetched(file), options);
  return ({ tokens }) => {
    const ids = BigInt64Array.from({ length: tokens }, (_, at) => BigInt(1000 + 37 * at));
    const feeds = { ids: new ort.Tensor("int64", ids, [1, tokens]) };
    return () => session.run(feeds);
  };
}

const tasks = JSON.parse(new TextDecoder().decode(await fetched("/files/tasks.json")));
const module = await WebAssembly.compile(await fetched("/files/neuroprune.wasm"));

/// Makes the runners of a text of a task; `run` calls them.
let runners;
async function prepare(task, text) {
  const { file, texts } = tasks[task];
  const models = {
    ours: await ours(module, `/files/${file}.neuro`),
    int8: await theirs(`/files/${file}.int8.onnx`),
    float: await theirs(`/files/${file}.float.onnx`),
  };
  const made = Object.entries(models).map(([name, model]) => [name, model(texts[text])]);
  runners = Object.fromEntries(made);
}

/// Calls a runner again and again for so many milliseconds; returns calls and milliseconds.
async function run(name, least) {
  const start = performance.now();
  let now, calls = 0;
  do {
    await runners[name]();
    calls += 1;
    now = performance.now();
  } while (now - start < least);
  return { calls, time: now - start };
}

globalThis.bench = { tasks, prepare, run };
