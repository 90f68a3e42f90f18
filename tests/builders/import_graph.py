"""Which module of ours imports which, read from the import statements; nothing is imported for it."""

import ast
from functools import cache
from pathlib import Path

import networkx

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("adapters", "cage4", "evaluation", "hmarl_soc", "hmarl_transfer", "native_sim")


def sources():
    """Return the Python files of our packages."""
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def module_of(path):
    """Return the dotted name of a file of ours."""
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


@cache
def import_graph():
    """Return the modules of our packages and their imports of each other, those inside functions included."""
    graph = networkx.DiGraph()
    known = {module_of(path): path for path in sources()}
    for name, path in known.items():
        for module in real_imports(path):
            if module in known and module != name:
                graph.add_edge(name, module)
    return graph


def real_imports(path):
    """Yield the modules that a file imports when it runs: not those that only type checkers see."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only = {id(node) for outer in ast.walk(tree) if only_for_types(outer) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        if id(node) in only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists()
                yield inner if is_module else node.module


def only_for_types(node):
    """Tell whether a statement is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def package_graph():
    """Return our packages and which imports which."""
    return _grouped(1, PACKAGES, import_graph())


def folder_graph(package):
    """Return the folders of a package, and its modules that lie in none, and which imports which."""
    modules = import_graph()
    homes = {".".join(name.split(".")[:2]) for name in modules.nodes if name.startswith(f"{package}.")}
    return _grouped(2, homes, modules)


def _grouped(parts, homes, modules):
    graph = networkx.DiGraph()
    graph.add_nodes_from(sorted(homes))
    for one, other in sorted(modules.edges):
        pair = [".".join(name.split(".")[:parts]) for name in (one, other)]
        if pair[0] != pair[1] and set(pair) <= set(homes):
            graph.add_edge(*pair)
    return graph
