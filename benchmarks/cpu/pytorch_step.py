"""A training step of the recipe `small` on the CPU: ours against eager PyTorch, interleaved.

Same shape, batch and tokens, f32, AdamW, no dropout. Each round runs both programs one after the
other, in fresh processes, with one thread and with two, so that what else the machine does falls
on both. Two figures a run, in milliseconds a step: the median time, and the processor time by the
difference of a long and a short run, which is the one to read where others compute meanwhile.
Of the rounds the fastest counts, which is the one that was disturbed least.

    pip install torch numpy
    cargo build --release --bin neuroprune
    python3 benchmarks/cpu/pytorch_step.py [--neuroprune target/release/neuroprune] [--rounds 5]
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The one that the GPU's figures come from.
PEER = ROOT / "benchmarks/gpu/pytorch_step.py"


SHORT = 5


def run(command, threads, steps):
    """What the program prints, and the seconds of processor time that it took."""
    count = str(threads)
    environment = os.environ | {"RAYON_NUM_THREADS": count, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, "--steps", str(steps)], env=environment, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(done.stdout), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(command, threads, steps, repeats, time):
    """Milliseconds of a step: its time, its processor time."""
    (_, short), (printed, long) = run(command, threads, SHORT), run(command, threads, steps)
    return time(printed), 1e3 * (long - short) / (repeats * (steps - SHORT))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neuroprune", default=ROOT / "target/release/neuroprune")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=35)
    arguments = parser.parse_args()
    load = ["--batch", "32", "--length", "64", "--device", "cpu"]
    ours = [arguments.neuroprune, "bench", "train", "--shape", "small", "--json", *load]
    peer = [sys.executable, PEER, "small", *load]
    programs = {
        # `bench train` does each step twice: phase by phase, and as a whole.
        "ours": (ours, 2, lambda printed: printed["times"]["step"]),
        "PyTorch": (peer, 1, lambda printed: printed["milliseconds"]),
    }
    times = {(name, threads): [] for threads in arguments.threads for name in programs}
    for _ in range(arguments.rounds):
        for name, threads in times:
            command, repeats, time = programs[name]
            times[name, threads].append(measure(command, threads, arguments.steps, repeats, time))
    for threads in arguments.threads:
        for index, figure in enumerate(("time", "processor time")):
            mine, theirs = ([time[index] for time in times[name, threads]] for name in programs)
            line = {"threads": threads, "figure": figure, "ratio": round(min(mine) / min(theirs), 2)}
            line |= {"ours": [round(time, 1) for time in mine], "PyTorch": [round(time, 1) for time in theirs]}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
