"""Figures of what PostgreSQL holds, as last counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class View(StrEnum):
    """The materialized views, in the order in which they are refreshed."""

    DOWNLOAD_OUTCOMES = "download_outcomes"
    PROCESSING_SUMMARY = "processing_summary"
    STORAGE_INVENTORY = "storage_inventory"
    TYPE_DISTRIBUTION = "type_distribution"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A refresh of one view.

    Attributes:
        view: Which.
        at: When: it holds what was committed by then.
        seconds: How long it took.
        rows: Its rows since.
    """

    view: View
    at: datetime
    seconds: float
    rows: int


@dataclass(frozen=True, slots=True)
class Processing:
    """How far the work on people has come.

    Attributes:
        people: All there are; the next five count some of them.
        processed: Whose document has been read.
        with_document_text: With its text.
        with_download_attempt: Of whom a download was tried.
        with_download_errors: With whom the last one went wrong.
        with_permanent_failure: Whose downloads have been given up.
        last_download_attempt: When one was last tried, as the CSV has it, without a zone.
        in_quarantine: Entries that stand, of rows and of cells.
        undecided: Those nobody has decided on.
    """

    people: int
    processed: int
    with_document_text: int
    with_download_attempt: int
    with_download_errors: int
    with_permanent_failure: int
    last_download_attempt: datetime | None
    in_quarantine: int
    undecided: int

    @property
    def of_people(self) -> dict[str, int]:
        """How many of the people something is true of, by what a reader is told of it."""
        return {
            "processed": self.processed,
            "with document text": self.with_document_text,
            "with a download attempt": self.with_download_attempt,
            "with download errors": self.with_download_errors,
            "with permanent failure": self.with_permanent_failure,
        }


@dataclass(frozen=True, slots=True)
class TypeCount:
    """How many people have a type, which may be empty."""

    type: str
    people: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How downloads from one source went.

    Attributes:
        source: youtube or drive.
        status: As the column says, or `(none)`.
        people: How many have it.
        with_errors: Those of them with download errors, of whichever source.
        permanent_failures: Those of them whose downloads have been given up.
    """

    source: str
    status: str
    people: int
    with_errors: int
    permanent_failures: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted person by person, so that the counts of shares of the people add up.

    Attributes:
        processing: How far the work has come.
        types: By type, the largest first.
        outcomes: By source and status, the largest of each source first.
    """

    processing: Processing
    types: tuple[TypeCount, ...]
    outcomes: tuple[Outcome, ...]

    @classmethod
    def of(cls, shares: Sequence["Counts"]) -> "Counts":
        """What shares, one at least, with nobody in two of them, come to."""
        return cls(
            _processing_of([share.processing for share in shares]),
            _types_of([one for share in shares for one in share.types]),
            _outcomes_of([one for share in shares for one in share.outcomes]),
        )

    def as_json(self) -> dict[str, Any]:
        """As `from_json` takes it."""
        kept = asdict(self)
        last = self.processing.last_download_attempt
        kept["processing"]["last_download_attempt"] = None if last is None else last.isoformat()
        return kept

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Counts":
        """From what `as_json` gave."""
        last = kept["processing"]["last_download_attempt"]
        attempt = None if last is None else datetime.fromisoformat(last)
        return cls(
            Processing(**kept["processing"] | {"last_download_attempt": attempt}),
            tuple(TypeCount(**one) for one in kept["types"]),
            tuple(Outcome(**one) for one in kept["outcomes"]),
        )


def _processing_of(shares: Sequence[Processing]) -> Processing:
    attempts = [one.last_download_attempt for one in shares if one.last_download_attempt is not None]
    return Processing(
        people=sum(one.people for one in shares),
        processed=sum(one.processed for one in shares),
        with_document_text=sum(one.with_document_text for one in shares),
        with_download_attempt=sum(one.with_download_attempt for one in shares),
        with_download_errors=sum(one.with_download_errors for one in shares),
        with_permanent_failure=sum(one.with_permanent_failure for one in shares),
        last_download_attempt=max(attempts, default=None),
        # Entries in quarantine are no people: every share knows of all.
        in_quarantine=shares[0].in_quarantine,
        undecided=shares[0].undecided,
    )


def _types_of(found: Sequence[TypeCount]) -> tuple[TypeCount, ...]:
    people: Counter[str] = Counter()
    for one in found:
        people[one.type] += one.people
    return tuple(TypeCount(*one) for one in sorted(people.items(), key=lambda one: (-one[1], one[0])))


def _outcomes_of(found: Sequence[Outcome]) -> tuple[Outcome, ...]:
    added: dict[tuple[str, str], Outcome] = {}
    for one in found:
        known = added.get((one.source, one.status), Outcome(one.source, one.status, 0, 0, 0))
        added[one.source, one.status] = Outcome(
            one.source,
            one.status,
            known.people + one.people,
            known.with_errors + one.with_errors,
            known.permanent_failures + one.permanent_failures,
        )
    by_size = sorted(added.values(), key=lambda one: (-one.people, one.status))
    return tuple(sorted(by_size, key=lambda one: one.source, reverse=True))


@dataclass(frozen=True, slots=True)
class Share:
    """How many distinct paths have a prefix, or an ending, in common."""

    name: str
    paths: int


@dataclass(frozen=True, slots=True)
class Storage:
    """Which files there are, by what the two maps say.

    Attributes:
        uuids: Distinct UUIDs.
        distinct_paths: Distinct paths.
        people_with_files: People with a UUID or a path.
        paths_without_uuid: Paths of a UUID that is not among the person's file_uuids.
        uuids_without_path: UUIDs of a person that are not among the s3_paths.
        prefixes: Distinct paths by bucket, or else by first folder: the 20 largest that several people have,
            `(others)` and `(none)`.
        endings: Distinct paths by ending, likewise.
    """

    uuids: int
    distinct_paths: int
    people_with_files: int
    paths_without_uuid: int
    uuids_without_path: int
    prefixes: tuple[Share, ...]
    endings: tuple[Share, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are, by what a reader is told of it."""
        return {
            "UUIDs": self.uuids,
            "distinct paths": self.distinct_paths,
            "people with files": self.people_with_files,
            "paths without UUID": self.paths_without_uuid,
            "UUIDs without path": self.uuids_without_path,
        }

    def as_json(self) -> dict[str, Any]:
        """As `from_json` takes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Storage":
        """From what `as_json` gave."""
        shares = {name: tuple(Share(**one) for one in kept[name]) for name in ("prefixes", "endings")}
        return cls(**{**kept, **shares})


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures there are.

    Attributes:
        processing: How far the work has come.
        types: By type, the largest first.
        outcomes: By source and status, the largest of each source first.
        storage: The files.
        refreshed: When each view was refreshed by the pipeline; one that never was is left out.
    """

    processing: Processing
    types: tuple[TypeCount, ...]
    outcomes: tuple[Outcome, ...]
    storage: Storage
    refreshed: tuple[Refreshed, ...]
