"""Frames of text: what a table looks like to the old scripts, and what they have changed of one."""

import re
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import infer_dtype, is_scalar

from ingestion_pipeline.domain.cells import render
from ingestion_pipeline.domain.errors import InputRefusedError, Place

Objects = npt.NDArray[np.object_]
"""The cells of one column."""

Places = npt.NDArray[np.intp]
"""Rows, counted from 0."""

_NOWHERE: Places = np.empty(0, dtype=np.intp)

FEW = 16
"""Cells that are compared one by one; more are compared together."""

_NO_WORD = re.compile(r"\W+")

AnyRow = Mapping[str, Any] | pd.Series
"""A row by column, as a dict or as pandas gives it."""

KEPT = 3
"""Frames remembered for each table: a script may go on from one it read before its last."""


def text(value: Any) -> str:
    """A frame's cell as the text of a CSV: what is missing is '', a dict is JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return render(value)
    return "" if is_scalar(value) and pd.isna(value) else str(value)


def copy_name(path: Path, operation: str) -> Path:
    """The name a copy of a file is called after that is made for an operation."""
    return path.with_stem(f"{path.stem}_{_NO_WORD.sub('_', operation)}")


def frame_of(rows: Iterable[dict[str, str]], columns: Iterable[str]) -> pd.DataFrame:
    """Rows of text as a frame of text, in which empty cells are missing."""
    table = list(rows)
    return pd.DataFrame(
        {name: pd.array([row.get(name) or np.nan for row in table], dtype="str") for name in columns}
    )


def rows_of(frame: pd.DataFrame) -> Iterator[dict[str, str]]:
    """A frame's rows as text by column."""
    names = [str(name) for name in frame.columns]
    columns = [[text(cell) for cell in frame[name]] for name in frame.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def check_names(frame: pd.DataFrame) -> None:
    """Refuse a frame whose columns have not one name each, of their own."""
    # A set is quicker than an index made anew for every frame.
    if frame.columns.nlevels > 1 or len(set(frame.columns)) != len(frame.columns):
        raise InputRefusedError("the frame's columns have not one name each", code="bad_columns")


class Cells:
    """The cells of a frame by column.

    Args:
        columns: By name, the cells in the frame's order; one of them is row_id.
    """

    def __init__(self, columns: Mapping[str, Objects]) -> None:
        self.columns = dict(columns)

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Cells":
        """Those of a frame that has a column row_id; good until its owner changes it.

        Raises:
            InputRefusedError: Two columns have the same name, or a name has several parts.
        """
        check_names(frame)
        return cls({str(name): _objects(column) for name, column in _arrays(frame)})

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def row_ids(self) -> Objects:
        """The cells of the column row_id, which need not be text."""
        return self.columns["row_id"]

    @cached_property
    def repeats_nobody(self) -> bool:
        """Whether each row has a row_id of its own."""
        return len(set(map(text, self.row_ids))) == len(self)

    def kept(self) -> "Cells":
        """The same for good, whatever the frame's owner writes into its arrays."""
        return Cells({name: cells.copy() for name, cells in self.columns.items()})

    def unrepeated(self) -> "Cells":
        """The same without rows that repeat another to the letter.

        Raises:
            InputRefusedError: A row has no row_id, or two rows have the same one and differ.
        """
        first: dict[str, int] = {}
        for place, row_id in enumerate(map(text, self.row_ids)):
            if not row_id:
                raise _refused("a row has no row_id", "missing_row_id")
            if first.setdefault(row_id, place) != place and self._row(first[row_id]) != self._row(place):
                raise _refused("two rows have the same row_id, and differ", "duplicate_row_id", row_id)
        return self if len(first) == len(self) else self.rows_at(list(first.values()))

    def with_columns_of(self, other: "Cells") -> "Cells":
        """The same with the columns that only another has, whose rows are found by row_id."""
        lacking = {name: cells for name, cells in other.columns.items() if name not in self.columns}
        if not lacking:
            return self
        places = _places(other.row_ids, self.row_ids)
        found = {name: np.where(places < 0, np.nan, _at(cells, places)) for name, cells in lacking.items()}
        return Cells({**self.columns, **found})

    def with_rows_of(self, before: "Cells", row_ids: Collection[str]) -> "Cells":
        """The same, but some rows as they were before, or not there if they were not."""
        if not row_ids:
            return self
        stay = self.rows_at([at for at, row_id in enumerate(self.row_ids) if text(row_id) not in row_ids])
        back = before.rows_at([at for at, row_id in enumerate(before.row_ids) if text(row_id) in row_ids])
        return Cells(
            {name: np.concatenate([cells, back.columns[name]]) for name, cells in stay.columns.items()}
        )

    def put(self, name: str, places: Places, objects: Objects) -> None:
        """Write into one column."""
        cells = self.columns[name]
        if not cells.flags.writeable:
            cells = self.columns[name] = cells.copy()
        cells[places] = objects

    def rows_at(self, places: Sequence[int]) -> "Cells":
        """The rows that stand at these places."""
        return Cells({name: cells[np.array(places, np.intp)] for name, cells in self.columns.items()})

    def _row(self, place: int) -> list[str]:
        return [text(cells[place]) for cells in self.columns.values()]


@dataclass(slots=True)
class Difference:
    """What a frame has other than an earlier one.

    Attributes:
        cells: What was compared: where its rows are not the same, a copy without rows that are repeated.
        changed: By row_id, the new text of the cells that changed.
        new: By row_id, the text of every cell of a row that was not there, in the frame's order.
        gone: The row_ids that are not there any more.
        emptied: The row_ids of rows in which a cell that held text holds none.
        others: Where the rows are the same in the same order: by column, where another object stands, and it.
    """

    cells: Cells
    changed: dict[str, dict[str, str]] = field(default_factory=dict)
    new: dict[str, dict[str, str]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    emptied: set[str] = field(default_factory=set)
    others: dict[str, tuple[Places, Objects]] | None = None


def difference(before: Cells, after: Cells) -> Difference:
    """What has changed from one frame to another. Columns that one of them has not are not compared.

    Raises:
        InputRefusedError: A row has no row_id, or two rows have the same one and differ.
    """
    if before.repeats_nobody and _are_same(before.row_ids, after.row_ids):
        found = Difference(after, others={})
        row_ids, places = before.row_ids, None
    else:
        # A copy, as somebody else may be writing into the frame.
        found = Difference(after.kept().unrepeated())
        row_ids, places = found.cells.row_ids, _places(before.row_ids, found.cells.row_ids)
        _note_rows(found, before, places)
    for name, new in found.cells.columns.items():
        old = before.columns.get(name)
        if old is None or name == "row_id":
            continue
        old = _at(old, places)
        others = _others(old, new)
        objects = new[others]
        if len(others):
            _note_changed(found, name, row_ids[others], old[others], objects)
        if found.others is not None:
            found.others[name] = others, objects
    return found


def known_after(before: Cells, found: Difference, left: Collection[str]) -> Cells:
    """What is known of a table once a difference is written.

    Args:
        before: What was known, kept, and of no use any more.
        found: The difference.
        left: The row_ids of the rows that are not written.
    """
    if found.others is None:
        return found.cells.with_columns_of(before).with_rows_of(before, left)
    nothing = _missing(len(before))
    for name, (others, objects) in found.others.items():
        written = [text(row_id) not in left for row_id in before.row_ids[others]] if left else slice(None)
        if found.cells.columns[name] is nothing and not left:
            before.columns[name] = nothing
        elif len(others):
            before.put(name, others[written], objects[written])
    return before


def _at(old: Objects, places: Places | None) -> Objects:
    """The cells that stood at these places before; any where none did: those rows are new."""
    if places is None:
        return old
    return old[places] if len(old) else np.full(len(places), np.nan, dtype=object)


def _others(old: Objects, new: Objects) -> Places:
    """Where two columns of a length do not hold the same object."""
    if old is new:
        return _NOWHERE
    return np.flatnonzero(_addresses(old) != _addresses(new))


def _note_rows(found: Difference, before: Cells, places: Places) -> None:
    there = set(map(text, found.cells.row_ids))
    found.gone = [row_id for row_id in dict.fromkeys(map(text, before.row_ids)) if row_id not in there]
    for place in np.flatnonzero(places < 0):
        cells = {name: text(column[place]) for name, column in found.cells.columns.items()}
        found.new[cells.pop("row_id")] = cells


def _note_changed(found: Difference, name: str, row_ids: Objects, old: Objects, new: Objects) -> None:
    for at in range(len(new)) if len(new) <= FEW else _unequal(old, new):
        before, now = text(old[at]), text(new[at])
        row_id = text(row_ids[at])
        if before != now and row_id not in found.new:
            found.changed.setdefault(row_id, {})[name] = now
            if not now:
                found.emptied.add(row_id)


def _unequal(old: Objects, new: Objects) -> Places:
    """Where cells differ, all of which are text or missing."""
    one, other = pd.isna(old), pd.isna(new)
    differ = one != other
    present = ~one & ~other
    differ[present] = old[present] != new[present]
    return np.flatnonzero(differ)


def _places(before: Objects, after: Objects) -> Places:
    """Where each row of a frame stood before; -1 where it was not there."""
    known = {text(row_id): place for place, row_id in enumerate(before)}
    return np.fromiter((known.get(text(row_id), -1) for row_id in after), np.intp, len(after))


def _arrays(frame: pd.DataFrame) -> Iterator[tuple[object, Any]]:
    """A frame's columns by name, as arrays; where pandas lets one, without making a Series of each."""
    arrays = getattr(frame, "_iter_column_arrays", None)
    if arrays is None:
        return ((name, column.array) for name, column in frame.items())
    return zip(frame.columns, arrays(), strict=True)


def _objects(column: Any) -> Objects:
    if column.dtype.kind == "f" and isinstance(column, np.ndarray) and np.isnan(column).all():
        return _missing(len(column))
    cells: Objects = np.asarray(column, dtype=object)
    is_text = isinstance(column.dtype, pd.StringDtype) or (
        column.dtype == object and infer_dtype(cells) in ("string", "empty")
    )
    # What is no text may change and stay the same object, or equal what has another text: a dict; 1 and 1.0.
    return cells if is_text else np.array([text(cell) for cell in cells], dtype=object)


@lru_cache(maxsize=KEPT)
def _missing(count: int) -> Objects:
    """Cells that all are missing, as often; made anew they would take longer than all the rest."""
    cells = np.full(count, np.nan, dtype=object)
    cells.flags.writeable = False
    return cells


def _are_same(one: Objects, other: Objects) -> bool:
    return one is other or (len(one) == len(other) and bool((_addresses(one) == _addresses(other)).all()))


class _Pointers:
    """The memory of an array of objects, to be read as numbers."""

    __slots__ = ("__array_interface__", "_cells")

    def __init__(self, cells: Objects) -> None:
        self._cells = cells
        self.__array_interface__ = {**cells.__array_interface__, "typestr": _POINTER, "descr": _DESCR}


_POINTER = np.dtype(np.intp).str
_DESCR = np.dtype(np.intp).descr


def _addresses(cells: Objects) -> Places:
    """Where the objects of an array lie; of use only as long as the array does.

    A script that saves after each person builds the same objects into a frame again and again: to tell
    that a cell is the same object takes a hundredth of the time that comparing the texts would.
    """
    return np.asarray(_Pointers(cells))


def _shared(one: Cells, other: Cells) -> tuple[int, int]:
    """How many row_ids are the same objects, and cells, these with rows added or gone at one of the ends."""
    if _are_same(one.row_ids, other.row_ids):
        names = one.columns.keys() & other.columns.keys()
        return len(one), sum(
            len(one) - len(_others(one.columns[name], other.columns[name])) for name in names
        )
    row_ids = int(np.isin(_addresses(one.row_ids), _addresses(other.row_ids)).sum())
    count, shared = min(len(one), len(other)), 0
    for name in one.columns.keys() & other.columns.keys():
        left, right = _addresses(one.columns[name]), _addresses(other.columns[name])
        at_end = left[len(left) - count :] == right[len(right) - count :]
        shared += int(max((left[:count] == right[:count]).sum(), at_end.sum()))
    return row_ids, shared


def _refused(message: str, code: str, row_id: str | None = None) -> InputRefusedError:
    return InputRefusedError(message, code=code, place=Place(column="row_id", row_id=row_id))


class Seen:
    """What this process has read of one table, or saved, last.

    What a frame has changed is told by the frame it was made from: the one with which it shares most
    objects; in doubt, the newest.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._all: list[tuple[Cells, weakref.ref[pd.DataFrame]]] = []

    def forked(self) -> "Seen":
        """The same for a child process, in which nobody may be left to open the lock."""
        child = Seen()
        child._all += self._all
        return child

    def remember(self, frame: pd.DataFrame, cells: Cells, instead_of: Cells | None = None) -> None:
        """Remember a frame: as long as it is there, or is among the last.

        Args:
            frame: The frame.
            cells: Its cells, kept.
            instead_of: Those that `is_over` has said nobody needs any more.
        """
        with self.lock:
            others = [one for one in self._all if one[0] is not instead_of]
            alive = [one for one in others[: 1 - KEPT] if one[1]() is not None]
            self._all = [*alive, *others[1 - KEPT :], (cells, weakref.ref(frame))]

    def is_over(self, cells: Cells, frame: pd.DataFrame) -> bool:
        """Whether the frame that these are of is this one, or not there any more."""
        with self.lock:
            return any(one is cells and (of() is None or of() is frame) for one, of in self._all)

    def closest(self, frame: pd.DataFrame, cells: Cells) -> Cells | None:
        """What this frame was made from; None where nothing was seen yet."""
        with self.lock:
            known = [one for one, _ in reversed(self._all)]
            same = [one for one, of in reversed(self._all) if of() is frame]
        if same or len(known) < 2:  # noqa: PLR2004 - nothing to choose from
            return next(iter(same or known), None)
        return max(known, key=lambda one: _shared(one, cells))
