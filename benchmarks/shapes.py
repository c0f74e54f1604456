"""Made-up CSVs: seeded, streamed, and of two shapes, so that nothing is made fast for one of them alone."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from string import ascii_lowercase

from ingestion_pipeline.domain.columns import Mode, header

COLUMNS = header(Mode.FULL)

Cells = dict[str, str]
Edits = Mapping[int, Cells | None]
"""By a row's number: cells that are other ones, or None where the row is left out. Higher ones are added."""

NONE: Edits = {}


@dataclass(frozen=True)
class Shape:
    """What rows look like.

    Attributes:
        name: Its name.
        about: What is in it, for people.
        row: The cells of the row of a number, drawn.
        quoted: Whether every cell is quoted, or only those that need it.
        end: What ends a line.
    """

    name: str
    about: str
    row: Callable[[Random, int], Cells]
    quoted: bool = False
    end: str = "\n"

    def write(self, path: Path, rows: int, edits: Edits = NONE) -> None:
        """Write a file of so many rows, the highest number first; the same each time, in constant memory."""
        with path.open("w", newline="", encoding="utf-8") as file:
            file.write(self._line(COLUMNS))
            for cells in self.rows(rows, edits):
                file.write(self._line([cells.get(column, "") for column in COLUMNS]))

    def rows(self, rows: int, edits: Edits = NONE) -> Iterator[Cells]:
        """The rows' cells by column, those that are empty left out."""
        for number in range(max([rows, *edits]), rows, -1):
            # Drawn by themselves, so that the rows below are as they are without them.
            yield self.row(Random(number), number) | (edits[number] or {})  # noqa: S311 - made-up data
        draw = Random(7)  # noqa: S311 - made-up data
        for number in range(rows, 0, -1):
            cells, edit = self.row(draw, number), edits.get(number, {})
            if edit is not None:
                yield cells | edit

    def key(self, number: int) -> str:
        """The row_id of the row of a number."""
        return self.row(Random(number), number)["row_id"]  # noqa: S311 - made-up data

    def _line(self, cells: list[str] | tuple[str, ...]) -> str:
        if self.quoted:
            return ",".join(f'"{cell.replace(_QUOTE, _TWO)}"' for cell in cells) + self.end
        return (
            ",".join(cells if not _SPECIAL.intersection("".join(cells)) else map(_spelled, cells)) + self.end
        )


_QUOTE, _TWO = '"', '""'
_SPECIAL = frozenset(',"\r\n')


def _spelled(cell: str) -> str:
    return f'"{cell.replace(_QUOTE, _TWO)}"' if _SPECIAL.intersection(cell) else cell


def _words(alphabet: str, count: int) -> list[str]:
    draw = Random(1)  # noqa: S311 - made-up data
    return ["".join(draw.choices(alphabet, k=draw.randrange(2, 10))) for _ in range(count)]


_WORDS = _words(ascii_lowercase, 5000)
_FOREIGN = _words(ascii_lowercase + "äéßøžłñ" + "жпра" + "日本語文" + "🙂", 2000)


def _document(draw: Random, number: int) -> Cells:
    text = " ".join(draw.choices(_WORDS, k=draw.randrange(130, 350)))
    return {
        "row_id": str(number),
        "name": f"Person {number}",
        "email": f"p{number}@example.org",
        "type": "INTJ",
        "processed": "yes",
        "document_text": f'{text}\n"said"\n' if number % 3 == 0 else text,
    }


LARGE = 30_000
"""Characters of a large cell."""

_TYPES = ("INTJ", "ENFP", "ISTP", "ESFJ", "FF-Si/Ti-CP/B(S) #1", "ünbekannt")
_STATES = ("completed", "failed", "skipped", "pending")


def _filled(draw: Random, number: int) -> Cells:
    word = _FOREIGN[number % len(_FOREIGN)]
    one, other = f"{draw.getrandbits(32):08x}", f"{draw.getrandbits(32):08x}"
    state = draw.choice(_STATES)
    text = " ".join(draw.choices(_FOREIGN, k=5))
    if number % 1000 == 0:
        text = " ".join(draw.choices(_FOREIGN, k=LARGE // 4))[:LARGE].strip()
    return {
        "row_id": f"k{number:07d}",
        "name": f"{word.title()} {number}",
        "email": f"k{number}@example.org",
        "type": draw.choice(_TYPES),
        "link": f"https://d.example/{one}",
        "extracted_links": f"https://y.example/{one}|https://g.example/{other}",
        "youtube_playlist": f"https://y.example/{one}",
        "google_drive": f"https://g.example/{other}" if number % 10 else "",
        # One in fifty is spelled as the contract does not render it, and kept verbatim.
        "processed": "True" if number % 50 == 0 else "yes",
        "document_text": text,
        "youtube_status": state,
        "youtube_files": f"{one}.mp4",
        "youtube_media_id": one,
        "drive_status": state,
        "drive_files": f"{other}.mp3",
        "drive_media_id": other,
        "last_download_attempt": f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T09:00:{number % 60:02}",
        "download_errors": f'"{word}", twice' if state == "failed" else "",
        "permanent_failure": "yes" if number % 20 == 0 else "",
        "file_uuids": json.dumps({"film": one, "sound": other}, ensure_ascii=False),
        "s3_paths": json.dumps({key: f"f/{key}" for key in sorted({one, other})}, ensure_ascii=False),
    }


DOCUMENTS = Shape("documents", "1.6 KB a row, a third of the texts with newlines and quotes", _document)
FILLED = Shape(
    "filled",
    "0.5 KB a row, nearly all cells filled, one of 1,000 rows with 30 KB, not only ASCII, all quoted, CRLF",
    _filled,
    quoted=True,
    end="\r\n",
)
SHAPES = {shape.name: shape for shape in (DOCUMENTS, FILLED)}


def changed(rows: int, count: int, **cells: str) -> Edits:
    """Edits that give so many rows, spread over the file, these cells."""
    return dict.fromkeys(_some(rows, count), cells)


@dataclass(frozen=True)
class Planted:
    """A file that is not what it was, and where.

    Attributes:
        edits: What was done to it.
        differences: The row, the column (None for a whole row) and the kind of each, seen from who follows.
    """

    edits: Edits
    differences: frozenset[tuple[str, str | None, str]]


def planted(shape: Shape, rows: int, count: int) -> Planted:
    """So many differences of each kind: a cell, in one column or another; a row too many; a row too few."""
    cells, gone = (_some(rows, 2 * count)[half::2] for half in (0, 1))
    columns = ("type", "name", "document_text", "link")
    edits: dict[int, Cells | None] = {
        number: {columns[place % len(columns)]: f"https://planted.example/{number}"}
        for place, number in enumerate(cells)
    }
    differences: set[tuple[str, str | None, str]] = {
        (shape.key(number), next(iter(edits[number] or ())), "changed") for number in cells
    }
    edits |= dict.fromkeys(gone)
    differences |= {(shape.key(number), None, "extra") for number in gone}
    new = range(rows + 1, rows + count + 1)
    edits |= {number: {} for number in new}
    differences |= {(shape.key(number), None, "missing") for number in new}
    return Planted(edits, frozenset(differences))


def _some(rows: int, count: int) -> list[int]:
    return Random(3).sample(range(1, rows + 1), min(count, rows))  # noqa: S311 - made-up data
