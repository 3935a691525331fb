// Runs a program for WASI in Node, with its arguments: cargo's runner for `wasm32-wasip1`.
//
//   node host.mjs PROGRAM.wasm ARGUMENTS…
//
// In a process of its own: a WebAssembly program cannot end Node by a signal, but Node 20 has
// ended by SIGSEGV when it went on after a program of half a minute, once in a dozen runs. Then
// it runs again, and says so.

import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import process, { argv, env, execArgv, execPath } from "node:process";
import { WASI } from "node:wasi";

const CHILD = "WASI_PROGRAM_RUNS_HERE";
const ATTEMPTS = 3;

const [, host, program, ...rest] = argv;
if (env[CHILD] !== undefined) {
  const wasi = new WASI({ version: "preview1", args: [program, ...rest], env });
  const module = await WebAssembly.compile(await readFile(program));
  const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
  process.exit(wasi.start(instance));
}
for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
  const { status, signal, error } = spawnSync(execPath, [...execArgv, host, program, ...rest], {
    env: { ...env, [CHILD]: "" },
    stdio: "inherit",
  });
  if (error !== undefined) {
    throw error;
  }
  if (signal === null) {
    process.exit(status);
  }
  console.error(`node ended by ${signal}, attempt ${attempt} of ${ATTEMPTS}`);
}
process.exit(1);
