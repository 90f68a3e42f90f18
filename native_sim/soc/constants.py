"""The best constant actions known, as data: rows that every learned defender has to beat."""

from __future__ import annotations

from typing import Any, Final

BEST_CONSTANT: Final[dict[str, dict[str, Any]]] = {
    # Found by benchmarks/soc_evidence.py at the default level, on training networks.
    "corrected": {
        "coordinator": [0.4, 0.54, 0.63, 0.44, -0.13, -0.97, 0.5, 0.96],
        "hunter": [
            -0.04,
            0.68,
            0.82,
            -0.16,
            -0.43,
            -0.75,
            -0.76,
            -0.81,
            -0.84,
            -0.85,
            -0.93,
            -0.76,
            -0.81,
            -0.88,
            -0.93,
            0.98,
        ],
        "responder": [0.26, 0.23, 0.33, 0.71, 0.69, 0.22, -0.86, -0.88, 0.03, 0.27, 0.75, 0.3],
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
