export {
  type Classification,
  Classifier,
  type LoadOptions,
  type ModelInfo,
  type Progress,
  type Ranked,
  type TensorInfo,
} from "./classifier.js";
export type { Code } from "./code.js";
export { type ErrorCode, NeuropruneError } from "./errors.js";
export type { Source } from "./source.js";
