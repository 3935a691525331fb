// A worker, and a service worker: classifies what it is sent.
import { Classifier } from "/package/index.js";

const loading = Classifier.load("/models/commands.neuro");

addEventListener("message", async ({ data, ports: [port] }) => {
  const classifier = await loading;
  port.postMessage(classifier.classify(data).label);
});
