"""A training step of the recipe `small` on the CPU: ours against eager PyTorch, interleaved.

Same shape, batch and tokens, f32, AdamW, no dropout. Each round runs both programs one after the
other, in fresh processes, with one thread and with two, so that other load on the machine
affects both. Two figures per run, in milliseconds per step: the median time, and the processor time
by the difference of a long and a short run, which is the one to read while others compute too. The
fastest round counts, which is the one that was disturbed least. For the processor time that is the
fastest long run less the fastest short one: the smallest difference would be the one whose short
run was disturbed most. Each round prints its own difference.

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


def measure(command, threads, steps, time):
    """Milliseconds of a step, and the seconds of processor time of a short and a long run."""
    (_, short), (printed, long) = run(command, threads, SHORT), run(command, threads, steps)
    return time(printed), short, long


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
            command, _, time = programs[name]
            times[name, threads].append(measure(command, threads, arguments.steps, time))
    for threads in arguments.threads:
        wall, processor = {}, {}
        for name, (_, repeats, _) in programs.items():
            wall[name], short, long = zip(*times[name, threads])
            step = 1e3 / (repeats * (arguments.steps - SHORT))
            rounds = [step * (long - short) for short, long in zip(short, long)]
            processor[name] = step * (min(long) - min(short)), rounds
        fastest = {name: (min(rounds), rounds) for name, rounds in wall.items()}
        for figure, best in ("time", fastest), ("processor time", processor):
            (ours, _), (theirs, _) = best["ours"], best["PyTorch"]
            line = {"threads": threads, "figure": figure, "ratio": round(ours / theirs, 2)}
            for name, (milliseconds, rounds) in best.items():
                line |= {name: round(milliseconds, 1), f"{name}, rounds": [round(each, 1) for each in rounds]}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
