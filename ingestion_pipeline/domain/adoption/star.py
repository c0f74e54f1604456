"""`import *` of the old module: what it brings, and what of it a script lives on."""

import ast
import builtins
import symtable
from collections.abc import Iterator, Sequence

from ingestion_pipeline.domain.adoption.scope import bound, inside

_IMPLICIT = {"__file__", "__name__", "__doc__", "__package__", "__spec__", "__path__", "__builtins__"}
UNTOLD = "*"
"""Stands for the names of yet another module."""


def public_names(tree: ast.Module) -> frozenset[str]:
    """What `import *` may bring from a module."""
    body = [statement for statement in tree.body if not _is_main(statement)]
    listed = {name for statement in body for name in _listed(statement)}
    return frozenset(listed | {name for name in bound(body) if not name.startswith("_")})


def _listed(statement: ast.stmt) -> list[str]:
    """What `__all__` names."""
    match statement:
        case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names) | ast.Tuple(elts=names)):
            values = [name.value for name in names if isinstance(name, ast.Constant)]
            return [value for value in values if isinstance(value, str)]
        case _:
            return []


def taken(tree: ast.Module, text: str, brought: frozenset[str]) -> list[str]:
    """The names that a script has from `import *` and from nowhere else.

    Args:
        tree: The script.
        text: The same as it is spelled.
        brought: What the module may bring; nothing where that is not known.
    """
    wanted = _wanted(tree, text)
    if brought and UNTOLD not in brought:
        return sorted(wanted & brought)
    return sorted(wanted - bound(tree.body) - set(dir(builtins)) - _IMPLICIT)


def _is_main(statement: ast.stmt) -> bool:
    """Whether it is `if __name__ == "__main__":`, which an import passes over."""
    match statement:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()]), orelse=[]):
            return True
        case _:
            return False


def _wanted(tree: ast.Module, text: str) -> set[str]:
    """The names that are read before the script surely binds them itself."""
    own, wanted = set[str](), set[str]()
    for statement in tree.body:
        wanted |= _read(statement) - own
        own |= _surely_bound(statement)
    return wanted | (_read_anywhere(tree, text) - own)


def _read(statement: ast.stmt) -> set[str]:
    names = {node.id for node in inside([statement]) if isinstance(node, ast.Name) and _is_load(node)}
    match statement:
        case ast.Assign(targets=targets):
            return names - (bound([statement]) - _stored(targets))
        case ast.AugAssign(target=target):
            return names | _stored([target])
        case ast.AnnAssign():
            return names
        case _:
            return names - bound([statement])


def _is_load(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _stored(targets: Sequence[ast.expr]) -> set[str]:
    nodes = (node for target in targets for node in ast.walk(target))
    return {node.id for node in nodes if isinstance(node, ast.Name) and not _is_load(node)}


def _surely_bound(statement: ast.stmt) -> frozenset[str]:
    match statement:
        case ast.If(body=body, orelse=orelse):
            return bound(body) & bound(orelse)
        case ast.While():
            return frozenset()
        case _:
            return bound([statement])


def _read_anywhere(tree: ast.Module, text: str) -> set[str]:
    """The names that the script and what is within it look up in the script."""
    try:
        tables = list(_tables(symtable.symtable(text, "<script>", "exec")))
    except SyntaxError:
        return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    symbols = (symbol for table in tables for symbol in table.get_symbols())
    return {symbol.get_name() for symbol in symbols if symbol.is_referenced() and symbol.is_global()}


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """A scope and those within it, at any depth."""
    waiting = [table]
    while waiting:
        inner = waiting.pop()
        waiting += inner.get_children()
        yield inner
