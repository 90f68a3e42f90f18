"""The evaluation harness: play, record, measure, report.

Its Python face; see :mod:`evaluation.jobs.api`. Nothing heavy is imported before one of these names is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluation.jobs.api import Run, compare, evaluate, list_games, list_policies, list_variants, load_run

__all__ = ["Run", "compare", "evaluate", "list_games", "list_policies", "list_variants", "load_run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from evaluation.jobs import api

        return getattr(api, name)
    raise AttributeError(f"module 'evaluation' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
