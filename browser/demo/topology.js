// Draws the weights of a layer as lines between its channels, heads and neurons.
//
//   channels ── W_Q, W_K, W_V ──► rows of heads ── W_O ──► channels ── L_in ──► neurons ── L_out ──► channels

import { count, percent } from "./numbers.js";

/** Most lines drawn per matrix; with more weights, evenly spaced ones are drawn. */
const MOST_LINES = 40_000;
/** Opacity of a line in a network of 20,000 weights per layer or more, before pruning. */
const FAINTEST = 0.22;
/** Lines that are drawn at once. */
const BUNCH = 24;
const SIGNS = [
  [1, "--positive"],
  [-1, "--negative"],
];

/** The layers of a classifier: matrices with their nonzeros, in the order of the pass. */
export function layersOf(classifier) {
  const tensors = classifier.tensors().map((tensor, index) => ({ ...tensor, index }));
  const { hidden, layers, denseWeights } = classifier.info;
  // The same for both networks, so that their pictures can be compared.
  const strength = Math.min(0.8, Math.max(FAINTEST, 31 / Math.sqrt(denseWeights / layers)));
  return Array.from({ length: layers }, (_, layer) => {
    const own = tensors.filter((tensor) => tensor.isEncoder && tensor.layer === layer);
    const role = (name) => own.filter((tensor) => tensor.role === name);
    const edges = (name) => role(name).map((tensor) => edgesOf(classifier, tensor));
    const heads = edges("attention head");
    const rowsOfHeads = heads.map((head) => head.rows);
    return {
      own,
      strength,
      heads: heads.length,
      neurons: role("MLP input")[0]?.rows ?? 0,
      weights: own.reduce((sum, tensor) => sum + tensor.nonzeros, 0),
      columns: [
        { name: "channels", sizes: [hidden] },
        { name: "heads", sizes: rowsOfHeads },
        { name: "channels", sizes: [hidden] },
        { name: "neurons", sizes: [role("MLP input")[0]?.rows ?? 0] },
        { name: "channels", sizes: [hidden] },
      ],
      bundles: [
        stack(heads),
        edges("attention output").map((edge) => fromValues(edge, role("attention head")))[0],
        edges("MLP input")[0],
        edges("MLP output")[0],
      ],
    };
  });
}

/** Nonzeros as parallel lists: `from` is a column of the matrix, `to` a row. */
function edgesOf(classifier, { index, rows, cols, nonzeros }) {
  const weights = classifier.weights(index);
  const edges = { rows, from: [], to: [], weight: [] };
  const step = Math.max(1, Math.ceil(nonzeros / MOST_LINES));
  let seen = 0;
  for (let at = 0; at < weights.length; at += 1) {
    if (weights[at] !== 0 && seen++ % step === 0) {
      edges.from.push(at % cols);
      edges.to.push(Math.floor(at / cols));
      edges.weight.push(weights[at]);
    }
  }
  return edges;
}

/** The rows of all heads, one head below another. */
function stack(heads) {
  const all = { rows: 0, from: [], to: [], weight: [] };
  for (const head of heads) {
    all.from.push(...head.from);
    all.to.push(...head.to.map((row) => row + all.rows));
    all.weight.push(...head.weight);
    all.rows += head.rows;
  }
  return all;
}

/** W_O reads the values of all heads; here they are the last rows of each. */
function fromValues(edges, heads) {
  const places = [];
  let top = 0;
  for (const { rows, queryRows } of heads) {
    for (let row = 2 * queryRows; row < rows; row += 1) {
      places.push(top + row);
    }
    top += rows;
  }
  return { ...edges, from: edges.from.map((column) => places[column]) };
}

/** A figure of one layer. `draw` it once it is in the page, and whenever its size changes. */
export function figureOf(layer, index) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const note = document.createElement("span");
  const dense = layer.own.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
  caption.textContent = `Layer ${index + 1}`;
  const heads = `${layer.heads} ${layer.heads === 1 ? "head" : "heads"}`;
  note.textContent = `${heads} · ${count(layer.neurons)} neurons · ${count(layer.weights)} weights`;
  caption.append(note);
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute(
    "aria-label",
    `Layer ${index + 1}: ${heads}, ${layer.neurons} neurons, ${layer.weights} weights, ` +
      `${percent(layer.weights / Math.max(1, dense))} of the matrices that are left`,
  );
  figure.append(caption, canvas);
  return { figure, draw: () => draw(canvas, layer) };
}

function draw(canvas, { columns, bundles, strength }) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = globalThis.devicePixelRatio ?? 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const style = getComputedStyle(canvas);
  const colors = new Map();
  const color = (name) => {
    if (!colors.has(name)) {
      colors.set(name, style.getPropertyValue(name).trim());
    }
    return colors.get(name);
  };
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);

  const titles = 22;
  const places = columns.map(({ sizes }) => placesOf(sizes, 4, height - titles - 4));
  const x = (column) => 8 + (column * (width - 16)) / (columns.length - 1);
  const degrees = places.map((nodes) => new Float64Array(nodes.length));
  bundles.forEach((edges, column) => {
    if (edges === undefined) {
      return;
    }
    const lines = edges.weight.length;
    pen.globalAlpha = strength;
    pen.lineWidth = 0.8;
    // A few of one sign, then a few of the other, so that neither hides the other.
    for (let begin = 0; begin < lines; begin += BUNCH) {
      for (const [sign, name] of SIGNS) {
        pen.strokeStyle = color(name);
        pen.beginPath();
        for (let line = begin; line < Math.min(lines, begin + BUNCH); line += 1) {
          if (edges.weight[line] * sign <= 0) {
            continue;
          }
          const [from, to] = [edges.from[line], edges.to[line]];
          degrees[column][from] += 1;
          degrees[column + 1][to] += 1;
          const [left, right] = [x(column), x(column + 1)];
          const middle = (left + right) / 2;
          const [start, end] = [places[column][from], places[column + 1][to]];
          pen.moveTo(left, start);
          pen.bezierCurveTo(middle, start, middle, end, right, end);
        }
        pen.stroke();
      }
    }
  });

  pen.globalAlpha = 1;
  pen.fillStyle = color("--text");
  places.forEach((nodes, column) => {
    const largest = degrees[column].reduce((a, b) => Math.max(a, b), 1);
    const room = (height - titles) / Math.max(1, nodes.length);
    nodes.forEach((y, node) => {
      const share = degrees[column][node] / largest;
      const radius = share === 0 ? 0.6 : 0.8 + Math.min(4, 0.7 * room) * Math.sqrt(share);
      pen.beginPath();
      pen.arc(x(column), y, radius, 0, 2 * Math.PI);
      pen.fill();
    });
  });
  pen.fillStyle = color("--muted");
  pen.font = `${width < 360 ? 10 : 12}px ${style.fontFamily}`;
  const last = columns.length - 1;
  columns.forEach(({ name }, column) => {
    pen.textAlign = column === 0 ? "left" : column === last ? "right" : "center";
    pen.fillText(name, column === 0 ? 0 : column === last ? width : x(column), height - 4);
  });
}

/** Nodes from top to bottom, with a gap between groups. */
function placesOf(sizes, top, bottom) {
  const nodes = sizes.reduce((sum, size) => sum + size, 0);
  const gap = sizes.length > 1 ? Math.min(14, (bottom - top) / (4 * sizes.length)) : 0;
  const step = (bottom - top - gap * (sizes.length - 1)) / Math.max(1, nodes);
  const places = [];
  let y = top;
  for (const size of sizes) {
    for (let node = 0; node < size; node += 1) {
      places.push(y + step * (node + 0.5));
    }
    y += step * size + gap;
  }
  return places;
}
