"""What people are asked for, and what is found."""

from dataclasses import dataclass

FOUND = 20
"""What a question shows unless more is asked for."""

COUNTED = 10_000
"""People in whom words are found that are counted and ranked; beyond that, they are more."""

NAMED = 10
"""People named of those who share a file."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """How level the search index is.

    Attributes:
        language: The text search configuration it was made with.
        changed: People who were put into it anew, or taken out.
        behind: People who are not in it as they are now, for it could not be written.
    """

    language: str
    changed: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A person in whom the words were found.

    Attributes:
        row_id: Who it is.
        name: The person's name.
        rank: How well the words fit; a word in the name weighs more than one in the document.
        highlight: Where they stand in name and document, between « and »; else how the document begins.
    """

    row_id: str
    name: str
    rank: float
    highlight: str


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What a search found.

    Attributes:
        hits: The best, the best first.
        total: In how many people the words were found; COUNTED at most.
        more: Whether they are more than that; then the best are the best of those that were counted.
        behind: People who are searched as they were before, or not at all.
        csv_changed: Whether somebody changed the CSV, which leads, and PostgreSQL has yet to get it.
        replica: Where a replica is configured, `read`, or why the primary was asked instead.
    """

    hits: tuple[Hit, ...]
    total: int
    more: bool
    behind: int
    csv_changed: bool = False
    replica: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file of a person, as the maps have it.

    Attributes:
        row_id: Whose it is.
        name: The person's name.
        uuid: The file's UUID, as it is written there.
        description: Its key in file_uuids; None where the UUID stands in s3_paths only.
        path: Its S3 path; None where the UUID stands in file_uuids only.
    """

    row_id: str
    name: str
    uuid: str
    description: str | None
    path: str | None


@dataclass(frozen=True, slots=True)
class Shared:
    """A UUID or S3 path that several people have.

    Attributes:
        kind: `uuid` or `path`.
        text: Which.
        people: How many have it.
        row_ids: The first NAMED of them, in the CSV's order.
    """

    kind: str
    text: str
    people: int
    row_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindReport:
    """The files found.

    Attributes:
        files: Those asked for, in the CSV's order, unless shared ones were.
        shared: Where shared ones were asked for: those of most people first.
        total: How many there are, shown or not.
        behind: People of whom the files are known as they were before, or not at all.
        csv_changed: As in a SearchReport.
        replica: The same.
    """

    files: tuple[File, ...]
    shared: tuple[Shared, ...]
    total: int
    behind: int
    csv_changed: bool = False
    replica: str | None = None
