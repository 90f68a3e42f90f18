"""The best constant actions known, as data: rows that every learned defender has to beat."""

from __future__ import annotations

from typing import Any, Final

BEST_CONSTANT: Final[dict[str, dict[str, Any]]] = {
    # Found by benchmarks/soc_evidence.py at the default level, on training networks.
    "corrected": {
        "coordinator": [0.127, 0.115, 0.438, -0.211, -0.315, -0.958, 1.0, -0.545],
        "hunter": [
            -0.217,
            -0.035,
            -0.031,
            -0.545,
            -0.563,
            -0.799,
            -0.763,
            -0.745,
            -0.639,
            -0.614,
            -0.663,
            -0.658,
            -0.533,
            -0.678,
            -0.76,
            0.918,
        ],
        "responder": [0.32, 0.184, 0.698, 0.298, 0.287, 0.276, -0.483, -0.838, -0.016, -0.255, 0.786, -0.041],
        "triage": 2,
    },
    # Set by hand: hunt just below the false-scan cliff, isolate, never clean.
    "reference": {
        "coordinator": [-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0],
        "hunter": [0.39, 0.39, 0.39, 0.39, 0.39, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        "triage": 3,
        "responder": [0.79, 0.79, 0.79, 0.79, 0.79, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 0.0],
    },
}
"""Rules -> role -> action."""
