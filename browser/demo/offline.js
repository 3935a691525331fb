// Service worker: the page works without a network. The network is tried first, so that nobody is
// left with an old page.

const CACHE = "neuroprune";
const FILES = [
  "./",
  "app.js",
  "icon.svg",
  "numbers.js",
  "sizes.json",
  "style.css",
  "timing.js",
  "topology.js",
  "models/dense.neuro",
  "models/sparse.neuro",
  "neuroprune/classifier.js",
  "neuroprune/code.js",
  "neuroprune/errors.js",
  "neuroprune/index.js",
  "neuroprune/module.js",
  "neuroprune/neuroprune.wasm",
  "neuroprune/source.js",
  "neuroprune/stop.js",
];

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
});

addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  if (event.request.method === "GET") {
    event.respondWith(answer(event.request));
  }
});

async function answer(request) {
  const cache = await caches.open(CACHE);
  try {
    const fresh = await fetch(request);
    if (fresh.ok) {
      cache.put(request, fresh.clone());
    }
    return fresh;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept === undefined) {
      throw error;
    }
    return kept;
  }
}
