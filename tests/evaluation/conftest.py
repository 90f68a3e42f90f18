"""What tests of the evaluation share."""

import resource

import pytest

from tests.builders.train_command import SMALL


@pytest.fixture
def settings(tmp_path):
    """Return a file of settings of a run that takes a second."""
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
