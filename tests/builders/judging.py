"""A judge with the contract of the official one, on a stand-in for CybORG."""

import json
import os
import subprocess
import sys
import textwrap

FAKE_CYBORG = """
    class _State: name = "UNKNOWN"
    class BaseAgent:
        def __init__(self, name): self.name = name
    class BlueFlatWrapper:
        agents = [f"blue_agent_{i}" for i in range(5)]
        def __init__(self, env): self.env = env
        def action_space(self, agent): return 242 if agent == "blue_agent_4" else 82
        def action_labels(self, agent):
            names = ("admin_network", "contractor_network", "internet", "office_network", "operational_zone_a",
                     "operational_zone_b", "public_access_zone", "restricted_zone_a", "restricted_zone_b")
            return [f"Block x <- {name}_subnet (10.0.{i}.0/24)" for i, name in enumerate(names)]
        def observation_change(self, agent, raw):
            import numpy as np
            return np.zeros(210 if agent == "blue_agent_4" else 92, np.int64)
        def _observe(self):
            return {a: self.observation_change(a, {"success": _State, "action": None}) for a in self.agents}
        def reset(self):
            return self._observe(), {a: {"action_mask": [True] * self.action_space(a)} for a in self.agents}
        def step(self, actions, messages=None):
            return self._observe(), dict.fromkeys(self.agents, -1.0), {}, {}, {}
"""
JUDGE = """
    import json, os, sys
    source = sys.argv[1]
    absent = ("joblib", "numba", "pettingzoo", "pyarrow", "pydantic", "safetensors", "scipy", "sklearn", "typer")
    sys.modules.update(dict.fromkeys(absent))  # the judge has none of these
    sys.path.insert(0, source)  # the official script's way of loading
    if source.endswith(".zip"):
        from submission.submission import Submission
    else:
        from submission import Submission
    sys.path.remove(source)
    env = Submission.wrap(None)
    observations, _ = env.reset()
    for _ in range(3):
        actions = {name: agent.get_action(observations[name], env.action_space(name))
                   for name, agent in Submission.AGENTS.items() if name in env.agents}
        observations, *_ = env.step(actions)
    ours = ("adapters", "cage4", "hmarl_soc", "native_sim", "evaluation", *sys.argv[2:])
    homes = {m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ours}
    assert len(homes) > 5 or set(absent) & set(sys.modules[Submission.__module__].BESIDE)
    here = (source, os.environ["TMPDIR"])  # data that are read by path lie in a temporary folder
    print(json.dumps([actions, Submission.NAME, sorted(h for h in homes if not h.startswith(here))]))
"""


def judge(tmp_path, submission, tops=("own", "helper")):
    """Let a submission play three steps in a process of its own.

    Returns its last actions, its name, and the files of our modules, and of those of the given top-level names, that
    do not come from the submission.
    """
    (tmp_path / "temporary").mkdir(exist_ok=True)
    fake = tmp_path / "fake"
    (fake / "CybORG" / "Agents").mkdir(parents=True, exist_ok=True)
    (fake / "CybORG" / "__init__.py").write_text("")
    (fake / "CybORG" / "Agents" / "__init__.py").write_text(textwrap.dedent(FAKE_CYBORG))
    (fake / "CybORG" / "Agents" / "Wrappers.py").write_text("from CybORG.Agents import BlueFlatWrapper\n")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(JUDGE), str(submission), *tops],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path / "temporary",
        env={**os.environ, "PYTHONPATH": str(fake), "TMPDIR": str(tmp_path / "temporary")},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
