"""The house: who may import whom, one door per heavy dependency, our names resolve to our files."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import networkx
import pytest

from tests.builders.import_graph import (
    PACKAGES,
    ROOT,
    folder_graph,
    import_graph,
    only_for_types,
    real_imports,
    sources,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOP_LEVEL = {
    *PACKAGES,
    "tests",
    "docs",
    "benchmarks",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "constraints.txt",
}
CONTRACTS = {
    "native_sim",
    *(
        f"native_sim.{name}"
        for name in ("api", "checks", "finite", "memory", "names", "plugins", "rollout", "rows", "kernels", "storage")
    ),
    *(f"native_sim.kernels.{name}" for name in ("cache", "jit", "rng", "threads")),
    *(f"native_sim.storage.{name}" for name in ("files", "seals", "tensors", "writing")),
}
TABLES = {"native_sim.soc.spec", "cage4.spec", "cage4.actions", "cage4.observations.flat", "cage4.observations.rich"}
"""What an adapter reads of both worlds: vocabulary, layouts and codecs, pure data that loads no simulator."""
ENTRANCE = {"evaluation", "evaluation.inputs", "evaluation.inputs.names", "evaluation.cli", "evaluation.cli.app"}
ALLOWED = {
    "native_sim": lambda name: False,
    "cage4": lambda name: name in CONTRACTS,
    "adapters": lambda name: name in CONTRACTS | TABLES,
    "hmarl_soc": lambda name: name.split(".")[0] == "native_sim",
    "evaluation": lambda name: name != "hmarl_transfer",
    "hmarl_transfer": lambda name: name in ENTRANCE,
}
"""Package -> which modules of our other packages it may import."""
DOORS = {
    "CybORG": {"cage4/cyborg/engine.py"},
    "matplotlib": {
        "evaluation/reporting/canvas.py",
        *(f"evaluation/{name}/plots.py" for name in ("games/cc4", "games/soc", "studies")),
    },
    "sklearn": {"adapters/projection.py"},
    "torch": {"hmarl_soc/", "evaluation/jobs/doctor.py"},
    "joblib": {"evaluation/harness/runner.py"},
}
"""Heavy dependency -> the only files (or folders) that may import it."""


def imports(path):
    """Yield (module, at import time) of every import statement, `from a import b` giving a and a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) or only_for_types(outer)
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inner
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module, id(node) not in inner
            for alias in node.names:
                if (ROOT / node.module.replace(".", "/") / f"{alias.name}.py").exists():
                    yield f"{node.module}.{alias.name}", id(node) not in inner


def test_top_level_is_the_house():
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line.split("/")[0] for line in found.splitlines()}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_downward_only(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        for module, _ in imports(path):
            top = module.split(".")[0]
            if top in PACKAGES and top != package:
                assert ALLOWED[package](module), f"{path.relative_to(ROOT)} imports {module}"


def circles(graph):
    return [sorted(found) for found in networkx.strongly_connected_components(graph) if len(found) > 1]


def test_no_module_is_in_an_import_circle():
    assert circles(import_graph()) == []


def test_no_folder_of_the_evaluation_is_in_an_import_circle():
    assert circles(folder_graph("evaluation")) == []


def test_the_harness_knows_no_game():
    """Games are found by name: nothing below them imports one, and nothing in the harness a simulator."""
    lower = ("inputs", "foreign", "harness", "reporting", "policies")
    for folder in lower:
        for path in sorted((ROOT / "evaluation" / folder).rglob("*.py")):
            for module in real_imports(path):
                assert not module.startswith("evaluation.games"), f"{path.relative_to(ROOT)} imports {module}"
                assert folder != "harness" or module.split(".")[0] not in ("cage4", "adapters", "hmarl_soc")


MOST_ENTRIES = 12


def test_folders_are_small():
    for folder in sorted({path.parent for path in sources()}):
        entries = {path.name for path in folder.iterdir()} - {"__init__.py", "__pycache__", "py.typed"}
        entries = {name for name in entries if not (folder / name).is_dir() or any((folder / name).rglob("*.py"))}
        assert len(entries) <= MOST_ENTRIES, f"{folder.relative_to(ROOT)} has {len(entries)} entries: {sorted(entries)}"


PARALLEL = {
    ("evaluation/games/cc4", "evaluation/games/soc"): {
        *("game", "schema", "tally", "report", "plots", "policies", "row_checks"),
    },
    ("native_sim/soc/corrected", "native_sim/soc/reference"): {"engine", "kernel", "state", "observe"},
    ("cage4/native/observations", "cage4/observations"): {"flat", "rich", "true_state"},
    ("cage4/cyborg", "cage4/native"): {"engine"},
}
"""Folders that do the same for two things -> the files that both have."""


@pytest.mark.parametrize("pair", PARALLEL, ids=" ".join)
def test_parallel_folders_have_the_same_files(pair):
    for folder in pair:
        assert {path.stem for path in (ROOT / folder).glob("*.py")} >= PARALLEL[pair], folder


def test_one_door_per_heavy_dependency():
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        for module, _ in imports(path):
            door = DOORS.get(module.split(".")[0])
            if door is not None:
                assert any(name == entry or (entry.endswith("/") and name.startswith(entry)) for entry in door), (
                    f"{name} imports {module}; only {sorted(door)} may"
                )


def test_no_global_random_state():
    """Randomness is an argument: nothing seeds or draws from NumPy's or Python's global generator."""
    allowed = {"default_rng", "Generator", "PCG64", "SeedSequence", "BitGenerator"}
    # seeds the generator that other people's code draws from
    foreign = ROOT / "evaluation" / "foreign" / "inside" / "playing.py"
    for path in sources():
        if path == foreign:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
                assert node.attr in allowed, f"{path.relative_to(ROOT)}:{node.lineno} uses np.random.{node.attr}"


LOOPS = {
    "native_sim/rollout.py": "the loop",
    "hmarl_soc/training/playing.py": "environments of a learner, beside a teacher whose advice is shown to it",
    "hmarl_soc/training/speed.py": "times a learner and its environments",
    "evaluation/jobs/bench.py": "times the steps of engines and faces, without what a policy takes",
}
"""Files that may both ask a policy and step an environment."""


def asks_and_steps(tree):
    """Tell whether code calls ``act`` with the four arguments of a policy, and ``step``."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    asks = any(call.func.attr == "act" and len(call.args) + len(call.keywords) >= 4 for call in calls)
    return asks and any(call.func.attr == "step" for call in calls)


def test_there_is_one_loop_in_which_a_policy_plays():
    files = [*sources(), *sorted((ROOT / "benchmarks").rglob("*.py"))]
    found = {path.relative_to(ROOT).as_posix() for path in files if asks_and_steps(ast.parse(path.read_text("utf-8")))}
    assert found == set(LOOPS), "play episodes with native_sim.rollout, and let an observer count"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("while on:\n    d = policy.act(obs, infos['action_mask'], memory, draws)\n    b = env.step(d.actions)", True),
        ("d = self.policy.act(o, {}, memory=m, draws=x)\nself.env.step(d.actions, rows=[0])", True),
        ("env.step(learner.act(seen, explore=True))", False),
        ("policy.act(obs, mask, memory, draws)", False),
    ],
)
def test_a_loop_of_its_own_would_be_found(code, found):
    assert asks_and_steps(ast.parse(code)) == found


@pytest.mark.parametrize("package", PACKAGES)
def test_names_resolve_to_our_files(package):
    module = importlib.import_module(package)
    assert Path(module.__file__).resolve() == ROOT / package / "__init__.py"


def test_packages_are_listed_by_name_and_tests_stay_out():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    present = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in sources()}
    assert listed == present


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom evaluation.cli.app import app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'numpy', 'numba', 'torch', 'scipy', 'matplotlib', 'pyarrow', 'pydantic', 'gymnasium', 'pettingzoo',"
        " 'joblib', 'pandas', 'sklearn', 'CybORG', 'yaml', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_reading_a_table_loads_no_compiler():
    code = "import sys, cage4, cage4.spec, cage4.observations.flat, native_sim; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


CONTRACT = {"Policy", "VectorEnv"}
"""Classes of native_sim.api; its protocols name what only some environments and policies can do."""
PROBED = re.compile(r"(^|_)(env|envs|engine|environment|policy|teacher)$")
"""Names of variables that hold an environment or a policy."""


def abilities():
    """Return the names of what environments and policies have by contract, or may have by protocol."""
    tree = ast.parse((ROOT / "native_sim" / "api.py").read_text(encoding="utf-8"))
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and (node.name in CONTRACT or any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases))
    ]
    members = [member for node in kept for member in node.body]
    names = {member.name for member in members if isinstance(member, ast.FunctionDef)}
    names |= {member.target.id for member in members if isinstance(member, ast.AnnAssign)}
    return {name for name in names if not name.startswith("_")}


def probes(tree, known):
    """Yield the calls of getattr and hasattr that ask an environment or a policy whether it can do something."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id not in ("getattr", "hasattr") or not isinstance(node.args[1], ast.Constant):
            continue  # a name that is computed is no probe for one ability
        holder = ast.unparse(node.args[0]).split(".")[-1]
        if PROBED.search(holder) or node.args[1].value in known:
            yield node


def test_abilities_are_protocols_and_not_probed_for():
    """What only some environments or policies can do is a protocol of native_sim.api, asked for with isinstance."""
    known = abilities()
    assert {"observation_layouts", "metric_names", "true_state", "fallbacks", "exact", "follow"} <= known
    for path in sources():
        for call in probes(ast.parse(path.read_text(encoding="utf-8")), known):
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            raise AssertionError(
                f"{where} probes with {ast.unparse(call)}; ask with isinstance for a protocol of api.py"
            )


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("getattr(self.engine, 'truth', None)", True),
        ("hasattr(env, 'anything')", True),
        ("getattr(kept, 'metric_names', ())", True),
        ("hasattr(inner_policy, 'weights')", True),
        ("hasattr(os, 'fork')", False),
        ("getattr(module, '__file__', None)", False),
        ("getattr(env, name)", False),
    ],
)
def test_probes_are_told_from_other_look_ups(code, found):
    assert bool(list(probes(ast.parse(code), abilities()))) == found
