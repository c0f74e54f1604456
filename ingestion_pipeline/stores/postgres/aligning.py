"""Aligning: which lines of a file are stored to the letter, so that only the others are looked at.

Both are read once and side by side, in their order: most lines stand where they stood.
"""

import hashlib
import tempfile
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO, Self, cast

from psycopg2 import sql

from ingestion_pipeline.domain.columns import BY_NAME
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.ordering import UNPLACED
from ingestion_pipeline.stores.digest import Digest
from ingestion_pipeline.stores.postgres import expressions, queries
from ingestion_pipeline.stores.postgres.copying import IN_MEMORY
from ingestion_pipeline.stores.postgres.pool import Cursor, fetch_one
from ingestion_pipeline.stores.postgres.rendering import Lines, behind_a_place, quotable

AHEAD = 64
"""Lines of the file among which one that is stored is looked for."""

WAITING = 20_000
"""Lines of one side that wait for their like; of more, all are taken for lines that have none."""

MANY = 100_000
"""Lines of one side that may have no like on the other; of more, if most have none, all are looked at."""

_sql = queries.load("aligning")


def is_alignable(cursor: Cursor) -> bool:
    """Whether people are stored, and every line that is stored is a person's own."""
    cursor.execute(_sql.is_alignable)
    return bool(fetch_one(cursor)[0])


class Alignment:
    """The lines of a file beside those that are stored.

    Nobody need look at what a line of the file means whose bytes are those of a line that is stored, unless
    COPY has marked that one: its values are rendered so.

    Args:
        lines: The file's, in its order, without their ends.
        speaks: Whether a line, given its place, says by its bytes what its values are; asked only of those
            that do not stand where they stood, in the file's order.
        spelled: How the file is spelled that is stored.

    Attributes:
        known: By place in the file, the ordinal of the same line where it is stored, else UNPLACED.
        missed: The ordinals of lines that are stored and have none in the file.
        rendered: The digest of the file that is stored.
    """

    def __init__(
        self, lines: Iterator[bytes], speaks: Callable[[int, bytes], bool], spelled: Dialect
    ) -> None:
        self.known = array("q")
        self.missed = array("q")
        self.rendered = Digest()
        self._spelled = spelled
        self._rendering = Lines(self.rendered, spelled)
        self._lines = lines
        self._speaks = speaks
        self._ahead: deque[bytes] = deque()
        self._in_file: dict[bytes, int] = {}
        self._stored: dict[bytes, int] = {}
        self._in_vain = 0
        self._left = _Left()
        self._error: BaseException | None = None
        self._given_up = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._left.close()

    def run(self, cursor: Cursor) -> bool:
        """Read both sides; whether they have enough in common.

        Raises:
            BaseException: Whatever the file's lines raise.
        """
        self._rendering.begin()
        cursor.copy_expert(_known_lines(self._spelled), cast("IO[bytes]", self))
        self._rendering.end()
        if self._error is not None:
            raise self._error
        while not self._given_up and self._look_ahead():
            self._leave(len(self._ahead))
        self._pass_over()
        return not self._given_up

    def _pass_over(self) -> None:
        """Miss all stored lines that wait for their like."""
        self.missed.extend(self._stored.values())
        self._stored.clear()

    def left(self) -> Iterator[tuple[int, bytes]]:
        """The file's lines that are not stored, each with its place."""
        return ((place, line) for place, line in self._left.lines() if self.known[place] == UNPLACED)

    def write(self, row: bytes) -> None:
        """Take one line that is stored: COPY hands over one at a time."""
        if self._given_up:
            return
        try:
            cut = row.index(b",")
            line = row[cut + 1 :]
            self._rendering.write(line)
            self._take(row[:cut], line[:-1])
        except BaseException as error:  # noqa: BLE001 - raised when COPY is over: it would lose the connection
            self._error = error
            self._given_up = True

    def _take(self, place: bytes, line: bytes) -> None:
        if place.endswith(b"?"):
            self.missed.append(int(place[:-1]))
            return
        if not self._ahead and not self._look_ahead():
            self._miss(int(place), line)
        elif self._ahead[0] == line:
            self._ahead.popleft()
            self.known.append(int(place))
            self._in_vain = 0
        else:
            self._search(int(place), line)

    def _search(self, ordinal: int, line: bytes) -> None:
        self._look_ahead()
        try:
            self._leave(self._ahead.index(line))
        except ValueError:
            self._miss(ordinal, line)
            self._in_vain += 1
            if self._in_vain >= AHEAD:
                self._leave(len(self._ahead))
                self._in_vain = 0
        else:
            self._ahead.popleft()
            self.known.append(ordinal)
            self._in_vain = 0

    def _look_ahead(self) -> bool:
        self._ahead.extend(islice(self._lines, AHEAD - len(self._ahead)))
        return bool(self._ahead)

    def _leave(self, count: int) -> None:
        """Leave the next lines of the file, unless one of them is stored and has been passed already."""
        for _ in range(count):
            line, place = self._ahead.popleft(), len(self.known)
            speaks = self._speaks(place, line)
            digest = _digest(line) if speaks else b""
            ordinal = self._stored.pop(digest, UNPLACED)
            if ordinal == UNPLACED:
                self._left.add(place, line)
                if speaks:
                    self._in_file[digest] = place
            self.known.append(ordinal)
        if len(self._in_file) > WAITING:
            self._in_file.clear()
            self._given_up |= _are_most(self._left.count, len(self.known))

    def _miss(self, ordinal: int, line: bytes) -> None:
        digest = _digest(line)
        place = self._in_file.pop(digest, None)
        if place is None:
            self._stored[digest] = ordinal
            if len(self._stored) > WAITING:
                self._pass_over()
                self._given_up |= _are_most(len(self.missed), self._rendering.rows)
        else:
            self.known[place] = ordinal


class _Left:
    """Lines of the file that are kept aside, in an unlinked file where they are many."""

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed with this
        self._places = array("q")
        self._lengths = array("q")

    def close(self) -> None:
        self._spool.close()

    @property
    def count(self) -> int:
        return len(self._places)

    def add(self, place: int, line: bytes) -> None:
        self._spool.write(line)
        self._places.append(place)
        self._lengths.append(len(line))

    def lines(self) -> Iterator[tuple[int, bytes]]:
        self._spool.seek(0)
        for place, length in zip(self._places, self._lengths, strict=True):
            yield place, self._spool.read(length)


def _are_most(lines: int, read: int) -> bool:
    return lines > MANY and lines * 2 > read


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()


def _known_lines(spelled: Dialect) -> sql.Composed:
    columns = [BY_NAME[name] for name in spelled.columns]
    return _sql.fill(
        "known_lines",
        unmeant=sql.SQL(" OR ").join(expressions.unmeant(column) for column in columns),
        **behind_a_place(spelled, lambda column: quotable(expressions.rendered(column), spelled.quoting)),
    )
