// Prints what a page downloads of the package, as JSON: raw bytes, and bytes as a server sends them
// with brotli.
import { readdirSync, readFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";

const folder = new URL("../out/package/", import.meta.url);
const options = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };

/** Every file is a response of its own, so each is compressed alone. */
function measure(names) {
  const files = names.map((name) => readFileSync(new URL(name, folder)));
  const sum = (sizes) => sizes.reduce((a, b) => a + b, 0);
  return {
    raw: sum(files.map((file) => file.length)),
    brotli: sum(files.map((file) => brotliCompressSync(file, options).length)),
  };
}

const names = readdirSync(folder);
const wasm = names.filter((name) => name.endsWith(".wasm"));
const scripts = names.filter((name) => name.endsWith(".js"));
console.log(
  JSON.stringify({
    code: measure([...wasm, ...scripts]),
    wasm: measure(wasm),
    scripts: measure(scripts),
  }),
);
