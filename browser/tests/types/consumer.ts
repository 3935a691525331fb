// Compiled, never run: what a TypeScript user may and may not write.
import { Classifier, NeuropruneError, type Classification } from "neuroprune";

type Switch = "on" | "off";

export async function main(signal: AbortSignal): Promise<Switch> {
  const classifier = await Classifier.load<Switch>("/model.neuro", {
    signal,
    onProgress: ({ loaded, total }) => console.log(total === undefined ? loaded : loaded / total),
  });
  const answer: Classification<Switch> = classifier.classify("on");
  // @ts-expect-error: a label that the model does not have.
  const wrong: boolean = answer.label === "dim";
  // @ts-expect-error: answers are not changed.
  answer.probability = 1;
  // @ts-expect-error: texts are strings.
  classifier.classify(5);
  const labels: readonly Switch[] = classifier.info.labels;
  const probabilities: number[] = classifier.classifyBatch(["a", ["b", "c"]]).map(({ probability }) => probability);
  classifier.dispose();
  return wrong || probabilities.length > 5 ? "on" : (labels[0] ?? "off");
}

export function status(error: unknown): number | undefined {
  if (!(error instanceof NeuropruneError)) {
    return undefined;
  }
  // @ts-expect-error: no such code.
  const typo: boolean = error.code === "htpp";
  return error.code === "http" && !typo ? error.status : undefined;
}
