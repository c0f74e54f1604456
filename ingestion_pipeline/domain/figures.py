"""Figures of what PostgreSQL holds, as last counted."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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
