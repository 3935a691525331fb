// Measures how long a text takes. Browser clocks tick every 0.1 ms in pages that are not isolated,
// so a sample is as many runs as take at least 4 ms.

const SAMPLES = 15;
const SAMPLE_MS = 4;

/**
 * Milliseconds per run of each of `runs`: the fastest sample, because other work of the machine
 * only adds time. They take turns, so that none has the better moment. Undefined once `isStale`
 * returns true.
 */
export async function timesOf(runs, isStale) {
  const fastest = runs.map(() => Infinity);
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    for (const [index, run] of runs.entries()) {
      // Between samples the page can draw and handle keys.
      await new Promise((resolve) => setTimeout(resolve, 4));
      if (isStale()) {
        return undefined;
      }
      fastest[index] = Math.min(fastest[index], timeOf(run));
    }
  }
  return fastest;
}

function timeOf(run) {
  const start = performance.now();
  for (let runs = 1; ; runs += 1) {
    run();
    const elapsed = performance.now() - start;
    if (elapsed >= SAMPLE_MS) {
      return elapsed / runs;
    }
  }
}
