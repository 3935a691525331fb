"""Fits models into several sizes on several text sets, and puts their tables together.

    python3 benchmarks/fit/grid.py --program neuroprune --from all-minilm-l6-v2 --sets DATA --out results \
        [--device cuda:0,cuda:1] [--seconds 3600] [--names sst2,trec6] [--sizes 64KB,128KB] [--seeds 0,1,2] [--at-once 3] [--without-test] [--set KEY=VALUE]

DATA holds a folder for each set with train, dev and test files, .tsv or .tsv.gz. The models of a set
and a seed are made by one `neuroprune train --fit SIZES` with the defaults of that command, and share
a teacher; `--at-once` such commands run side by side, and none is begun after `--seconds`. What is there
already is not made again. Accuracies are those of the file in the runtime on the test set, `--without-test` on
the dev set, means over the seeds.
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


def fit(arguments, number, name, seed):
    folder = pathlib.Path(arguments.sets) / name
    out = pathlib.Path(arguments.out) / f"{name}-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    found = out / "model.fit.json"
    devices = arguments.device.split(",")
    is_late = time.time() - arguments.begun > arguments.seconds
    if not found.exists() and not is_late:
        command = [arguments.program, "train", "--data", find(folder, "train"), "--fit", arguments.sizes, "--seed", str(seed)]
        command += ["--from", arguments.checkpoint, "--device", devices[number % len(devices)], "--overwrite"]
        command += ["--candidates", str(arguments.candidates)]
        for part in ("dev",) if arguments.without_test else ("dev", "test"):
            if find(folder, part):
                command += [f"--{part}", find(folder, part)]
        for pair in arguments.set:
            command += ["--set", pair]
        environment = dict(os.environ, RAYON_NUM_THREADS=str(arguments.threads))
        with open(out / "log.txt", "w") as log:
            begun = time.time()
            subprocess.run(command + ["--out", str(out / "model.neuro")], stdout=log, stderr=log, env=environment)
            log.write(f"{time.time() - begun:.0f} s\n")
    return (name, seed), json.loads(found.read_text()) if found.exists() else None


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
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=1)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--without-test", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    arguments.begun = time.time()
    arguments.program = str(pathlib.Path(arguments.program).resolve())
    names = arguments.names.split(",")
    runs = [(name, int(seed)) for seed in arguments.seeds.split(",") for name in names]
    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
        results = dict(pool.map(lambda run: fit(arguments, run[0], *run[1]), enumerate(runs)))
    whole = {"-".join(map(str, run)): result for run, result in results.items()}
    (pathlib.Path(arguments.out) / "results.json").write_text(json.dumps(whole, indent=1))
    print("| set | size | accuracy | dev | largest file | instructions, M4F | RAM | network | linear | teacher, int8 | seeds |")
    print("|---|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|")
    for name in names:
        of_name = [result for (other, _), result in results.items() if other == name and result]
        if not of_name:
            print(f"| {name} | failed | | | | | | | | | |")
        for number in range(len(of_name[0]["sizes"]) if of_name else 0):
            sizes = [result["sizes"][number] for result in of_name]
            best = [size["trials"][-1] for size in sizes]
            linear, teacher = ([result["rivals"][at]["accuracy"] for result in of_name] for at in (0, 1))
            print(f"| {name} | {sizes[0]['size']} | {spread([it['accuracy'] for it in best])} | {statistics.mean(it['dev'] for it in best):.2f} "
                  f"| {max(it['bytes'] for it in best)} | {max(it['instructions'] for it in best)} | {max(it['ram'] for it in best)} "
                  f"| {sizes[0]['shape']} | {statistics.mean(linear):.2f} | {spread(teacher)} | {len(best)} |")


if __name__ == "__main__":
    main()
