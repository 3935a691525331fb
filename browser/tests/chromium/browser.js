// A Chromium with a fresh user folder, and pages that must not complain.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

import { output } from "../package.js";

/** Longest wait in milliseconds; generous, since a busy machine is slow. */
const PATIENCE_MS = 120_000;

const ARGUMENTS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--js-flags=--expose-gc",
];

export async function launch() {
  return await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Root has no sandbox, and tests in containers often run as root.
    args: process.getuid?.() === 0 ? [...ARGUMENTS, "--no-sandbox"] : ARGUMENTS,
  });
}

/**
 * Opens `url` in its own context. `complaints` collects the page's console errors and warnings,
 * its exceptions, and requests to other origins.
 */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      complaints.push(message.text());
    }
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  context.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) {
      complaints.push(`request to ${request.url()}`);
    }
  });
  await page.goto(url);
  return { context, page, complaints };
}

/** Waits for the first answer of the demo page. */
export async function answered(page) {
  await page.waitForFunction(() => performance.getEntriesByName("first-answer").length > 0);
}

/** A picture to look at, under `browser/out/screenshots`. */
export async function picture(page, name) {
  const folder = fileURLToPath(new URL("screenshots/", output));
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}${name}.png`, fullPage: true });
}

export async function assertQuiet({ context, complaints }) {
  await context.close();
  assert.deepEqual(complaints, []);
}
