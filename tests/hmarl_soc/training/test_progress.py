import io
import json
import os
import signal
import sys

import numpy as np
import pytest
from rich.console import Console

from hmarl_soc.training.progress import Bar, Log, StopSwitch


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_means_cover_what_came_since_the_last_line(tmp_path):
    log = Log(tmp_path / "run" / "log.jsonl")
    log.add({"a": 1.0, "b": 5.0})
    log.add({"a": 3.0})
    log.write({"steps": 1, **log.means(), "count": np.int64(4)})
    assert log.means() == {}
    assert read(log.path) == [{"steps": 1, "a": 2.0, "b": 5.0, "count": 4}]


def test_going_on_drops_later_lines_and_keeps_half_means(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    log.write({"steps": 1})
    log.add({"a": 1.0})
    state = log.state_dict()
    log.write({"steps": 2})
    other = Log(tmp_path / "log.jsonl")
    other.load_state_dict(state)
    other.add({"a": 2.0})
    assert read(other.path) == [{"steps": 1}]
    assert other.means() == {"a": 1.5}


@pytest.mark.parametrize("text", ['{"steps": 2}\n', "", '{"steps": 1}\r\n', None])
def test_going_on_with_another_log_is_refused_and_changes_nothing(tmp_path, text):
    log = Log(tmp_path / "log.jsonl")
    log.write({"steps": 1})
    state = log.state_dict()
    log.path.unlink()
    if text is not None:
        log.path.write_bytes(text.encode())
    with pytest.raises(ValueError, match="is not what was written"):
        Log(log.path).load_state_dict(state)
    assert not log.path.exists() if text is None else log.path.read_bytes() == text.encode()
    del state["sha256"]  # of an earlier version
    Log(log.path).load_state_dict(state)


def test_tensorboard_is_asked_for_by_name_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"pip install 'hmarl-transfer\[tracking\]'"):
        Log(tmp_path / "log.jsonl", tensorboard=True)


def test_tensorboard_files_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    log = Log(tmp_path / "log.jsonl", tensorboard=True)
    log.write({"kind": "train", "steps": 1, "return": -3.0, "length": None})
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_the_first_signal_is_noted_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with StopSwitch() as stop:
        assert not stop.pressed
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.pressed
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 1)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_bar_shows_steps_and_return():
    text = io.StringIO()
    with Bar(Console(file=text, force_terminal=True, width=120), "hmarl-soc, seed 0") as bar:
        bar.show(500, 1000, {"return": -12.345})
    assert "500/1,000 steps" in text.getvalue() and "return -12.35" in text.getvalue().replace("-12.34 ", "-12.35 ")


def test_the_bar_moves_before_the_first_line_and_names_what_goes_on(monkeypatch):
    text = io.StringIO()
    with Bar(Console(file=text, force_terminal=True, width=160), "[b]mine") as bar:
        bar.move(24, 5000)
        bar.name("validating")
        bar._progress.refresh()
        shown = text.getvalue()
        assert "24/5,000 steps" in shown and "[b]mine, validating" in shown
        bar.name("")
        assert bar._progress.tasks[0].description == "[b]mine"


def test_the_bar_moves_a_few_times_however_many_steps(monkeypatch):
    bar = Bar(Console(file=io.StringIO()), "mine")
    moved = []
    monkeypatch.setattr(bar._progress, "update", lambda *_, **what: moved.append(what["completed"]))
    for step in range(1000):
        bar.move(step, 1000)
    assert 1 <= len(moved) < 100 and moved[0] == 0
