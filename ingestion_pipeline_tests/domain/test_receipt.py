"""A write is checked before anything else happens, and its answer crosses processes whole."""

import json
from datetime import datetime
from uuid import UUID

import pytest

from ingestion_pipeline.domain.cells import Value
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    PipelineError,
    Place,
    ProtectedError,
    SettingsError,
    UnavailableError,
)
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.receipt import (
    Answered,
    Standing,
    Write,
    WriteReceipt,
    checked,
    unknown_person,
)

WRITE_ID = UUID("00112233-4455-6677-8899-aabbccddeeff")
RECEIPTS = (
    WriteReceipt("1", 7, WRITE_ID, Side.CSV, Standing.PENDING, created=True),
    WriteReceipt("r\u00e9\n", 2**60, UUID(int=1), Side.POSTGRES, Standing.NONE, created=False),
)


def refusal(row_id: str, cells: dict[str, Value], write_id: str | None = None) -> InputRefusedError:
    with pytest.raises(InputRefusedError) as caught:
        checked(row_id, cells, write_id)
    return caught.value


def test_texts_are_taken_as_they_are() -> None:
    write = checked("1", {"name": ' "A",\n', "processed": "no"})
    assert (write.row_id, write.cells, write.given) == ("1", {"name": ' "A",\n', "processed": "no"}, False)


def test_values_become_their_canonical_text() -> None:
    values: dict[str, Value] = {
        "processed": True,
        "permanent_failure": False,
        "last_download_attempt": datetime(2026, 3, 4, 5, 6, 7, 890000),  # noqa: DTZ001 - the contract's are bare
        "s3_paths": {"b": "2", "a": "1"},
        "link": None,
    }
    assert checked("1", values).cells == {
        "processed": "yes",
        "permanent_failure": "",
        "last_download_attempt": "2026-03-04T05:06:07.890000",
        "s3_paths": '{"a": "1", "b": "2"}',
        "link": "",
    }


def test_every_write_has_an_id_of_its_own() -> None:
    assert checked("1", {"name": "A"}).write_id != checked("1", {"name": "A"}).write_id


@pytest.mark.parametrize("write_id", [WRITE_ID, str(WRITE_ID), WRITE_ID.hex])
def test_a_caller_may_name_the_write(write_id: UUID | str) -> None:
    write = checked("1", {"name": "A"}, write_id)
    assert (write.write_id, write.given) == (WRITE_ID, True)


@pytest.mark.parametrize(
    ("row_id", "cells", "code", "column"),
    [
        ("", {"name": "A"}, "missing_row_id", "row_id"),
        ("x" * 256, {"name": "A"}, "too_long", "row_id"),
        ("a\0", {"name": "A"}, "nul", "row_id"),
        ("\ud800", {"name": "A"}, "not_unicode", "row_id"),
        ("1", {}, "nothing_to_write", None),
        ("1", {"row_id": "2"}, "row_id_fixed", None),
        ("1", {"surname": "B"}, "unknown_column", "surname"),
        ("1", {"name": "x" * 10_000}, "too_long", "name"),
        ("1", {"name": "a\0"}, "nul", "name"),
        ("1", {"name": "\udfff"}, "not_unicode", "name"),
        ("1", {"processed": "perhaps"}, "not_a_flag", "processed"),
        ("1", {"processed": "y\0"}, "nul", "processed"),
        ("1", {"last_download_attempt": "today"}, "not_a_timestamp", "last_download_attempt"),
        ("1", {"s3_paths": "[]"}, "not_a_map", "s3_paths"),
        ("1", {"name": "A", "processed": "perhaps"}, "not_a_flag", "processed"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(
    row_id: str, cells: dict[str, Value], code: str, column: str | None
) -> None:
    error = refusal(row_id, cells)
    assert (error.code, error.place.column) == (code, column)


def test_a_refusal_names_the_person_and_never_the_text() -> None:
    error = refusal("person-7", {"processed": "a secret"})
    assert error.place.row_id == "person-7"
    assert "secret" not in f"{error}{error.hint}"


def test_a_write_id_must_be_a_uuid() -> None:
    assert refusal("1", {"name": "A"}, "42").code == "bad_write_id"


def test_only_a_write_with_name_email_and_type_creates() -> None:
    assert Write("1", {"name": "A", "email": "", "type": "INTJ"}).creates
    assert not Write("1", {"name": "A", "email": "a@example.org"}).creates


def test_an_unknown_person_is_refused_with_what_is_lacking() -> None:
    error = unknown_person(Write("1", {"email": "a@example.org", "link": "l"}))
    assert (error.code, error.place) == ("unknown_row_id", Place(row_id="1"))
    assert error.hint == "To add a new person, name name, type too."


def crossed(answer: Answered) -> Answered:
    return Answered.from_json(json.loads(json.dumps(answer.as_json())))


def test_receipts_cross_processes_whole() -> None:
    assert crossed(Answered(RECEIPTS)) == Answered(RECEIPTS)
    assert isinstance(crossed(Answered(RECEIPTS)).receipts[0].follower, Standing)


@pytest.mark.parametrize("kind", [InputRefusedError, UnavailableError, ProtectedError, SettingsError])
def test_an_error_crosses_processes_with_its_kind(kind: type[PipelineError]) -> None:
    place = Place("f.csv", 3, "name", "1")
    found = crossed(Answered(RECEIPTS, kind("what", "code", place, "hint")))
    error = found.error
    assert found.receipts == RECEIPTS
    assert type(error) is kind
    assert error is not None
    assert (error.message, error.code, error.place, error.hint) == ("what", "code", place, "hint")


def test_an_error_of_another_kind_stays_an_error() -> None:
    class OtherError(PipelineError):
        pass

    assert type(crossed(Answered(error=OtherError("what"))).error) is PipelineError
