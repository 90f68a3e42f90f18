"""Draw docs/images/architecture.svg from the import statements: which package and which folder imports which.

python benchmarks/draw_architecture.py
"""

import ast
import io
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import networkx
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
PANELS = (("Packages", 6.3), ("Folders of the package evaluation", 6.3))
"""Title and width in inches."""
HEIGHT, BOX_WIDTH, BOX_HEIGHT = 11.2, 2.85, 0.84
LINE_LETTERS = 40
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "architecture", "font.family": "sans-serif"}


def layers(graph):
    """Return node -> layer: 0 for what imports nothing, else one more than the highest that it imports."""
    found = {}
    for node in reversed(list(networkx.lexicographical_topological_sort(graph))):
        found[node] = 1 + max((found[other] for other in graph.successors(node)), default=-1)
    return found


def essential(graph):
    """Return the graph without every import that a longer way of arrows shows as well."""
    return networkx.transitive_reduction(graph)


def places(graph):
    """Return the way of each arrow, and node -> (place from left, layer).

    An arrow that passes a layer has a place of its own there, so that it runs beside the boxes.

    Returns:
        Node -> (x, layer) and (one, other) -> [(x, layer), ...], x from 0 to 1.
    """
    height = layers(graph)
    ways, rows = {}, {layer: [] for layer in range(max(height.values()) + 1)}
    for node in sorted(graph.nodes):
        rows[height[node]].append(node)
    for one, other in sorted(graph.edges):
        passed = [(one, other, layer) for layer in range(height[one] - 1, height[other], -1)]
        for corner in passed:
            rows[corner[2]].append(corner)
        ways[one, other] = [one, *passed, other]
    x = {}
    for layer in sorted(rows, reverse=True):
        rows[layer].sort(key=lambda node: (_mean_above(node, ways, x), str(node)))
        for place, node in enumerate(rows[layer]):
            x[node] = (place + 0.5) / len(rows[layer])
    at = {node: (x[node], node[2] if isinstance(node, tuple) else height[node]) for node in x}
    return {node: at[node] for node in graph.nodes}, {pair: [at[node] for node in way] for pair, way in ways.items()}


def _mean_above(node, ways, x):
    """Return the mean place of what has an arrow to a node, so that few arrows cross."""
    above = [x[one] for way in ways.values() for one, other in pairwise(way) if other == node]
    return sum(above) / len(above) if above else 0.0


def label(name, inner):
    """Return what a box says below its name: its folders, or the first sentence of its docstring."""
    if inner:
        folders = sorted(path.parent.name for path in (ROOT / name).glob("*/__init__.py"))
        text = ", ".join(folders) or "the command itself"
    else:
        text = ast.get_docstring(ast.parse((ROOT / name.replace(".", "/") / "__init__.py").read_text("utf-8")))
        text = text.split("\n")[0]
    return textwrap.wrap(text, LINE_LETTERS)


def draw(graphs):
    """Return the figure: one panel per graph."""
    figure = Figure(figsize=(sum(width for _, width in PANELS), HEIGHT), facecolor="white")
    left, whole = 0.0, sum(width for _, width in PANELS)
    for (title, width), graph in zip(PANELS, graphs, strict=True):
        axes = figure.add_axes((left / whole, 0, width / whole, 1))
        left += width
        _panel(axes, title, width, graph)
    return figure


def _panel(axes, title, width, graph):
    axes.set(xlim=(0, width), ylim=(0, HEIGHT))
    axes.axis("off")
    at, ways = places(essential(graph))
    top = max(layer for _, layer in at.values())

    def spot(place):
        return place[0] * width, 0.6 + place[1] * (HEIGHT - 1.8) / top

    axes.text(width / 2, HEIGHT - 0.35, title, ha="center", size=13, weight="bold")
    for way in ways.values():
        points = [spot(place) for place in way]
        (x, y), end = points[-1], points[-2]
        axes.plot(*zip(*points[:-1], strict=True), color="#555555", lw=1.2, zorder=1)
        axes.annotate(
            "",
            (x, y + BOX_HEIGHT / 2),
            end,
            arrowprops={"arrowstyle": "-|>", "color": "#555555", "lw": 1.2, "shrinkA": 0, "shrinkB": 0},
            zorder=1,
        )
    for name, place in at.items():
        _box(axes, spot(place), name.split(".")[-1], label(name, "." not in name))


def _box(axes, spot, name, lines):
    x, y = spot
    corner = (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2)
    axes.add_patch(
        mpl.patches.Rectangle(corner, BOX_WIDTH, BOX_HEIGHT, facecolor="#eef3f8", edgecolor="#33587a", zorder=2)
    )
    start = y + 0.08 * len(lines)
    axes.text(x, start, name, ha="center", va="center", size=12, weight="bold", zorder=3)
    for number, line in enumerate(lines, 1):
        axes.text(x, start - 0.04 - 0.16 * number, line, ha="center", va="center", size=8.5, zorder=3)


def listed(graphs):
    """Return every import of the graphs, one a line: what the description of the picture holds."""
    return "\n".join(f"{one} -> {other}" for graph in graphs for one, other in sorted(graph.edges))


def to_svg(graphs):
    """Return the picture as SVG text; the same bytes for the same imports and the same version of matplotlib."""
    with mpl.rc_context(STYLE):
        text = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type")) | {"Description": listed(graphs)}
        draw(graphs).savefig(text, format="svg", metadata=metadata)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def main():
    sys.path.insert(0, str(ROOT))
    from tests.builders.import_graph import folder_graph, package_graph

    PICTURE.write_text(to_svg((package_graph(), folder_graph("evaluation"))), encoding="utf-8")
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
