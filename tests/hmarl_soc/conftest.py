"""Makes ``toys`` importable: pytest's importlib mode leaves the folder of a test off the path.

The nets of tests are tiny: with several threads the tensor library spends its time on waiting for them.
"""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def one_thread():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
