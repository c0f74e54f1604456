"""One write of one person, and what its caller is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID, uuid4

from ingestion_pipeline.domain.cells import Value, read, render
from ingestion_pipeline.domain.columns import BY_NAME, Column
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    PipelineError,
    Place,
    ProtectedError,
    SettingsError,
    UnavailableError,
)
from ingestion_pipeline.domain.phase import Side

NEEDED_TO_CREATE = ("name", "email", "type")
"""The columns a write must carry for a row_id that is not there yet."""

_ROW_ID = BY_NAME["row_id"]


class Standing(StrEnum):
    """How the other side stands when a write is acknowledged."""

    NONE = "none"
    """The phase has no follower."""
    SETTLED = "settled"
    """The follower holds the write too."""
    PENDING = "pending"
    """The follower will get it when it is settled."""
    AUTHORITY = "pending authority"
    """PostgreSQL leads and is away: the CSV holds the write, and settling brings it to PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Write:
    """Some cells of one person.

    Attributes:
        row_id: The person.
        cells: The new text by column; columns not named are not touched.
        write_id: Tells this write from every other; the same one again has no further effect.
        given: Whether the caller named the write_id, so that it may have been written before.
    """

    row_id: str
    cells: Mapping[str, str]
    write_id: UUID = field(default_factory=uuid4)
    given: bool = False

    @property
    def creates(self) -> bool:
        """Whether it carries what a new person needs."""
        return all(name in self.cells for name in NEEDED_TO_CREATE)


@dataclass(frozen=True, slots=True)
class WriteReceipt:
    """What the caller of a write is told once the write is durable.

    Attributes:
        row_id: The person.
        revision: Counts the changes of all people; a later one is higher.
        write_id: The write's own; give it again to ask again.
        durable_in: The side that holds the write durably.
        follower: How the other side stands.
        created: Whether the person is new.
    """

    row_id: str
    revision: int
    write_id: UUID
    durable_in: Side
    follower: Standing
    created: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A write that PostgreSQL has made.

    Attributes:
        row_id: The person.
        revision: The row's new revision.
        write_id: The write's own.
        created: Whether the person is new.
    """

    row_id: str
    revision: int
    write_id: UUID
    created: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of several writes, in their order.

    Attributes:
        receipts: Of those that are durable.
        error: What kept the one after them from being written, and so all others.
    """

    receipts: tuple[WriteReceipt, ...] = ()
    error: PipelineError | None = None

    def as_json(self) -> dict[str, Any]:
        """The answer as JSON holds it."""
        receipts = [
            (r.row_id, r.revision, r.write_id.hex, r.durable_in, r.follower, r.created) for r in self.receipts
        ]
        error = self.error
        if error is None:
            return {"receipts": receipts}
        place = (error.place.file, error.place.line, error.place.column, error.place.row_id)
        kept = (type(error).__name__, error.message, error.code, place, error.hint)
        return {"receipts": receipts, "error": kept}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """The answer that `as_json` gave."""
        receipts = tuple(
            WriteReceipt(row_id, revision, UUID(write_id), Side(durable_in), Standing(follower), created)
            for row_id, revision, write_id, durable_in, follower, created in kept["receipts"]
        )
        if "error" not in kept:
            return cls(receipts)
        name, message, code, place, hint = kept["error"]
        return cls(receipts, _ERRORS.get(name, PipelineError)(message, code, Place(*place), hint))


_ERRORS: dict[str, type[PipelineError]] = {
    kind.__name__: kind for kind in (InputRefusedError, UnavailableError, ProtectedError, SettingsError)
}


def checked(row_id: str, cells: Mapping[str, Value], write_id: UUID | str | None = None) -> Write:
    """A write whose every cell fits its column.

    Args:
        row_id: The person.
        cells: By column, the cell's text, or its value, which is rendered as its canonical text.
        write_id: For a write that may be tried again.

    Raises:
        InputRefusedError: A column is not in the contract, or a cell does not fit it.
    """
    if not isinstance(row_id, str):
        raise _refused("a row_id is text", "not_a_row_id", "")
    _check_fits(_ROW_ID, row_id, row_id="")
    texts: dict[str, str] = {}
    for name, value in cells.items():
        if not isinstance(value, str | bool | datetime | dict | None):
            raise _refused(
                "the value is neither text, True, False, None, a datetime nor a dict of text",
                "not_a_cell",
                row_id,
                column=name[:80],
            )
        texts[name] = _rendered(value, row_id, name)
        _check_fits(_column(name, row_id), texts[name], row_id)
    if not texts:
        raise _refused("the write names no column", "nothing_to_write", row_id)
    return Write(row_id, texts) if write_id is None else Write(row_id, texts, _uuid(write_id), given=True)


def unknown_person(write: Write) -> InputRefusedError:
    """The refusal of a write to somebody who is not there."""
    lacking = [name for name in NEEDED_TO_CREATE if name not in write.cells]
    return _refused(
        "there is no person with this row_id",
        "unknown_row_id",
        write.row_id,
        hint=f"To add a new person, name {', '.join(lacking)} too.",
    )


def unknown_column(name: str, row_id: str = "") -> InputRefusedError:
    """The refusal of a column that the contract has not."""
    return _refused(
        "the contract has no such column",
        "unknown_column",
        row_id,
        column=name[:80],
        hint="docs/contract.md lists the columns.",
    )


def too_many_deleted(deleted: int, stored: int) -> ProtectedError:
    """The refusal to delete more people at once than the brakes allow."""
    return ProtectedError(
        f"{deleted} of {stored} people would be deleted",
        code="brake",
        hint="If that is meant, do it again with --accept-loss; nothing has been changed.",
    )


def taken_write_id(write: Write) -> InputRefusedError:
    """The refusal of a write_id that another person's write has."""
    return _refused(
        "this write_id is that of another person's write",
        "write_id_taken",
        write.row_id,
        hint="Give every write a write_id of its own.",
    )


def _column(name: str, row_id: str) -> Column:
    if name == "row_id":
        raise _refused("a row_id names the person and is never changed", "row_id_fixed", row_id)
    try:
        return BY_NAME[name]
    except KeyError:
        raise unknown_column(name, row_id) from None


def _rendered(value: Value, row_id: str, column: str) -> str:
    try:
        return render(value)
    except (UnicodeEncodeError, AttributeError, TypeError):
        raise _refused("the value is not a dict of text", "not_a_cell", row_id, column=column[:80]) from None


def _check_fits(column: Column, text: str, row_id: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused("the text is not Unicode", "not_unicode", row_id, column=column.name) from None
    reason = "nul" if "\0" in text else read(column, text).reason
    if reason is not None:
        raise _refused(f"the text does not fit its column: {reason}", reason, row_id, column=column.name)


def _uuid(write_id: UUID | str) -> UUID:
    try:
        found = write_id if isinstance(write_id, UUID) else UUID(write_id)
    except (ValueError, AttributeError, TypeError):
        found = UUID(int=0)
    if not found.int:
        raise InputRefusedError("the write_id is not a UUID", code="bad_write_id")
    return found


def _refused(
    message: str, code: str, row_id: str, *, column: str | None = None, hint: str = ""
) -> InputRefusedError:
    return InputRefusedError(message, code=code, place=Place(row_id=row_id or None, column=column), hint=hint)
