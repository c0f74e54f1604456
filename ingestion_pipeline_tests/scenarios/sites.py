"""Sites for scenarios in which processes die or write at once, and what each side holds, asked directly."""

import csv
import io
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import psycopg2
from psycopg2 import extensions
from pydantic import SecretStr

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.settings import Settings, load_settings
from ingestion_pipeline_tests.phases import lead

CONFIG = """
migration:
  phase: {phase}
database:
  lock_timeout: 5
file_locking:
  timeout: {timeout}
  check_interval: 0.01
"""

Kept = dict[str, tuple[str, ...]]
"""By row_id, the texts of some columns."""


@dataclass(frozen=True)
class Site:
    """A site on disk.

    Attributes:
        settings: Its settings.
        phase: The phase in force.
        url: Its PostgreSQL's URL, where it has one.
        repeated: Rows of its CSV whose row_id another row has already.
    """

    settings: Settings
    phase: Phase
    url: str | None
    repeated: int = 0

    def with_postgres(self, url: str) -> Self:
        """The same, with a database within reach."""
        settings = self.settings.model_copy(update={"environment_url": SecretStr(url)})
        return replace(self, settings=settings, url=url)

    @property
    def csv(self) -> Path:
        return self.settings.paths.output_csv

    @property
    def state_dir(self) -> Path:
        """The folder of the CSV's journal, lock and ledger."""
        return self.csv.with_name(f".{self.csv.name}.ingestion")

    def let_end(self, patience: float) -> None:
        """Wait until PostgreSQL is done with whoever has died: what they sent last may still be on its way.

        Args:
            patience: Seconds.
        """
        if self.url is None:
            return
        until = time.monotonic() + patience
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while _is_served(cursor):
                assert time.monotonic() < until, "somebody is still there"
                time.sleep(0.005)

    def in_csv(self, columns: Sequence[str]) -> Kept:
        """What the CSV's bytes say."""
        with io.StringIO(self.csv.read_bytes().decode(), newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        kept = {row["row_id"]: tuple(row[column] for column in columns) for row in rows}
        assert len(kept) == len(rows) - self.repeated, "a row stands twice"
        return kept

    def in_postgres(self, columns: Sequence[str]) -> Kept:
        """What the tables hold."""
        names = ", ".join(f"coalesce({column}::text, '')" for column in columns)
        connection = psycopg2.connect(self.url or "")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT row_id, {names} FROM people"
                    " LEFT JOIN processing_status AS status ON status.person_id = people.id"
                    " LEFT JOIN s3_metadata AS s3 ON s3.person_id = people.id"
                )
                return {row_id: tuple(texts) for row_id, *texts in cursor.fetchall()}
        finally:
            connection.close()

    def in_authority(self, columns: Sequence[str]) -> Kept:
        return self.in_csv(columns) if self.phase.authority is Side.CSV else self.in_postgres(columns)


def _is_served(cursor: extensions.cursor) -> bool:
    cursor.execute(
        "SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'ingestion_pipeline'"
    )
    return cursor.rowcount > 0


def make_site(folder: Path, phase: Phase, csv_bytes: bytes, url: str | None, timeout: float = 5) -> Site:
    """Make a site in this phase, both sides equal; phase original does without PostgreSQL.

    Args:
        folder: An empty folder.
        phase: The phase it is to be in.
        csv_bytes: The CSV.
        url: The database's; None for the embedded server, or for none at all.
        timeout: Seconds to wait for the CSV's lock.
    """
    config = folder / "config" / "config.yaml"
    config.parent.mkdir(parents=True)
    first = phase if phase.authority is Side.CSV else Phase.DUAL_WRITE
    config.write_text(CONFIG.format(phase=first, timeout=timeout))
    settings = load_settings(config)
    site = Site(settings, phase, None)
    if url is not None and phase is not Phase.ORIGINAL:
        site = site.with_postgres(url)
    site.csv.parent.mkdir(parents=True)
    site.csv.write_bytes(csv_bytes)
    with open_pipeline(site.settings) as pipeline:
        _bring_into(pipeline, phase)
    return site


def _bring_into(pipeline: Pipeline, phase: Phase) -> None:
    if phase is Phase.ORIGINAL:
        pipeline.begin()
        return
    pipeline.sync()
    if phase.authority is Side.POSTGRES:
        lead(pipeline, phase)
