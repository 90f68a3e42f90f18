"""Makes ``factories`` importable: pytest's importlib mode leaves the folder of a test off the path."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def settings(tmp_path):
    """Return a file of settings of a run that takes a second."""
    from train_command import SMALL  # only now is it on the path

    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path
