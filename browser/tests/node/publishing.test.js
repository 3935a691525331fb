// What npm would publish: these files, these types, no dependencies.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

import { output, repository } from "../package.js";

const folder = fileURLToPath(new URL("package/", output));
const text = (name) => readFileSync(new URL(`package/${name}`, output), "utf8");

test("the package has what it needs and nothing else", () => {
  const packed = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: folder, encoding: "utf8" }));
  const names = packed[0].files.map(({ path }) => path).sort();
  const modules = ["classifier", "code", "errors", "index", "module", "source", "stop"];
  const expected = [
    ...modules.flatMap((name) => [`${name}.d.ts`, `${name}.js`]),
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "neuroprune.wasm",
    "package.json",
  ];
  assert.deepEqual(names, expected.sort());
});

test("it depends on nothing", () => {
  const manifest = JSON.parse(text("package.json"));
  for (const key of ["dependencies", "peerDependencies", "optionalDependencies", "scripts"]) {
    assert.equal(manifest[key], undefined, key);
  }
  const version = /^version = "(.*)"$/m.exec(readFileSync(new URL("Cargo.toml", repository), "utf8"))[1];
  assert.equal(manifest.version, version);
});

test("no script evaluates text or needs a window", () => {
  for (const name of ["classifier", "code", "errors", "index", "module", "source", "stop"]) {
    assert.doesNotMatch(text(`${name}.js`), /\beval\(|new Function|\bwindow\b|\bdocument\b|import\(/, name);
  }
});

test("the types say what users rely on", () => {
  const tsc = fileURLToPath(new URL("browser/node_modules/typescript/bin/tsc", repository));
  const project = fileURLToPath(new URL("../types/tsconfig.json", import.meta.url));
  execFileSync(process.execPath, [tsc, "--project", project], { stdio: "pipe" });
});
