"""Versions: a manifest reads back as it was written, and anything else is no manifest."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.version import FORMAT, Content, Manifest, key

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
CONTENT = Content(
    sha256="a" * 64,
    size=1234,
    rows=56,
    dialect=Dialect(
        ("row_id", "name"), LineEnd.CRLF, Quoting.ALL, Quoting.ALL, bom=True, final_newline=False
    ),
    phase=Phase.DUAL_WRITE,
    epoch=7,
    published_at=MOMENT,
    run_id="run",
)
MANIFEST = Manifest(key(MOMENT, 0), "b" * 64, CONTENT)


@pytest.mark.parametrize("parent", [None, "b" * 64])
def test_a_manifest_reads_back(parent: str | None) -> None:
    manifest = Manifest("some/key.csv", parent, CONTENT)
    assert Manifest.from_bytes(manifest.as_bytes()) == manifest


def test_a_manifest_is_the_same_bytes_every_time() -> None:
    stored = MANIFEST.as_bytes()
    assert Manifest.from_bytes(stored).as_bytes() == stored
    assert stored.endswith(b"}\n")
    assert list(json.loads(stored)) == sorted(json.loads(stored))


def test_a_manifest_says_its_format() -> None:
    assert json.loads(MANIFEST.as_bytes())["format"] == FORMAT


def changed(**kept: Any) -> bytes:
    return json.dumps(json.loads(MANIFEST.as_bytes()) | kept).encode()


@pytest.mark.parametrize("name", sorted(json.loads(MANIFEST.as_bytes())))
def test_without_any_of_its_entries_it_is_no_manifest(name: str) -> None:
    kept = json.loads(MANIFEST.as_bytes())
    del kept[name]
    with pytest.raises(ValueError, match="not a manifest"):
        Manifest.from_bytes(json.dumps(kept).encode())


@pytest.mark.parametrize("number", [FORMAT + 1, 0, str(FORMAT), None])
def test_another_format_is_not_read(number: object) -> None:
    with pytest.raises(ValueError, match="another format"):
        Manifest.from_bytes(changed(format=number))


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"\xff\xfe",
        b"\0",
        MANIFEST.as_bytes()[:-3],
        b"[" * 100_000,
        changed(dialect=None),
        changed(dialect={}),
        changed(dialect="minimal"),
        changed(phase="someday"),
        changed(published_at="yesterday"),
        changed(published_at=5),
    ],
    ids=lambda stored: repr(stored[:12]),
)
def test_anything_else_is_no_manifest(stored: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Manifest.from_bytes(stored)
    assert "UTF" not in type(caught.value).__name__


def test_a_key_names_month_moment_and_number() -> None:
    assert key(MOMENT, 3) == "csv-versions/2026/03/output_20260304T050607000089Z_003.csv"


MOMENTS = st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


@settings(deadline=None, max_examples=100)
@given(MOMENTS, st.integers(1, 10**12), st.integers(0, 9))
def test_keys_sort_by_time(moment: datetime, microseconds: int, number: int) -> None:
    try:
        later = moment + timedelta(microseconds=microseconds)
    except OverflowError:
        return
    assert key(moment, number) < key(later, 0)


def test_no_two_of_the_same_microsecond_are_alike() -> None:
    assert len({key(MOMENT, number) for number in range(20)}) == 20
