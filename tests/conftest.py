"""What a test needs beyond the core install is marked on it; where that is absent, it is skipped with a reason."""

import importlib.util
from pathlib import Path

import pytest

from cage4.cyborg import engine as cyborg_engine

SMOKE = {
    "adapters/test_bundle.py",
    "adapters/cc4/test_mapper_table.py",
    "cage4/native/test_golden.py",
    "cage4/observations/test_flat.py",
    "cage4/test_faces.py",
    "cage4/test_score.py",
    "cage4/test_spec.py",
    "evaluation/harness/test_statistics.py",
    "evaluation/jobs/test_api.py",
    "evaluation/reporting/test_report.py",
    "hmarl_soc/hierarchy/test_acting.py",
    "hmarl_soc/test_config.py",
    "native_sim/soc/test_env.py",
    "native_sim/storage/test_writing.py",
    "native_sim/test_rollout.py",
    "test_architecture.py",
}
"""Files of the smoke suite."""
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.relative_to(HERE).as_posix() in SMOKE and not item.get_closest_marker("slow"):
            item.add_marker("smoke")
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
