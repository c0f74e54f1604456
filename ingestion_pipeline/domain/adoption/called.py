"""A call in an old script, with what its parts may stand for; and what calls of other libraries give."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ingestion_pipeline.domain.adoption import target as paths
from ingestion_pipeline.domain.adoption.target import UNKNOWN_PART, Target
from ingestion_pipeline.domain.adoption.values import (
    NOTHING,
    OTHER,
    UNKNOWN,
    Handle,
    Instance,
    Items,
    Key,
    Kind,
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
    one,
    text,
    texts,
    union,
)

LONGEST_SHOWN = 60
"""Characters of an expression that are shown."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call.

    Attributes:
        name: The dotted name of what is called; empty where it is none of another library's.
        method: The last part of what is called, as it is spelled.
        receiver: What the method is called on.
        args: By position.
        keywords: By name.
        parts: The arguments in the code, by position and by name; at -1 what the method is called on.
    """

    name: str
    method: str
    receiver: Value
    args: Sequence[Value]
    keywords: Mapping[str, Value]
    parts: Mapping[int | str, ast.expr]

    def argument(self, place: int, *names: str) -> Value:
        """One argument, by position or by any of its names."""
        if 0 <= place < len(self.args):
            return self.args[place]
        return next((self.keywords[name] for name in names if name in self.keywords), NOTHING)

    def spelled(self, place: int, *names: str) -> str:
        """The same as it is spelled."""
        keys: tuple[int | str, ...] = (place, *names)
        part = next((self.parts[each] for each in keys if each in self.parts), None)
        if part is None:
            return "what is handed over"
        spelled = ast.unparse(part)
        return spelled if len(spelled) <= LONGEST_SHOWN else spelled[: LONGEST_SHOWN - 1] + "…"


STANDARD = "get_standard_csv_path"
"""The function of the old module that gives the CSV's path."""

_SAME_PATH = {
    "builtins.str",
    "os.fspath",
    "os.fsdecode",
    "os.path.abspath",
    "os.path.realpath",
    "os.path.normpath",
    "os.path.expanduser",
    "os.path.expandvars",
    "contextlib.closing",
    "builtins.iter",
    "typing.cast",
}
_PATHS = {"Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath", "AnyPath"}
_SPELLED = {"os.sep": "/", "os.path.sep": "/", "os.curdir": ".", "os.pardir": ".."}
_JOINS = {"os.path.join", "posixpath.join", "ntpath.join"}
_HERE = {"os.getcwd", "pathlib.Path.cwd"}
_DICTS = {"builtins.dict", "types.SimpleNamespace", "argparse.Namespace", "types.MappingProxyType"}
_LISTS = {"builtins.list", "builtins.tuple", "builtins.set", "builtins.sorted", "builtins.reversed"}
_SAME_METHODS = {
    "resolve",
    "absolute",
    "expanduser",
    "as_posix",
    "strip",
    "rstrip",
    "lstrip",
    "__str__",
    "__fspath__",
    "encode",
    "decode",
}


def opened(called: Called, path: Value) -> Value:
    """The open file of a path."""
    return frozenset(Handle(each) for each in texts(path) if called.method) or UNKNOWN


def symbol(name: str) -> Value:
    """Something of a module outside the checkout, or its text where that is known."""
    return text(_SPELLED[name]) if name in _SPELLED else one(Symbol(name))


def joined(values: Sequence[Value]) -> Value:
    """The path that joining gives."""

    def make(chosen: list[str]) -> str:
        made = ""
        for part in chosen:
            made = paths.join(made, part)
        return made

    return combine(values, make)


def result(called: Called, target: Target) -> Value:
    """What a call gives that is none of the checkout's."""
    if called.method == STANDARD:
        return text(target.text, f"{STANDARD}()")
    if "paths.output_csv" in _spelled_keys(called):
        return text(target.text, "configuration key paths.output_csv")
    by_name = _by_name(called) if called.name else None
    return by_name if by_name is not None else _of_method(called)


def _spelled_keys(called: Called) -> str:
    """The texts a call is given, as the keys of a lookup."""
    spelled = [atom.text for value in called.args[:3] for atom in value if isinstance(atom, Text)]
    return ".".join(spelled)


def _by_name(called: Called) -> Value | None:  # noqa: PLR0911 - one line per kind of call
    name, last = called.name, called.name.rpartition(".")[2]
    if name in _HERE or name.endswith("Path.cwd"):
        return text("")
    if name.startswith("tempfile.") or name.endswith("Path.home"):
        return OTHER if name.startswith("tempfile.") else UNKNOWN
    if name in _SAME_PATH:
        return called.argument(1 if name == "typing.cast" else 0)
    if name in _JOINS or last in _PATHS:
        return joined(called.args) if called.args else text("")
    if name == "os.path.dirname":
        return change_texts(called.argument(0), paths.parent)
    if name == "os.path.basename":
        return change_texts(called.argument(0), paths.name)
    if name in ("os.getenv", "os.environ.get", "os.environ.setdefault"):
        default = from_origin(called.argument(1, "default"), "a default of the environment", loose=True)
        return union(UNKNOWN, default)
    return _collection(called)


def _collection(called: Called) -> Value | None:  # noqa: PLR0911 - one line per kind of call
    if called.name in _DICTS:
        return _table_of(called)
    if called.name in _LISTS and called.args:
        return items([elements(called.argument(0))])
    if called.name == "dataclasses.field" or called.name.endswith(".Field"):
        return called.argument(0, "default")
    if called.name == "shlex.split":
        return union(*(_words(each) for each in texts(called.argument(0, "s"))))
    if called.name in ("glob.glob", "glob.iglob"):
        return items([called.argument(0, "pathname")])
    if called.name == "builtins.vars":
        return called.argument(0)
    if called.name == "builtins.getattr":
        return union(*(_looked_up(called, one(atom), called.argument(1)) for atom in called.argument(0)))
    if called.name == "builtins.enumerate":
        return items([items([UNKNOWN, elements(called.argument(0))])])
    if called.name == "builtins.zip":
        return items([items([elements(value) for value in called.args])])
    return None


def _words(whole: Text) -> Value:
    return items([text(word, whole.origin, loose=whole.loose) for word in whole.text.split()])


def _table_of(called: Called) -> Value:
    from_table = [pair for atom in called.argument(0) if isinstance(atom, Table) for pair in atom.pairs]
    return one(Table((*from_table, *called.keywords.items())))


def _looked_up(called: Called, receiver: Value, key: Value) -> Value:
    names = [each.text for each in texts(key)]
    default = called.argument(2 if called.method == "getattr" else 1, "default")
    found = union(*(looked_up(receiver, name) for name in names))
    return union(found, from_origin(default, "a default", loose=True))


def looked_up(receiver: Value, key: str) -> Value:
    """What a key of text gives."""
    found: list[Value] = []
    for atom in receiver:
        match atom:
            case Table(pairs):
                found.append(dict(pairs).get(key, UNKNOWN))
            case Key(keys):
                found.append(one(Key((*keys[-3:], key))))
            case Unknown() | Symbol() | Options():
                found.append(one(Key((key,))))
            case _:
                found.append(UNKNOWN)
    return union(*found)


def configured(value: Value, target: Target) -> Value:
    """The same, with the lookups that end at the configuration's key made into the CSV's path."""
    return frozenset(_configured(atom, target) if isinstance(atom, Key) else atom for atom in value)


def _configured(key: Key, target: Target) -> Key | Text:
    if key.keys[-1] != "output_csv" and key.keys[-1] != "paths.output_csv":
        return key
    sure = ".".join(key.keys).endswith("paths.output_csv")
    shown = ".".join(key.keys).replace(UNKNOWN_PART, "…")
    return Text(target.text, f"configuration key {shown}", loose=not sure)


def _of_method(called: Called) -> Value:
    method, receiver = called.method, called.receiver
    if method in ("parse_args", "parse_known_args"):
        options = one(Options())
        return options if method == "parse_args" else items([options, UNKNOWN])
    if method in ("get", "pop", "setdefault") and called.args:
        return _looked_up(called, receiver, called.argument(0))
    if method in ("enter_context", "enter_async_context"):
        return called.argument(0)
    if method in ("values", "items", "keys"):
        return _of_table(method, receiver)
    if any(isinstance(atom, Text) for atom in receiver):
        return _of_text(called)
    return UNKNOWN


def _of_table(method: str, receiver: Value) -> Value:
    pairs = [pair for atom in receiver if isinstance(atom, Table) for pair in atom.pairs]
    forms: Mapping[str, Callable[[str, Value], Value]] = {
        "values": lambda _, value: value,
        "keys": lambda key, _: text(key),
        "items": lambda key, value: items([text(key), value]),
    }
    return items([forms[method](key, value) for key, value in pairs]) if pairs else UNKNOWN


def _of_text(called: Called) -> Value:  # noqa: PLR0911 - one line per kind of method
    method, receiver = called.method, called.receiver
    if method in _SAME_METHODS and not called.args:
        return receiver
    if method == "joinpath":
        return joined([receiver, *called.args])
    if method in ("with_name", "with_stem", "with_suffix"):
        return _renamed(called)
    if method in ("glob", "rglob"):
        return items([joined([receiver, called.argument(0, "pattern")])])
    if method == "format":
        return _formatted(called)
    if method == "join":
        return _strung(called)
    if method == "split" and not called.args and not called.keywords:
        return union(*(_words(each) for each in texts(receiver)))
    if method == "replace" and len(called.args) > 1:
        return combine([receiver, *called.args[:2]], lambda chosen: chosen[0].replace(chosen[1], chosen[2]))
    if method == "open":
        return opened(called, receiver)
    return UNKNOWN


def _renamed(called: Called) -> Value:
    def make(chosen: list[str]) -> str:
        path, more = chosen
        stem, dot, suffix = paths.name(path).rpartition(".")
        stem, suffix = (stem, dot + suffix) if dot else (suffix, "")
        given = {"with_name": more, "with_stem": more + suffix, "with_suffix": stem + more}
        return paths.join(paths.parent(path), given[called.method])

    return combine([called.receiver, called.argument(0, "name", "stem", "suffix")], make)


def _formatted(called: Called) -> Value:
    names = list(called.keywords)
    values = [called.receiver, *called.args, *called.keywords.values()]

    def make(chosen: list[str]) -> str:
        form, given = chosen[0], chosen[1:]
        for number, value in enumerate(given[: len(called.args)]):
            form = form.replace(f"{{{number}}}", value).replace("{}", value, 1)
        for name, value in zip(names, given[len(called.args) :], strict=True):
            form = form.replace(f"{{{name}}}", value)
        return form

    return combine(values, make)


def _strung(called: Called) -> Value:
    lists = [atom.values for atom in called.argument(0) if isinstance(atom, Items)]
    if len(lists) != 1:
        return UNKNOWN
    return combine([called.receiver, *lists[0]], lambda chosen: chosen[0].join(chosen[1:]))


def attribute_of_text(value: Value, name: str) -> Value | None:
    """What an attribute of a path is; None where it is none."""
    make: Mapping[str, Callable[[str], str]] = {
        "parent": paths.parent,
        "name": paths.name,
        "stem": lambda path: paths.name(path).rpartition(".")[0] or paths.name(path),
        "suffix": lambda path: "." + paths.name(path).rpartition(".")[2],
        "value": lambda path: path,
        "stdin": lambda _: UNKNOWN_PART,
    }
    return change_texts(value, make[name]) if name in make else None


def made(kind: Kind) -> Value:
    """An object of a class."""
    return one(Instance(kind))
