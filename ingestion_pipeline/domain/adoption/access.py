"""What an old script does to the CSV, and what becomes of it in each phase."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ingestion_pipeline.domain.phase import Phase

LEGACY = (
    "CSVManager",
    "DownloadResult",
    "RowContext",
    "atomic_csv_update",
    "count_links_by_type",
    "create_csv_backup",
    "extract_all_links_from_row",
    "extract_links_from_row",
    "get_standard_csv_path",
    "load_and_filter_csv",
    "load_output_csv",
    "process_csv_safely",
    "safe_csv_read",
    "safe_csv_write",
    "streaming_csv_update",
    "update_csv_column",
)
"""The names of `utils.csv_manager` that `ingestion_pipeline.legacy` answers."""


class What(StrEnum):
    """What is done to the CSV."""

    READS = "reads"
    WRITES = "writes"
    REMOVES = "removes"
    IMPORTS = "imports"
    SHELL = "shell"


class Certainty(StrEnum):
    """Whether it can be another file."""

    CERTAIN = "certain"
    LIKELY = "likely"


_MERGED = "goes past the journal; merged at the next look, for the file leads"
_GONE = "stops every write until the file is put back, for the file leads"
_BECOMES: Mapping[What, tuple[str, str, str, str]] = {
    What.READS: (
        "fine",
        "fine",
        "fine, but a moment old",
        "old: the file is only rendered when asked or scheduled",
    ),
    What.WRITES: (_MERGED, _MERGED, "set aside, not taken over", "lost to the database"),
    What.REMOVES: (_GONE, _GONE, "the file is rendered again", "takes nothing from the database"),
}

PHASE_NOTES: Mapping[What, Mapping[Phase, str]] = {
    what: dict(zip(Phase, notes, strict=True)) for what, notes in _BECOMES.items()
}
"""What becomes of an effect, phase by phase."""


@dataclass(frozen=True, slots=True)
class Access:
    """One place of an old script that touches the CSV.

    Attributes:
        file: Path of the script in the checkout, with slashes.
        line: Its line, from 1.
        column: The character in that line, from 1.
        what: How it touches the CSV.
        effect: Whether the CSV is read, written or removed by it, however that is done.
        how: How that was recognised.
        certainty: Whether it can be another file.
        change: What to do about it, in one line.
        patched: Whether the patch changes this line.
    """

    file: str
    line: int
    column: int
    what: What
    effect: What
    how: str
    certainty: Certainty
    change: str
    patched: bool = False

    @property
    def phases(self) -> Mapping[Phase, str]:
        """What becomes of it in each phase."""
        return PHASE_NOTES[self.effect]


@dataclass(frozen=True, slots=True)
class Use:
    """An access whose place is known to who asked.

    Attributes:
        effect: Whether the CSV is read, written or removed.
        how: How that was recognised.
        certainty: Whether it can be another file.
        change: What to do about it, in one line.
        by_program: Whether it is done by a program that is started.
    """

    effect: What
    how: str
    certainty: Certainty
    change: str
    by_program: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, or a part of one, that nothing can be said of.

    Attributes:
        file: Path in the checkout, with slashes.
        line: Where reading ended, from 1; 1 where there is no line.
        why: In a few words, without quoting the file.
    """

    file: str
    line: int
    why: str
