// Measures the models of a folder in headless Chromium: ours and onnxruntime-web's in turn.
//
//   node bench.mjs FOLDER      prints what was measured as JSON
//
// FOLDER/tasks.json says what, xtask/src/bench/browser.rs writes it. The page is served with
// the headers that give it an exact clock.

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
  const { version } = JSON.parse(await readFile(join(peer, "package.json"), "utf8"));
  const cases = await page.evaluate(() => globalThis.measured);
  const machine = { processor: cpus()[0].model, chromium: browser.version(), onnxruntime_web: version };
  console.log(JSON.stringify({ ...machine, cases }));
} finally {
  await browser.close();
  server.close();
}
