"""What every figure of a report must be, whatever it shows."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from evaluation.reporting import canvas


def check_svg(name: str, svg: str) -> None:
    """The text is well-formed, says nothing of the outside, and can live in a page with others."""
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    addresses = set(re.findall(r"https?://[^\"' <]+", svg))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(identifier.startswith(name) for identifier in ids)
    references = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
    assert set(references) <= set(ids)
    assert "<style" not in svg  # it would restyle the page around it
    assert "nan" not in svg.lower()


def check_layout(draw: Callable[[], Figure], monkeypatch: pytest.MonkeyPatch) -> None:
    """No text overlaps another or leaves the figure."""
    boxes: dict[Text, Bbox] = {}
    draw_text = Text.draw

    def record(text: Text, renderer: Any) -> None:
        draw_text(text, renderer)
        if text.get_visible() and text.get_text().strip():
            boxes[text] = text.get_window_extent(renderer)

    with mpl.rc_context(canvas.STYLE):
        drawn = draw()
        monkeypatch.setattr(Text, "draw", record)
        drawn.savefig(io.BytesIO(), format="png", dpi=drawn.dpi)
    assert len(boxes) > 5
    width, height = drawn.bbox.size
    for text, box in boxes.items():
        inside = min(box.x0, box.y0, width - box.x1, height - box.y1)
        assert inside > -1, f"{text.get_text()!r} leaves the figure"
    for (first, a), (second, b) in combinations(boxes.items(), 2):
        # A little slack, for the boxes of neighbouring lines may touch.
        overlap = min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 2
        assert not overlap, f"{first.get_text()!r} overlaps {second.get_text()!r}"
