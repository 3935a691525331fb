// What runs in the page: every runner of a case in turn, again and again, so that whatever
// else the machine does meets all of them.

import * as ort from "/peer/ort.wasm.min.mjs";

/// Milliseconds of a sample; the clock ticks in microseconds.
const SAMPLE = 5;
/// Samples of each runner, and what each does before the first: V8 compiles in two tiers.
const ROUNDS = 41;
const WARM_UP = 300;

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

/// Milliseconds a call, of as many calls as a sample takes.
async function sample(run) {
  const start = performance.now();
  let now, calls = 0;
  do {
    await run();
    calls += 1;
    now = performance.now();
  } while (now - start < SAMPLE);
  return (now - start) / calls;
}

function times(samples) {
  const sorted = samples.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  return { median, least: sorted[0], samples: sorted.length };
}

async function measure() {
  const tasks = JSON.parse(new TextDecoder().decode(await fetched("/files/tasks.json")));
  const module = await WebAssembly.compile(await fetched("/files/neuroprune.wasm"));
  const cases = [];
  for (const task of tasks) {
    const runners = {
      ours: await ours(module, `/files/${task.file}.neuro`),
      int8: await theirs(`/files/${task.file}.int8.onnx`),
      float: await theirs(`/files/${task.file}.float.onnx`),
    };
    for (const text of task.texts) {
      const names = Object.keys(runners);
      const runs = names.map((name) => runners[name](text));
      const samples = names.map(() => []);
      for (const run of runs) {
        for (const start = performance.now(); performance.now() - start < WARM_UP; ) await run();
      }
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const [index, run] of runs.entries()) samples[index].push(await sample(run));
      }
      const measured = names.map((name, index) => [name, times(samples[index])]);
      cases.push({ model: task.model, tokens: text.tokens, ...Object.fromEntries(measured) });
    }
  }
  return cases;
}

globalThis.measured = measure();
