import { type ErrorCode, NeuropruneError } from "./errors.js";

/** The functions of `browser/wasm/src/lib.rs`. */
interface Exports {
  memory: WebAssembly.Memory;
  model_buffer(length: number): number;
  open(length: number): number;
  message(): number;
  facts(): number;
  label(index: number): number;
  tensor(index: number): number;
  weights(index: number): number;
  text_buffer(length: number): number;
  classify(length: number): number;
  classify_pair(length: number, second: number): number;
  record(): number;
}

const FUNCTIONS = [
  "model_buffer",
  "open",
  "message",
  "facts",
  "label",
  "tensor",
  "weights",
  "text_buffer",
  "classify",
  "classify_pair",
  "record",
] as const;

/** `Status` of the module, from 1. */
const STATUSES: readonly (readonly [ErrorCode, string])[] = [
  ["memory", "there is not enough memory for this model"],
  ["not-a-model", "this is not a .neuro file"],
  ["too-new", "this package is too old for the file"],
  ["truncated", "the file is not complete"],
  ["damaged", "the file is damaged"],
  ["pair-expected", "this model classifies pairs of texts; give two"],
  ["single-expected", "this model classifies single texts; give one"],
  ["internal", "the module was misused"],
];

/** `(func (result v128) i32.const 0 i8x16.splat)`: compiles if there is SIMD. */
const SIMD_PROBE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0],
  ...[1, 5, 1, 96, 0, 1, 123],
  ...[3, 2, 1, 0],
  ...[10, 8, 1, 6, 0, 65, 0, 253, 15, 11],
);

/** A text may begin with U+FEFF, which is no mark here. */
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

/** Longest text, in units of UTF-16, that is encoded without being measured first. */
const SHORT_TEXT = 4096;

/** Compiles the module; if that fails, the error states what is missing. */
export async function compile(bytes: BufferSource): Promise<WebAssembly.Module> {
  if (typeof WebAssembly === "undefined") {
    throw new NeuropruneError("unsupported", "WebAssembly is not there, or is switched off");
  }
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    if (!WebAssembly.validate(SIMD_PROBE)) {
      throw new NeuropruneError("unsupported", "this browser's WebAssembly is without SIMD", {
        cause: error,
      });
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new NeuropruneError("wasm", `neuroprune.wasm: ${reason}`, { cause: error });
  }
}

/** Reads the words of a record, in their order. */
export class Reader {
  readonly #memory: DataView;
  #at: number;

  constructor(memory: WebAssembly.Memory, address: number) {
    this.#memory = new DataView(memory.buffer);
    this.#at = address;
  }

  /** A count, a size or an address. */
  word(): number {
    const word = this.#memory.getUint32(this.#at, true);
    this.#at += 4;
    return word;
  }

  float(): number {
    const float = this.#memory.getFloat32(this.#at, true);
    this.#at += 4;
    return float;
  }

  text(): string {
    const address = this.word();
    const bytes = new Uint8Array(this.#memory.buffer, address, this.word());
    return DECODER.decode(bytes);
  }
}

/** An instance of the module with one open model. */
export class Instance {
  readonly #exports: Exports;
  readonly #encoder = new TextEncoder();
  #text = { address: 0, length: 0 };

  private constructor(exports: Exports) {
    this.#exports = exports;
  }

  /** Copies a model file into a new instance and opens it. */
  static async open(module: WebAssembly.Module, file: readonly Uint8Array[]): Promise<Instance> {
    const { exports } = await instantiate(module);
    const instance = new Instance(exports);
    const length = file.reduce((sum, chunk) => sum + chunk.length, 0);
    let at = exports.model_buffer(length) >>> 0;
    if (at === 0) {
      throw new NeuropruneError("memory", `there are no ${length} bytes of memory for the model`);
    }
    for (const chunk of file) {
      new Uint8Array(exports.memory.buffer).set(chunk, at);
      at += chunk.length;
    }
    instance.#check(instance.#call(() => exports.open(length)));
    return instance;
  }

  /** Bytes of linear memory. */
  get memoryBytes(): number {
    return this.#exports.memory.buffer.byteLength;
  }

  facts(): Reader {
    return this.#reader(this.#exports.facts());
  }

  label(index: number): string {
    return this.#reader(this.#exports.label(index)).text();
  }

  tensor(index: number): Reader {
    return this.#reader(this.#exports.tensor(index));
  }

  /** A copy of the weights of matrix `index`, `[rows, cols]`. */
  weights(index: number, length: number): Int8Array {
    const address = this.#call(() => this.#exports.weights(index)) >>> 0;
    if (address === 0) {
      throw new NeuropruneError("memory", `there are no ${length} bytes of memory for the weights`);
    }
    this.#text = { address, length: Math.max(this.#text.length, length) };
    return new Int8Array(this.#exports.memory.buffer, address, length).slice();
  }

  /** Classifies a text, or a pair; the record is the answer. */
  classify(text: string, second: string | undefined): Reader {
    const first = this.#write(text, 0);
    let status;
    if (second === undefined) {
      status = this.#call(() => this.#exports.classify(first));
    } else {
      const length = this.#write(second, first);
      status = this.#call(() => this.#exports.classify_pair(first, length));
    }
    this.#check(status);
    return this.#reader(this.#exports.record());
  }

  /** A copy of `length` floats. */
  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.#exports.memory.buffer, address, length).slice();
  }

  /** Writes `text` after the first `offset` bytes of the buffer; returns its bytes. */
  #write(text: string, offset: number): number {
    // A unit of UTF-16 becomes three bytes at most. Longer texts take no more memory than
    // they have bytes.
    if (text.length <= SHORT_TEXT) {
      this.#reserve(offset + 3 * text.length);
      const { address, length } = this.#text;
      const place = new Uint8Array(this.#exports.memory.buffer, address, length);
      return this.#encoder.encodeInto(text, place.subarray(offset)).written;
    }
    const bytes = this.#encoder.encode(text);
    this.#reserve(offset + bytes.length);
    new Uint8Array(this.#exports.memory.buffer).set(bytes, this.#text.address + offset);
    return bytes.length;
  }

  #reserve(length: number): void {
    if (this.#text.address !== 0 && length <= this.#text.length) {
      return;
    }
    const address = this.#exports.text_buffer(length) >>> 0;
    if (address === 0) {
      throw new NeuropruneError("memory", `there are no ${length} bytes of memory for the text`);
    }
    this.#text = { address, length };
  }

  #reader(address: number): Reader {
    if (address === 0) {
      throw new NeuropruneError("internal", "the module has nothing to say");
    }
    return new Reader(this.#exports.memory, address >>> 0);
  }

  #check(status: number): void {
    const entry = STATUSES[status - 1];
    if (entry === undefined) {
      return;
    }
    const [code, message] = entry;
    const detail = this.#reader(this.#exports.message()).text();
    throw new NeuropruneError(code, detail === "" ? message : `${message} (${detail})`);
  }

  /** A trap is a fault of the module, which cannot be used after it. */
  #call(run: () => number): number {
    try {
      return run();
    } catch (error) {
      throw new NeuropruneError("internal", `the module stopped: ${String(error)}`, { cause: error });
    }
  }
}

async function instantiate(module: WebAssembly.Module): Promise<{ exports: Exports }> {
  const exports = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  const missing = FUNCTIONS.find((name) => !exports.has(name));
  if (missing !== undefined || WebAssembly.Module.imports(module).length > 0) {
    throw new NeuropruneError("wasm", "this WebAssembly module is not that of this version of neuroprune");
  }
  try {
    const instance = await WebAssembly.instantiate(module);
    return { exports: instance.exports as unknown as Exports };
  } catch (error) {
    throw new NeuropruneError("memory", `there is no memory for another classifier: ${String(error)}`, {
      cause: error,
    });
  }
}
