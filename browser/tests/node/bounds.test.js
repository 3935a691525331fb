// Files at the limits of the format: their load takes as long as they have bytes, and what they
// hold arrives as it is.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Classifier } from "../../out/package/index.js";
import { withHeads, withLabels, withoutNeurons } from "../file.js";
import { output } from "../package.js";

const wasm = new WebAssembly.Module(readFileSync(new URL("package/neuroprune.wasm", output)));
const names = (count) => Array.from({ length: count }, (_, index) => `class ${index}`);

/** The most labels that the format allows. */
const MOST = 65_535;

const kinds = {
  labels: (count) => withLabels(names(count)),
  tensors: withHeads,
};

for (const [what, file] of Object.entries(kinds)) {
  test(`eight times the ${what} take less than thirty-two times as long`, async () => {
    const many = 65_000;
    const files = [file(many / 8), file(many)];
    const least = [Infinity, Infinity];
    // Alternating and by processor time, so that other work of the machine counts for neither. The
    // first rounds compile the package. In proportion eight times would be eight, by pairs sixty-four;
    // collecting the garbage of the longer list and missing the caches have made it sixteen.
    for (let round = 0; round < 8; round += 1) {
      for (const [size, bytes] of files.entries()) {
        const before = process.cpuUsage();
        await Classifier.load(bytes, { wasm });
        const { user, system } = process.cpuUsage(before);
        least[size] = Math.min(least[size], user + system);
      }
    }
    const [few, all] = least;
    assert.ok(all < 32 * few, `${few} and ${all} µs`);
  });
}

test("the most labels arrive, in their order", async () => {
  const classifier = await Classifier.load(withLabels(names(MOST)), { wasm });
  assert.deepEqual(classifier.info.labels, names(MOST));
  assert.equal(classifier.classify("a", "b").ranking.length, 5);
  assert.equal(classifier.logits().length, MOST);
});

test("many tensors arrive, in their order", async () => {
  const before = (await Classifier.load(withHeads(0), { wasm })).tensors();
  const classifier = await Classifier.load(withHeads(1000), { wasm });
  const tensors = classifier.tensors();
  assert.equal(tensors.length, before.length + 1000);
  const heads = tensors.filter(({ role, layer }) => role === "attention head" && layer === 0);
  assert.deepEqual(heads.map(({ head }) => head), heads.map(({ head }) => head).toSorted((a, b) => a - b));
  const places = Array.from(tensors, (tensor, index) => (tensor.isMatrix ? index : -1)).filter((index) => index >= 0);
  // In any order.
  for (const index of places.toReversed()) {
    const weights = classifier.weights(index);
    assert.equal(weights.length, tensors[index].rows * tensors[index].cols);
    assert.equal(weights.filter((weight) => weight !== 0).length, tensors[index].nonzeros);
  }
});

test("what `tensors` returns is the caller's to change", async () => {
  const classifier = await Classifier.load(withHeads(0), { wasm });
  const tensors = classifier.tensors();
  const [first] = structuredClone(tensors);
  tensors[0].role = "mine";
  tensors.length = 1;
  assert.deepEqual(classifier.tensors()[0], first);
  assert.ok(classifier.tensors().length > 1);
  assert.deepEqual(structuredClone(classifier.info), classifier.info);
});

test("a matrix without columns has no weights", async () => {
  const classifier = await Classifier.load(withoutNeurons(), { wasm });
  // After a text there is room for some.
  classifier.classify("a", "b");
  const empty = classifier.tensors().flatMap(({ isMatrix, rows, cols }, index) =>
    isMatrix && rows * cols === 0 ? [classifier.weights(index).length] : [],
  );
  assert.deepEqual(empty, [0, 0]);
});

test("labels are the file's, whatever they begin with", async () => {
  const labels = ["a", "\ufeffa", "\ufeff", "\0", "👩‍👩‍👧"];
  const { info } = await Classifier.load(withLabels(labels), { wasm });
  assert.deepEqual(info.labels, labels);
});
