import { NeuropruneError } from "./errors.js";
import type { Stop } from "./stop.js";

/**
 * Where bytes come from: an address, a response of `fetch`, a file that a user picked, or the bytes
 * themselves. In Node a string that is not a URL is a path.
 */
export type Source = string | URL | Request | Response | Promise<Response> | Blob | BufferSource;

/** Called as bytes arrive: how many so far, and of how many, if known. Never throws. */
export type Arrival = (loaded: number, total: number | undefined) => void;

/**
 * Checks the first bytes of a file. Returns the length that the file states, if any; throws if it
 * is another kind of file.
 */
export type Inspection = (head: Uint8Array) => number | undefined;

/** Bytes of a file's head that are inspected before the rest arrives. */
const HEAD = 16;

/**
 * Reads all of a source, in the pieces it comes in.
 *
 * @param what names the file in errors
 */
export async function read(
  source: Source,
  what: string,
  stop: Stop,
  arrival: Arrival,
  inspect: Inspection = () => undefined,
): Promise<Uint8Array[]> {
  const opened = await open(source, what, stop);
  const chunks: Uint8Array[] = [];
  let loaded = 0;
  let { total } = opened;
  let stated: number | undefined;
  let head: Uint8Array | undefined = new Uint8Array(0);
  arrival(loaded, total);
  try {
    for await (const chunk of opened.chunks) {
      stop.check();
      chunks.push(chunk);
      loaded += chunk.length;
      if (head !== undefined) {
        head = join([head, chunk.subarray(0, HEAD)]);
        if (head.length >= HEAD) {
          stated = inspect(head);
          total = stated ?? total;
          head = undefined;
        }
      }
      // If a server states the length of compressed bytes, more bytes arrive.
      arrival(loaded, total === undefined ? undefined : Math.max(total, loaded));
      // One byte more is damage already, and a source may be endless.
      if (stated !== undefined && loaded > stated) {
        break;
      }
    }
  } catch (error) {
    stop.check();
    if (error instanceof NeuropruneError) {
      throw error;
    }
    const part = opened.origin === "file" ? "reading" : "the download";
    throw new NeuropruneError(opened.origin, `${what}: ${part} broke off after ${loaded} bytes`, {
      cause: error,
    });
  }
  if (head !== undefined && head.length > 0) {
    inspect(head);
  }
  arrival(loaded, loaded);
  return chunks;
}

/** The pieces as one. */
export function join(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    joined.set(chunk, at);
    at += chunk.length;
  }
  return joined;
}

interface Opened {
  /** Bytes that will arrive, if known. */
  total: number | undefined;
  /** Which error it is if they break off. */
  origin: "network" | "file";
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

async function open(source: Source, what: string, stop: Stop): Promise<Opened> {
  if (isBytes(source)) {
    const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(source) ? source : new Uint8Array(source);
    return { total: byteLength, origin: "file", chunks: [new Uint8Array(buffer, byteOffset, byteLength)] };
  }
  if (isBlob(source)) {
    return { total: source.size, origin: "file", chunks: chunksOf(source.stream().getReader(), stop) };
  }
  const path = filePath(source);
  if (path !== undefined) {
    const bytes = await readFile(path, what, stop);
    return { total: bytes.length, origin: "file", chunks: [bytes] };
  }
  return answer(await request(source, what, stop), what, stop);
}

/**
 * The type name of a platform object. `instanceof` only works within a realm, and tests and edge
 * runtimes mix realms.
 */
export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

function isBytes(source: Source): source is BufferSource {
  return ArrayBuffer.isView(source) || kindOf(source) === "ArrayBuffer";
}

function isBlob(source: Source): source is Blob {
  return ["Blob", "File"].includes(kindOf(source));
}

async function request(
  source: Exclude<Source, BufferSource | Blob>,
  what: string,
  stop: Stop,
): Promise<Response> {
  try {
    if (kindOf(source) === "Request") {
      // A signal given to `fetch` takes the place of the request's own.
      stop.follow((source as Request).signal);
    }
    const isAddress = typeof source === "string" || ["URL", "Request"].includes(kindOf(source));
    const response = Promise.resolve(
      isAddress
        ? fetch(source as string | URL | Request, { signal: stop.signal })
        : (source as Response | Promise<Response>),
    );
    // If the load is stopped before it arrives, nobody reads it.
    response.then(
      (late) => stop.isStopped && discard(late),
      () => {},
    );
    return await stop.until(response);
  } catch (error) {
    stop.check();
    const reason = error instanceof Error ? error.message : String(error);
    throw new NeuropruneError("network", `${what}: no answer (${reason})`, { cause: error });
  }
}

function answer(response: Response, what: string, stop: Stop): Opened {
  if (kindOf(response) !== "Response") {
    throw new TypeError(
      `${what}: expected an address, a Response, a Blob or bytes, not ${kindOf(response)}`,
    );
  }
  if (!response.ok) {
    discard(response);
    const place = response.url === "" ? "" : ` from ${response.url}`;
    const { status, statusText } = response;
    throw new NeuropruneError("http", `${what}: HTTP ${status} ${statusText}`.trimEnd() + place, {
      status,
    });
  }
  const { body, bodyUsed, headers } = response;
  if (bodyUsed || body?.locked) {
    throw new TypeError(`${what}: this Response has already been read`);
  }
  // With an encoding the length is that of the compressed bytes.
  const length = headers.has("content-encoding") ? null : headers.get("content-length");
  return {
    total: length === null ? undefined : Number(length),
    origin: "network",
    chunks: body === null ? [] : chunksOf(body.getReader(), stop),
  };
}

/** Releases the connection of a response that nobody reads. */
function discard(response: Response): void {
  if (kindOf(response) === "Response") {
    response.body?.cancel().catch(() => {});
  }
}

/** Not every browser lets one iterate over a stream. */
async function* chunksOf(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  stop: Stop,
): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const { done, value } = await stop.until(reader.read());
      if (done) {
        return;
      }
      yield value;
    }
  } finally {
    // If reading stops early, the connection is released.
    reader.cancel().catch(() => {});
  }
}

/** The part of Node that reads files; bundlers for the web see no import. */
interface Host {
  getBuiltinModule?(name: "node:fs"): {
    promises: { readFile(path: string | URL, options: { signal: AbortSignal }): Promise<Uint8Array> };
  };
}

/** The path or `file:` URL that Node can read. */
function filePath(source: unknown): string | URL | undefined {
  const { process } = globalThis as { process?: Host };
  if (process?.getBuiltinModule === undefined) {
    return undefined;
  }
  if (kindOf(source) === "URL") {
    const { href, protocol } = source as URL;
    return protocol === "file:" ? new URL(href) : undefined;
  }
  if (typeof source !== "string") {
    return undefined;
  }
  // A single letter before the colon is a drive.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(source)?.[1]?.toLowerCase();
  if (scheme === "file") {
    return new URL(source);
  }
  // If there is a page (Electron, jsdom), it is relative to the page.
  const { location } = globalThis as { location?: unknown };
  return scheme === undefined && location === undefined ? source : undefined;
}

async function readFile(path: string | URL, what: string, stop: Stop): Promise<Uint8Array> {
  const { process } = globalThis as { process?: Host };
  try {
    const files = process?.getBuiltinModule?.("node:fs").promises;
    return (await files?.readFile(path, { signal: stop.signal })) ?? new Uint8Array(0);
  } catch (error) {
    stop.check();
    const reason = error instanceof Error ? error.message : String(error);
    throw new NeuropruneError("file", `${what}: ${reason}`, { cause: error });
  }
}
