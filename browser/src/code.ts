import { NeuropruneError } from "./errors.js";
import { compile } from "./module.js";
import { type Arrival, join, kindOf, read, type Source } from "./source.js";

/** The module, compiled or not. */
export type Code = Source | WebAssembly.Module;

/** A download that several loads wait for. */
interface Shared {
  loaded: number;
  total: number | undefined;
  readonly watchers: Set<Arrival>;
  readonly module: Promise<WebAssembly.Module>;
}

/** The package's own module: fetched and compiled once for all classifiers. */
let shared: Shared | undefined;

/** The compiled module. */
export async function load(
  code: Code | undefined,
  signal: AbortSignal | undefined,
  arrival: Arrival,
): Promise<WebAssembly.Module> {
  if (code === undefined) {
    return await own(signal, arrival);
  }
  if (kindOf(code) === "WebAssembly.Module") {
    arrival(0, 0);
    return code as WebAssembly.Module;
  }
  return await compile(join(await read(code as Source, "neuroprune.wasm", signal, arrival)));
}

async function own(signal: AbortSignal | undefined, arrival: Arrival): Promise<WebAssembly.Module> {
  const download = (shared ??= begin());
  const watch: Arrival = (loaded, total) => arrival(loaded, total);
  download.watchers.add(watch);
  arrival(download.loaded, download.total);
  try {
    return await until(download.module, signal);
  } catch (error) {
    // Another load may succeed; an abort is not a failure of the download.
    if (error instanceof NeuropruneError && shared === download) {
      shared = undefined;
    }
    throw error;
  } finally {
    download.watchers.delete(watch);
  }
}

function begin(): Shared {
  const watchers = new Set<Arrival>();
  const download: Shared = {
    loaded: 0,
    total: undefined,
    watchers,
    // One load's signal must not stop the others, so the download has none.
    module: fetchOwn((loaded, total) => {
      Object.assign(download, { loaded, total });
      for (const watch of watchers) {
        watch(loaded, total);
      }
    }),
  };
  // Waiting loads get the failure; without any it must not count as unhandled.
  download.module.catch(() => {});
  return download;
}

async function fetchOwn(arrival: Arrival): Promise<WebAssembly.Module> {
  // Bundlers recognise this expression and put the file next to their output.
  const url = new URL("./neuroprune.wasm", import.meta.url);
  return await compile(join(await read(url, "neuroprune.wasm", undefined, arrival)));
}

/** `promise`, or the signal's reason if that comes first. */
async function until<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) {
    return await promise;
  }
  return await new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) {
      abort();
    }
  });
}
