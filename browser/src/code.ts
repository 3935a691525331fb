import { compile } from "./module.js";
import { type Arrival, join, kindOf, read, type Source } from "./source.js";
import { Stop } from "./stop.js";

/** The module, compiled or not. */
export type Code = Source | WebAssembly.Module;

/** A download that several loads wait for. */
interface Shared {
  loaded: number;
  total: number | undefined;
  isPending: boolean;
  /** Those of the loads that wait. */
  readonly watchers: Set<Arrival>;
  /** Its own: one load's must not stop the others. */
  readonly stop: Stop;
  readonly module: Promise<WebAssembly.Module>;
}

/** The package's own module: fetched and compiled once for all classifiers. */
let shared: Shared | undefined;

/** The compiled module. */
export async function load(code: Code | undefined, stop: Stop, arrival: Arrival): Promise<WebAssembly.Module> {
  if (code === undefined) {
    return await own(stop, arrival);
  }
  if (kindOf(code) === "WebAssembly.Module") {
    arrival(0, 0);
    return code as WebAssembly.Module;
  }
  return await compile(join(await read(code as Source, "neuroprune.wasm", stop, arrival)));
}

async function own(stop: Stop, arrival: Arrival): Promise<WebAssembly.Module> {
  stop.check();
  const download = (shared ??= begin());
  download.watchers.add(arrival);
  arrival(download.loaded, download.total);
  try {
    return await stop.until(download.module);
  } finally {
    download.watchers.delete(arrival);
    // Nobody waits any more; and one that hangs must not keep later loads waiting.
    if (download.isPending && download.watchers.size === 0) {
      forget(download);
      download.stop.end();
    }
  }
}

function begin(): Shared {
  const stop = new Stop();
  const watchers = new Set<Arrival>();
  const download: Shared = {
    loaded: 0,
    total: undefined,
    isPending: true,
    watchers,
    stop,
    module: fetchOwn(stop, (loaded, total) => {
      Object.assign(download, { loaded, total });
      for (const watch of watchers) {
        watch(loaded, total);
      }
    }),
  };
  const settle = () => (download.isPending = false);
  // Before any waiting load hears of a failure, so that one that tries again starts anew.
  download.module.then(settle, () => {
    settle();
    forget(download);
  });
  return download;
}

function forget(download: Shared): void {
  if (shared === download) {
    shared = undefined;
  }
}

async function fetchOwn(stop: Stop, arrival: Arrival): Promise<WebAssembly.Module> {
  // Bundlers recognise this expression and put the file next to their output.
  const url = new URL("./neuroprune.wasm", import.meta.url);
  return await compile(join(await read(url, "neuroprune.wasm", stop, arrival)));
}
