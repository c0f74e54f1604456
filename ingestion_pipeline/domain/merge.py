"""Merging: a file that somebody else rewrote, and what the journal says it should hold.

A script that reads the whole file, works a while and writes the whole file back undoes every write of the
meantime without knowing. The journal keeps what each cell held before each write, so the two can be told
apart: a cell with a text it had before writes that the script cannot have seen is stale, and is written
again; any other text is the script's own change, and stays.

When the script read is not recorded anywhere. It is taken to be the moment that explains most cells; where
two explain as many, the earlier, so that in doubt an acknowledged write stays.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.phase import Side

THERE = "row itself"
"""Stands for the row among its columns; it is its text too, which is None while there is no such row."""

_TELLING = 4
"""Characters from which on a text is no coincidence; shorter ones (yes, INTJ's kin) are no evidence."""

Cell = tuple[str, str]
"""A row_id and a column."""

Present = Callable[[str, str], str | None]
"""The text a cell has in the file now; None where there is no such row or column."""


@dataclass(slots=True)
class Chain:
    """The texts a cell has had.

    Attributes:
        texts: In order; the last is the one acknowledged.
        sequences: The record that put each but the first.
    """

    texts: list[str | None]
    sequences: list[int] = field(default_factory=list)

    def append(self, sequence: int, before: str | None, after: str | None) -> None:
        """One write more; one that changed nothing is none."""
        if before == after:
            return
        if self.texts[-1] != before:
            self.texts.append(before)
            self.sequences.append(sequence)
        self.texts.append(after)
        self.sequences.append(sequence)

    def superseded(self, text: str | None) -> int | None:
        """The record that replaced this text for good; None where it is the last or was never there."""
        for index in range(len(self.texts) - 1, -1, -1):
            if self.texts[index] == text:
                return self.sequences[index] if index < len(self.sequences) else None
        return None

    def tells(self, text: str | None) -> bool:
        """Whether a file with this text was written by somebody who had seen the last write."""
        return (
            bool(self.sequences)
            and text is not None
            and len(text) >= _TELLING
            and self.texts.index(text) == len(self.texts) - 1
        )


class Fate(StrEnum):
    """What becomes of a cell of the file."""

    SEEN = "seen"
    """It holds what was acknowledged."""
    STALE = "stale"
    """It holds what was there before a write its writer never saw: written again."""
    OWN = "own"
    """Somebody else changed it knowingly: it stays."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One cell, judged.

    Attributes:
        row_id: The person.
        column: The column, or THERE.
        fate: What becomes of it.
        present: The text it has.
        acknowledged: The text the journal last gave it.
    """

    row_id: str
    column: str
    fate: Fate
    present: str | None
    acknowledged: str | None


def chains(records: Iterable[Record]) -> dict[Cell, Chain]:
    """The texts each cell has had, by the journal."""
    found: dict[Cell, Chain] = {}
    undone = found
    for record in records:
        if record.kind is Kind.RESTORED:
            undone, found = found, undone if record.through else {}
        if record.kind is Kind.CLOSED and record.by == Side.POSTGRES:
            # The file became what PostgreSQL made of it meanwhile.
            found = {}
        if record.kind is Kind.DELETED:
            # Whoever brings a deleted person back may have meant to: the row stays.
            for column in (THERE, *record.cells):
                found.pop((record.row_id, column), None)
        if record.kind in (Kind.CLOSED, Kind.MERGED, Kind.RESTORED, Kind.DELETED):
            continue
        if record.created:
            found.setdefault((record.row_id, THERE), Chain([None])).append(record.sequence, None, THERE)
        for column, (before, after) in record.cells.items():
            chain = found.setdefault((record.row_id, column), Chain([before]))
            chain.append(record.sequence, before, after)
    return found


def judge(known: Mapping[Cell, Chain], present: Present, read_at: int | None = None) -> Iterator[Judged]:
    """What becomes of every cell that the journal knows of.

    Args:
        known: What each cell has held.
        present: What it holds now.
        read_at: The last record that is in the file, where that is known.
    """
    texts = {cell: present(*cell) for cell in known}
    if read_at is None:
        read_at = _read_point(known, texts)
    fates = {cell: _fate(chain, texts[cell], read_at) for cell, chain in known.items()}
    for cell, chain in known.items():
        # A new person comes back whole, with what was written after the row was made.
        lost = texts[cell] is None and fates.get((cell[0], THERE)) is Fate.STALE
        yield Judged(*cell, Fate.STALE if lost else fates[cell], texts[cell], chain.texts[-1])


def _fate(chain: Chain, text: str | None, read_at: int) -> Fate:
    if text == chain.texts[-1]:
        return Fate.SEEN
    superseded = chain.superseded(text)
    return Fate.STALE if superseded is not None and superseded > read_at else Fate.OWN


def _read_point(known: Mapping[Cell, Chain], texts: Mapping[Cell, str | None]) -> int:
    """The last record that whoever wrote the file had seen, by the fewest exceptions."""
    # Balance: cells against the moment, of those at or before a record; those it says were seen count down.
    turns: list[tuple[int, int]] = []
    # A text that several cells were given may have come into the file by another's hand as well.
    given = Counter(chain.texts[-1] for (_, column), chain in known.items() if column != THERE)
    for cell, chain in known.items():
        text = texts[cell]
        superseded = chain.superseded(text)
        if superseded is not None:
            turns.append((superseded, +1))
        elif text == chain.texts[-1] and given[text] <= 1 and chain.tells(text):
            turns.append((chain.sequences[-1], -1))
    best = balance = read_at = 0
    for sequence, weight in _summed(turns):
        balance += weight
        if balance < best:
            best, read_at = balance, sequence
    return read_at


def _summed(turns: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    sums: dict[int, int] = {}
    for sequence, weight in turns:
        sums[sequence] = sums.get(sequence, 0) + weight
    yield from sorted(sums.items())
