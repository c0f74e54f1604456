"""What a dump is compared with, and programs that go wrong."""

import os
import shlex
from pathlib import Path
from urllib.parse import urlencode

import psycopg2
from psycopg2.extensions import parse_dsn

from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.digest import Digest
from ingestion_pipeline.stores.postgres.dumping import Dumped, dump
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled
from ingestion_pipeline_tests.strays import stray

CANARY = "kanarienvogel"

PEOPLE = spelled(
    [
        *people(range(1, 60)),
        person(60, processed="maybe", last_download_attempt="never", s3_paths="[]"),
        person("x" * 60),
        person(61, name='Ada, "the first"', document_text="zwei\nZeilen é"),
        person(7),
        person(62, processed="Yes", file_uuids='{"b":"1","a":"2"}'),
    ]
)


STORED = (
    *("people", "processing_status", "s3_metadata", "ingestion.duplicate", "ingestion.quarantine"),
    *("ingestion.csv_file", "ingestion.migration_state", "ingestion.proof", "ingestion.history"),
    *("ingestion.pending", "ingestion.schema_version", "ingestion.refreshed"),
    *("people_full", "ingestion.download_outcomes", "ingestion.processing_summary"),
    *("ingestion.storage_inventory", "ingestion.type_distribution"),
)

NUMBERS = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"

MADE_OF = """
    SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
    FROM pg_proc p WHERE pronamespace = 'ingestion'::regnamespace
    UNION ALL SELECT 'trigger', tgrelid::regclass || ' ' || tgname, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'constraint', conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE conrelid <> 0 AND connamespace IN ('public'::regnamespace, 'ingestion'::regnamespace)
    UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace IN ('public'::regnamespace, 'ingestion'::regnamespace)
    UNION ALL SELECT 'view', c.oid::regclass::text, pg_get_viewdef(c.oid)
    FROM pg_class c
    WHERE relkind IN ('v', 'm') AND relnamespace IN ('public'::regnamespace, 'ingestion'::regnamespace)
    UNION ALL SELECT 'column', attrelid::regclass || ' ' || attname,
        concat_ws(' ', format_type(atttypid, atttypmod), attidentity::text, attnotnull, attcollation::regcollation,
            pg_get_expr(adbin, adrelid))
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relkind = 'r' AND attnum > 0 AND relnamespace IN ('public'::regnamespace, 'ingestion'::regnamespace)
    ORDER BY 1, 2
"""  # noqa: E501

AT_WORK = """
    SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE datname = current_database() AND mode = 'AccessExclusiveLock' AND granted
        AND relation = to_regclass('ingestion.proof') AND wait_event = 'ClientRead'
"""


def everything(url: str) -> dict[str, object]:
    """All rows, all numbers given, and all that it is made of."""
    rows = {table: stray(url, f"SELECT t::text FROM {table} t ORDER BY 1") for table in STORED}
    return {**rows, "numbers": stray(url, NUMBERS), "made of": stray(url, MADE_OF)}


def url_of(pool: Pool) -> str:
    with pool.connection() as connection:
        parts = connection.info.dsn_parameters
    return psycopg2.extensions.make_dsn(**parts)


def dumped_to(path: Path, pool: Pool) -> Dumped:
    with path.open("wb") as file:
        return dump(pool, file)


def rendered(pool: Pool) -> tuple[str, int, int]:
    """The sha256, the bytes and the rows of the CSV that a database renders."""
    digest = Digest()
    rows, _ = PostgresTables(pool).render(digest)
    return digest.sha256, digest.size, rows


def later(site: Site, phase: Phase = Phase.DUAL_WRITE) -> State:
    """The state after the one in force."""
    [(epoch,)] = site.execute("SELECT epoch FROM ingestion.migration_state")
    assert isinstance(epoch, int)
    return State(phase, epoch + 1)


class Fakes:
    """Programs on PATH that do as the real ones do, but for what a test gives them to do."""

    def __init__(self, folder: Path, real: Path) -> None:
        self.folder = folder
        self._real = real
        folder.mkdir()
        for name in ("pg_dump", "pg_restore", "psql"):
            self.put(name, f"exec {self.real(name)}")

    def real(self, name: str) -> str:
        return f'{shlex.quote(str(self._real / name))} "$@"'

    def put(self, name: str, work: str) -> None:
        """Have a program do this, but for `--version` and `--list`."""
        path = self.folder / name
        path.write_text(
            f'#!/bin/sh\ncase "$*" in *--version*|*--list*) exec {self.real(name)};; esac\n{work}\n'
        )
        path.chmod(0o755)

    def cut(self, name: str, share: float, then: str) -> None:
        """Have a program write so much of what it would, and then do this."""
        out = shlex.quote(str(self.folder / "out"))
        size = f"$(($(wc -c < {out}) * {round(1000 * share)} / 1000))"
        self.put(name, f"{self.real(name)} > {out}; head -c {size} {out}; {then}")

    def hold(self, name: str, share: float) -> None:
        """Have a program stop for a while at this point."""
        go_on = shlex.quote(str(self.folder / "go on"))
        waiting = f"n=0; while [ ! -e {go_on} ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n + 1)); done"
        out = shlex.quote(str(self.folder / "out"))
        rest = f"$(($(wc -c < {out}) * {round(1000 * share)} / 1000 + 1))"
        self.cut(name, share, f"{waiting}; tail -c +{rest} {out}")

    def let_go(self) -> None:
        (self.folder / "go on").touch()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def with_password(url: str) -> str:
    """The same URL with a password, which servers that trust everybody do not ask for."""
    parts = {**parse_dsn(url), "password": CANARY}
    return f"postgresql:///?{urlencode(parts)}"
