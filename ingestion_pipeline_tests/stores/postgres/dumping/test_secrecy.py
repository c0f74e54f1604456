"""Passwords and cells: nobody reads along."""

import io
import shlex
import traceback
from contextlib import closing
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.stores.postgres.dumping import clients, dump, replace, restore_into, scratch_database
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.stores.postgres.dumping.helpers import (
    CANARY,
    Fakes,
    dumped_to,
    later,
    with_password,
)
from ingestion_pipeline_tests.strays import stray


def test_password_goes_by_the_environment_and_is_no_argument(
    filled: Site, fakes: Fakes, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    for name in ("pg_dump", "pg_restore", "psql"):
        path = fakes.folder / name
        note = f'echo "{name} $* | $PGPASSWORD | $PGAPPNAME" >> {log}'
        path.write_text(f"#!/bin/sh\n{note}\nexec {fakes.real(name)}\n")
    path = tmp_path / "dump"

    with closing(Pool(with_password(filled.database))) as pool:
        dumped_to(path, pool)
        with scratch_database(pool) as other:
            restore_into(other, path)
        replace(pool, path, later(filled))
        shown = repr(clients.find(pool))

    calls = [line.split(" | ") for line in log.read_text().splitlines()]
    assert {words.split()[0] for words, *_ in calls} == {"pg_dump", "pg_restore", "psql"}
    assert {(password, name) for _, password, name in calls} == {(CANARY, "ingestion_pipeline")}
    assert not any(CANARY in words for words, *_ in calls)
    assert CANARY not in shown


@pytest.mark.parametrize("name", ["pg_dump", "pg_restore", "psql"])
@pytest.mark.parametrize(
    "said",
    [
        "error: ERROR:  23505: duplicate key, DETAIL: Key (name)=({}) already exists",
        'error: connection to server at "x" failed: FATAL: password {}',
        "error: Query was: LOCK TABLE {}",
        "error: permission denied for table {}",
        "{}",
    ],
)
def test_what_a_program_says_is_shown_to_nobody(
    filled: Site, kept: Path, fakes: Fakes, name: str, said: str
) -> None:
    fakes.put(name, f"echo {shlex.quote(said.format(CANARY))} >&2; exit 3")

    state = later(filled)
    with closing(Pool(with_password(filled.database))) as pool, pytest.raises(PipelineError) as failed:
        dump(pool, io.BytesIO()) if name == "pg_dump" else replace(pool, kept, state)

    error = failed.value
    assert CANARY not in f"{error} {error!r} {error.hint} {error.place}"
    assert CANARY not in "".join(traceback.format_exception(error))
    assert error.hint


def test_value_in_the_way_is_shown_to_nobody(filled: Site, kept: Path, pool: Pool) -> None:
    stray(filled.database, f"UPDATE people SET name = '{CANARY}'", epoch=1)
    stray(
        filled.database,
        "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'no: {CANARY}'; END $$;"
        " CREATE EVENT TRIGGER refuse ON sql_drop EXECUTE FUNCTION refuse()",
    )
    try:
        with pytest.raises(PipelineError) as failed:
            replace(pool, kept, later(filled))
    finally:
        stray(filled.database, "DROP EVENT TRIGGER refuse")

    assert failed.value.code == "postgres_refused"
    assert CANARY not in "".join(traceback.format_exception(failed.value)) + failed.value.hint
