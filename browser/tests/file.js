// Model files that no trainer writes: those of a small model, with other labels and tensors.
import { crc32 } from "node:zlib";

import { pairModel } from "./package.js";

/** `docs/format.md` has the bytes; these are the places that change. */
const [HEADER, ENTRY, RECORD] = [32, 16, 32];
const [LIMITS, LABELS, TENSORS, WEIGHTS] = [2, 3, 6, 7];
const [ATTENTION_HEAD, ATTENTION_OUTPUT, MLP_INPUT, MLP_OUTPUT] = [5, 6, 8, 9];
const [DENSE, ROW_MAP] = [1, 2];

/** A model with these names of classes, whose logits are all 0. */
export function withLabels(labels) {
  return rewritten(({ limits, sections, tensors }) => {
    sections.set(LABELS, stringTable(labels));
    limits.writeUInt32LE(labels.length, 24);
    const { record } = tensors.at(-1);
    record.writeUInt32LE(labels.length, 8);
    tensors[tensors.length - 1] = withoutRows(record);
  });
}

/** A model with `count` more heads in its first layer, which do nothing. */
export function withHeads(count) {
  return rewritten(({ limits, tensors }) => {
    const after = tensors.findIndex(({ record }) => record[0] === ATTENTION_OUTPUT);
    const first = tensors[after - 1].record.readUInt16LE(6) + 1;
    const heads = Array.from({ length: count }, (_, index) => {
      const record = Buffer.alloc(RECORD);
      record[0] = ATTENTION_HEAD;
      record.writeUInt16LE(first + index, 6);
      // A query row and a key row.
      record.writeUInt32LE(2, 8);
      record.writeUInt32LE(limits.readUInt32LE(4), 12);
      record.writeUInt32LE(1, 24);
      return withoutRows(record);
    });
    const rest = tensors.splice(after);
    for (const tensor of heads.concat(rest)) {
      tensors.push(tensor);
    }
  });
}

/** A model whose first layer has no neurons: matrices without rows, and without columns. */
export function withoutNeurons() {
  return rewritten(({ tensors }) => {
    const [input, output] = [MLP_INPUT, MLP_OUTPUT].map((role) =>
      tensors.find(({ record }) => record[0] === role && record.readUInt16LE(4) === 0),
    );
    input.record.writeUInt32LE(0, 8);
    output.record.writeUInt32LE(0, 12);
    Object.assign(input, withoutRows(input.record));
    Object.assign(output, withoutRows(output.record));
  });
}

/** All rows are cut. */
function withoutRows(record) {
  record[1] = DENSE;
  record[2] = ROW_MAP;
  return { record, weights: Buffer.alloc(Math.ceil(record.readUInt32LE(8) / 8)) };
}

function stringTable(strings) {
  const texts = strings.map((string) => Buffer.from(string));
  const words = Uint32Array.of(strings.length, 4, 0, ...texts.map(({ length }) => length));
  for (let index = 3; index < words.length; index += 1) {
    words[index] += words[index - 1];
  }
  return Buffer.concat([Buffer.from(words.buffer), ...texts]);
}

/** `change` gets the limits, the tensors and all sections of the model, to change in place. */
function rewritten(change) {
  const file = pairModel();
  const sections = new Map();
  for (let entry = HEADER; entry < HEADER + ENTRY * file.readUInt16LE(10); entry += ENTRY) {
    sections.set(file.readUInt16LE(entry), part(file, file, entry + 4));
  }
  const tensors = [];
  for (let at = 0; at < sections.get(TENSORS).length; at += RECORD) {
    const record = sections.get(TENSORS).subarray(at, at + RECORD);
    tensors.push({ record, weights: part(sections.get(WEIGHTS), record, 16) });
  }
  change({ limits: sections.get(LIMITS), sections, tensors });

  const weights = aligned(tensors.map(({ weights }) => weights), 0, 4);
  tensors.forEach(({ record, weights: { length } }, index) => {
    record.writeUInt32LE(weights.offsets[index], 16);
    record.writeUInt32LE(length, 20);
  });
  sections.set(TENSORS, Buffer.concat(tensors.map(({ record }) => record)));
  sections.set(WEIGHTS, weights.bytes);
  const start = HEADER + ENTRY * sections.size;
  const { bytes, offsets } = aligned([...sections.values()], start, 16);
  const head = Buffer.from(file.subarray(0, start));
  head.writeUInt32LE(start + bytes.length, 12);
  [...sections.values()].forEach((section, index) => {
    const entry = HEADER + ENTRY * index;
    head.writeUInt32LE(offsets[index], entry + 4);
    head.writeUInt32LE(section.length, entry + 8);
    head.writeUInt32LE(crc32(section), entry + 12);
  });
  head.writeUInt32LE(crc32(head.subarray(20), crc32(head.subarray(0, 16))), 16);
  return Buffer.concat([head, bytes]);
}

/** A copy of the bytes of `whole` whose offset and length `table` states at `at`. */
function part(whole, table, at) {
  const offset = table.readUInt32LE(at);
  return Buffer.from(whole.subarray(offset, offset + table.readUInt32LE(at + 4)));
}

/** `parts` with zeros between them, so that each begins at a multiple; the first is at `start`. */
function aligned(parts, start, multiple) {
  const [pieces, offsets] = [[], []];
  let end = start;
  for (const part of parts) {
    const offset = Math.ceil(end / multiple) * multiple;
    pieces.push(Buffer.alloc(offset - end), part);
    offsets.push(offset);
    end = offset + part.length;
  }
  return { bytes: Buffer.concat(pieces), offsets };
}
