"""Fits models into several sizes on several text sets, and puts their tables together.

    python3 benchmarks/fit/grid.py --program neuroprune --from all-minilm-l6-v2 --sets DATA --out results \
        [--device cuda:0,cuda:1] [--seconds 3600] [--names sst2,trec6] [--sizes 64KB,128KB] [--seeds 0,1,2] [--jobs 6] [--set KEY=VALUE]

DATA holds a folder for each set with train, dev and test files, .tsv or .tsv.gz. Every model is
made by `neuroprune train --fit SIZE` with the defaults of that command; `--jobs` run side by side, and
none is begun after `--seconds`. What is there already is not made again.
Accuracies are those of the file in the runtime on the test set, means over the seeds.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import time


def find(folder, name):
    for ending in (".tsv", ".tsv.gz"):
        path = folder / (name + ending)
        if path.exists():
            return str(path.resolve())
    return None


def fit(arguments, number, name, size, seed):
    folder = pathlib.Path(arguments.sets) / name
    out = pathlib.Path(arguments.out) / f"{name}-{size}-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    model = out / "model.neuro"
    devices = arguments.device.split(",")
    is_late = time.time() - arguments.begun > arguments.seconds
    if not (out / "model.outcome.json").exists() and not is_late:
        command = [arguments.program, "train", "--data", find(folder, "train"), "--fit", size, "--seed", str(seed)]
        command += ["--from", arguments.checkpoint, "--device", devices[number % len(devices)], "--quiet", "--overwrite"]
        for part in ("dev", "test"):
            if find(folder, part):
                command += [f"--{part}", find(folder, part)]
        for pair in arguments.set:
            command += ["--set", pair]
        environment = dict(os.environ, RAYON_NUM_THREADS=str(arguments.threads))
        with open(out / "log.txt", "w") as log:
            begun = time.time()
            subprocess.run(command + ["--out", str(model)], stdout=log, stderr=log, env=environment)
            log.write(f"{time.time() - begun:.0f} s\n")
        for large in ("model.checkpoint", "model.dense.neuro"):
            (out / large).unlink(missing_ok=True)
    outcome = out / "model.outcome.json"
    if not outcome.exists():
        return (name, size, seed), None
    outcome = json.loads(outcome.read_text())
    facts = json.loads(subprocess.run(
        [arguments.program, "inspect", "--json", str(model)], capture_output=True, text=True).stdout or "{}")
    return (name, size, seed), {
        "accuracy": outcome["accuracy"]["sparse_int8"],
        "float": outcome["accuracy"]["sparse_float"],
        "teacher": outcome["accuracy"]["dense_float"],
        "linear": outcome.get("baselines", {}),
        "dev": outcome["history"][-1]["dev_accuracy"],
        "bytes": model.stat().st_size,
        "pieces": facts.get("vocabulary"),
        "seconds": outcome["seconds"],
    }


def spread(values):
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {deviation:.2f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--from", dest="checkpoint", required=True)
    parser.add_argument("--sets", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--names", default="sst2,trec6,snips,clinc150,banking77,ag_news_part,sms_spam")
    parser.add_argument("--sizes", default="32KB,64KB,128KB,512KB,2MB")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    arguments.begun = time.time()
    arguments.program = str(pathlib.Path(arguments.program).resolve())
    names, sizes = arguments.names.split(","), arguments.sizes.split(",")
    cells = [(name, size, int(seed)) for seed in arguments.seeds.split(",") for size in sizes for name in names]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = dict(pool.map(lambda cell: fit(arguments, cell[0], *cell[1]), enumerate(cells)))
    whole = {"-".join(map(str, cell)): result for cell, result in results.items()}
    (pathlib.Path(arguments.out) / "results.json").write_text(json.dumps(whole, indent=1))
    print("| set | size | accuracy | dev | bytes | pieces | float | teacher | seconds |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in names:
        for size in sizes:
            found = [results[cell] for cell in cells if cell[:2] == (name, size) and results[cell]]
            if not found:
                print(f"| {name} | {size} | failed | | | | | | |")
                continue
            of = lambda key: [one[key] for one in found]
            seconds = statistics.mean(sum(one["seconds"].values()) for one in found)
            print(f"| {name} | {size} | {spread(of('accuracy'))} | {statistics.mean(of('dev')):.2f} | {max(of('bytes'))} | {found[0]['pieces']} "
                  f"| {statistics.mean(of('float')):.2f} | {statistics.mean(of('teacher')):.2f} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
