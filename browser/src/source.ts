import { NeuropruneError } from "./errors.js";

/**
 * Where bytes come from: an address, a response of `fetch`, a file that a user picked, or the bytes
 * themselves. In Node a string that is not a URL is a path.
 */
export type Source = string | URL | Request | Response | Promise<Response> | Blob | BufferSource;

/** Called as bytes arrive: how many so far, and of how many, if known. */
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
  signal: AbortSignal | undefined,
  arrival: Arrival,
  inspect: Inspection = () => undefined,
): Promise<Uint8Array[]> {
  signal?.throwIfAborted();
  const opened = await open(source, what, signal);
  const chunks: Uint8Array[] = [];
  let loaded = 0;
  let { total } = opened;
  let head: Uint8Array | undefined = new Uint8Array(0);
  arrival(loaded, total);
  try {
    for await (const chunk of opened.chunks) {
      signal?.throwIfAborted();
      chunks.push(chunk);
      loaded += chunk.length;
      if (head !== undefined) {
        head = join([head, chunk.subarray(0, HEAD)]);
        if (head.length >= HEAD) {
          total = inspect(head) ?? total;
          head = undefined;
        }
      }
      // If a server states the length of compressed bytes, more bytes arrive.
      arrival(loaded, total === undefined ? undefined : Math.max(total, loaded));
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof NeuropruneError) {
      throw error;
    }
    throw new NeuropruneError("network", `${what}: the download broke off after ${loaded} bytes`, {
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
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

async function open(source: Source, what: string, signal: AbortSignal | undefined): Promise<Opened> {
  if (isBytes(source)) {
    const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(source) ? source : new Uint8Array(source);
    return { total: byteLength, chunks: [new Uint8Array(buffer, byteOffset, byteLength)] };
  }
  if (isBlob(source)) {
    return { total: source.size, chunks: [new Uint8Array(await source.arrayBuffer())] };
  }
  const path = filePath(source);
  if (path !== undefined) {
    const bytes = await readFile(path, what);
    return { total: bytes.length, chunks: [bytes] };
  }
  return answer(await request(source, what, signal), what);
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
  signal: AbortSignal | undefined,
): Promise<Response> {
  try {
    if (typeof source === "string" || ["URL", "Request"].includes(kindOf(source))) {
      return await fetch(source as string | URL | Request, signal === undefined ? {} : { signal });
    }
    return await (source as Response | Promise<Response>);
  } catch (error) {
    signal?.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    throw new NeuropruneError("network", `${what}: no answer (${reason})`, { cause: error });
  }
}

function answer(response: Response, what: string): Opened {
  if (kindOf(response) !== "Response") {
    throw new TypeError(
      `${what}: expected an address, a Response, a Blob or bytes, not ${kindOf(response)}`,
    );
  }
  if (!response.ok) {
    const place = response.url === "" ? "" : ` from ${response.url}`;
    const { status, statusText } = response;
    throw new NeuropruneError("http", `${what}: HTTP ${status} ${statusText}`.trimEnd() + place, {
      status,
    });
  }
  const { body, headers } = response;
  // With an encoding the length is that of the compressed bytes.
  const length = headers.has("content-encoding") ? null : headers.get("content-length");
  return {
    total: length === null ? undefined : Number(length),
    chunks: body === null ? [] : chunksOf(body),
  };
}

/** Not every browser lets one iterate over a stream. */
async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
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
    promises: { readFile(path: string | URL): Promise<Uint8Array> };
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

async function readFile(path: string | URL, what: string): Promise<Uint8Array> {
  const { process } = globalThis as { process?: Host };
  try {
    return (await process?.getBuiltinModule?.("node:fs").promises.readFile(path)) ?? new Uint8Array(0);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NeuropruneError("file", `${what}: ${reason}`, { cause: error });
  }
}
