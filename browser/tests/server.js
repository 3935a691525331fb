// A web server for tests: serves files from folders, slow or broken if a test wants that.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/**
 * Serves files from the first folder that has them. `handlers` overrides the answers for paths;
 * `left` waits until the client of a path disconnects before the end. After `close` nothing listens
 * at the address, as without a network.
 */
export async function serve(...folders) {
  const handlers = new Map();
  const gone = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    response.on("close", () => response.writableFinished || gone.push(pathname));
    const handler = handlers.get(pathname);
    if (handler !== undefined) {
      return await handler(response, request);
    }
    for (const folder of folders) {
      const path = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
      const bytes = await readFile(new URL(`.${path}`, folder)).catch(() => undefined);
      if (bytes !== undefined) {
        response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
        return response.end(bytes);
      }
    }
    response.writeHead(404).end("not found");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    handlers,
    left: async (path) => {
      while (!gone.includes(path)) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    close: () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      return closed;
    },
  };
}

/** Sends `bytes` in pieces with a pause after each, with or without their length. */
export function slowly(bytes, { pieces = 10, pause = 20, length = true } = {}) {
  return async (response) => {
    if (length) {
      response.setHeader("content-length", bytes.length);
    }
    const piece = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length && !response.destroyed; at += piece) {
      response.write(bytes.subarray(at, at + piece));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    response.end();
  };
}
