"""The four colours that figures and page share; the page gives them other values on a dark screen."""

from typing import Final

INK: Final = "#1f2328"
MUTED: Final = "#59636e"
GRID: Final = "#d8dee4"
PAPER: Final = "#ffffff"
VARIABLES: Final = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper"}
"""Colour -> CSS variable of the page."""
