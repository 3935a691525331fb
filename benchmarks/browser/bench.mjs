// Measures the models of a folder in headless Chromium: ours and onnxruntime-web's in turn.
//
//   node bench.mjs FOLDER      prints what was measured as JSON
//
// FOLDER/tasks.json says what, xtask/src/bench/browser.rs writes it. The page is served with
// the headers that give it an exact clock. Times are those on the clock, and those for which the
// page's thread had a processor: a busy machine changes the first.

import { createServer } from "node:http";
import { cpus } from "node:os";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/// Milliseconds of a sample on the clock.
const SAMPLE = 25;
/// Samples of each runner, and what each does before the first: V8 compiles in two tiers.
const ROUNDS = 31;
const WARM_UP = 400;

const here = fileURLToPath(new URL(".", import.meta.url));
const peer = join(here, "node_modules/onnxruntime-web");
const [, , folder] = process.argv;

/// Where the files of a request lie.
const ROOTS = { page: join(here, "page"), peer: join(peer, "dist"), files: folder };

const server = createServer(async (request, response) => {
  const [, root, ...rest] = normalize(new URL(request.url, "http://localhost").pathname).split("/");
  const path = ROOTS[root] && join(ROOTS[root], ...rest);
  try {
    const bytes = await readFile(path);
    response.writeHead(200, {
      "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));

/// Milliseconds for which the page's thread had a processor so far.
async function processorTime(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return 1000 * metrics.find(({ name }) => name === "ThreadTime").value;
}

const middle = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/// Every runner of a case in turn, again and again, so that whatever else the machine does
/// meets all of them.
async function measure(page, session) {
  const run = (name, least) => page.evaluate(([name, least]) => bench.run(name, least), [name, least]);
  const cases = [];
  for (const [task, { model, texts }] of (await page.evaluate(() => bench.tasks)).entries()) {
    for (const [text, { tokens }] of texts.entries()) {
      await page.evaluate(([task, text]) => bench.prepare(task, text), [task, text]);
      const samples = { ours: [], int8: [], float: [] };
      for (const name of Object.keys(samples)) await run(name, WARM_UP);
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const [name, of] of Object.entries(samples)) {
          const before = await processorTime(session);
          const { calls, time } = await run(name, SAMPLE);
          of.push({ processor: (await processorTime(session) - before) / calls, clock: time / calls });
        }
      }
      const times = Object.entries(samples).map(([name, of]) => {
        const clock = of.map((sample) => sample.clock);
        const processor = middle(of.map((sample) => sample.processor));
        return [name, { processor, median: middle(clock), least: Math.min(...clock), samples: of.length }];
      });
      cases.push({ model, tokens, ...Object.fromEntries(times) });
    }
  }
  return cases;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS,
});
try {
  const page = await browser.newPage();
  page.on("console", (message) => console.error(message.text()));
  page.on("pageerror", (error) => console.error(error.message));
  page.setDefaultTimeout(0);
  await page.goto(`http://127.0.0.1:${server.address().port}/page/index.html`);
  await page.waitForFunction(() => globalThis.bench);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const { version } = JSON.parse(await readFile(join(peer, "package.json"), "utf8"));
  const machine = { processor: cpus()[0].model, chromium: browser.version(), onnxruntime_web: version };
  console.log(JSON.stringify({ ...machine, cases: await measure(page, session) }));
} finally {
  await browser.close();
  server.close();
}
