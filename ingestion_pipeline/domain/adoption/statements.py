"""What the statements of a module do, one after the other, and which names they leave."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingestion_pipeline.domain.adoption import called as calls
from ingestion_pipeline.domain.adoption.expressions import Expressions
from ingestion_pipeline.domain.adoption.modules import absolute
from ingestion_pipeline.domain.adoption.scope import FunctionNode, Scope, bound, parameters
from ingestion_pipeline.domain.adoption.values import (
    NOTHING,
    OTHER,
    UNKNOWN,
    Function,
    Instance,
    Module,
    Symbol,
    Value,
    elements,
    from_origin,
    merge,
    note,
    one,
    union,
)

_TEMPORARY = {"tmp_path", "tmpdir", "tmp_dir", "temp_dir", "tempdir"}
"""Parameters that hold a folder of a test."""

Execute = Callable[[Any, Scope], bool]


@dataclass(slots=True)
class Statements:
    """Goes through one module.

    Attributes:
        of: Looks at its expressions.
    """

    of: Expressions
    _waiting: list[tuple[FunctionNode, Function, Scope, bool]] = field(default_factory=list)
    _by_type: Mapping[type[ast.stmt], Execute] = field(init=False)

    def __post_init__(self) -> None:
        self._by_type = {
            ast.Assign: self._assign,
            ast.AnnAssign: self._annotated,
            ast.AugAssign: self._augmented,
            ast.For: self._for,
            ast.AsyncFor: self._for,
            ast.While: self._while,
            ast.If: self._if,
            ast.With: self._with,
            ast.AsyncWith: self._with,
            ast.Try: self._try,
            ast.TryStar: self._try,
            ast.Match: self._match,
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.ClassDef: self._class,
            ast.Return: self._return,
            ast.Raise: self._leave,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.Global: self._share,
            ast.Nonlocal: self._share,
            ast.Delete: self._delete,
        }

    def module(self, tree: ast.Module) -> None:
        """Go through a module, and then through its functions, which are called later."""
        scope = Scope()
        self._block(tree.body, scope)
        while self._waiting:
            self._body(*self._waiting.pop(0))
        self.of.found.names[self.of.file] = scope.names

    def _block(self, body: Sequence[ast.stmt], scope: Scope) -> bool:
        """Go through statements; True where the way does not go on behind them."""
        return any(self._statement(statement, scope) for statement in body)

    def _statement(self, statement: ast.stmt, scope: Scope) -> bool:
        execute = self._by_type.get(type(statement))
        if execute is not None:
            return execute(statement, scope)
        for child in ast.iter_child_nodes(statement):
            self.of.value(child, scope)
        return False

    def _assign(self, node: ast.Assign, scope: Scope) -> bool:
        value = self.of.value(node.value, scope)
        for where in node.targets:
            self.of.assign(where, value, scope)
        return False

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> bool:
        value = self.of.value(node.value, scope)
        if node.value is not None or scope.kind is not None:
            self.of.assign(node.target, value, scope)
        return False

    def _augmented(self, node: ast.AugAssign, scope: Scope) -> bool:
        before: ast.expr = ast.copy_location(_loaded(node.target), node)
        joined = ast.copy_location(ast.BinOp(before, node.op, node.value), node)
        self.of.assign(node.target, self.of.value(joined, scope), scope)
        return False

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> bool:
        each = elements(self.of.value(node.iter, scope))
        before = dict(scope.names)
        # A second time, for what one turn leaves to the next.
        for _ in range(2):
            self.of.assign(node.target, each, scope)
            self._block(node.body, scope)
            scope.names = merge(before, scope.names)
        self._block(node.orelse, scope)
        return False

    def _while(self, node: ast.While, scope: Scope) -> bool:
        before = dict(scope.names)
        for _ in range(2):
            self.of.value(node.test, scope)
            self._block(node.body, scope)
            scope.names = merge(before, scope.names)
        self._block(node.orelse, scope)
        return False

    def _if(self, node: ast.If, scope: Scope) -> bool:
        self.of.value(node.test, scope)
        return self._fork([node.body, node.orelse], scope)

    def _fork(self, ways: Sequence[Sequence[ast.stmt]], scope: Scope) -> bool:
        """Go each way from here; True where none goes on."""
        before, after = scope.names, []
        for way in ways:
            scope.names = dict(before)
            if not self._block(way, scope):
                after.append(scope.names)
        scope.names = merge(*after) if after else before
        return not after

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> bool:
        for item in node.items:
            value = self.of.value(item.context_expr, scope)
            if item.optional_vars is not None:
                self.of.assign(item.optional_vars, value, scope)
        return self._block(node.body, scope)

    def _try(self, node: ast.Try | ast.TryStar, scope: Scope) -> bool:
        before = dict(scope.names)
        ended = self._block([*node.body, *node.orelse], scope)
        after = [] if ended else [scope.names]
        halfway = merge(before, scope.names)
        for handler in node.handlers:
            scope.names = dict(halfway)
            self.of.value(handler.type, scope)
            if not self._block(handler.body, scope):
                after.append(scope.names)
        scope.names = merge(*after) if after else halfway
        return self._block(node.finalbody, scope) or not after

    def _match(self, node: ast.Match, scope: Scope) -> bool:
        self.of.value(node.subject, scope)
        for case in node.cases:
            for captured in ast.walk(case.pattern):
                name = getattr(captured, "name", None) or getattr(captured, "rest", None)
                if isinstance(name, str):
                    scope.bind(name, UNKNOWN)
            self.of.value(case.guard, scope)
        self._fork([*(case.body for case in node.cases), []], scope)
        return False

    def _return(self, node: ast.Return, scope: Scope) -> bool:
        value = self.of.value(node.value, scope)
        if scope.function is not None:
            known = self.of.found.returned
            known[scope.function] = union(known.get(scope.function, NOTHING), value)
        return True

    def _leave(self, node: ast.Raise, scope: Scope) -> bool:
        for child in ast.iter_child_nodes(node):
            self.of.value(child, scope)
        return True

    def _share(self, node: ast.Global | ast.Nonlocal, scope: Scope) -> bool:
        scope.shared |= set(node.names)
        return False

    def _delete(self, node: ast.Delete, scope: Scope) -> bool:
        for each in node.targets:
            if isinstance(each, ast.Name):
                scope.names.pop(each.id, None)
        return False

    def _function(self, node: FunctionNode, scope: Scope) -> bool:
        function = Function(self.of.file, scope.inner(node.name))
        pairs = parameters(node.args)
        is_method = scope.kind is not None and not any(_is_static(each) for each in node.decorator_list)
        # What a method belongs to is not among what it is called with.
        self.of.found.signatures[function] = tuple(name for name, _ in pairs)[is_method:]
        self.of.found.returned.setdefault(function, NOTHING)
        inside = Scope(
            own=bound(node.body), above=scope.outside(), qualified=scope.inner(node.name), function=function
        )
        where = self.of.found.parameters.setdefault(function, {})
        for name, default in pairs:
            if default is not None:
                origin = f"default of parameter {name} of {node.name}()"
                note(where, name, from_origin(self.of.value(default, scope), origin, loose=True))
        for decorator in node.decorator_list:
            self.of.value(decorator, scope)
            self._option(decorator, where, scope)
        self._waiting.append((node, function, inside, is_method))
        is_property = any(_is_property(each) for each in node.decorator_list)
        value = one(function)
        if is_property:
            value = self.of.known.returned.get(function, NOTHING)
        self.of.assign(ast.copy_location(ast.Name(node.name, ast.Store()), node), value, scope)
        return False

    def _option(self, decorator: ast.expr, where: dict[str, Value], scope: Scope) -> None:
        """The default of an option that a decorator gives, as click does."""
        match decorator:
            case ast.Call(func=ast.Attribute(attr="option" | "argument"), args=args, keywords=keywords):
                names = [each.value for each in args if isinstance(each, ast.Constant)]
                spelled = [each for each in names if isinstance(each, str)]
                chosen = next((each for each in spelled if each.isidentifier()), None)
                long = chosen or next((each for each in spelled if each.startswith("--")), "")
                default = next((each.value for each in keywords if each.arg == "default"), None)
                value = from_origin(self.of.value(default, scope), f"default of option {long}", loose=True)
                note(where, long.lstrip("-").replace("-", "_"), value)

    def _body(self, node: FunctionNode, function: Function, scope: Scope, is_method: bool) -> None:  # noqa: FBT001 - kept in a list
        given = self.of.known.parameters.get(function, {})
        pairs = parameters(node.args)
        for place, (name, _) in enumerate(pairs):
            scope.names[name] = self._parameter(name, function, given, first=is_method and place == 0)
        for rest in (node.args.vararg, node.args.kwarg):
            if rest is not None:
                scope.names[rest.arg] = UNKNOWN
        self._block(node.body, scope)

    def _parameter(self, name: str, function: Function, given: Mapping[str, Value], *, first: bool) -> Value:
        if first:
            return one(Instance(self.of.kind(function.name.rpartition(".")[0])))
        if name in _TEMPORARY:
            return OTHER
        return union(given.get(name, NOTHING), UNKNOWN)

    def _class(self, node: ast.ClassDef, scope: Scope) -> bool:
        kind = self.of.kind(scope.inner(node.name))
        found = self.of.found
        found.bases[kind] = union(*(self.of.value(base, scope) for base in node.bases))
        found.attributes.setdefault(kind, {})
        inside = Scope(above=scope.outside(), qualified=scope.inner(node.name), kind=kind)
        self._block(node.body, inside)
        for decorator in node.decorator_list:
            self.of.value(decorator, scope)
        scope.bind(node.name, one(kind))
        return False

    def _import(self, node: ast.Import, scope: Scope) -> bool:
        for alias in node.names:
            first = alias.name if alias.asname else alias.name.partition(".")[0]
            scope.bind(alias.asname or first, self._module(first))
        return False

    def _module(self, name: str) -> Value:
        file = self.of.modules.find(name, self.of.file)
        return one(Module(file)) if file is not None and file != self.of.file else one(Symbol(name))

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> bool:
        name = absolute(self.of.file, node.module, node.level)
        file = self.of.modules.find(name, self.of.file) if name else None
        for alias in node.names:
            if alias.name == "*":
                for each, value in self.of.known.names.get(file or "", {}).items():
                    scope.bind(each, from_origin(value, f"{each} of {file}"))
                continue
            scope.bind(alias.asname or alias.name, self._imported(name, file, alias.name))
        return False

    def _imported(self, module: str, file: str | None, name: str) -> Value:
        inner = self.of.modules.find(f"{module}.{name}" if module else name, self.of.file)
        if file is not None:
            found = self.of.of_module(file, name)
            if found != UNKNOWN or inner is None:
                return found
        if inner is not None:
            return one(Module(inner))
        return calls.symbol(f"{module}.{name}" if module else name)


def _loaded(target: ast.expr) -> ast.expr:
    match target:
        case ast.Name(id=name):
            return ast.Name(name, ast.Load())
        case ast.Attribute(value=value, attr=attr):
            return ast.Attribute(value, attr, ast.Load())
        case _:
            return ast.Constant(0)


def _is_static(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Name) and decorator.id == "staticmethod"


def _is_property(decorator: ast.expr) -> bool:
    match decorator:
        case ast.Name(id="property" | "cached_property") | ast.Attribute(attr="cached_property"):
            return True
        case _:
            return False
