// Runs a program for WASI in Node, with its arguments: cargo's runner for `wasm32-wasip1`.
//
//   node host.mjs PROGRAM.wasm ARGUMENTS…

import { readFile } from "node:fs/promises";
import process, { argv, env } from "node:process";
import { WASI } from "node:wasi";

const [, , program, ...rest] = argv;
const wasi = new WASI({ version: "preview1", args: [program, ...rest], env });
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exit(wasi.start(instance));
