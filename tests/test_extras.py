"""An extra exists only if something uses it: every package of it is imported, or is a tool that is configured here."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from cage4.cyborg import locate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
MODULES = {"pyyaml": "yaml", "markdown-it-py": "markdown_it", "tensorboard": "torch.utils.tensorboard"}
"""Package -> the module by which we use it, where that has another name."""
CONFIGURED = ("mypy", "ruff")
"""Packages that are run instead of imported; pyproject.toml configures them."""
PACKAGES = [(extra, re.match(r"[\w.-]+", text)[0].lower()) for extra, listed in EXTRAS.items() for text in listed]


@cache
def imported():
    """Return every module that a file of ours imports, of our packages, tests and benchmarks."""
    listed = ["git", "ls-files", "*.py"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    found = set()
    for file in files:
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module)
    return found


def is_used(package, modules):
    name = MODULES.get(package, package.replace("-", "_"))
    if package.startswith("pytest-"):  # pytest loads its plugins by itself
        return is_used("pytest", modules)
    if package == "pre-commit":
        return (ROOT / ".pre-commit-config.yaml").is_file()
    if package == "pytest-xdist":
        return (
            re.search(r"^.*pytest .*-n auto", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
            is not None
        )
    if package in CONFIGURED:
        return package in PYPROJECT["tool"]
    return any(module == name or module.startswith(f"{name}.") for module in modules)


@pytest.mark.parametrize(("extra", "package"), PACKAGES)
def test_every_package_of_every_extra_is_used(extra, package):
    modules = imported() | (set(locate.REQUIREMENTS) if extra == "cyborg" else set())  # CybORG imports these
    assert is_used(package, modules), f"nothing uses {package} of the extra {extra}; remove it from pyproject.toml"


@pytest.mark.parametrize("package", ["ray", "plotly", "flask", "black"])
def test_a_package_that_nothing_uses_would_be_found(package):
    assert not is_used(package, imported() | set(locate.REQUIREMENTS))


@pytest.mark.cyborg
def test_cyborg_imports_what_its_extra_installs():
    folder = locate.locate().path
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in Path(folder).rglob("*.py"))
    for extra, package in PACKAGES:
        if extra == "cyborg":
            name = MODULES.get(package, package)
            assert re.search(rf"^\s*(?:import|from) {name}\b", text, re.MULTILINE), package


@pytest.mark.parametrize("page", ["pyproject.toml", "constraints.txt"])
def test_nothing_is_pinned_or_typed_that_is_not_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert not re.findall(r"\b(?:ray|plotly)\b", text)
