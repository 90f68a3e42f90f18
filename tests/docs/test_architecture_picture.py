"""The picture of docs/architecture.md is what the import statements say."""

import importlib.util
from xml.etree import ElementTree

import networkx
from pages import ROOT

from tests.builders.import_graph import folder_graph, import_graph, package_graph

SPEC = importlib.util.spec_from_file_location("draw_architecture", ROOT / "benchmarks" / "draw_architecture.py")
drawing = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(drawing)


def graphs():
    return package_graph(), folder_graph("evaluation")


def read(svg):
    """Return what a picture says: the imports of its description, and its visible texts, in order."""
    tree = ElementTree.fromstring(svg)
    described = next(node.text for node in tree.iter("{http://purl.org/dc/elements/1.1/}description"))
    return described.split("\n"), [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]


def test_the_committed_picture_is_what_the_code_says():
    """Its bytes hang on the version of matplotlib; what it says does not."""
    committed = read(drawing.PICTURE.read_text(encoding="utf-8"))
    assert committed == read(drawing.to_svg(graphs())), "run python benchmarks/draw_architecture.py"
    assert committed[0] == [f"{one} -> {other}" for graph in graphs() for one, other in sorted(graph.edges)]


def test_the_picture_is_drawn_to_the_same_bytes_again():
    assert drawing.to_svg(graphs()) == drawing.to_svg(graphs())


def test_a_new_import_would_be_found():
    packages, folders = graphs()
    folders.add_edge("evaluation.transfer", "evaluation.reporting")
    assert read(drawing.to_svg((packages, folders))) != read(drawing.PICTURE.read_text(encoding="utf-8"))


def test_arrows_left_out_are_those_that_others_imply():
    for graph in graphs():
        drawn = drawing.essential(graph)
        assert set(drawn.edges) <= set(graph.edges)
        assert networkx.transitive_closure(drawn).edges == networkx.transitive_closure(graph).edges


def test_arrows_point_downward_and_boxes_do_not_overlap():
    for (_, width), graph in zip(drawing.PANELS, graphs(), strict=True):
        at, ways = drawing.places(drawing.essential(graph))
        assert set(at) == set(graph.nodes)
        for way in ways.values():
            heights = [layer for _, layer in way]
            assert heights == list(range(heights[0], heights[-1] - 1, -1))
        for name, (x, layer) in at.items():
            beside = [abs(x - other) for one, (other, row) in at.items() if row == layer and one != name]
            assert all(gap * width >= drawing.BOX_WIDTH for gap in beside), name


def test_every_package_and_folder_is_in_the_graphs():
    packages, folders = graphs()
    named = {name.split(".")[0] for name in import_graph().nodes}
    assert set(packages.nodes) >= named
    inner = {path.parent.name for path in (ROOT / "evaluation").glob("*/__init__.py")}
    assert {name.removeprefix("evaluation.") for name in folders.nodes} == inner
