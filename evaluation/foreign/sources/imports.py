"""What a module's source imports, and which names in it are written out, told without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

ALL: Final = "*"
"""Last part of a name that means every module of a package: ``plugins.*``."""
_LOADERS: Final = frozenset({"import_module", "__import__", "run_module", "resolve_name"})
"""Functions that import a module whose name they are given."""
_WRITERS: Final = frozenset(
    {"FileHandler", "save", "savetxt", "savez", "savez_compressed", "to_csv", "touch", "write_bytes", "write_text"}
)
"""Functions and methods that write the file whose name they are given, or whose method they are."""
_FORGIVEN: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


class Import(NamedTuple):
    """One module that a source imports."""

    name: str
    """In full; its last part is ``*`` where the source computes it."""
    is_certain: bool
    """Whether importing the source imports it, or fails: outside functions, branches and what catches ImportError."""
    is_inside_function: bool


class Source(NamedTuple):
    """What is read off a source."""

    imports: tuple[Import, ...]
    texts: frozenset[str]
    """Every text that is written out in it, parts of formatted ones included, but for names of files to be written."""
    computes_names: bool
    """Whether it imports a module of whose name nothing is written beside the call."""


def read_source(source: bytes, package: str) -> Source:
    """Read a source; one that Python cannot parse imports nothing.

    Args:
        source: As it lies on disk, with its own encoding.
        package: What relative imports start from; empty for a module outside packages.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Source((), frozenset(), False)
    reader = _Reader(package, _names_of_loaders(tree))
    try:
        reader.read(tree, True, False)
    except RecursionError:  # an expression of thousands of parts
        reader.read_flat(tree)
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    outputs = {id(node) for call in ast.walk(tree) if isinstance(call, ast.Call) for node in _outputs(call)}
    values = (node.value for node in constants if id(node) not in outputs)
    texts = frozenset(value for value in values if isinstance(value, str) and 0 < len(value) < 512)
    return Source(tuple(dict.fromkeys(reader.imports)), texts, reader.computes_names)


def _names_of_loaders(tree: ast.AST) -> frozenset[str]:
    """Return what the loading functions are called here, as in ``from importlib import import_module as load``."""
    renamed = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in _LOADERS and alias.asname
    }
    return _LOADERS | renamed


class _Reader:
    """Walks a tree and collects imports."""

    def __init__(self, package: str, loaders: frozenset[str]) -> None:
        self.imports: list[Import] = []
        self.computes_names = False
        self._package, self._loaders = package, loaders

    def read(self, node: ast.AST, certain: bool, inside: bool) -> None:
        """Walk a node; ``certain`` and ``inside`` are as in :class:`Import`."""
        if isinstance(node, ast.If):
            self._read_branches(node, certain, inside)
            return
        if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            forgiven = any(_forgives(handler) for handler in getattr(node, "handlers", []))
            for part in ("body", "handlers", "orelse", "finalbody"):
                for child in getattr(node, part):
                    self.read(child, certain and (part == "finalbody" or not forgiven), inside)
            return
        for name in self._names(node):
            self.imports.append(Import(name, certain, inside))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            certain, inside = False, True
        elif isinstance(node, ast.While | ast.For | ast.AsyncFor | ast.Match | ast.IfExp | ast.ExceptHandler):
            certain = False
        elif isinstance(node, ast.With | ast.AsyncWith):
            certain = certain and not any(_suppresses(item.context_expr) for item in node.items)
        for child in ast.iter_child_nodes(node):
            self.read(child, certain, inside)

    def read_flat(self, tree: ast.AST) -> None:
        """Collect what is imported anywhere, however deep, without telling under which conditions."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports += [Import(name, False, False) for name in self._names(node)]

    def _read_branches(self, node: ast.If, certain: bool, inside: bool) -> None:
        value = _truth(node.test)
        self.read(node.test, certain, inside)
        for branch, runs_if in ((node.body, True), (node.orelse, False)):
            if value is not None and value is not runs_if:
                continue
            for child in branch:
                self.read(child, certain and value is not None, inside)

    def _names(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = self._resolve("." * node.level + (node.module or ""))
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _last_name(node.func) in self._loaders and node.args:
            yield from self._given(node.args[0])

    def _given(self, argument: ast.expr) -> Iterator[str]:
        """Yield the module that a loading function is told to import, or the package of a computed name."""
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            name = self._resolve(argument.value.partition(":")[0])
            if name:
                yield name
            return
        beginning = self._beginning(argument)
        package = self._resolve(beginning[: beginning.rindex(".") + 1].rstrip(".") or ".") if "." in beginning else None
        if package:
            yield f"{package}.{ALL}"
        else:
            self.computes_names = True

    def _beginning(self, value: ast.expr) -> str:
        """Return the text that a computed name begins with, as far as it is written out."""
        if isinstance(value, ast.Constant):
            return value.value if isinstance(value.value, str) else ""
        if isinstance(value, ast.JoinedStr):
            text = ""
            for part in value.values:
                if isinstance(part, ast.Constant):
                    text += str(part.value)
                elif _is_own_name(part):
                    text += self._package
                else:
                    break
            return text
        if isinstance(value, ast.BinOp):
            text = self._beginning(value.left)
            known = isinstance(value.left, ast.Constant) or _is_own_name(value.left)
            if isinstance(value.op, ast.Add):
                return text + self._beginning(value.right) if known else text
            return text.partition("%")[0]
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "format":
            return self._beginning(value.func.value).partition("{")[0]
        return self._package if _is_own_name(value) else ""

    def _resolve(self, name: str) -> str | None:
        """Return a name in full; None if it leads out of the top-level package."""
        level = len(name) - len(name.lstrip("."))
        if not level:
            return name or None
        parts = self._package.split(".") if self._package else []
        if level > len(parts):
            return None
        kept = parts[: len(parts) - level + 1]
        return ".".join([*kept, *filter(None, [name[level:]])])


def _is_own_name(node: ast.AST) -> bool:
    inner = node.value if isinstance(node, ast.FormattedValue) else node
    return isinstance(inner, ast.Name) and inner.id in ("__name__", "__package__")


def _last_name(node: ast.AST) -> str:
    """Return ``c`` of ``a.b.c``."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _forgives(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler catches the failure of an import."""
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_last_name(kind) in _FORGIVEN for kind in caught)


def _outputs(call: ast.Call) -> Iterator[ast.AST]:
    """Yield the parts of a call that make the name of a file to be written."""
    name = _last_name(call.func)
    given = call.args[1:2] if isinstance(call.func, ast.Name) or len(call.args) > 1 else call.args[:1]
    given += [word.value for word in call.keywords if word.arg == "mode"]
    modes = [value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    writes = any(set("wax") & set(mode) and set(mode) <= set("waxbt+") for mode in modes)
    if name in _WRITERS or (name == "open" and writes):
        for part in [call.func, *call.args[:1]]:
            yield from ast.walk(part)


def _suppresses(manager: ast.expr) -> bool:
    """Return whether a context manager may swallow the failure of an import."""
    return isinstance(manager, ast.Call) and _last_name(manager.func) == "suppress"


def _truth(test: ast.expr) -> bool | None:
    """Return what a condition is at run time, where ``TYPE_CHECKING`` is false; None if that depends."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if _last_name(test) == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _truth(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        decisive = isinstance(test.op, ast.Or)
        values = [_truth(value) for value in test.values]
        if decisive in values:
            return decisive
        return None if None in values else not decisive
    return None
