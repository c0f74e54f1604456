"""Errors: what they say, and how the process ends."""

import pytest

from ingestion_pipeline.domain.errors import (
    Exit,
    InputRefusedError,
    PipelineError,
    Place,
    ProtectedError,
    SettingsError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (PipelineError, 1),
        (SettingsError, 2),
        (InputRefusedError, 3),
        (UnavailableError, 4),
        (ProtectedError, 5),
    ],
)
def test_each_kind_has_its_exit_code(kind: type[PipelineError], code: int) -> None:
    assert kind("x").exit == code


def test_exit_codes_are_distinct() -> None:
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5, 70]


def test_an_error_says_where_and_what() -> None:
    error = PipelineError("went wrong", place=Place("f.csv", 3, "name", "7"))
    assert str(error) == "f.csv, line 3, column name, row_id 7: went wrong"
    assert error.args == ("went wrong",)


def test_an_error_without_a_place_says_what() -> None:
    assert str(PipelineError("went wrong")) == "went wrong"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place(), ""),
        (Place(file="f"), "f"),
        (Place(line=0), "line 0"),
        (Place(column="c", row_id=""), "column c, row_id "),
    ],
)
def test_a_place_says_what_is_known(place: Place, text: str) -> None:
    assert str(place) == text


def test_errors_are_told_apart_by_identity() -> None:
    assert PipelineError("x") != PipelineError("x")
    assert len({PipelineError("x"), PipelineError("x")}) == 2
