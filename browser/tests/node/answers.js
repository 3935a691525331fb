// Prints what the package answers to the texts of the reference, as `bits.test.js` runs it.
import { Classifier } from "../../out/package/index.js";
import { model, reference } from "../package.js";

const bits = (floats) => Array.from(new Uint32Array(floats.buffer));
const classifier = await Classifier.load(model());
const answers = reference().map(({ text }) => {
  const { label, ranking, tokens, unknown, truncated } = classifier.classify(text);
  const probabilities = bits(Float32Array.from(ranking, ({ probability }) => probability));
  return { text, label, probabilities, logits: bits(classifier.logits()), tokens, unknown, truncated };
});
console.log(JSON.stringify(answers));
