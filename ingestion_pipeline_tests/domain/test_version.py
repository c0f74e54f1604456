"""Versions: an entry of the chain reads back as it was written, and anything else is none."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.version import (
    FORMAT,
    Content,
    Entry,
    Form,
    Manifest,
    Removal,
    Stored,
    entry_from_bytes,
    key,
)

CHAIN = "csv-versions"
MOMENT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
COLUMNS = ("row_id", "name")
CONTENT = Content(
    sha256="a" * 64,
    size=1234,
    rows=56,
    columns=COLUMNS,
    dialect=Dialect(COLUMNS, LineEnd.CRLF, Quoting.ALL, Quoting.ALL, bom=True, final_newline=False),
    phase=Phase.DUAL_WRITE,
    epoch=7,
    published_at=MOMENT,
    compared_at=MOMENT - timedelta(seconds=1),
    run_id="run",
)
PLAIN = Stored("a" * 64, 1234, Form.CSV)
DUMP = Stored("c" * 64, 99, Form.DUMP, "version id", "pg_dump 18")
MANIFEST = Manifest(2, "b" * 64, key(CHAIN, MOMENT, 0, Form.CSV), CONTENT, PLAIN)
REMOVAL = Removal(3, "b" * 64, ("one", "other"), MOMENT, "somebody")
ENTRIES = (
    MANIFEST,
    REMOVAL,
    replace(MANIFEST, number=1, parent=None),
    replace(MANIFEST, stored=DUMP),
    replace(MANIFEST, content=replace(CONTENT, compared_at=None, run_id=None)),
    replace(REMOVAL, keys=()),
)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_reads_back(entry: Entry) -> None:
    assert entry_from_bytes(entry.as_bytes()) == entry


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_the_same_bytes_every_time(entry: Entry) -> None:
    stored = entry.as_bytes()
    assert entry_from_bytes(stored).as_bytes() == stored
    assert stored.endswith(b"}\n")
    assert list(json.loads(stored)) == sorted(json.loads(stored))


@pytest.mark.parametrize("entry", [MANIFEST, REMOVAL])
def test_an_entry_says_its_format(entry: Entry) -> None:
    assert json.loads(entry.as_bytes())["format"] == FORMAT


@pytest.mark.parametrize("entry", [MANIFEST, REMOVAL])
def test_any_other_bit_makes_it_no_entry(entry: Entry) -> None:
    whole = entry.as_bytes()
    for bit in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"."):
            entry_from_bytes(bytes(damaged))


@pytest.mark.parametrize("entry", [MANIFEST, REMOVAL])
def test_cut_anywhere_it_is_no_entry(entry: Entry) -> None:
    whole = entry.as_bytes()
    for size in range(len(whole)):
        with pytest.raises(ValueError, match=r"."):
            entry_from_bytes(whole[:size])
    with pytest.raises(ValueError, match="changed"):
        entry_from_bytes(whole + b"\n")


def sealed(entry: Entry, **kept: Any) -> bytes:
    """An entry that says something else, as if it had been stored so."""
    told = {name: value for name, value in (json.loads(entry.as_bytes()) | kept).items() if value is not GONE}
    del told["digest"]
    told["digest"] = hashlib.sha256(spelled(told)).hexdigest()
    return spelled(told)


GONE = object()


def spelled(told: dict[str, Any]) -> bytes:
    return json.dumps(told, indent=2, sort_keys=True).encode() + b"\n"


def test_what_is_sealed_here_is_what_is_stored() -> None:
    assert sealed(MANIFEST) == MANIFEST.as_bytes()
    assert entry_from_bytes(sealed(MANIFEST, number=9)) == replace(MANIFEST, number=9)


@pytest.mark.parametrize("name", ["number", "parent", "key", "content", "stored"])
def test_without_any_of_its_parts_it_is_no_manifest(name: str) -> None:
    with pytest.raises(ValueError, match="not an entry"):
        entry_from_bytes(sealed(MANIFEST, **{name: GONE}))


@pytest.mark.parametrize("name", ["number", "parent", "at", "by"])
def test_without_any_of_its_parts_it_is_no_removal(name: str) -> None:
    with pytest.raises(ValueError, match="not an entry"):
        entry_from_bytes(sealed(REMOVAL, **{name: GONE}))


@pytest.mark.parametrize("number", [FORMAT + 1, 0, str(FORMAT), None])
def test_another_format_is_not_read(number: object) -> None:
    with pytest.raises(ValueError, match="another format"):
        entry_from_bytes(sealed(MANIFEST, format=number))


TOLD = json.loads(MANIFEST.as_bytes())


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
        b"[" * 100_000,
        json.dumps(TOLD).encode(),
        sealed(MANIFEST, number="one"),
        sealed(MANIFEST, number=None),
        sealed(MANIFEST, content=None),
        sealed(MANIFEST, content=TOLD["content"] | {"dialect": {}}),
        sealed(MANIFEST, content=TOLD["content"] | {"dialect": "minimal"}),
        sealed(MANIFEST, content=TOLD["content"] | {"phase": "someday"}),
        sealed(MANIFEST, content=TOLD["content"] | {"published_at": "yesterday"}),
        sealed(MANIFEST, content=TOLD["content"] | {"published_at": 5}),
        sealed(MANIFEST, content=TOLD["content"] | {"more": 5}),
        sealed(MANIFEST, stored=TOLD["stored"] | {"form": "xlsx"}),
        sealed(MANIFEST, stored=TOLD["stored"] | {"more": 5}),
        sealed(REMOVAL, removed=5),
        sealed(REMOVAL, at="yesterday"),
    ],
    ids=lambda stored: repr(stored[:12]),
)
def test_anything_else_is_no_entry(stored: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        entry_from_bytes(stored)
    assert "UTF" not in type(caught.value).__name__


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (Form.CSV, "output_20260304T050607000089Z_003.csv"),
        (Form.ZSTD, "output_20260304T050607000089Z_003.csv.zst"),
        (Form.DUMP, "dump_20260304T050607000089Z_003.dump"),
    ],
)
def test_a_key_names_month_moment_and_number(form: Form, name: str) -> None:
    assert key(CHAIN, MOMENT, 3, form) == f"csv-versions/2026/03/{name}"


MOMENTS = st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


@settings(deadline=None, max_examples=100)
@given(MOMENTS, st.integers(1, 10**12), st.integers(0, 9))
def test_keys_sort_by_time(moment: datetime, microseconds: int, number: int) -> None:
    try:
        later = moment + timedelta(microseconds=microseconds)
    except OverflowError:
        return
    assert key(CHAIN, moment, number, Form.CSV) < key(CHAIN, later, 0, Form.CSV)


def test_no_two_of_the_same_microsecond_are_alike() -> None:
    assert len({key(CHAIN, MOMENT, number, form) for number in range(20) for form in Form}) == 60
