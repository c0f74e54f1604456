"""What an expression of an old script may stand for, as far as that can be told without running it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import TypeAlias

from ingestion_pipeline.domain.adoption.target import ELSEWHERE, UNKNOWN_PART

LONGEST = 1000
"""Characters of a text that are followed; a longer one is no path."""

MOST = 24
"""Values that one expression may have; of more, nothing is said."""

DEEPEST = 2
"""Lists within lists that are followed."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text, or a path.

    Attributes:
        text: With the marks of `target` for what is not spelled out.
        origin: Where it comes from, for people; empty where it stands in the same place.
        loose: Whether it may be another one when the script runs.
    """

    text: str
    origin: str = ""
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """Something of a module outside the checkout, by its dotted name."""

    name: str


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the checkout, by its file."""

    file: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the checkout, by file and dotted name."""

    file: str
    name: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of the checkout, by file and dotted name."""

    file: str
    name: str


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class of the checkout."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Handle:
    """An open file."""

    path: Text


@dataclass(frozen=True, slots=True)
class Options:
    """What a command line was parsed into."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is looked up, key by key, in something unknown."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list, a tuple or a set."""

    values: "tuple[Value, ...]"


@dataclass(frozen=True, slots=True)
class Table:
    """A dict with keys of text."""

    pairs: "tuple[tuple[str, Value], ...]"


Atom: TypeAlias = (
    Text | Unknown | Symbol | Module | Function | Kind | Instance | Handle | Options | Key | Items | Table
)
Value: TypeAlias = frozenset[Atom]

NOTHING: Value = frozenset()
UNKNOWN: Value = frozenset({Unknown()})
OTHER: Value = frozenset({Text(ELSEWHERE)})
"""A file or folder that is surely another one."""


def one(atom: Atom) -> Value:
    """The value that is this and nothing else."""
    return frozenset({atom})


def text(content: str, origin: str = "", *, loose: bool = False) -> Value:
    """A text, unless it is too long to be a path."""
    return one(Text(content, origin, loose)) if len(content) <= LONGEST else UNKNOWN


def union(*values: Value) -> Value:
    """Any of these."""
    found = frozenset().union(*values)
    return found if len(found) <= MOST else frozenset(sorted(found, key=repr)[:MOST]) | UNKNOWN


def items(values: Iterable[Value]) -> Value:
    """A list of these."""
    return one(Items(tuple(_shallow(value) for value in islice(values, 200))))


def table(pairs: Iterable[tuple[str, Value]]) -> Value:
    """A dict of these."""
    return one(Table(tuple((key, _shallow(value)) for key, value in islice(pairs, 200))))


def _shallow(value: Value) -> Value:
    return UNKNOWN if any(_depth(atom) >= DEEPEST for atom in value) else value


def _depth(atom: Atom) -> int:
    match atom:
        case Items(values):
            inner: Iterable[Value] = values
        case Table(pairs):
            inner = (value for _, value in pairs)
        case _:
            return 0
    return 1 + max((_depth(each) for value in inner for each in value), default=0)


def texts(value: Value) -> list[Text]:
    """The texts it may be, in a settled order; what is no text is one that nobody knows."""
    found = {atom if isinstance(atom, Text) else Text(UNKNOWN_PART) for atom in value}
    return sorted(found, key=lambda each: (each.text, each.origin, each.loose))


def combine(values: Iterable[Value], make: Callable[[list[str]], str]) -> Value:
    """A text made of others."""
    found = []
    for chosen in islice(product(*(texts(value) for value in values)), MOST):
        origin = next((each.origin for each in chosen if each.origin), "")
        made = make([each.text for each in chosen])
        found.append(text(made, origin, loose=any(each.loose for each in chosen)))
    return union(*found)


def change_texts(value: Value, make: Callable[[str], str]) -> Value:
    """Each text made into another one."""
    return combine([value], lambda chosen: make(chosen[0]))


def from_origin(value: Value, origin: str, *, loose: bool = False) -> Value:
    """The same, with where it comes from noted."""
    return frozenset(
        replace(atom, origin=atom.origin or origin, loose=atom.loose or loose)
        if isinstance(atom, Text)
        else atom
        for atom in value
    )


def elements(value: Value) -> Value:
    """What comes of going through it."""
    found: list[Value] = []
    for atom in value:
        match atom:
            case Items(values):
                found += values
            case Table(pairs):
                found += [text(key) for key, _ in pairs]
            case _:
                found.append(UNKNOWN)
    return union(*found)


def merge(*all_names: Mapping[str, Value]) -> dict[str, Value]:
    """The names after a fork in the way, whichever way was taken."""
    first, *others = all_names
    found = dict(first)
    for names in others:
        for each, value in names.items():
            before = found.get(each)
            found[each] = value if before is None or before is value else union(before, value)
    return found


@dataclass(slots=True)
class Facts:
    """What is known of a whole checkout after looking through it once.

    Attributes:
        names: What the modules' names stand for, by file.
        attributes: What the classes' attributes stand for.
        bases: What the classes are derived from.
        parameters: What functions are called with.
        signatures: The parameters of functions, in their order.
        returned: What functions give.
        options: The defaults of command line options, by file.
    """

    names: dict[str, dict[str, Value]] = field(default_factory=dict)
    attributes: dict[Kind, dict[str, Value]] = field(default_factory=dict)
    bases: dict[Kind, Value] = field(default_factory=dict)
    parameters: dict[Function, dict[str, Value]] = field(default_factory=dict)
    signatures: dict[Function, tuple[str, ...]] = field(default_factory=dict)
    returned: dict[Function, Value] = field(default_factory=dict)
    options: dict[str, dict[str, Value]] = field(default_factory=dict)

    def attribute(self, kind: Kind, name: str, depth: int = 0) -> Value | None:
        """What an attribute of a class may be; None where it has none."""
        found = self.attributes.get(kind, {}).get(name)
        if found is not None or depth > DEEPEST:
            return found
        bases = sorted((base for base in self.bases.get(kind, NOTHING) if isinstance(base, Kind)), key=repr)
        inherited = (self.attribute(base, name, depth + 1) for base in bases)
        return next((each for each in inherited if each is not None), None)


def note(where: dict[str, Value], name: str, value: Value) -> None:
    """Add to what a name may stand for."""
    where[name] = union(where.get(name, NOTHING), value)
