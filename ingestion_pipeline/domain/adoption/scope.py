"""Names and what they stand for, function by function."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ingestion_pipeline.domain.adoption.values import UNKNOWN, Function, Kind, Symbol, Value, one

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(slots=True)
class Scope:
    """The names of a module, a class or a function.

    Attributes:
        names: What they stand for at the place that is looked at.
        own: The names that are bound anywhere in a function, and so hide those above.
        above: Where other names are looked up.
        qualified: The dotted name of the class or function; empty for a module.
        function: The function it belongs to.
        kind: The class, inside of its body.
        shared: The names that `global` and `nonlocal` leave to the scope above.
    """

    names: dict[str, Value] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    above: "Scope | None" = None
    qualified: str = ""
    function: Function | None = None
    kind: Kind | None = None
    shared: set[str] = field(default_factory=set)

    def lookup(self, name: str) -> Value:
        """What a name stands for; a name that nobody binds is Python's own."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and name not in scope.shared:
                return scope.names[name]
            if name in scope.own and name not in scope.shared:
                return UNKNOWN
            scope = scope.above
        return one(Symbol(f"builtins.{name}"))

    def inner(self, name: str) -> str:
        """The dotted name of something defined here."""
        return f"{self.qualified}.{name}" if self.qualified else name

    def outside(self) -> "Scope":
        """Where a function that is defined here looks names up: not in a class."""
        return self.above if self.kind is not None and self.above is not None else self

    def bind(self, name: str, value: Value) -> None:
        """Let a name stand for a value from here on."""
        scope = self
        while name in scope.shared and scope.above is not None:
            scope = scope.above
        scope.names[name] = value


def bound(body: Iterable[ast.stmt]) -> frozenset[str]:
    """The names that a body binds."""
    found = set()
    for node in inside(body):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.ExceptHandler(name=str(name)):
                found.add(name)
            case ast.alias(name=name, asname=asname):
                found.add(asname or name.partition(".")[0])
    return frozenset(found)


def inside(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """What stands in a body, without what stands in functions and classes inside of it."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)


def parameters(arguments: ast.arguments) -> list[tuple[str, ast.expr | None]]:
    """The parameters of a function with their defaults, those by position first."""
    positional = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = zip(positional, [*missing, *arguments.defaults], strict=True)
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [(each.arg, default) for each, default in (*pairs, *named)]
