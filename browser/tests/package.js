// Where the built package and the models of the tests are.
import { readFileSync } from "node:fs";

export const repository = new URL("../../", import.meta.url);
export const output = new URL("browser/out/", repository);
/** The model that the boards run too. */
export const modelUrl = new URL("firmware-examples/models/commands.neuro", repository);

export const model = () => readFileSync(modelUrl);
/** A model of pairs of texts. */
export const pairModel = () => readFileSync(new URL("format/tests/golden/v2.neuro", repository));
/** What this machine's own runtime answers: `xtask/src/browser/reference.rs`. */
export const reference = () => JSON.parse(readFileSync(new URL("reference.json", output), "utf8"));
