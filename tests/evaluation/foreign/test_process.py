"""Foreign code that misbehaves in every way fails alone, in one sentence, and leaves nothing behind."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from evaluation.foreign.limits import Limits
from evaluation.foreign.policy import ForeignPolicy
from evaluation.foreign.process import MOST_OUTPUT, Output, Surroundings, scope
from evaluation.inputs.errors import BadInput, ForeignFailure

HEAD = """
    import os, signal, sys, threading, time
    import numpy as np
    from native_sim import Decision, Policy

    class Good(Policy):
        def initial_memory(self, num_envs):
            return None

        def act(self, obs, mask, memory, draws):
            return Decision({"a": np.zeros(len(draws), int)}, memory)
"""
BAD = (
    HEAD
    + """
    class Bad(Good):
        def act(self, obs, mask, memory, draws):
            BODY
            return super().act(obs, mask, memory, draws)
"""
)


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Return a function that writes a module and asks a policy of it for one decision."""
    monkeypatch.chdir(tmp_path)

    def asked(source, name="bad:Bad", limits=None):
        (tmp_path / "bad.py").write_text(textwrap.dedent(source))
        with scope(Surroundings.here(limits or Limits(60.0))) as work:
            try:
                policy = ForeignPolicy(name)
                decision = policy.act({}, {}, policy.initial_memory(2), np.zeros((2, 1, 0)))
            except ForeignFailure as failure:
                result = failure
            else:
                result = decision
        return result, work.output

    return asked


def body(text):
    return BAD.replace("BODY", textwrap.indent(textwrap.dedent(text).strip(), " " * 12).strip())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sys.exit(0)", "raised SystemExit: 0"),
        ("exit()", "raised SystemExit"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("raise GeneratorExit('enough')", "raised GeneratorExit: enough"),
        ("os._exit(0)", "ended its process (exit code 0) in act()"),
        ("os._exit(7)", "ended its process (exit code 7) in act()"),
        ("os.abort()", "lost its process to SIGABRT in act()"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "lost its process to SIGKILL, perhaps for lack of memory in act()"),
        ("import ctypes; ctypes.string_at(0)", "lost its process to SIGSEGV in act()"),
        ("os.closerange(3, 200)", "ended its process"),
        ("return None", "act() must return a native_sim.Decision; it returned NoneType"),
        ("return Decision([], None)", "returned actions that are a list; allowed is a dict"),
        ("raise LookupError('a\\n' * 5000)", "raised LookupError: a a a"),
    ],
)
def test_its_own_failures(play, text, sentence):
    failure, _ = play(body(text))
    assert isinstance(failure, ForeignFailure)
    assert str(failure).startswith(sentence)
    assert "\n" not in str(failure) and len(str(failure)) < 1100


def test_an_exception_whose_message_raises(play):
    failure, _ = play(
        body("""
            class Evil(BaseException):
                def __str__(self):
                    raise SystemExit(0)
            raise Evil
        """)
    )
    assert str(failure) == "raised Evil: its message cannot be shown"
    assert "in act" in failure.trace


@pytest.mark.parametrize(
    "text", ["time.sleep(600)", "while True: pass", "signal.pthread_sigmask(0, range(1, 30)); time.sleep(600)"]
)
def test_a_hang_ends_at_the_time_limit_and_tells_where_it_was(play, text):
    started = time.monotonic()
    failure, output = play(body(text), limits=Limits(2.0))
    assert str(failure) == "took longer than 2 s for act(); --time-limit allows more"
    assert time.monotonic() - started < 60
    if "mask" not in text:
        assert "in act" in output


def test_handlers_of_signals_do_not_keep_it_alive(play):
    failure, _ = play(
        body("""
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, lambda *_: None)
            open("pid", "w").write(str(os.getpid()))
            while True: time.sleep(1)
        """),
        limits=Limits(2.0),
    )
    assert "took longer" in str(failure)
    assert is_gone(int(Path("pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory elsewhere")
def test_the_memory_limit_is_told(play):
    failure, _ = play(body("x = np.ones(2**32)"), limits=Limits(60.0, memory_gib=2.0))
    assert "MemoryError" in str(failure) and "--memory-limit" in str(failure)


def is_gone(pid):
    """Whether a process ends within some seconds."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


LEFT_BEHIND = {
    "a fork": """
        pid = os.fork()
        if not pid:
            time.sleep(600)
        open("pids", "a").write(f"{pid} ")
    """,
    "a daemon": """
        if not (child := os.fork()):
            os.setsid()
            if (pid := os.fork()):
                open("pids", "a").write(f"{pid} ")
                os._exit(0)
            time.sleep(600)
        os.waitpid(child, 0)
    """,
    "a program": """
        import subprocess
        pid = subprocess.Popen(["sleep", "600"], start_new_session=True).pid
        open("pids", "a").write(f"{pid} ")
    """,
    "a thread": """
        threading.Thread(target=time.sleep, args=(600,)).start()
        open("pids", "a").write(f"{os.getpid()} ")
    """,
    "a copy that answers": """
        if not os.fork():
            return Decision({}, None)
        open("pids", "a").write(f"{os.getpid()} ")
    """,
}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("kind", LEFT_BEHIND)
def test_nothing_is_left_behind(play, kind):
    decision, _ = play(body(LEFT_BEHIND[kind]))
    assert decision.actions["a"].tolist() == [0, 0]
    pids = [int(pid) for pid in Path("pids").read_text().split()]
    assert pids and all(is_gone(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_is_left_behind_by_a_harness_that_is_killed(tmp_path):
    (tmp_path / "bad.py").write_text(textwrap.dedent(body("open('pid', 'w').write(str(os.getpid())); time.sleep(600)")))
    code = """
import numpy as np
from evaluation.foreign.policy import ForeignPolicy
policy = ForeignPolicy("bad:Bad")
policy.act({}, {}, policy.initial_memory(1), np.zeros((1, 1, 0)))
"""
    root = os.pathsep.join(entry for entry in sys.path if entry)
    harness = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root})
    for _ in range(3000):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            break
        time.sleep(0.02)
    harness.kill()
    harness.wait()
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_output_of_every_kind_is_kept_and_no_answer(play, capfd):
    decision, output = play(
        body("""
            print("printed \\u2603")
            os.write(1, b"written to 1\\n")
            os.write(2, b"written to 2\\n")
            os.system("echo by a program")
            print("to err", file=sys.stderr)
            assert sys.stdin.read() == ""
        """)
    )
    assert decision.actions["a"].tolist() == [0, 0]
    for line in ("printed \u2603", "written to 1", "written to 2", "by a program", "to err"):
        assert f"{line}\n" in output
    assert capfd.readouterr() == ("", "")


def test_output_is_bounded(play):
    decision, output = play(body("sys.stdout.write('first' + 'x' * 10**7 + 'last')"))
    assert decision.actions["a"].tolist() == [0, 0]
    assert output.startswith("first") and output.endswith("last") and "left out" in output
    assert len(output) < 2 * MOST_OUTPUT + 100


def test_output_that_comes_in_pieces():
    output = Output()
    for number in range(100_000):
        output.add(b"%6d\n" % number)
    lines = str(output).splitlines()
    assert (lines[0], lines[-1]) == ("     0", " 99999")
    left_out = int(next(line for line in lines if "left out" in line).split()[1])
    assert len(str(output)) + left_out == 700_000 + len(f"\n[... {left_out} bytes left out ...]\n")


def test_the_harness_stays_where_it_is(play, tmp_path):
    decision, _ = play(body("os.chdir('/'); os.environ['CHANGED'] = '1'; sys.path.clear(); os.umask(0o777)"))
    assert decision.actions["a"].tolist() == [0, 0]
    assert Path.cwd() == tmp_path and "CHANGED" not in os.environ and sys.path


@pytest.mark.parametrize(
    ("source", "name", "sentence"),
    [
        ("import sys; sys.exit(0)", "bad:Bad", "cannot be loaded (SystemExit: 0); give an importable module"),
        ("import os; os._exit(0)", "bad:Bad", "cannot be loaded (ended its process (exit code 0) in loading)"),
        ("raise KeyboardInterrupt", "bad:Bad", "cannot be loaded (KeyboardInterrupt)"),
        ("1 / 0", "bad:Bad", "cannot be loaded (ZeroDivisionError: division by zero)"),
        ("x = 1", "bad:Bad", "cannot be loaded (AttributeError"),
        ("x = 1", "bad:x", "cannot be loaded (TypeError"),
        ("x = dict", "bad:x", "is a dict; it must be a native_sim.Policy"),
        (HEAD + "    Good.draws_per_agent = -1", "bad:Good", "has draws_per_agent -1; allowed are whole numbers"),
        (HEAD + "    Good.draws_per_agent = 10**9", "bad:Good", "has draws_per_agent 1000000000; allowed are"),
        (HEAD + "    Good.__init__ = lambda self: sys.exit(3)", "bad:Good", "cannot be loaded (SystemExit: 3)"),
    ],
)
def test_what_cannot_be_loaded_is_bad_input(tmp_path, monkeypatch, source, name, sentence):
    from evaluation.games.cc4.policies import CC4
    from evaluation.policies.registry import check_policies

    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text(textwrap.dedent(source))
    with pytest.raises(BadInput) as caught:
        check_policies((name,), "native", CC4)
    assert sentence in str(caught.value) and f"policy '{name}' " in str(caught.value)


@pytest.mark.parametrize("given", [0.0, -1.0, float("nan"), float("inf")])
def test_limits_are_positive_numbers(given):
    with pytest.raises(BadInput, match=r"--time-limit must be (at|from)"):
        Limits(given)
    with pytest.raises(BadInput, match=r"--memory-limit must be (at|from)"):
        Limits(1.0, given)


def test_any_time_limit_can_be_waited_for(play):
    decision, _ = play(body("time.sleep(0.1)"), limits=Limits(1e6))
    assert decision.actions["a"].tolist() == [0, 0]


def test_sets_have_one_order_and_sums_one_thread_everywhere(play):
    orders = {
        play(body("print(list({'alpha', 'beta', 'gamma', 'delta'}), os.environ['OMP_NUM_THREADS'])"))[1] for _ in "abc"
    }
    assert len(orders) == 1
