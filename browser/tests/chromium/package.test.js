// The package in every place where a browser runs scripts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, test } from "node:test";

import { model, output, reference, repository } from "../package.js";
import { serve } from "../server.js";
import { assertQuiet, launch, open } from "./browser.js";

let [browser, server] = [];
before(async () => {
  const pages = new URL("pages/", import.meta.url);
  server = await serve(pages, output, new URL("firmware-examples/", repository));
  browser = await launch();
});
after(async () => {
  await browser.close();
  await server.close();
});
beforeEach(() => server.handlers.clear());

test("answers are the host's, bit for bit", async () => {
  const opened = await open(browser, `${server.url}empty.html`);
  const answers = await opened.page.evaluate(async () => {
    const { Classifier } = await import("/package/index.js");
    const classifier = await Classifier.load("/models/commands.neuro");
    const texts = await fetch("/reference.json").then((response) => response.json());
    const bits = (floats) => Array.from(new Uint32Array(floats.buffer));
    return texts.map(({ text }) => {
      const { label, ranking, tokens, unknown, truncated } = classifier.classify(text);
      const probabilities = bits(Float32Array.from(ranking, ({ probability }) => probability));
      return { label, probabilities, logits: bits(classifier.logits()), tokens, unknown, truncated };
    });
  });
  const expected = reference().map(({ text, ...answer }) => answer);
  assert.deepEqual(answers, expected);
  await assertQuiet(opened);
});

test("a module worker and a service worker classify", async () => {
  const opened = await open(browser, `${server.url}empty.html`);
  const answers = await opened.page.evaluate(async () => {
    const ask = (target) =>
      new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => resolve(data);
        target.postMessage("turn on the kitchen light", [port2]);
      });
    const worker = new Worker("/worker.js", { type: "module" });
    const registration = await navigator.serviceWorker.register("/worker.js", { type: "module" });
    await navigator.serviceWorker.ready;
    return [await ask(worker), await ask(registration.active)];
  });
  assert.deepEqual(answers, ["light_on", "light_on"]);
  await assertQuiet(opened);
});

test("fifty classifiers come and go, and their memory with them", async () => {
  const opened = await open(browser, `${server.url}empty.html`);
  const counts = await opened.page.evaluate(async () => {
    const { instantiate } = WebAssembly;
    let [made, freed] = [0, 0];
    const registry = new FinalizationRegistry(() => (freed += 1));
    WebAssembly.instantiate = async (...parameters) => {
      const instance = await instantiate(...parameters);
      registry.register(instance.exports.memory);
      made += 1;
      return instance;
    };
    const { Classifier } = await import("/package/index.js");
    const kept = [];
    for (let count = 0; count < 50; count += 1) {
      const classifier = await Classifier.load("/models/commands.neuro");
      classifier.classify("stop");
      kept.push(classifier);
    }
    const together = kept.reduce((sum, classifier) => sum + classifier.memoryBytes, 0);
    kept.forEach((classifier) => classifier.dispose());
    for (let round = 0; round < 500 && freed < made; round += 1) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // The module itself was fetched once.
    const fetched = performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".wasm")).length;
    return { made, freed, kept: kept.length, together, fetched };
  });
  assert.deepEqual({ ...counts, together: 0 }, { made: 50, freed: 50, kept: 50, together: 0, fetched: 1 });
  assert.ok(counts.together < 50 * (1 << 20));
  await assertQuiet(opened);
});

test("a strict policy needs wasm-unsafe-eval and nothing else; without it the error says so", async () => {
  const load = async () => {
    const { Classifier } = await import("/package/index.js");
    return await Classifier.load("/models/commands.neuro").then(
      (classifier) => classifier.classify("turn on the kitchen light").label,
      ({ code, message }) => `${code}: ${message}`,
    );
  };
  const under = async (policy) => {
    const html = readFileSync(new URL("pages/empty.html", import.meta.url));
    server.handlers.set("/strict.html", (response) => {
      response.setHeader("content-security-policy", policy);
      response.setHeader("content-type", "text/html").end(html);
    });
    const opened = await open(browser, `${server.url}strict.html`);
    const said = await opened.page.evaluate(load);
    await opened.context.close();
    return { said, complaints: opened.complaints };
  };
  const strict = "default-src 'none'; img-src data:; connect-src 'self'; script-src 'self'";
  const allowed = await under(`${strict} 'wasm-unsafe-eval'`);
  assert.deepEqual(allowed, { said: "light_on", complaints: [] });
  const refused = await under(strict);
  assert.match(refused.said, /^wasm: .*Content Security Policy/);
});

test("a browser without SIMD, or without WebAssembly, is told so", async () => {
  const opened = await open(browser, `${server.url}empty.html`);
  const codes = await opened.page.evaluate(async () => {
    const { Classifier } = await import("/package/index.js");
    const code = () => Classifier.load("/models/commands.neuro").catch(({ code }) => code);
    const { compile, validate } = WebAssembly;
    WebAssembly.compile = () => Promise.reject(new WebAssembly.CompileError("invalid value type"));
    WebAssembly.validate = () => false;
    const withoutSimd = await code();
    Object.assign(WebAssembly, { compile, validate });
    const { WebAssembly: all } = globalThis;
    delete globalThis.WebAssembly;
    const without = await code();
    globalThis.WebAssembly = all;
    const again = await Classifier.load("/models/commands.neuro");
    return [withoutSimd, without, again.info.bytes];
  });
  assert.deepEqual(codes, ["unsupported", "unsupported", model().length]);
  await assertQuiet(opened);
});

test("stopping one of two loads leaves the other alone", async () => {
  const opened = await open(browser, `${server.url}empty.html`);
  const wasm = readFileSync(new URL("package/neuroprune.wasm", output));
  // The module arrives once the page allows it: after one load was stopped.
  let go;
  const said = new Promise((resolve) => (go = resolve));
  server.handlers.set("/go", (response) => {
    response.end();
    go();
  });
  server.handlers.set("/package/neuroprune.wasm", async (response) => {
    await said;
    response.setHeader("content-type", "application/wasm").end(wasm);
  });
  const loaded = await opened.page.evaluate(async () => {
    const { Classifier } = await import("/package/index.js");
    const controller = new AbortController();
    const stopped = Classifier.load("/models/commands.neuro", { signal: controller.signal });
    const other = Classifier.load("/models/commands.neuro");
    setTimeout(() => controller.abort(), 50);
    const first = await stopped.catch(({ name }) => name);
    await fetch("/go");
    return [first, (await other).info.name];
  });
  assert.deepEqual(loaded, ["AbortError", "commands"]);
  await assertQuiet(opened);
});

test("a download of the module that fails, hangs or has a caller in error is nobody else's", async () => {
  const opened = await open(browser, `${server.url}empty.html`);
  const wasm = readFileSync(new URL("package/neuroprune.wasm", output));
  const answers = [
    (response) => response.writeHead(500).end(),
    (response) => response.setHeader("content-type", "application/wasm").write(wasm.subarray(0, 1000)),
    (response) => response.setHeader("content-type", "application/wasm").end(wasm),
  ];
  let asked = 0;
  server.handlers.set("/package/neuroprune.wasm", (response) => {
    response.setHeader("cache-control", "no-store");
    answers[asked](response);
    asked += 1;
  });
  const said = await opened.page.evaluate(async () => {
    const { Classifier } = await import("/package/index.js");
    const bytes = await fetch("/models/commands.neuro").then((response) => response.arrayBuffer());
    const load = (options) =>
      Classifier.load(bytes, options).then(
        ({ info }) => info.name,
        ({ code, message }) => (typeof code === "string" ? code : message),
      );
    const failed = await load();
    const controller = new AbortController();
    const hanging = await load({
      signal: controller.signal,
      onProgress: ({ loaded }) => loaded > bytes.byteLength && controller.abort(new Error("too slow")),
    });
    const onProgress = () => {
      throw new Error("my own");
    };
    return [failed, hanging, ...(await Promise.all([load({ onProgress }), load()])), await load()];
  });
  assert.deepEqual(said, ["http", "too slow", "my own", "commands", "commands"]);
  assert.equal(asked, answers.length);
  await opened.context.close();
  assert.deepEqual(opened.complaints.map((complaint) => /status of 500/.test(complaint)), [true]);
});

test("an abort ends reading a picked file", async () => {
  const opened = await open(browser, `${server.url}empty.html`);
  const [reason, size, loaded] = await opened.page.evaluate(async () => {
    const { Classifier } = await import("/package/index.js");
    const bytes = await fetch("/models/commands.neuro").then((response) => response.arrayBuffer());
    // Read in pieces, since it is long.
    const file = new File([bytes, new Uint8Array(1 << 25)], "commands.neuro");
    const controller = new AbortController();
    let last = 0;
    const loading = Classifier.load(file, {
      wasm: new Response(await fetch("/package/neuroprune.wasm").then((response) => response.arrayBuffer())),
      signal: controller.signal,
      onProgress({ loaded }) {
        last = loaded;
        if (loaded > bytes.byteLength) {
          controller.abort(new Error("enough"));
        }
      },
    });
    const { message } = await loading.catch((error) => error);
    return [message, file.size, last];
  });
  assert.equal(reason, "enough");
  assert.ok(loaded < size / 2, `${loaded} of ${size} bytes`);
  await assertQuiet(opened);
});
