// How long a text takes. Clocks of browsers tick every 0.1 ms where pages are not isolated,
// so a sample is as many runs as take at least 4 ms.

const SAMPLES = 15;
const SAMPLE_MS = 4;

/**
 * Milliseconds a run of each of `runs`: the fastest sample, because whatever else the
 * machine does only adds. They take turns, so that none has the better moment. Undefined
 * when `isStale` says that nobody asks any more.
 */
export async function timesOf(runs, isStale) {
  const fastest = runs.map(() => Infinity);
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    for (const [index, run] of runs.entries()) {
      // Between samples the page may draw and hear keys.
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
