"""The contract: which columns there are, and what is derived from their declaration."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingestion_pipeline.domain import columns
from ingestion_pipeline.domain.columns import (
    BY_NAME,
    COLUMNS,
    Codec,
    Column,
    Mode,
    Table,
    contract_version,
    generation,
    header,
    of_table,
)

SAMPLES = Path(__file__).parent.parent.parent / "sample_data"

FULL = [
    "row_id",
    "name",
    "email",
    "type",
    "link",
    "extracted_links",
    "youtube_playlist",
    "google_drive",
    "processed",
    "document_text",
    "youtube_status",
    "youtube_files",
    "youtube_media_id",
    "drive_status",
    "drive_files",
    "drive_media_id",
    "last_download_attempt",
    "download_errors",
    "permanent_failure",
    "file_uuids",
    "s3_paths",
]
LIMITS = {"row_id": 50, "name": 255, "email": 255, "type": 100, "youtube_status": 50, "drive_status": 50}


def names_where(codec: Codec) -> set[str]:
    return {column.name for column in COLUMNS if column.codec is codec}


def test_there_are_22_columns_the_21_of_the_full_header_first() -> None:
    assert [column.name for column in COLUMNS] == [*FULL, "extraction_date"]


def test_every_column_is_found_by_its_name() -> None:
    assert list(BY_NAME.values()) == list(COLUMNS)
    assert list(BY_NAME) == [*FULL, "extraction_date"]


def test_each_codec_has_its_columns() -> None:
    assert names_where(Codec.TEXT) == {"row_id", "name", "email", "type"}
    assert names_where(Codec.FLAG) == {"processed", "permanent_failure"}
    assert names_where(Codec.TIMESTAMP) == {"last_download_attempt", "extraction_date"}
    assert names_where(Codec.MAP) == {"file_uuids", "s3_paths"}
    assert len(names_where(Codec.NULLABLE_TEXT)) == 12


def test_only_text_codecs_have_no_other_spelling() -> None:
    assert [codec for codec in Codec if codec.is_text] == [Codec.TEXT, Codec.NULLABLE_TEXT]


def test_only_the_columns_of_codec_text_are_required() -> None:
    assert {column.name for column in COLUMNS if column.required} == names_where(Codec.TEXT)


def test_limits_are_declared_in_characters_and_in_sql_alike() -> None:
    assert {column.name: column.limit for column in COLUMNS if column.limit is not None} == LIMITS
    assert {c.name: c.sql_type for c in COLUMNS if "char" in c.sql_type} == {
        name: f"varchar({limit})" for name, limit in LIMITS.items()
    }


@pytest.mark.parametrize(
    ("codec", "sql_type"), [(Codec.FLAG, "boolean"), (Codec.TIMESTAMP, "timestamp"), (Codec.MAP, "jsonb")]
)
def test_typed_columns_have_one_sql_type_per_codec(codec: Codec, sql_type: str) -> None:
    assert {column.sql_type for column in COLUMNS if column.codec is codec} == {sql_type}


def test_every_column_lies_in_one_of_three_tables() -> None:
    assert [column.name for column in of_table(Table.PEOPLE)] == FULL[:5]
    assert [column.name for column in of_table(Table.S3_METADATA)] == FULL[-2:]
    assert [c.name for c in of_table(Table.PROCESSING_STATUS)] == [*FULL[5:-2], "extraction_date"]


def test_some_columns_of_a_table_stay_in_contract_order() -> None:
    some = of_table(Table.PEOPLE, ["link", "name", "processed"])
    assert [column.name for column in some] == ["name", "link"]


def test_no_columns_asked_for_are_no_columns() -> None:
    assert of_table(Table.PEOPLE, []) == ()


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        (Mode.BASIC, FULL[:5]),
        (Mode.TEXT, [*FULL[:5], "document_text", "processed", "extraction_date"]),
        (Mode.FULL, FULL),
    ],
)
def test_each_mode_writes_its_header(mode: Mode, names: list[str]) -> None:
    assert header(mode) == tuple(names)


@pytest.mark.parametrize("mode", Mode)
def test_a_header_holds_the_columns_of_its_mode(mode: Mode) -> None:
    assert set(header(mode)) == {column.name for column in COLUMNS if mode in column.modes}


@pytest.mark.parametrize(
    ("file", "known_as"),
    [
        ("output.csv", "full, 21 columns"),
        ("output_basic.csv", "basic, 5 columns"),
        ("output_text.csv", "text, 8 columns"),
        ("output_june_18_columns.csv", "18 columns, before document_text and the maps"),
    ],
)
def test_the_samples_are_known_generations(file: str, known_as: str) -> None:
    with (SAMPLES / file).open() as sample:
        assert generation(sample.readline().rstrip("\n").split(",")) == known_as


def test_a_generation_is_known_by_its_set_of_columns() -> None:
    nineteen = FULL[:19]
    assert generation(nineteen[::-1]) == "19 columns, before the maps"
    assert generation(FULL[:7]) == "7 known columns"


def with_first(**changed: Any) -> tuple[Column, ...]:
    return (replace(COLUMNS[0], **changed), *COLUMNS[1:])


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "key"},
        {"table": Table.S3_METADATA},
        {"sql_type": "text"},
        {"codec": Codec.NULLABLE_TEXT},
        {"limit": 51},
        {"modes": frozenset({Mode.BASIC})},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_contract_version_changes_with_any_column(
    changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contract_version()
    monkeypatch.setattr(columns, "COLUMNS", with_first(**changed))
    assert contract_version() != before


def test_the_contract_version_changes_with_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    before = contract_version()
    monkeypatch.setattr(columns, "COLUMNS", COLUMNS[::-1])
    assert contract_version() != before


def test_the_contract_version_does_not_change_with_the_wording(monkeypatch: pytest.MonkeyPatch) -> None:
    before = contract_version()
    monkeypatch.setattr(columns, "COLUMNS", with_first(about="The key"))
    assert contract_version() == before
    assert len(before) == 12
