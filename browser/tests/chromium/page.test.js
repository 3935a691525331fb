// What a visitor of the demo page does and sees.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, test } from "node:test";

import { output, pairModel } from "../package.js";
import { serve } from "../server.js";
import { answered, assertQuiet, launch, open, picture } from "./browser.js";

const FIRST_RESULT_MS = 150;
const FIRST_RESULT_PAINTS = 2;

const sparse = () => readFileSync(new URL("demo/models/sparse.neuro", output));

let [browser, server] = [];
before(async () => {
  server = await serve(new URL("demo/", output));
  browser = await launch();
});
after(async () => {
  await browser.close();
  await server.close();
});
beforeEach(() => server.handlers.clear());

/** Waits until both networks have been timed. */
async function compared(page) {
  await page.waitForFunction(() => {
    const rows = document.querySelectorAll("#comparison tr");
    return rows.length > 0 && !document.getElementById("comparison").textContent.includes("…");
  });
}

const text = (page, id) => page.locator(`#${id}`).innerText();

test("the page answers within its time", async () => {
  const [times, paints] = [[], []];
  // The machine may be busy with other things, but not all the time.
  while (times.length < 5 || (times.length < 25 && Math.min(...times) > FIRST_RESULT_MS)) {
    const opened = await open(browser, server.url);
    await answered(opened.page);
    const [time, paint] = await opened.page.evaluate(() =>
      ["first-answer", "first-contentful-paint"].map((name) => performance.getEntriesByName(name)[0].startTime),
    );
    times.push(time);
    paints.push(time / paint);
    await assertQuiet(opened);
  }
  const ratio = paints.toSorted((a, b) => a - b)[paints.length >> 1];
  const said = `start to first answer, ms: ${times.map(Math.round).join(" ")}; in first paints: ${ratio.toFixed(2)}`;
  console.log(said);
  // On a machine too slow for that time, the browser's own work is the yardstick.
  assert.ok(Math.min(...times) <= FIRST_RESULT_MS || ratio <= FIRST_RESULT_PAINTS, said);
});

test("each key changes the answer", async () => {
  const opened = await open(browser, server.url);
  const { page } = opened;
  await answered(page);
  await page.locator("#text").fill("");
  const answers = new Set();
  for (const key of "lock the front door") {
    await page.keyboard.type(key);
    answers.add(await text(page, "ranking"));
  }
  // A key within a word of one piece changes nothing but the token; most do.
  assert.ok(answers.size >= 10, `${answers.size} answers to 19 keys`);
  assert.match(await text(page, "label"), /door/);
  await assertQuiet(opened);
});

test("figures are those of the package", async () => {
  const opened = await open(browser, server.url);
  const { page } = opened;
  await answered(page);
  await page.locator("#compare").waitFor();
  await compared(page);
  const sizes = JSON.parse(readFileSync(new URL("sizes.json", output), "utf8"));
  assert.equal(await text(page, "download"), kilobytes(sparse().length + sizes.code.brotli));
  const memory = await page.evaluate(async () => {
    const { Classifier } = await import("./neuroprune/index.js");
    const classifier = await Classifier.load("models/sparse.neuro");
    classifier.classify("turn on the kitchen light");
    classifier.weights(classifier.tensors().findIndex(({ role }) => role === "MLP input"));
    return { memory: classifier.memoryBytes, info: classifier.info };
  });
  assert.equal(await text(page, "memory"), kilobytes(memory.memory));
  assert.equal(await text(page, "weights"), memory.info.nonzeroWeights.toLocaleString("en"));
  assert.match(await text(page, "headline"), new RegExp(`^${Math.floor(100 * memory.info.sparsity)} %`));
  const rows = await page.locator("#comparison tr").allInnerTexts();
  assert.equal(rows.length, 6);
  console.log(rows.map((row) => row.replace(/\s*\t\s*|\n+/g, " | ")).join("\n"));
  assert.match(rows.join("\n"), new RegExp(sparse().length.toLocaleString("en")));
  await assertQuiet(opened);
});

const kilobytes = (bytes) => `${bytes >= 1e5 ? Math.round(bytes / 1e3) : (bytes / 1e3).toFixed(1)} KB`;

test("it is readable light, dark, wide and narrow", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 1280]) {
      const viewport = { width, height: 800 };
      const opened = await open(browser, server.url, { colorScheme, viewport, deviceScaleFactor: 2 });
      const { page } = opened;
      await answered(page);
      await compared(page);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${overflow} pixels too wide at ${width}`);
      await picture(page, `${colorScheme}-${width}`);
      // The canvas has lines: many pixels that are not the card's.
      const drawn = await page.evaluate(() => {
        const canvas = document.querySelector("canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, index) => index % 4 === 3 && value > 0).length / (canvas.width * canvas.height);
      });
      assert.ok(drawn > 0.02, `${drawn} of the canvas is drawn on`);
      await assertQuiet(opened);
    }
  }
});

test("the keyboard reaches everything, and what it reaches has a name", async () => {
  const opened = await open(browser, server.url);
  const { page } = opened;
  await answered(page);
  await page.locator("#compare").waitFor();
  const reached = [];
  for (let step = 0; step < 40; step += 1) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const element = document.activeElement;
      const label = element.labels?.[0]?.innerText ?? element.getAttribute("aria-label") ?? element.innerText;
      return { tag: element.tagName, id: element.id || element.value || "", label: label?.trim() ?? "" };
    });
    if (focused.tag === "BODY") {
      break;
    }
    reached.push(focused);
  }
  for (const { tag, id, label } of reached) {
    assert.notEqual(label, "", `${tag} ${id}`);
  }
  const ids = reached.map(({ id }) => id);
  for (const id of ["text", "sparse", "file"]) {
    assert.ok(ids.includes(id), `${id} is not among ${ids}`);
  }
  // Arrow keys choose the network that is drawn.
  await page.locator('input[value="sparse"]').focus();
  const before = await text(page, "layers");
  await page.keyboard.press("ArrowRight");
  assert.notEqual(await text(page, "layers"), before);
  await picture(page, "dense-topology");
  // What a screen reader announces.
  await page.locator("#text").fill("lock the front door");
  await page.waitForFunction(() => document.getElementById("spoken").textContent.includes("door"));
  const tree = await page.locator("body").ariaSnapshot();
  for (const part of ['heading "Dense against sparse"', 'textbox "Say something to a smart home"', "img \"Layer 1:", "radio \"Sparse\"", "status"]) {
    assert.ok(tree.includes(part), `no ${part} in\n${tree}`);
  }
  await assertQuiet(opened);
});

test("a visitor's own model answers, and a bad one says what is wrong with it", async () => {
  const opened = await open(browser, server.url);
  const { page } = opened;
  await answered(page);
  const drop = (name, bytes) =>
    page.evaluate(
      ({ name, bytes }) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], name));
        for (const type of ["dragover", "drop"]) {
          document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
        }
      },
      { name, bytes: [...bytes] },
    );
  await drop("holiday.jpg", Buffer.from("\xff\xd8\xff\xe0 no model at all", "latin1"));
  await page.locator("#error").waitFor();
  assert.match(await text(page, "error"), /holiday\.jpg: this is not a \.neuro file/);
  await drop("cut.neuro", sparse().subarray(0, 30_000));
  await page.waitForFunction(() => document.getElementById("error").textContent.includes("not complete"));
  await picture(page, "bad-model");
  // The old one still answers.
  await page.locator("#text").fill("lock the front door");
  assert.match(await text(page, "label"), /door/);

  await drop("pairs.neuro", pairModel());
  await page.locator("#second").waitFor();
  assert.equal(await page.locator("#error").isVisible(), false);
  assert.match(await text(page, "own-note"), /pairs\.neuro answers now/);
  assert.match(await text(page, "prompt"), /pairs of texts/);
  await page.locator("#second").fill("another text");
  await picture(page, "own-model");
  await page.locator("#back").click();
  await page.locator("#compare").waitFor();
  assert.equal(await page.locator("#second").isVisible(), false);

  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.locator("label[for=file]").click()]);
  await chooser.setFiles({ name: "mine.neuro", mimeType: "application/octet-stream", buffer: sparse() });
  await page.waitForFunction(() => document.getElementById("own-note").textContent.includes("mine.neuro"));
  await assertQuiet(opened);
});

test("any text is taken: a megabyte, emoji, other scripts, nothing", async () => {
  const opened = await open(browser, server.url);
  const { page } = opened;
  await answered(page);
  const long = "turn off the lamp and ".repeat(50_000);
  for (const value of ["🏠💡 turn on 👩‍👩‍👧", "打开厨房的灯", "キッチンの電気をつけて", "", "\ud83d", long]) {
    await page.locator("#text").evaluate((input, value) => {
      input.value = value;
      input.dispatchEvent(new Event("input"));
    }, value);
    assert.match(await text(page, "tokens"), /% sure · \d+ tokens/);
    if (value.length > 1e6) {
      assert.match(await text(page, "tokens"), /the rest was cut/);
    }
  }
  await assertQuiet(opened);
});

test("a slow download shows how far it is, and can be stopped and begun again", async () => {
  // Half of the model comes, and the rest never.
  server.handlers.set("/models/sparse.neuro", (response) => {
    const bytes = sparse();
    response.setHeader("content-length", bytes.length);
    response.write(bytes.subarray(0, bytes.length / 2));
  });
  const opened = await open(browser, server.url);
  const { page } = opened;
  await page.locator("#loading").waitFor();
  await page.waitForFunction(() => document.getElementById("progress").value > 0.2 * document.getElementById("progress").max);
  assert.match(await text(page, "progress-text"), /The model: .* of .*KB/);
  await picture(page, "slow");
  await page.locator("#cancel").click();
  await page.locator("#error").waitFor();
  assert.match(await text(page, "error"), /stopped/);
  await server.left("/models/sparse.neuro");
  server.handlers.clear();
  await page.getByRole("button", { name: "Try again" }).click();
  await answered(page);
  assert.equal(await page.locator("#error").isVisible(), false);
  await assertQuiet(opened);
});

test("without a network the page comes back and answers", async () => {
  // A separate server that goes away: a browser's offline mode does not affect the requests of
  // service workers in every version.
  const short = await serve(new URL("demo/", output));
  const opened = await open(browser, short.url);
  const { page } = opened;
  await answered(page);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await short.close();
  await page.reload();
  await answered(page);
  await page.locator("#text").fill("lock the front door");
  assert.match(await text(page, "label"), /door/);
  const refusal = await page.evaluate(async () => {
    const { Classifier } = await import("./neuroprune/index.js");
    return await Classifier.load("models/another.neuro").catch(({ code, message }) => ({ code, message }));
  });
  assert.equal(refusal.code, "network");
  // The browser itself logs the failed request to the console.
  opened.complaints.length = 0;
  await assertQuiet(opened);
});
