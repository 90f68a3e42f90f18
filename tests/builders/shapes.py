"""Policies of a user's own in many shapes: which files they are made of, and whether they can be handed in."""

import io
import textwrap
import zipfile
from dataclasses import dataclass, field

import numpy as np

POLICY = """
import numpy as np
from cage4 import actions, spec
from native_sim import Decision, Policy
{top}

class Own(Policy):
    def initial_memory(self, num_envs):
        return None

    def act(self, obs, mask, memory, draws):
        {inner}
        return Decision({{name: np.full(len(obs[name]), actions.MONITOR[i])
                         for i, name in enumerate(spec.BLUE_AGENTS)}}, memory)
"""
ANSWER = "ANSWER = 42\n"


def policy(top="", inner="pass"):
    """Return the source of a policy that watches; ``top`` runs when it is imported, ``inner`` when it decides."""
    return POLICY.format(top=textwrap.dedent(top), inner=inner)


def array():
    """Return the content of a file of weights."""
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    return stream.getvalue()


@dataclass
class Shape:
    """Files of one policy."""

    used: dict = field(default_factory=dict)
    """Path -> content of every file that it is made of."""
    unused: dict = field(default_factory=lambda: {"notes.txt": "x", "other.py": ANSWER})
    """Path -> content of files that lie there and that it is not made of."""
    carried: dict = field(default_factory=dict)
    """Path of a used file -> path of what comes along of it, where that is another."""
    name: str = "own:Own"
    refused: str = ""
    """What is said instead of exporting it."""

    def write(self, folder):
        for path, content in (self.used | self.unused).items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())


def _archive():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("packed.py", ANSWER)
    return stream.getvalue()


ASSERT = "assert ANSWER == 42"
SHAPES = {
    "alone": Shape({"own.py": policy()}),
    "a helper": Shape({"own.py": policy("from helper import ANSWER"), "helper.py": ANSWER}),
    "a helper's helper": Shape(
        {"own.py": policy("import helper"), "helper.py": "from deeper import ANSWER\n", "deeper.py": ANSWER}
    ),
    "helpers that import each other": Shape(
        {"own.py": policy("import a"), "a.py": "import b\n", "b.py": "import a, own\n"}
    ),
    "inside a function": Shape({"own.py": policy(inner=f"from helper import ANSWER; {ASSERT}"), "helper.py": ANSWER}),
    "a package with relative imports": Shape(
        {
            "team/__init__.py": "from .own import Own\n",
            "team/own.py": policy("from . import helper\nfrom .deep.er import ANSWER"),
            "team/helper.py": "from .deep import er\n",
            "team/deep/__init__.py": "",
            "team/deep/er.py": ANSWER,
        },
        {"team/tests.py": "", "team/deep/unused.py": ""},
        name="team.own:Own",
    ),
    "a policy in the __init__ of a package": Shape(
        {"team/__init__.py": policy("from .helper import ANSWER"), "team/helper.py": ANSWER}, name="team:Own"
    ),
    "folders without __init__": Shape(
        {
            "team/sub/own.py": policy("from team.sub import helper\nimport team.other.more as more"),
            "team/sub/helper.py": "from .last import ANSWER\n",
            "team/sub/last.py": ANSWER,
            "team/other/more.py": ANSWER,
        },
        {"team/stranger.py": ""},
        name="team.sub.own:Own",
    ),
    "the else of TYPE_CHECKING": Shape(
        {
            "own.py": policy(
                """
                from typing import TYPE_CHECKING
                if TYPE_CHECKING:
                    from nowhere import ANSWER
                else:
                    from helper import ANSWER
                """
            ),
            "helper.py": ANSWER,
        }
    ),
    "not TYPE_CHECKING": Shape(
        {
            "own.py": policy("import typing as t\nif not t.TYPE_CHECKING:\n    import helper\nelse:\n    import numba"),
            "helper.py": ANSWER,
        }
    ),
    "both branches": Shape(
        {
            "own.py": policy(
                "import sys\nif sys.maxsize > 2**40:\n    import big as how\nelse:\n    import small as how"
            ),
            "big.py": ANSWER,
            "small.py": ANSWER,
        }
    ),
    "what is not installed, caught": Shape(
        {
            "own.py": policy(
                """
                import contextlib
                try:
                    import there_is_no_such_package as fast
                except ImportError:
                    import slow as fast
                try:
                    import numba
                except (ValueError, ModuleNotFoundError):
                    numba = None
                with contextlib.suppress(Exception):
                    import sklearn
                """
            ),
            "slow.py": ANSWER,
        }
    ),
    "a fast helper that the judge cannot run": Shape(
        {
            "own.py": policy("try:\n    import fast as how\nexcept ImportError:\n    import slow as how"),
            "fast.py": "import numba\n",
            "slow.py": ANSWER,
        }
    ),
    "importlib with a literal": Shape(
        {
            "own.py": policy(
                """
                import importlib
                from importlib import import_module as load
                importlib.import_module("helper")
                load("sub.one")
                __import__("two")
                """,
                inner="importlib.import_module('lazy')",
            ),
            "helper.py": ANSWER,
            "sub/one.py": ANSWER,
            "two.py": ANSWER,
            "lazy.py": ANSWER,
        }
    ),
    "importlib with a relative name": Shape(
        {
            "team/__init__.py": "",
            "team/own.py": policy("import importlib\nimportlib.import_module('.helper', __package__)"),
            "team/helper.py": ANSWER,
        },
        name="team.own:Own",
    ),
    "a name computed at import": Shape(
        {
            "own.py": policy("import importlib\nimportlib.import_module('hel' + chr(112) + 'er')"),
            "helper.py": "import deeper\ndef late():\n    import lazy\n",
            "deeper.py": ANSWER,
            "lazy.py": ANSWER,
        }
    ),
    "a name computed later, with its beginning": Shape(
        {
            "own.py": policy("import importlib\nWHICH = 'one'", inner="importlib.import_module(f'parts.{WHICH}')"),
            "parts/__init__.py": "",
            "parts/one.py": "import helper\n",
            "parts/deep/two.py": ANSWER,
            "helper.py": ANSWER,
        }
    ),
    "a package that loads its plugins": Shape(
        {
            "own.py": policy("import plugins"),
            "plugins/__init__.py": (
                "import importlib, pkgutil\n"
                "for found in pkgutil.iter_modules(__path__):\n"
                "    importlib.import_module(f'{__name__}.{found.name}')\n"
            ),
            "plugins/one.py": ANSWER,
            "plugins/two.py": ANSWER,
        }
    ),
    "names in a table": Shape(
        {
            "own.py": policy(
                "import importlib\nfrom table import TABLE",
                inner="importlib.import_module(TABLE['quick'].partition(':')[0])",
            ),
            "table.py": "TABLE = {'quick': 'quick:make', 'slow': 'slow:make'}\n",
            "quick.py": ANSWER,
            "slow.py": ANSWER,
        }
    ),
    "a byte-order mark": Shape(
        {
            "own.py": b"\xef\xbb\xbf" + policy("from helper import ANSWER").encode(),
            "helper.py": b"\xef\xbb\xbf" + ANSWER.encode(),
        }
    ),
    "a coding cookie": Shape(
        {
            "own.py": (
                "# -*- coding: latin-1 -*-\nTEAM = 'Müller'\nassert len(TEAM) == 6\n" + policy("import helper")
            ).encode("latin-1"),
            "helper.py": "# coding: cp1251\nNAME = 'Я'\nassert len(NAME) == 1\nimport deeper\n".encode("cp1251"),
            "deeper.py": ANSWER,
        }
    ),
    "line ends of Windows": Shape(
        {"own.py": policy("from helper import ANSWER").replace("\n", "\r\n"), "helper.py": ANSWER.replace("\n", "\r\n")}
    ),
    "a helper called like an installed package": Shape(
        {
            "own.py": policy("from joblib import ANSWER\nimport sklearn.deep"),
            "joblib.py": ANSWER,
            "sklearn/deep.py": "",
            "sklearn/__init__.py": "",
        }
    ),
    "a helper called like a package of the judge": Shape(
        {"own.py": policy("from yaml import ANSWER", inner="import yaml; assert yaml.ANSWER == 42"), "yaml.py": ANSWER}
    ),
    "a helper called like a module of Python": Shape(
        {"own.py": policy("from antigravity import ANSWER"), "antigravity.py": ANSWER}
    ),
    "data beside the module": Shape(
        {
            "own.py": policy("from pathlib import Path\nW = np.load(Path(__file__).parent / 'w.npy')"),
            "w.npy": array(),
        }
    ),
    "data in a folder, with a computed name": Shape(
        {
            "own.py": policy(
                "from pathlib import Path\nW = np.load(Path(__file__).with_name('we' + 'ights') / ('a' + '.npy'))"
            ),
            "weights/a.npy": array(),
        },
        {"weights/b.npy": array()},
    ),
    "data read when it decides": Shape(
        {
            "team/__init__.py": "",
            "team/own.py": policy(
                "import os\nHERE = os.path.dirname(__file__)",
                inner="np.load(f'{HERE}/deep/a.npy'); np.load(os.path.join(HERE, 'b.npy'))",
            ),
            "team/deep/a.npy": array(),
            "team/b.npy": array(),
        },
        {"team/deep/c.npy": array()},
        name="team.own:Own",
    ),
    "data of a package": Shape(
        {
            "team/__init__.py": "import pkgutil\nWORDS = pkgutil.get_data('team', 'words.json')\n",
            "team/own.py": policy(
                "from importlib.resources import files\nfiles('team').joinpath('deep/x.txt').read_text()"
            ),
            "team/words.json": "{}",
            "team/deep/x.txt": "x",
        },
        name="team.own:Own",
    ),
    "a source that is run": Shape(
        {
            "own.py": policy(
                "import runpy, pathlib\nrunpy.run_path(str(pathlib.Path(__file__).with_name('run_me.py')))"
            ),
            "run_me.py": "X = 1\n",
        }
    ),
    "data read from where the user works": Shape(
        {"own.py": policy("W = np.load('w.npy')"), "w.npy": array()},
        refused="own.py, line 5",
    ),
    "a source that Python 2 wrote": Shape(
        {"own.py": policy("try:\n    import old\nexcept SyntaxError:\n    pass"), "old.py": "print 'x'\n"}
    ),
    "an archive on the path": Shape(
        {
            "own.py": policy(
                "import sys, os\nsys.path.append(os.path.join(os.path.dirname(__file__), 'lib.zip'))\nimport packed"
            ),
            "lib.zip": _archive(),
        },
        carried={"lib.zip": "packed.py"},
    ),
    "a folder put on the path": Shape(
        {
            "own.py": policy(
                "import sys, os\nsys.path[:0] = [os.path.join(os.path.dirname(__file__), 'li' + 'b')]\nimport helper",
                inner="import lazy",
            ),
            "lib/helper.py": ANSWER,
            "lib/lazy.py": ANSWER,
        },
        {"lib/other.py": ""},
        {"lib/helper.py": "helper.py", "lib/lazy.py": "lazy.py"},
    ),
    "a name that leads out of the package": Shape(
        {
            "own.py": policy("def never():\n    from .. import nothing"),
        }
    ),
    "a package that the judge lacks": Shape(
        {"own.py": policy("import helper"), "helper.py": "import pydantic\n"},
        refused="its module helper imports pydantic, which the official evaluation does not have",
    ),
    "a package that the judge lacks, hidden": Shape(
        {"own.py": policy("__import__('pydan' + 'tic')")},
        refused="ModuleNotFoundError: No module named 'pydantic' (own.py, line 5)",
    ),
    "an exit while it is loaded elsewhere": Shape(
        {"own.py": policy("import sys, pathlib\nif 'submission' in __file__:\n    sys.exit(0)")},
        refused="SystemExit: 0",
    ),
    "a death while it is loaded elsewhere": Shape(
        {"own.py": policy("import os\nif 'submission' in __file__:\n    os._exit(0)")},
        refused="it ended its process while it was loaded, with exit code 0",
    ),
}
