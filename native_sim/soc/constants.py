"""The best constant actions known, as data: rows that every learned defender has to beat."""

from __future__ import annotations

from typing import Any, Final

BEST_CONSTANT: Final[dict[str, dict[str, Any]]] = {
    # Found by benchmarks/soc_evidence.py at the default level, on training networks.
    "corrected": {
        "coordinator": [0.678, 0.666, 0.765, 0.886, 0.132, -0.99, 1.0, -0.978],
        "hunter": [
            -0.438,
            0.947,
            0.917,
            0.967,
            0.024,
            -0.833,
            -0.821,
            -0.874,
            -0.96,
            -0.885,
            -0.969,
            -0.722,
            -0.825,
            -0.626,
            -0.973,
            0.986,
        ],
        "responder": [0.846, 0.906, 0.935, 0.727, 0.328, 0.88, -0.959, -0.973, -0.498, 0.297, 0.859, 0.645],
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
