"""The real CybORG for live comparisons, without any of our shortcuts."""

import pytest


@pytest.fixture
def cyborg_factory():
    from cage4.parity.lockstep import untouched_cyborg

    return untouched_cyborg
