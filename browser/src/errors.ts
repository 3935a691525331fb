/** What went wrong, for programs. */
export type ErrorCode =
  /** A server answered with an error; `status` has its number. */
  | "http"
  /** No answer, or the connection broke. */
  | "network"
  /** A file that cannot be read from disk. */
  | "file"
  /** Not a `.neuro` file. */
  | "not-a-model"
  /** A `.neuro` file of a newer version than this package knows. */
  | "too-new"
  /** The beginning of a `.neuro` file. */
  | "truncated"
  /** A damaged `.neuro` file. */
  | "damaged"
  /** No WebAssembly here, or without SIMD. */
  | "unsupported"
  /** The module does not compile, is blocked by the page's policy, or is another one. */
  | "wasm"
  /** No memory for the model or the text. */
  | "memory"
  /** The model classifies pairs of texts. */
  | "pair-expected"
  /** The model classifies single texts. */
  | "single-expected"
  /** The classifier was disposed of. */
  | "disposed"
  /** A fault of this package. */
  | "internal";

/** Every error of this package, except those of an aborted signal. */
export class NeuropruneError extends Error {
  /** What went wrong. */
  readonly code: ErrorCode;
  /** The status of the answer, for `"http"`. */
  readonly status: number | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; status?: number } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "NeuropruneError";
    this.code = code;
    this.status = options.status;
  }
}
