// How long a text takes. Clocks of browsers tick every 0.1 ms where pages are not isolated,
// so a sample is as many runs as take at least 4 ms.

const SAMPLES = 7;
const SAMPLE_MS = 4;

/** Median milliseconds a text, or undefined when `isStale` says that nobody asks any more. */
export async function timeOf(run, isStale) {
  const samples = [];
  while (samples.length < SAMPLES) {
    // Between samples the page may draw and hear keys.
    await new Promise((resolve) => setTimeout(resolve, 8));
    if (isStale()) {
      return undefined;
    }
    samples.push(sample(run));
  }
  samples.sort((a, b) => a - b);
  return samples[Math.floor(samples.length / 2)];
}

function sample(run) {
  const start = performance.now();
  for (let runs = 1; ; runs += 1) {
    run();
    const elapsed = performance.now() - start;
    if (elapsed >= SAMPLE_MS) {
      return elapsed / runs;
    }
  }
}
