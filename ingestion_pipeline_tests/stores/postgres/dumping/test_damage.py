"""Files that are no dump, or not ours, or no longer whole: they change nothing."""

import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import InputRefusedError, PipelineError, ProtectedError
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.dumping import clients, replace, restore_into, scratch_database
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.stores.postgres.dumping.helpers import everything, later
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import refused
from ingestion_pipeline_tests.strays import stray


def test_cut_short_anywhere_it_changes_nothing(filled: Site, kept: Path, pool: Pool) -> None:
    whole = kept.read_bytes()
    before = everything(filled.database)
    for size in (0, 3, 200, len(whole) // 2, len(whole) - 3000, len(whole) - 1000, len(whole) - 1):
        kept.write_bytes(whole[:size])
        with refused(InputRefusedError, "dump_unreadable"):
            replace(pool, kept, later(filled))
        with scratch_database(pool) as other:
            with refused(InputRefusedError, "dump_unreadable"):
                restore_into(other, kept)
            assert schema.current(other) is None
    assert everything(filled.database) == before


def test_with_a_wrong_byte_among_the_rows_it_is_refused_unless_it_says_the_same(
    filled: Site, kept: Path
) -> None:
    whole = kept.read_bytes()
    rows = whole.rindex(b"FK CONSTRAINT") + 600
    assert len(whole) - rows > 3000
    in_dump = rows_of(filled)
    stray(filled.database, "UPDATE people SET name = 'newer'", epoch=1)
    newer = rows_of(filled)
    refusals = 0
    # There are bytes that pg_restore would read for ever.
    with closing(Pool(filled.database, waits=Waits(bulk=10))) as pool:
        for place in range(rows, len(whole), (len(whole) - rows) // 10):
            kept.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            try:
                replace(pool, kept, later(filled))
            except PipelineError:
                refusals += 1
                assert rows_of(filled) == newer
            else:
                # Such as the sign of a zero.
                assert rows_of(filled) == in_dump
                newer = in_dump
    assert refusals > 5


def rows_of(site: Site) -> dict[str, object]:
    """All that is stored, but for the epoch and the numbers."""
    stored = everything(site.database)
    return {name: stored[name] for name in stored.keys() - {"ingestion.migration_state", "numbers"}}


@pytest.mark.parametrize(
    "word", [b"TRIGGER", b"CONSTRAINT", b"FUNCTION", b"SEQUENCE SET", b"TABLE DATA", b"INDEX"]
)
def test_with_a_wrong_word_among_the_contents_it_changes_nothing(
    filled: Site, kept: Path, pool: Pool, word: bytes
) -> None:
    whole = kept.read_bytes()
    before = everything(filled.database)
    damaged = whole.replace(b"\0" + word + b"\0", b"\0" + word.swapcase() + b"\0", 1)
    assert damaged != whole
    kept.write_bytes(damaged)

    with refused(InputRefusedError, "dump_unreadable"):
        replace(pool, kept, later(filled))

    assert everything(filled.database) == before


@pytest.mark.parametrize(
    "content", [b"", b"row_id,name\n1,x\n", b"PGDMP", b"-- PostgreSQL database dump\nSELECT 1;\n"]
)
def test_other_files_are_no_dumps(filled: Site, pool: Pool, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)

    with refused(InputRefusedError, "dump_unreadable"):
        replace(pool, path, later(filled))
    with refused(InputRefusedError, "dump_unreadable"):
        replace(pool, tmp_path, later(filled))
    with refused(InputRefusedError, "dump_unreadable"):
        replace(pool, tmp_path / "missing", later(filled))


def test_dump_of_something_else_is_not_ours(
    filled: Site, pool: Pool, tmp_path: Path, empty_database: str
) -> None:
    stray(empty_database, "CREATE TABLE people (id int)")
    with closing(Pool(empty_database)) as other:
        found = clients.find(other)
    with (tmp_path / "other").open("wb") as file:
        subprocess.run([found.folder / "pg_dump", "-Fc"], env=found.environment, stdout=file, check=True)

    with refused(InputRefusedError, "dump_unreadable"):
        replace(pool, tmp_path / "other", later(filled))


@pytest.mark.parametrize("head", ["0001", "9999"])
def test_dump_of_another_schema_is_refused(
    filled: Site, kept: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    before = everything(filled.database)
    monkeypatch.setattr(schema, "head", lambda: head)

    with refused(InputRefusedError, "dump_other_schema"):
        replace(pool, kept, later(filled))
    with scratch_database(pool) as other:
        with refused(InputRefusedError, "dump_other_schema"):
            restore_into(other, kept)
        assert schema.current(other) is None

    assert everything(filled.database) == before


def test_nothing_is_restored_into_a_database_that_is_not_empty(filled: Site, kept: Path, pool: Pool) -> None:
    before = everything(filled.database)

    with refused(ProtectedError, "postgres_refused"):
        restore_into(pool, kept)

    assert everything(filled.database) == before
