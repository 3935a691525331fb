// The demo page: loads two models, classifies the text as it is typed, shows the cost.

import { Classifier } from "./neuroprune/index.js";
import { bytes, count, milliseconds, percent } from "./numbers.js";
import { timesOf } from "./timing.js";
import { figureOf, layersOf } from "./topology.js";

/** Texts of the trainer's own; none is in its training or test set. */
const SAMPLES = [
  "could you switch the kitchen lights on i'm cooking",
  "the bedroom is freezing make it 22 degrees",
  "play some jazz while i clean the living room",
  "please wake me up at six thirty i have a train to catch",
  "did anybody lock the back door please lock it",
  "who came up with the idea of the light switch",
];

/** Milliseconds without a key press before times are measured and the answer is spoken. */
const PAUSE = 350;

const element = (id) => document.getElementById(id);
const [text, second] = [element("text"), element("second")];

/** The model that answers, its dense baseline where there is one, and which one is drawn. */
const state = { classifier: undefined, baseline: undefined, drawn: [], answers: 0, loads: 0 };
let sizes;
let pause;
let stop = new AbortController();

/** The name shown for a class: names are identifiers. */
function spoken(label) {
  return label.replaceAll("_", " ");
}

async function load(source, name) {
  stop.abort();
  stop = new AbortController();
  const { signal } = stop;
  const own = (state.loads += 1);
  element("error").hidden = true;
  // Quick downloads show no progress.
  const shown = setTimeout(() => (element("loading").hidden = false), 120);
  try {
    const onProgress = (progress) => showProgress(name, progress);
    return await Classifier.load(source, { signal, onProgress });
  } catch (error) {
    if (own === state.loads) {
      fail(name, signal.aborted ? "The download was stopped." : error.message);
    }
    return undefined;
  } finally {
    clearTimeout(shown);
    if (own === state.loads) {
      element("loading").hidden = true;
    }
  }
}

function showProgress(name, { loaded, total }) {
  const bar = element("progress");
  if (total === undefined) {
    bar.removeAttribute("value");
  } else {
    bar.max = total;
    bar.value = loaded;
  }
  const of = total === undefined ? "" : ` of ${bytes(total)}`;
  element("progress-text").textContent = `${name}: ${bytes(loaded)}${of}`;
}

function fail(name, message) {
  const box = element("error");
  box.hidden = false;
  box.textContent = `${name}: ${message}`;
  const again = document.createElement("button");
  if (state.classifier === undefined) {
    element("label").textContent = "no model";
    element("tokens").textContent = "";
    again.type = "button";
    again.textContent = "Try again";
    again.addEventListener("click", begin);
    box.append(" ", again);
  }
}

/** Makes `classifier` the one that answers. */
function use(classifier, name) {
  if (state.classifier !== classifier) {
    state.classifier?.dispose();
  }
  state.baseline?.dispose();
  Object.assign(state, { classifier, baseline: undefined });
  const { info } = classifier;
  second.hidden = !info.pair;
  element("own-note").textContent = name === undefined ? "or drop it here" : `${name} answers now`;
  element("back").hidden = name === undefined;
  element("time").textContent = "…";
  element("samples").hidden = name !== undefined;
  element("compare").hidden = true;
  element("network-switch").hidden = true;
  element("prompt").textContent =
    name === undefined
      ? "Say something to a smart home"
      : `${info.name}: ${info.labels.length} classes, ${info.pair ? "pairs of texts" : "texts"} of up to ${info.maxTokens} tokens`;
  element("headline").textContent =
    info.sparsity >= 0.05 ? `${Math.floor(100 * info.sparsity)} % of it is not there.` : "All of it is there.";
  element("weights").textContent = count(info.nonzeroWeights);
  element("weights-detail").textContent =
    `of ${count(info.denseWeights)} in the encoder; the rest is not stored and not multiplied`;
  showDownload(info);
  answer();
  drawTopology(classifier);
}

function showDownload(info) {
  const code = sizes?.code;
  element("download").textContent = bytes(info.bytes + (code?.brotli ?? 0));
  element("download-detail").textContent =
    `model ${bytes(info.bytes)}` + (code === undefined ? "" : `, code ${bytes(code.brotli)} with brotli (${bytes(code.raw)} without)`);
  if (code !== undefined) {
    element("code-note").textContent =
      `${bytes(code.brotli)} of WebAssembly and JavaScript with brotli, tokenizer included. No dependencies, no eval, ` +
      "no special headers; in pages, workers, Node and at the edge.";
  }
}

function classify(classifier) {
  return classifier.info.pair ? classifier.classify(text.value, second.value) : classifier.classify(text.value);
}

/** Answers the text; times are measured once typing pauses. */
function answer() {
  const { classifier, baseline } = state;
  if (classifier === undefined) {
    return;
  }
  const own = (state.answers += 1);
  const best = classify(classifier);
  element("label").textContent = spoken(best.label);
  const left = [`${best.tokens} tokens`];
  if (best.unknown > 0) {
    left.push(`${best.unknown} of them unknown`);
  }
  if (best.truncated) {
    left.push("the rest was cut");
  }
  element("tokens").textContent = `${percent(best.probability)} sure · ${left.join(", ")}`;
  element("ranking").replaceChildren(...best.ranking.map(rank));
  element("memory").textContent = bytes(classifier.memoryBytes);
  element("memory-detail").textContent =
    `all of it: model ${bytes(classifier.info.bytes)}, working memory ${bytes(classifier.info.scratchBytes)}, stack and text`;
  if (performance.getEntriesByName("first-answer").length === 0) {
    performance.mark("first-answer");
  }
  clearTimeout(pause);
  pause = setTimeout(async () => {
    element("spoken").textContent = `${spoken(best.label)}, ${percent(best.probability)}`;
    const both = baseline === undefined ? [classifier] : [classifier, baseline];
    const runs = both.map((classifier) => () => classify(classifier));
    const measured = await timesOf(runs, () => own !== state.answers);
    if (measured === undefined) {
      return;
    }
    const [sparse, dense] = measured;
    element("time").textContent = milliseconds(sparse);
    element("time-detail").textContent = `${best.tokens} tokens, one thread; measured in this tab just now`;
    if (baseline !== undefined) {
      showComparison({ sparse, dense });
    }
  }, PAUSE);
  if (baseline !== undefined) {
    showComparison(undefined);
  }
}

function rank({ label, probability }) {
  const item = document.createElement("li");
  const [name, share] = [document.createElement("span"), document.createElement("span")];
  name.textContent = spoken(label);
  share.textContent = percent(probability);
  item.append(name, share);
  item.style.setProperty("--share", String(probability));
  return item;
}

/** Times of the last comparison are kept until there are new ones. */
let times;

function showComparison(measured) {
  times = measured ?? times;
  const { classifier, baseline } = state;
  const networks = [baseline, classifier];
  const row = (name, values, format) => {
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    const largest = Math.max(...values);
    const cells = values.map((value) => {
      const cell = document.createElement("td");
      const figure = document.createElement("b");
      figure.textContent = value === undefined || Number.isNaN(value) ? "…" : format(value);
      cell.append(figure);
      if (typeof value === "number" && largest > 0) {
        const bar = document.createElement("i");
        bar.style.setProperty("--share", String(value / largest));
        cell.append(bar);
      }
      return cell;
    });
    line.append(head, ...cells);
    return line;
  };
  const answers = networks.map(classify);
  const encoderBytes = networks.map((network) =>
    network.tensors().reduce((sum, tensor) => sum + (tensor.isEncoder ? tensor.bytes : 0), 0),
  );
  element("comparison").replaceChildren(
    row("answer", answers.map(({ label, probability }) => `${spoken(label)}, ${percent(probability)}`), String),
    row("time of a text", [times?.dense ?? NaN, times?.sparse ?? NaN], milliseconds),
    row("weights of the encoder", networks.map(({ info }) => info.nonzeroWeights), count),
    row("bytes of the encoder", encoderBytes, count),
    row("bytes of the file", networks.map(({ info }) => info.bytes), count),
    row("accuracy", networks.map(({ info }) => info.accuracy.runtime).map((share) => (share === undefined ? "not stated" : `${share.toFixed(2)} %`)), String),
  );
}

function drawTopology(classifier) {
  let layers;
  try {
    layers = layersOf(classifier);
  } catch (error) {
    // Matrices too large to unpack: the model still answers.
    element("layers").textContent = `The network cannot be drawn: ${error.message}`;
    element("matrices").replaceChildren();
    state.drawn = [];
    return;
  }
  state.drawn = layers.map(figureOf);
  element("layers").replaceChildren(...state.drawn.map(({ figure }) => figure));
  redraw();
  element("matrices").replaceChildren(...layers.flatMap(({ own }) => own).map(describeMatrix));
}

function describeMatrix({ role, layer, head, rows, cols, layout, nonzeros, bytes: size }) {
  const name = role === "attention head" ? `${role} ${head + 1}` : role;
  const left = `${count(nonzeros)} (${percent(nonzeros / Math.max(1, rows * cols))})`;
  const line = document.createElement("tr");
  const heading = document.createElement("th");
  heading.scope = "row";
  heading.textContent = `layer ${layer + 1}, ${name}`;
  const cells = [`${rows} × ${cols}`, layout, left, count(size)].map((words) => {
    const cell = document.createElement("td");
    cell.textContent = words;
    return cell;
  });
  line.append(heading, ...cells);
  return line;
}

function redraw() {
  for (const { draw } of state.drawn) {
    draw();
  }
}

/** Loads the smart home, then its dense baseline for comparison. */
async function begin() {
  const classifier = await load("models/sparse.neuro", "The model");
  if (classifier === undefined) {
    return;
  }
  use(classifier);
  sizes ??= await fetch("sizes.json").then((answer) => answer.json(), () => undefined);
  showDownload(state.classifier.info);
  // A baseline that does not load leaves the page as it is, without a comparison.
  const baseline = await Classifier.load("models/dense.neuro").catch(() => undefined);
  if (baseline === undefined || state.classifier !== classifier) {
    baseline?.dispose();
    return;
  }
  state.baseline = baseline;
  element("compare").hidden = false;
  element("network-switch").hidden = false;
  answer();
}

async function loadOwn(file) {
  const classifier = await load(file, file.name);
  if (classifier !== undefined) {
    use(classifier, file.name);
    text.focus();
  }
}

for (const sample of SAMPLES) {
  const [item, button] = [document.createElement("li"), document.createElement("button")];
  button.type = "button";
  button.textContent = sample;
  button.addEventListener("click", () => {
    text.value = sample;
    answer();
  });
  item.append(button);
  element("samples").append(item);
}

text.addEventListener("input", answer);
second.addEventListener("input", answer);
element("cancel").addEventListener("click", () => stop.abort());
element("back").addEventListener("click", begin);
element("network-switch").addEventListener("change", ({ target }) => {
  drawTopology(target.value === "dense" ? state.baseline : state.classifier);
});
element("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  // So that the same file can be picked again.
  target.value = "";
  if (file !== undefined) {
    loadOwn(file);
  }
});
const dropping = (on) => document.body.classList.toggle("dropping", on);
addEventListener("dragover", (event) => {
  event.preventDefault();
  dropping(true);
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) {
    dropping(false);
  }
});
addEventListener("drop", (event) => {
  event.preventDefault();
  dropping(false);
  const [file] = event.dataTransfer?.files ?? [];
  if (file !== undefined) {
    loadOwn(file);
  }
});
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
navigator.serviceWorker?.register("offline.js").catch(() => {});

begin();
