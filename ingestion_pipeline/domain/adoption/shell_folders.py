"""In which folders a script may be, from command to command."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ingestion_pipeline.domain.adoption.target import UNKNOWN_PART, join, parts

Paths: TypeAlias = tuple[str, ...]
"""Folders that are all possible; where the checkout lies is empty."""

MOST = 8
"""Folders that are followed at once."""

LONGEST = 1000
"""Characters of a folder that is followed."""

DEEPEST = 200
"""Blocks within blocks that are followed."""

_CHAINS = ("&&", "||", "|", "|&")
_OPENS = ("(", "{", "if", "do", "case")
_CLOSES = {")": ("(",), "}": ("{", "()"), "fi": ("if", "else"), "done": ("do",), "esac": ("case",)}
_WAYS = {"else": "if", "elif": "if", ";;": "case"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a script is within a list of commands.

    Attributes:
        folders: Where it may be.
        before: Where it was before the last `cd`.
        pushed: What `pushd` put aside.
        start: Where the list began.
        chained: Whether the next command hangs on how one before it ended.
        also: Where it may be, too, once the list is over.
        instead: Where it is once the list is over, unless what stands behind `||` goes elsewhere.
    """

    folders: Paths = ("",)
    before: Paths = ("",)
    pushed: tuple[Paths, ...] = ()
    start: Paths = ("",)
    chained: bool = False
    also: Paths = ()
    instead: Paths | None = None

    def listed(self) -> "_Place":
        """The same at the beginning of a list."""
        folders = _union([self.folders if self.instead is None else self.instead, self.also])
        return replace(self, folders=folders, start=folders, chained=False, also=(), instead=None)

    def alternative(self) -> "_Place":
        """The same behind `||`."""
        if self.instead is not None:
            return self
        return replace(self, folders=_union([self.start, self.folders]), chained=True, instead=self.folders)

    def gone(self, folders: Paths) -> "_Place":
        """The same after going elsewhere."""
        left = self.folders if self.instead is None else self.instead
        also = _union([self.also, left]) if self.chained else self.also
        return replace(self, folders=folders, before=left, also=also, instead=None)


@dataclass(slots=True)
class _Block:
    """What is open.

    Attributes:
        mark: What opened it.
        place: Where the script was before.
        ways: Where it may be at the end of the ways through it that are over.
    """

    mark: str
    place: _Place
    ways: list[Paths] = field(default_factory=list)


@dataclass(slots=True)
class Folders:
    """Follows a script through the folders; where it is not certain in which it is, each counts.

    Args:
        begin: Where it begins.
    """

    begin: Paths = ("",)
    _place: _Place = field(init=False)
    _blocks: list[_Block] = field(default_factory=list)
    _defines: bool = False

    def __post_init__(self) -> None:
        self._place = _Place(self.begin, start=self.begin)

    @property
    def possible(self) -> Paths:
        """Where the script may be."""
        return self._place.folders

    def take(self, mark: str) -> None:
        """Go over an operator or a word of the shell's own."""
        defines, self._defines = self._defines, mark == "()" or (self._defines and mark == "\n")
        if mark in _CHAINS:
            place = self._place.alternative() if mark == "||" else self._place
            self._place = replace(place, chained=True)
        elif mark == "&":
            self._place = replace(self._place, folders=self._place.start, also=(), instead=None).listed()
        elif mark == ")" and self._blocks and self._blocks[-1].mark == "case":
            self._place = self._place.listed()
        elif mark in _OPENS and len(self._blocks) < DEEPEST:
            self._blocks.append(_Block("()" if defines and mark == "{" else mark, self._place))
            self._place = replace(self._place, also=(), instead=None).listed()
        elif mark in _CLOSES:
            self._close(mark)
        else:
            self._place = self._place.listed()
            self._turn(mark)

    def _turn(self, mark: str) -> None:
        """The next way through a block."""
        if not self._blocks or _WAYS.get(mark) != self._blocks[-1].mark:
            return
        block = self._blocks[-1]
        block.ways.append(self._place.folders)
        if mark == "else":
            block.mark = "else"
        self._place = replace(self._place, folders=block.place.folders).listed()

    def _close(self, mark: str) -> None:
        if not any(block.mark in _CLOSES[mark] for block in self._blocks):
            return
        while (block := self._blocks.pop()).mark not in _CLOSES[mark]:
            pass
        self._place = self._behind(block, self._place.listed())

    def _behind(self, block: _Block, inside: _Place) -> _Place:
        """Where a block leaves the script."""
        if block.mark == "(":
            return block.place
        ways = [*block.ways, inside.folders]
        if block.mark not in ("{", "else"):
            ways.insert(0, block.place.folders)
        folders = _union(ways)
        place = replace(block.place, pushed=inside.pushed)
        return place if folders == place.folders else place.gone(folders)

    def go(self, where: str) -> None:
        """`cd`; without a folder where that is the home of somebody."""
        place = self._place
        if where == "-":
            self._place = place.gone(place.before)
            return
        begin = place.folders if place.instead is None else place.start
        self._place = place.gone(_union([tuple(within(folder, where) for folder in begin)]))

    def push(self, where: str) -> None:
        """`pushd`."""
        pushed = (*self._place.pushed, self._place.folders)[-DEEPEST:]
        self._place = replace(self._place, pushed=pushed)
        self.go(where)

    def pop(self) -> None:
        """`popd`."""
        *pushed, last = self._place.pushed or (self._place.before,)
        self._place = replace(self._place.gone(last), pushed=tuple(pushed))


def _union(several: Iterable[Paths]) -> Paths:
    return tuple(dict.fromkeys(folder for folders in several for folder in folders))[:MOST]


def within(folder: str, where: str) -> str:
    """Where somebody is who goes elsewhere from a folder."""
    # A folder that nobody knows is most often the checkout's own.
    if UNKNOWN_PART in where or not where:
        return ""
    whole = join(folder, where)
    if len(whole) > LONGEST:
        return ""
    return ("/" if whole.startswith("/") else "") + "/".join(parts(whole))
