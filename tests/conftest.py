"""What a test needs beyond the core install is marked on it; where that is absent, it is skipped with a reason."""

import importlib.util

import pytest

from cage4.cyborg import engine as cyborg_engine


def pytest_collection_modifyitems(items):
    needs_cyborg = [item for item in items if item.get_closest_marker("cyborg")]
    needs_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if needs_cyborg and not cyborg_engine.available():
        skip = pytest.mark.skip(reason=cyborg_engine.locate().reason)
        for item in needs_cyborg:
            item.add_marker(skip)
    if needs_gpu and not _has_cuda():
        skip = pytest.mark.skip(reason="needs a CUDA device and a torch that uses it")
        for item in needs_gpu:
            item.add_marker(skip)


def _has_cuda():
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()
