"""Trains grids of `neuroprune ablate` on several text sets at once, and puts their tables together.

    python3 benchmarks/gpu/grids.py --program neuroprune --from all-minilm-l6-v2 --sets DATA --out results \
        [--device cuda] [--names sst2,trec6] [--sparsities 0.8,0.9] [--seeds 0,1,2] [--jobs 3] [--set KEY=VALUE]

DATA holds a folder for each set with train, dev and test files, .tsv or .tsv.gz. Small encoders
leave a GPU idle most of the time: the sets are trained side by side, `--jobs` cells of each.
What differs between sets is in PLANS: how many passes a set of its size needs.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

# Passes over the data (dense, sparse), steps between removals, examples of a step.
PLANS = {
    "sst2": (3, 6, 100, 64),
    "trec6": (10, 30, 50, 32),
    "clinc150": (10, 20, 50, 64),
    "banking77": (12, 24, 50, 64),
    "snips": (4, 8, 50, 64),
}


def find(folder, name):
    for ending in (".tsv", ".tsv.gz"):
        path = folder / (name + ending)
        if path.exists():
            return str(path.resolve())
    return None


def grid(arguments, name):
    dense, sparse, interval, batch = PLANS[name]
    folder = pathlib.Path(arguments.sets) / name
    lines = [
        'recipe = "pretrained"',
        f"sparsities = [{arguments.sparsities}]",
        f"seeds = [{arguments.seeds}]",
    ]
    keys = {
        "model.from": json.dumps(str(pathlib.Path(arguments.checkpoint).resolve())),
        "training.epochs": dense,
        "training.batch": batch,
        "pruning.epochs": sparse,
        "pruning.interval": interval,
    }
    keys.update(pair.split("=", 1) for pair in arguments.set)
    lines += [f"set.{key} = {value}" for key, value in keys.items()]
    files = {part: find(folder, part) for part in ("train", "dev", "test")}
    lines += ["[data]"] + [f"{part} = {json.dumps(path)}" for part, path in files.items() if path]
    variants = arguments.variants.read_text() if arguments.variants else '[[variants]]\nname = "neuroprune"\n'
    return "\n".join(lines) + "\n" + variants


def spread(values):
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {deviation:.2f}"


def kept(out, names):
    """What sparse int8 keeps of dense float, both means over seeds, for every set and sparsity."""
    lines = [
        "| set | variant | zeros | dense float | dense int8 | sparse float | sparse int8 | kept | seeds |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in names:
        cells = {}
        for path in sorted((out / name).glob("*/model.outcome.json")):
            outcome = json.loads(path.read_text())
            # A cell is VARIANT-SPARSITY-SEED.
            variant = path.parent.name.rsplit("-", 2)[0]
            cells.setdefault((variant, outcome["target_sparsity"]), []).append(outcome)
        for (variant, sparsity), outcomes in sorted(cells.items()):
            of = lambda key: [outcome["accuracy"][key] for outcome in outcomes]
            share = 100 * statistics.mean(of("sparse_int8")) / statistics.mean(of("dense_float"))
            keys = ("dense_float", "dense_int8", "sparse_float", "sparse_int8")
            accuracies = " | ".join(spread(of(key)) for key in keys)
            lines.append(
                f"| {name} | {variant} | {100 * sparsity:.1f} % | {accuracies} | {share:.2f} % | {len(outcomes)} |"
            )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="neuroprune")
    parser.add_argument("--from", dest="checkpoint", required=True)
    parser.add_argument("--sets", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--names", default=",".join(PLANS))
    parser.add_argument("--sparsities", default="0.9, 0.8, 0.95, 0.975")
    parser.add_argument("--seeds", default="0, 1, 2")
    parser.add_argument("--jobs", default="3")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--variants", type=pathlib.Path, help="a file with [[variants]] of a grid")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    running = {}
    for name in arguments.names.split(","):
        path = arguments.out / f"{name}.toml"
        path.write_text(grid(arguments, name))
        log = open(arguments.out / f"{name}.log", "w")
        command = [arguments.program, "ablate", str(path), "--out", str(arguments.out / name)]
        command += ["--device", arguments.device, "--jobs", arguments.jobs]
        running[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    failed = [name for name, process in running.items() if process.wait()]
    for name in running:
        table = arguments.out / name / "ablation.md"
        print(f"## {name}\n\n{table.read_text() if table.exists() else 'no table'}\n", flush=True)
    print(f"## What is kept\n\n{kept(arguments.out, running)}\n", flush=True)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
