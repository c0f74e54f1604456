"""Rendering and expressions: PostgreSQL says of every cell what the codecs say."""
# ruff: noqa: E501 - lists of spellings

from datetime import datetime

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.cells import Value, read, render
from ingestion_pipeline.domain.columns import BY_NAME
from ingestion_pipeline.domain.dialect import Quoting
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.postgres import expressions
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import rendered, spelled

TEXTS = {
    "link": ["", " ", "a", "é", "\r", "\\N"],
    "processed": ["", "yes", "Yes", "TRUE", "true", "1", "no", "False", "0", "maybe", " yes", "ﬀ"],
    "extraction_date": [
        "", "2024-01-02T03:04:05", "2024-01-02T03:04:05.5", "2024-01-02T03:04:05.000001", "2024-01-02 03:04:05",
        "2024-01-02T03:04:05Z", "2024-01-02T23:04:05-05:30", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999",
        "2024-01-02T03:04:05.000000", "2024-02-30T00:00:00", "2024-01-02T24:00:00", "2024-01-02", "now", "infinity",
        "0001-01-01T00:00:00+01:00", "2024-01-02T03:04:60", "epoch", "0044-01-01T00:00:00",
    ],
    "file_uuids": [
        "", "{}", '{"a": "b"}', '{"a":"b"}', '{"b": "1", "aa": "2", "a": "3"}', '{"é": "\\u00e9"}', '{"a": null}',
        '{"a": "\\u0000"}', '{"a": "\\u001f\\n\\"\\\\/"}', '{"a": "\x7f\u2028"}', '{"a": "1", "a": "2"}', "[]", "{",
        '{"a": "\\ud83d\\ude00"}', '{"a": "\\ud83d"}', "null", " {}", '{"": ""}', '{"a": "é"}', "NaN", '{"🜀": "a", "zz": "b"}',
    ],
}  # fmt: skip
CELLS = [(column, text) for column, texts in TEXTS.items() for text in texts]


def test_every_text_is_what_the_codec_says(site: Site, pipeline: Pipeline) -> None:
    header = ("row_id", "name", *TEXTS)
    rows = [
        [str(number), "", *(text if name == column else "" for name in TEXTS)]
        for number, (column, text) in enumerate(CELLS)
    ]
    site.put(spelled(rows, header))

    pipeline.sync()

    assert rendered(pipeline) == site.csv.read_bytes()
    stored = site.execute(
        f"SELECT row_id, {', '.join(TEXTS)}, verbatim FROM ingestion.record ORDER BY row_id::int"
    )
    for (_, *values, verbatim), (column, text) in zip(stored, CELLS, strict=True):
        cell = read(BY_NAME[column], text)
        assert values[list(TEXTS).index(column)] == cell.value, text
        assert verbatim == (None if cell.verbatim is None else {column: cell.verbatim}), text
    faults = [(c, t) for c, t in CELLS if read(BY_NAME[c], t).reason is not None]
    assert [
        (str(c), raw)
        for c, raw in site.execute("SELECT column_name, raw FROM ingestion.quarantine ORDER BY row_id::int")
    ] == [(c, {c: t}) for c, t in faults]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", ""),
        ("name", "é"),
        ("link", None),
        ("link", "a"),
        ("processed", None),
        ("processed", False),
        ("processed", True),
        ("extraction_date", None),
        ("extraction_date", datetime(2024, 1, 2, 3, 4, 5)),  # noqa: DTZ001 - stored without zone
        ("extraction_date", datetime(1, 1, 1, 0, 0, 0, 1)),  # noqa: DTZ001 - stored without zone
    ],
)
def test_value_is_rendered_as_the_codec_does(pool: Pool, column: str, value: Value) -> None:
    declared = BY_NAME[column]
    with pool.transaction() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE record ON COMMIT DROP AS"
            f" SELECT %s::{declared.sql_type} AS {column}, NULL::jsonb AS verbatim",
            (value,),
        )
        text = expressions.rendered(declared).as_string(cursor)
        cursor.execute(f"SELECT coalesce({text}, '') FROM record")
        assert cursor.fetchone() == (render(value),)


@pytest.mark.parametrize("quoting", list(Quoting))
def test_what_is_rendered_is_counted(site: Site, pipeline: Pipeline, quoting: Quoting) -> None:
    site.put(spelled([["1", ""], ["2", 'b "c"']], ("row_id", "name"), quoting=quoting))
    pipeline.sync()
    kept: list[bytes] = []

    class Sink:
        def write(self, data: bytes, /) -> None:
            kept.append(data)

    rows, dialect = pipeline.render(Sink())

    assert b"".join(kept) == site.csv.read_bytes()
    assert (rows, dialect.quoting, dialect.columns) == (2, quoting, ("row_id", "name"))


def test_nothing_is_rendered_before_the_first_sync(pipeline: Pipeline) -> None:
    with pytest.raises(UnavailableError) as missing:
        rendered(pipeline)

    assert missing.value.code == "nothing_synced"
