#!/usr/bin/env python3
"""Draws docs/pictures/topology.svg from the report of a quickstart.

    neuroprune quickstart
    python3 docs/pictures/topology.py quickstart/commands.report.html > docs/pictures/topology.svg

One unit is a weight. Inputs of the heads and of L_in, and outputs of W_O and L_out, run from top to
bottom.
"""

import re
import sys

HIDDEN, NEURONS, HEADS, LAYERS = 64, 256, 4, 2
WIDTH = HIDDEN // HEADS
# Left edges: of heads, of their parts, and of the other matrices.
HEAD_STEP, PART_STEP = 60, 18
OUTPUT, MLP_INPUT, MLP_OUTPUT = 246, 326, 598
WORDS = ["none", "one", "two", "three", "four"]

STYLE = """<style>
text{fill:#57606a}.name{fill:#24292f;font-weight:600}.plate{fill:#8c959f;fill-opacity:.16}
path{fill:none;stroke-width:1}.p{stroke:#0969da}.n{stroke:#cf5a00}
.tp{fill:#0969da}.tn{fill:#cf5a00}
@media (prefers-color-scheme: dark){text{fill:#9aa4ae}.name{fill:#e6edf3}.plate{fill:#8c959f;fill-opacity:.2}.p{stroke:#58a6ff}.n{stroke:#f0883e}.tp{fill:#58a6ff}.tn{fill:#f0883e}}
</style>"""


def cells(path):
    """(row, column) of every cell of a path of runs: `m9 0h1`."""
    x = y = 0
    found = []
    for command, arguments in re.findall(r"([mh])([-0-9 ]+)", path):
        numbers = [int(number) for number in arguments.split()]
        if command == "m":
            x, y = x + numbers[0], y + numbers[1]
        else:
            found += [(y, column) for column in range(x, x + numbers[0])]
            x += numbers[0]
    return found


def figures(report):
    """Name, heights of the parts, and cells by sign of every map."""
    pattern = r'<figcaption>([^<]*)<br>.*?<svg class="map".*?</svg>'
    for figure in re.finditer(pattern, report, re.S):
        parts = [(int(y), int(height)) for y, height in
                 re.findall(r'<rect y="(\d+)" width="\d+" height="(\d+)"', figure.group(0))]
        signs = {}
        for sign in ("positive", "negative"):
            path = re.search(rf'<path class="{sign}"[^>]* d="([^"]*)"', figure.group(0))
            signs[sign[0]] = cells(path.group(1)) if path else []
        yield figure.group(1), parts, signs


def runs(points):
    """A path of vertical runs through these (x, y)."""
    path, at = "", (0, 0)
    points = sorted(points)
    while points:
        x, first = points[0]
        length = 1
        while length < len(points) and points[length] == (x, first + length):
            length += 1
        path += f"m{x - at[0]} {first - at[1]}v{length}"
        at = (x, first + length)
        points = points[length:]
    return path


def main():
    report = open(sys.argv[1], encoding="utf-8").read()
    layers = [{"p": [], "n": [], "heads": [], "neurons": 0} for _ in range(LAYERS)]
    number = -1
    for name, parts, signs in figures(report):
        if name.startswith("attention head"):
            head = int(name.split()[-1])
            # The first head of a layer that is left.
            if number < 0 or layers[number]["neurons"]:
                number += 1
            layer = layers[number]
            layer["heads"].append(head)

            def place(row, column):
                part, start = max((i, y) for i, (y, _) in enumerate(parts) if y <= row)
                return HEAD_STEP * head + PART_STEP * part + row - start, column
        elif name == "attention output":
            layer = layers[number]

            def place(row, column):
                head = layer["heads"][column // WIDTH]
                return OUTPUT + WIDTH * head + column % WIDTH, row
        elif name == "MLP input":
            layer["neurons"] = parts[0][1]

            def place(row, column):
                return MLP_INPUT + row, column
        else:
            def place(row, column):
                return MLP_OUTPUT + column, row
        for sign, found in signs.items():
            layer[sign] += [place(row, column) for row, column in found]
    left = sum(len(layer[sign]) for layer in layers for sign in "pn")
    total = LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * NEURONS)
    heads = sum(len(layer["heads"]) for layer in layers)
    neurons = sum(layer["neurons"] for layer in layers)
    print('<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 0 862 244" width="862" height="244" '
          'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" '
          'font-size="11" role="img" aria-labelledby="t">')
    print(f'<title id="t">Every encoder weight of the quickstart model: {left:,} of {total:,} are left, '
          f'{heads} of {LAYERS * HEADS} heads and {neurons} of {LAYERS * NEURONS} neurons</title>')
    print(STYLE)
    print('<!-- Made by docs/pictures/topology.py. One unit a weight. -->')
    print('<text x="0" y="14"><tspan class="name">Grey: a weight of the dense encoder.</tspan> Coloured: '
          'a weight that is left, <tspan class="tp">positive</tspan> or <tspan class="tn">negative</tspan> '
          f'(neurons moved to the left). {left:,} of {total:,} are left.</text>')
    for number, layer in enumerate(layers):
        top = 38 + 100 * number
        print(f'<text x="0" y="{top}"><tspan class="name">Layer {number}</tspan>  Q, K, V of '
              f'{WORDS[HEADS]} heads: {len(layer["heads"])} left</text>')
        print(f'<text x="{OUTPUT}" y="{top}">W_O</text>')
        print(f'<text x="{MLP_INPUT}" y="{top}">L_in, {NEURONS} neurons: {layer["neurons"]} left</text>')
        print(f'<text x="{MLP_OUTPUT}" y="{top}">L_out</text>')
        print(f'<g transform="translate(0 {top + 4})" shape-rendering="crispEdges">')
        plates = [(HEAD_STEP * head + PART_STEP * part, WIDTH) for head in range(HEADS) for part in range(3)]
        for x, width in plates + [(OUTPUT, HIDDEN), (MLP_INPUT, NEURONS), (MLP_OUTPUT, NEURONS)]:
            print(f'<rect class="plate" x="{x}" width="{width}" height="{HIDDEN}"/>')
        for sign in "pn":
            print(f'<path class="{sign}" transform="translate(.5 0)" d="{runs(layer[sign])}"/>')
        print('</g>')
    print('</svg>')


if __name__ == "__main__":
    main()
