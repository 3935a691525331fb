import { type Code, load as loadCode } from "./code.js";
import { NeuropruneError } from "./errors.js";
import { Instance, type Reader } from "./module.js";
import { kindOf, read, type Source } from "./source.js";
import { Stop } from "./stop.js";

/** A class and its probability. */
export interface Ranked<Label extends string = string> {
  /** Name of the class. */
  readonly label: Label;
  /** Its index in `info.labels`. */
  readonly class: number;
  /** 0…1, a 32-bit float, the same bits on every target. */
  readonly probability: number;
}

/** The answer to one text: the most probable class, with details. */
export interface Classification<Label extends string = string> extends Ranked<Label> {
  /** The most probable classes, at most five, the first of them `label`. */
  readonly ranking: readonly Ranked<Label>[];
  /** Tokens the network saw, special tokens included. */
  readonly tokens: number;
  /** How many of them are for words that the vocabulary cannot spell. */
  readonly unknown: number;
  /** Whether the text was longer than the network can see. */
  readonly truncated: boolean;
}

/** What a model is, from its file. */
export interface ModelInfo<Label extends string = string> {
  readonly name: string;
  /** Program and version that wrote the file. */
  readonly producer: string;
  /** Names of the classes. */
  readonly labels: readonly Label[];
  /** Longest text, in tokens, special tokens included. */
  readonly maxTokens: number;
  /** Whether it classifies pairs of texts. */
  readonly pair: boolean;
  readonly layers: number;
  /** Width of the residual stream. */
  readonly hidden: number;
  /** Pieces of words the tokenizer knows. */
  readonly vocabulary: number;
  /** Bytes of the file. */
  readonly bytes: number;
  /** Bytes of working memory besides the file. */
  readonly scratchBytes: number;
  /** Weights of the encoder before pruning. */
  readonly denseWeights: number;
  /** Those that remain. */
  readonly nonzeroWeights: number;
  /** Share of the encoder's weights that are zero, 0…1. */
  readonly sparsity: number;
  /** Test accuracies in per cent, if the file states them. */
  readonly accuracy: {
    /** Of the dense network, in floats. */
    readonly denseFloat: number | undefined;
    /** Of the pruned network, in floats. */
    readonly sparseFloat: number | undefined;
    /** Of this file in this runtime. */
    readonly runtime: number | undefined;
  };
}

/** A tensor of the file. */
export interface TensorInfo {
  /** What it is for, such as `"attention head"` or `"MLP input"`. */
  readonly role: string;
  /** How it is stored, such as `"dense"` or `"delta-u8"`. */
  readonly layout: string;
  readonly layer: number;
  /** Number of a head before pruning. */
  readonly head: number;
  /** Outputs. */
  readonly rows: number;
  /** Inputs. */
  readonly cols: number;
  /** Query rows of a head; as many key rows follow, then the value rows. */
  readonly queryRows: number;
  /** Bytes in the file. */
  readonly bytes: number;
  /** Whether sparsity counts its weights. */
  readonly isEncoder: boolean;
  /** Whether `weights` returns it. */
  readonly isMatrix: boolean;
  /** Weights of a matrix that are not zero. */
  readonly nonzeros: number;
}

/** Progress of a download, model and code together. */
export interface Progress {
  /** Bytes so far. */
  readonly loaded: number;
  /** Total bytes, once known. */
  readonly total: number | undefined;
}

/** How to load. */
export interface LoadOptions {
  /**
   * Called for every piece that arrives. An error that it throws, or that its promise rejects
   * with, stops this load, which then throws that error as it is.
   */
  readonly onProgress?: (progress: Progress) => void;
  /** Stops the download; `load` then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * The package's `neuroprune.wasm`, if it is not next to the script: its address, its bytes, or
   * the compiled module, as in edge runtimes.
   */
  readonly wasm?: Code;
}

/** The first bytes of every `.neuro` file. */
const MAGIC = [0x89, ...Array.from("NEURO\r\n", (character) => character.charCodeAt(0))];
/** Where the file states its length. */
const LENGTH_OFFSET = 12;

/**
 * Classifies texts with one model.
 *
 * ```js
 * const classifier = await Classifier.load("commands.neuro");
 * classifier.classify("turn on the kitchen light").label; // "light_on"
 * ```
 */
export class Classifier<Label extends string = string> {
  /** What the model is. */
  readonly info: ModelInfo<Label>;
  #instance: Instance | undefined;
  readonly #tensors: readonly TensorInfo[];
  #logits = { address: 0, length: 0 };

  private constructor(instance: Instance, bytes: number) {
    this.#instance = instance;
    const facts = instance.facts();
    const [name, producer] = [facts.text(), facts.text()];
    const labels = facts.word();
    const [maxTokens, pair, layers, hidden] = [facts.word(), facts.word(), facts.word(), facts.word()];
    const vocabulary = facts.word();
    const tensors = facts.word();
    const [denseWeights, scratchBytes] = [facts.word(), facts.word()];
    const score = () => {
      const float = facts.float();
      return Number.isNaN(float) ? undefined : float;
    };
    const accuracy = { denseFloat: score(), sparseFloat: score(), runtime: score() };
    this.#tensors = Array.from({ length: tensors }, (_, index) => describe(instance.tensor(index)));
    const encoder = this.#tensors.filter(({ isEncoder }) => isEncoder);
    const nonzeroWeights = encoder.reduce((sum, { nonzeros }) => sum + nonzeros, 0);
    this.info = Object.freeze({
      name,
      producer,
      labels: Object.freeze(Array.from({ length: labels }, (_, index) => instance.label(index) as Label)),
      maxTokens,
      pair: pair !== 0,
      layers,
      hidden,
      vocabulary,
      bytes,
      scratchBytes,
      denseWeights,
      nonzeroWeights,
      sparsity: denseWeights === 0 ? 0 : 1 - nonzeroWeights / denseWeights,
      accuracy: Object.freeze(accuracy),
    });
  }

  /**
   * Loads a model.
   *
   * `Label` may name the classes that the model is known to have.
   *
   * @throws {NeuropruneError} with a `code` that says what is wrong
   */
  static async load<Label extends string = string>(
    model: Source,
    options: LoadOptions = {},
  ): Promise<Classifier<Label>> {
    const { onProgress, signal, wasm } = options;
    const stop = new Stop();
    const parts = {
      model: { loaded: 0, total: undefined as number | undefined },
      code: { loaded: 0, total: undefined as number | undefined },
    };
    const arrival = (part: keyof typeof parts) => (loaded: number, total: number | undefined) => {
      parts[part] = { loaded, total };
      const { model, code } = parts;
      // NaN while one of them is unknown.
      const sum = (model.total ?? NaN) + (code.total ?? NaN);
      report(onProgress, stop, {
        loaded: model.loaded + code.loaded,
        total: Number.isNaN(sum) ? undefined : sum,
      });
    };
    try {
      stop.follow(signal);
      const downloads = Promise.all([
        loadCode(wasm, stop, arrival("code")),
        read(model, "the model", stop, arrival("model"), inspect),
      ]);
      const [code, file] = await stop.until(downloads);
      const instance = await Instance.open(code, file);
      stop.check();
      return new Classifier<Label>(
        instance,
        file.reduce((sum, chunk) => sum + chunk.length, 0),
      );
    } finally {
      stop.end();
    }
  }

  /** Bytes of memory that this classifier holds: model, working memory, longest text. */
  get memoryBytes(): number {
    return this.#instance?.memoryBytes ?? 0;
  }

  /**
   * Classifies one text of any length, or a pair if the model takes pairs.
   *
   * @throws {NeuropruneError} `"disposed"`, `"memory"`, `"pair-expected"`,
   * `"single-expected"`
   */
  classify(text: string, second?: string): Classification<Label> {
    if (typeof text !== "string" || (second !== undefined && typeof second !== "string")) {
      throw new TypeError("a text must be a string");
    }
    const answer = this.#alive().classify(text, second);
    const [tokens, unknown, truncated] = [answer.word(), answer.word(), answer.word()];
    this.#logits = { address: answer.word(), length: this.info.labels.length };
    const ranking = Array.from({ length: answer.word() }, () => this.#ranked(answer.word(), answer.float()));
    const [best] = ranking;
    if (best === undefined) {
      throw new NeuropruneError("internal", "the ranking is empty");
    }
    return { ...best, ranking, tokens, unknown, truncated: truncated !== 0 };
  }

  /** Classifies texts, or pairs of texts, one after another. */
  classifyBatch(texts: Iterable<string | readonly [string, string]>): Classification<Label>[] {
    if (typeof texts === "string") {
      throw new TypeError("a batch must be a list of texts, not one text");
    }
    return Array.from(texts, (text) =>
      typeof text === "string" ? this.classify(text) : this.classify(text[0], text[1]),
    );
  }

  /** The logits of the last text, one per class; zeros before the first. */
  logits(): Float32Array {
    const instance = this.#alive();
    const { address, length } = this.#logits;
    return length === 0 ? new Float32Array(this.info.labels.length) : instance.floats(address, length);
  }

  /** Every tensor of the file. */
  tensors(): TensorInfo[] {
    this.#alive();
    return this.#tensors.map((tensor) => ({ ...tensor }));
  }

  /** The integer weights of a matrix, by its place in `tensors()`: `[rows, cols]`. */
  weights(index: number): Int8Array {
    const instance = this.#alive();
    const tensor = this.#tensors[index];
    if (tensor === undefined || !tensor.isMatrix) {
      throw new RangeError(`tensor ${index} is no matrix of this model`);
    }
    return instance.weights(index, tensor.rows * tensor.cols);
  }

  /** Releases the memory. The classifier cannot be used afterwards. */
  dispose(): void {
    this.#instance = undefined;
  }

  #ranked(index: number, probability: number): Ranked<Label> {
    const label = this.info.labels[index];
    if (label === undefined) {
      throw new NeuropruneError("internal", `there is no class ${index}`);
    }
    return { label, class: index, probability };
  }

  #alive(): Instance {
    if (this.#instance === undefined) {
      throw new NeuropruneError("disposed", "this classifier was disposed of");
    }
    return this.#instance;
  }
}

/** Calls `onProgress` of a load that is under way. Its errors stop that load, and no other. */
function report(onProgress: LoadOptions["onProgress"], stop: Stop, progress: Progress): void {
  if (stop.isStopped) {
    return;
  }
  try {
    const result: unknown = onProgress?.(progress);
    // An async function is accepted in place of one that returns nothing.
    if (kindOf(result) === "Promise") {
      (result as Promise<unknown>).catch((error) => stop.now(error));
    }
  } catch (error) {
    stop.now(error);
  }
}

/** Reads the record of a tensor. */
function describe(tensor: Reader): TensorInfo {
  return {
    role: tensor.text(),
    layout: tensor.text(),
    layer: tensor.word(),
    head: tensor.word(),
    rows: tensor.word(),
    cols: tensor.word(),
    queryRows: tensor.word(),
    bytes: tensor.word(),
    isEncoder: tensor.word() !== 0,
    isMatrix: tensor.word() !== 0,
    nonzeros: tensor.word(),
  };
}

/** Rejects a file that is not a model before all of it has arrived; returns the stated length. */
function inspect(head: Uint8Array): number | undefined {
  if (MAGIC.some((byte, index) => index < head.length && head[index] !== byte)) {
    const text = Array.from(head, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·"));
    throw new NeuropruneError("not-a-model", `this is not a .neuro file: it begins with “${text.join("")}”`);
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return head.length < LENGTH_OFFSET + 4 ? undefined : view.getUint32(LENGTH_OFFSET, true);
}
