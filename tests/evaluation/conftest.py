"""Makes ``factories`` importable: pytest's importlib mode leaves the folder of a test off the path."""

import resource
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Lift a limit on the size of files before the outcome is told: standard output may be a larger file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
