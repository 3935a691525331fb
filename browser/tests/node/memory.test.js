// Memory is what the model needs, does not grow, and is released.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Classifier } from "../../out/package/index.js";
import { model, modelUrl, output } from "../package.js";

const MEGABYTE = 1 << 20;

test("memory is model, scratch and less than a megabyte, and does not grow", async () => {
  const classifier = await Classifier.load(modelUrl);
  const { bytes, scratchBytes } = classifier.info;
  const own = classifier.memoryBytes - bytes - scratchBytes;
  assert.ok(own > 0 && own < MEGABYTE, `${own} bytes`);
  classifier.classify("warm up");
  const before = classifier.memoryBytes;
  for (let run = 0; run < 10_000; run += 1) {
    classifier.classify(`turn light number ${run} off, please`);
  }
  assert.equal(classifier.memoryBytes, before);
});

test("a long text takes as much memory as it has bytes, once", async () => {
  const classifier = await Classifier.load(modelUrl);
  const before = classifier.memoryBytes;
  const text = "ä".repeat(MEGABYTE / 2);
  classifier.classify(text);
  const grown = classifier.memoryBytes - before;
  assert.ok(grown <= MEGABYTE + 65_536, `${grown} bytes`);
  classifier.classify(text);
  assert.equal(classifier.memoryBytes - before, grown);
});

test("a region is no longer than Rust's slices may be", async () => {
  const bytes = readFileSync(new URL("package/neuroprune.wasm", output));
  const { instance } = await WebAssembly.instantiate(bytes);
  assert.equal(instance.exports.model_buffer(2 ** 31), 0);
  assert.notEqual(instance.exports.model_buffer(1000), 0);
});

test("disposing gives the memory back", async () => {
  const { instantiate } = WebAssembly;
  let [made, freed] = [0, 0];
  const registry = new FinalizationRegistry(() => (freed += 1));
  WebAssembly.instantiate = async (...parameters) => {
    const instance = await instantiate(...parameters);
    registry.register(instance.exports.memory);
    made += 1;
    return instance;
  };
  const kept = [];
  try {
    for (let count = 0; count < 50; count += 1) {
      const classifier = await Classifier.load(model());
      classifier.classify("stop");
      classifier.dispose();
      kept.push(classifier);
    }
  } finally {
    WebAssembly.instantiate = instantiate;
  }
  for (let round = 0; round < 500 && freed < made; round += 1) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(made, 50);
  assert.equal(freed, 50);
  assert.equal(kept.length, 50);
});
