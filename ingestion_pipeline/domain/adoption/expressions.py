"""What the expressions of a module may stand for, and what they do to the CSV on the way."""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingestion_pipeline.domain.adoption import called as calls
from ingestion_pipeline.domain.adoption import target as paths
from ingestion_pipeline.domain.adoption import uses
from ingestion_pipeline.domain.adoption.access import Certainty, Use, What
from ingestion_pipeline.domain.adoption.called import Called
from ingestion_pipeline.domain.adoption.modules import NEW_MODULE, Modules
from ingestion_pipeline.domain.adoption.scope import Scope, parameters
from ingestion_pipeline.domain.adoption.target import ROOT, UNKNOWN_PART, Target
from ingestion_pipeline.domain.adoption.values import (
    NOTHING,
    UNKNOWN,
    Facts,
    Function,
    Instance,
    Items,
    Key,
    Kind,
    Module,
    Options,
    Symbol,
    Table,
    Text,
    Unknown,
    Value,
    change_texts,
    combine,
    elements,
    from_origin,
    items,
    note,
    one,
    table,
    text,
    texts,
    union,
)

_OPTION_NAMES = {"args", "arguments", "opts", "options", "namespace", "ns", "flags", "parsed"}
_HIGHER = {"partial", "submit", "to_thread", "run_in_executor", "apply_async", "call_soon", "map", "starmap"}
_GOES = {"os.chdir", "contextlib.chdir"}
_MOST_BITS = 64
_HIGHEST = 60

ShellUses = Callable[[Called, Target], Sequence[Use]]
Evaluate = Callable[[Any, Scope], Value]


@dataclass(slots=True)
class Expressions:
    """Looks at the expressions of one module.

    Attributes:
        file: The module's file in the checkout.
        target: The CSV.
        modules: The checkout's modules.
        known: What the last look through the checkout found.
        found: What this one finds.
        record: Told of every use of the CSV, with where it stands.
        shell: What a call that starts a program does to the CSV.
    """

    file: str
    target: Target
    modules: Modules
    known: Facts
    found: Facts
    record: Callable[[ast.AST, Use], None]
    shell: ShellUses
    _by_type: Mapping[type[ast.AST], Evaluate] = field(init=False)

    def __post_init__(self) -> None:
        self._by_type = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Subscript: self._subscript,
            ast.Call: self._call,
            ast.JoinedStr: self._joined,
            ast.FormattedValue: self._formatted,
            ast.BinOp: self._binary,
            ast.BoolOp: self._boolean,
            ast.IfExp: self._either,
            ast.NamedExpr: self._named,
            ast.Dict: self._dict,
            ast.List: self._list,
            ast.Tuple: self._list,
            ast.Set: self._list,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.GeneratorExp: self._comprehension,
            ast.DictComp: self._comprehension,
            ast.Lambda: self._lambda,
            ast.Await: self._inner,
            ast.Starred: self._inner,
        }

    def kind(self, name: str) -> Kind:
        """The class of this module that has a dotted name."""
        return Kind(self.file, name)

    def value(self, node: ast.AST | None, scope: Scope) -> Value:
        """What an expression may stand for."""
        if node is None:
            return NOTHING
        evaluate = self._by_type.get(type(node))
        if evaluate is not None:
            return evaluate(node, scope)
        for child in ast.iter_child_nodes(node):
            self.value(child, scope)
        return UNKNOWN

    def _constant(self, node: ast.Constant, _: Scope) -> Value:
        match node.value:
            case str(content):
                return text(paths.plain(content))
            case bytes(content):
                return text(paths.plain(content.decode("latin-1")))
            case None:
                return NOTHING
            case int(number) if not isinstance(number, bool) and number.bit_length() < _MOST_BITS:
                return text(str(number))
            case _:
                return UNKNOWN

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        found = scope.lookup(node.id)
        if found == one(Symbol("builtins.__file__")):
            return text(f"{ROOT}/{self.file}")
        return found

    def _inner(self, node: ast.Await | ast.Starred, scope: Scope) -> Value:
        return self.value(node.value, scope)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        receiver = self.value(node.value, scope)
        of_path = None
        if any(isinstance(atom, Text) for atom in receiver):
            of_path = calls.attribute_of_text(receiver, node.attr)
        if of_path is not None:
            return of_path
        named = isinstance(node.value, ast.Name) and node.value.id in _OPTION_NAMES
        found = union(*(self._of_atom(atom, node.attr, named=named) for atom in receiver))
        return calls.configured(found, self.target)

    def _of_atom(self, atom: object, name: str, *, named: bool) -> Value:  # noqa: C901, PLR0911 - one line per kind
        option = self.known.options.get(self.file, {}).get(name)
        match atom:
            case Module(file):
                return self.of_module(file, name)
            case Symbol(dotted) if name == "output_csv":
                return one(Key((dotted.rpartition(".")[2], name)))
            case Symbol(dotted):
                return calls.symbol(f"{dotted}.{name}")
            case Instance(kind):
                return self._of_kind(kind, name, f"self.{name}")
            case Kind():
                return self._of_kind(atom, name, f"{atom.name}.{name}")
            case Options():
                return option if option is not None else one(Key((name,)))
            case Unknown() if named and option is not None:
                return option
            case Key(keys):
                return one(Key((*keys[-3:], name)))
            case Unknown():
                return one(Key((name,)))
            case Table(pairs):
                return dict(pairs).get(name, UNKNOWN)
            case _:
                return UNKNOWN

    def of_module(self, file: str, name: str) -> Value:
        """What a name of a module of the checkout stands for."""
        found = self.known.names.get(file, {}).get(name)
        if found is not None:
            return found if file == self.file else from_origin(found, f"{name} of {file}")
        inner = self.modules.inner(file, name)
        return one(Module(inner)) if inner is not None else UNKNOWN

    def _of_kind(self, kind: Kind, name: str, origin: str) -> Value:
        found = self.known.attribute(kind, name)
        return one(Key((name,))) if found is None else from_origin(found, origin)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        key = self.value(node.slice, scope)
        match node:
            case ast.Subscript(
                value=ast.Attribute(value=path, attr="parents"), slice=ast.Constant(value=int(up))
            ) if 0 <= up < _HIGHEST:
                return self._above(self.value(path, scope), up + 1)
        receiver = self.value(node.value, scope)
        found: list[Value] = []
        for atom in receiver:
            match atom:
                case Items(values):
                    found.append(_picked(values, node.slice))
                case _:
                    found += [calls.looked_up(one(atom), each) for each in _keys(key)]
        return calls.configured(union(*found), self.target)

    def _above(self, path: Value, times: int) -> Value:
        for _ in range(times):
            path = change_texts(path, paths.parent)
        return path

    def _joined(self, node: ast.JoinedStr, scope: Scope) -> Value:
        return combine([self.value(part, scope) for part in node.values], "".join)

    def _formatted(self, node: ast.FormattedValue, scope: Scope) -> Value:
        found = self.value(node.value, scope)
        if node.format_spec is not None:
            self.value(node.format_spec, scope)
        return found

    def _binary(self, node: ast.BinOp, scope: Scope) -> Value:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        match node.op:
            case ast.Div():
                return combine([left, right], lambda chosen: paths.join(*chosen))
            case ast.Add() if _is_list(left) and _is_list(right):
                return items([*_flat(left), *_flat(right)])
            case ast.Add():
                return combine([left, right], "".join)
            case ast.Mod():
                return _percent(left, right)
            case _:
                return UNKNOWN

    def _boolean(self, node: ast.BoolOp, scope: Scope) -> Value:
        values = [self.value(each, scope) for each in node.values]
        return values[-1] if isinstance(node.op, ast.And) else union(*values)

    def _either(self, node: ast.IfExp, scope: Scope) -> Value:
        self.value(node.test, scope)
        return union(self.value(node.body, scope), self.value(node.orelse, scope))

    def _named(self, node: ast.NamedExpr, scope: Scope) -> Value:
        found = self.value(node.value, scope)
        scope.bind(node.target.id, found)
        return found

    def _dict(self, node: ast.Dict, scope: Scope) -> Value:
        pairs: list[tuple[str, Value]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            keys, found = self.value(key, scope), self.value(value, scope)
            if key is None:
                pairs += [pair for atom in found if isinstance(atom, Table) for pair in atom.pairs]
            pairs += [(each, found) for each in _keys(keys)]
        return table(pairs)

    def _list(self, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Value:
        found: list[Value] = []
        for each in node.elts:
            value = self.value(each, scope)
            found += _flat(value) if isinstance(each, ast.Starred) else [value]
        return items(found)

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
    ) -> Value:
        inside = Scope(above=scope, qualified=scope.qualified)
        for each in node.generators:
            self.assign(each.target, elements(self.value(each.iter, inside)), inside)
            for condition in each.ifs:
                self.value(condition, inside)
        if isinstance(node, ast.DictComp):
            self.value(node.key, inside)
            self.value(node.value, inside)
            return UNKNOWN
        return items([self.value(node.elt, inside)])

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        inside = Scope(above=scope, qualified=scope.qualified)
        for name, default in parameters(node.args):
            inside.names[name] = union(UNKNOWN, self.value(default, scope))
        self.value(node.body, inside)
        return UNKNOWN

    def assign(self, where: ast.expr, value: Value, scope: Scope) -> None:
        """Let what stands on the left of an assignment stand for a value."""
        match where:
            case ast.Name(id=name):
                scope.bind(name, value)
                if scope.kind is not None:
                    note(self.found.attributes.setdefault(scope.kind, {}), name, value)
            case ast.Attribute(value=owner, attr=name):
                self._assign_attribute(self.value(owner, scope), name, value)
            case ast.Tuple(elts=several) | ast.List(elts=several):
                for place, each in enumerate(several):
                    self.assign(each, _at(value, place), scope)
            case ast.Starred(value=inner):
                self.assign(inner, UNKNOWN, scope)
            case ast.Subscript():
                self._assign_key(where, value, scope)

    def _assign_attribute(self, owner: Value, name: str, value: Value) -> None:
        for atom in owner:
            kind = atom.kind if isinstance(atom, Instance) else atom
            if isinstance(kind, Kind):
                note(self.found.attributes.setdefault(kind, {}), name, value)

    def _assign_key(self, where: ast.Subscript, value: Value, scope: Scope) -> None:
        keys = _keys(self.value(where.slice, scope))
        owner = self.value(where.value, scope)
        if isinstance(where.value, ast.Name) and keys:
            pairs = [pair for atom in owner if isinstance(atom, Table) for pair in atom.pairs]
            if any(isinstance(atom, Table) for atom in owner):
                kept = [pair for pair in pairs if pair[0] not in keys]
                scope.bind(where.value.id, table([*kept, *((key, value) for key in keys)]))

    def _call(self, node: ast.Call, scope: Scope) -> Value:
        node = _without_getattr(node)
        receiver = self.value(node.func.value, scope) if isinstance(node.func, ast.Attribute) else NOTHING
        callees = self.value(node.func, scope) if not isinstance(node.func, ast.Attribute) else None
        if callees is None:
            callees = self._attribute_of(node.func, receiver, scope)
        args, keywords = self._arguments(node, scope)
        self._remember_option(node, keywords)
        self._grow(node, receiver, args, scope)
        found = [self._called(node, atom, receiver, args, keywords) for atom in callees] or [UNKNOWN]
        return calls.configured(union(*found), self.target)

    def _attribute_of(self, node: ast.expr, receiver: Value, scope: Scope) -> Value:
        """The callee, without looking at what it is called on a second time."""
        if not isinstance(node, ast.Attribute):
            return self.value(node, scope)
        return union(*(self._of_atom(atom, node.attr, named=False) for atom in receiver)) or UNKNOWN

    def _arguments(self, node: ast.Call, scope: Scope) -> tuple[list[Value], dict[str, Value]]:
        args: list[Value] = []
        for each in node.args:
            value = self.value(each, scope)
            args += _flat(value) if isinstance(each, ast.Starred) else [value]
        keywords: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            else:
                keywords |= {
                    key: each for atom in value if isinstance(atom, Table) for key, each in atom.pairs
                }
        return args, keywords

    def _grow(self, node: ast.Call, receiver: Value, args: Sequence[Value], scope: Scope) -> None:
        """A list that is given more."""
        match node.func:
            case ast.Attribute(value=ast.Name(id=name), attr="append" | "extend") if (
                _is_list(receiver) and args
            ):
                more = [args[0]] if node.func.attr == "append" else _flat(args[0])
                scope.bind(name, items([*_flat(receiver), *more]))

    def _remember_option(self, node: ast.Call, keywords: Mapping[str, Value]) -> None:
        match node.func:
            case ast.Attribute(attr="add_argument" | "add_option") if "default" in keywords:
                names = _literals(node.args)
                long = next((each for each in names if each.startswith("--")), names[0] if names else "")
                given = _keys(keywords.get("dest", NOTHING))
                for name in given or [long.lstrip("-").replace("-", "_")]:
                    value = from_origin(keywords["default"], f"default of option {long}", loose=True)
                    note(self.found.options.setdefault(self.file, {}), name, value)

    def _called(
        self,
        node: ast.Call,
        callee: object,
        receiver: Value,
        args: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Value:
        match callee:
            case Function(file, name):
                self._pass(callee, args, keywords)
                given = self.known.returned.get(callee, UNKNOWN)
                if name.rpartition(".")[2] == calls.STANDARD:
                    return text(self.target.text, f"{name}()")
                return given if file == self.file and not name else from_origin(given, f"{name}()")
            case Kind():
                self._construct(callee, args, keywords)
                return calls.made(callee)
            case _:
                return self._other(node, callee, receiver, args, keywords)

    def _other(
        self,
        node: ast.Call,
        callee: object,
        receiver: Value,
        args: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Value:
        dotted = callee.name if isinstance(callee, Symbol) else ""
        last = node.func.attr if isinstance(node.func, ast.Attribute) else dotted.rpartition(".")[2]
        called = Called(dotted, last, receiver, args, keywords, _parts(node))
        for use in (
            *self._imports_old(called),
            *uses.uses(called, self.target),
            *self.shell(called, self.target),
        ):
            self.record(node, use)
        if dotted in _GOES:
            for each in texts(called.argument(0, "path")):
                self.target = self.target.seen_from(each.text)
        if uses.is_open(called):
            return calls.opened(called, called.argument(0, "file", "filename"))
        if last in _HIGHER or last == "Thread":
            self._later(node, called)
        return calls.result(called, self.target)

    def _imports_old(self, called: Called) -> Iterator[Use]:
        """The old module, imported by a name or a path that is not spelled out at the call."""
        if called.method not in ("import_module", "spec_from_file_location", "run_module", "run_path"):
            return
        if isinstance(called.parts.get(0), ast.Constant) and called.method == "import_module":
            return
        given = [each.text for value in called.args for each in texts(value)]
        if any(self.modules.is_old(each.removesuffix(".py").replace("/", "."), self.file) for each in given):
            how = f"import of the module csv_manager by {called.method}"
            yield Use(What.IMPORTS, how, Certainty.CERTAIN, f"import {NEW_MODULE}")

    def _later(self, node: ast.Call, called: Called) -> None:
        """A function that is handed over with what it is to be called with."""
        handed = [*called.args, *([called.keywords["target"]] if "target" in called.keywords else [])]
        for place, value in enumerate(handed):
            for callee in value:
                if isinstance(callee, Symbol | Function):
                    rest = handed[place + 1 :]
                    if called.method == "map":
                        rest = [elements(each) for each in rest]
                    rest += [
                        each for given in [called.keywords.get("args", NOTHING)] for each in _flat(given)
                    ]
                    self._hand(node, callee, rest)
                    return

    def _hand(self, node: ast.Call, callee: Symbol | Function, args: Sequence[Value]) -> None:
        if isinstance(callee, Function):
            self._pass(callee, args, {})
            return
        called = Called(callee.name, callee.name.rpartition(".")[2], NOTHING, args, {}, {})
        for use in uses.uses(called, self.target):
            self.record(node, use)

    def _pass(self, function: Function, args: Sequence[Value], keywords: Mapping[str, Value]) -> None:
        """Note what a function of the checkout is called with."""
        signature = self.known.signatures.get(function, ())
        given = dict(zip(signature, args, strict=False)) | dict(keywords)
        where = self.found.parameters.setdefault(function, {})
        for name, value in given.items():
            short = function.name.rpartition(".")[2]
            note(where, name, from_origin(value, f"parameter {name} of {short}()", loose=True))

    def _construct(self, kind: Kind, args: Sequence[Value], keywords: Mapping[str, Value]) -> None:
        begin = self.known.attribute(kind, "__init__")
        functions = [atom for atom in begin or NOTHING if isinstance(atom, Function)]
        for function in functions:
            self._pass(function, args, keywords)
        if not functions:
            fields = [name for name in self.known.attributes.get(kind, {}) if not name.startswith("__")]
            given = dict(zip(fields, args, strict=False)) | dict(keywords)
            for name, value in given.items():
                where = self.found.attributes.setdefault(kind, {})
                note(where, name, from_origin(value, f"{kind.name}.{name}", loose=True))


def _without_getattr(node: ast.Call) -> ast.Call:
    """`getattr(x, "name")(…)` as `x.name(…)`."""
    match node.func:
        case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str(name))]):
            named = ast.copy_location(ast.Attribute(owner, name, ast.Load()), node.func)
            return ast.copy_location(ast.Call(named, node.args, node.keywords), node)
        case _:
            return node


def _literals(nodes: Sequence[ast.expr]) -> list[str]:
    """The texts that are spelled out among arguments."""
    return [each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _is_list(value: Value) -> bool:
    return bool(value) and all(isinstance(atom, Items) for atom in value)


def _flat(value: Value) -> list[Value]:
    """The values of a list, place by place."""
    lists = [atom.values for atom in value if isinstance(atom, Items)]
    return list(lists[0]) if len(lists) == 1 else []


def _keys(value: Value) -> list[str]:
    return sorted(atom.text for atom in value if isinstance(atom, Text) and UNKNOWN_PART not in atom.text)


def _picked(values: Sequence[Value], index: ast.expr) -> Value:
    match index:
        case ast.Constant(value=int(number)) if -len(values) <= number < len(values):
            return values[number]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))) if 0 < number <= len(values):
            return values[-number]
        case ast.Slice():
            return items(values)
        case _:
            return union(*values) or UNKNOWN


def _at(value: Value, place: int) -> Value:
    found = []
    for atom in value:
        inside = atom.values if isinstance(atom, Items) else ()
        found.append(inside[place] if place < len(inside) else UNKNOWN)
    return union(*found) or UNKNOWN


def _percent(form: Value, given: Value) -> Value:
    values = _flat(given) if _is_list(given) else [given]

    def make(chosen: list[str]) -> str:
        made, *rest = chosen
        for each in rest:
            made = made.replace("%s", each, 1)
        return made

    return combine([form, *values], make)


def _parts(node: ast.Call) -> dict[int | str, ast.expr]:
    parts: dict[int | str, ast.expr] = dict(enumerate(node.args))
    parts |= {each.arg: each.value for each in node.keywords if each.arg is not None}
    if isinstance(node.func, ast.Attribute):
        parts[-1] = node.func.value
    return parts
