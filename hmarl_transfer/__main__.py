"""Starts the command from the packages beside this one, whatever else on the path has their common names."""

import sys
from pathlib import Path


def main() -> None:
    """Entry point of the ``hmarl-transfer`` command."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    try:
        from evaluation.inputs import names
    finally:
        sys.path.pop(0)
    names.settle()
    from evaluation.cli import app

    app.main()


if __name__ == "__main__":
    main()
