"""The composition root: settings in, a pipeline with its places out."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from getpass import getuser
from pathlib import Path
from types import TracebackType
from typing import Self

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import ProtectedError, SettingsError
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.ports import Progress, Sink, Step
from ingestion_pipeline.domain.quarantine import Decision, Entry
from ingestion_pipeline.domain.reports import CompareReport, State, SyncReport
from ingestion_pipeline.domain.version import Version
from ingestion_pipeline.operations.compare import FIRST, compare
from ingestion_pipeline.operations.export import ExportReport, export
from ingestion_pipeline.operations.inspect import InspectReport, inspect
from ingestion_pipeline.operations.quarantine import Decided, decide
from ingestion_pipeline.operations.status import StatusReport, status
from ingestion_pipeline.operations.sync import sync
from ingestion_pipeline.settings import Settings, load_settings
from ingestion_pipeline.stores.atomic import Written, draft, refuse_unless_file
from ingestion_pipeline.stores.bucket.folder import VersionFolder
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline.stores.postgres.server import serving
from ingestion_pipeline.stores.postgres.tables import PostgresTables


class Pipeline:
    """The verbs, with the places they work on filled in. Made by `open_pipeline`.

    PostgreSQL is reached, and the embedded server started, when a verb first needs it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.csv = CsvStore(settings.paths.output_csv)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @cached_property
    def versions(self) -> VersionFolder:
        """Where versions are published.

        Raises:
            SettingsError: The configuration names a bucket, which this release does not write to.
        """
        exports = self.settings.exports
        if exports.bucket is not None:
            raise SettingsError(
                "exports.bucket is set, and this release publishes to a folder only",
                code="no_buckets_yet",
                hint="Take exports.bucket out; versions then go to exports.folder.",
            )
        return VersionFolder(exports.folder)

    @cached_property
    def pool(self) -> Pool:
        """Connections to the database."""
        database = self.settings.database
        url = self.settings.database_url
        named = None if url is None else url.get_secret_value()
        pool = Pool(
            self._open.enter_context(serving(named, self.settings.paths.state_dir)),
            smallest=database.connection_pool.min_connections,
            largest=database.connection_pool.max_connections,
            waits=Waits(
                connect=database.connect_timeout,
                free=database.connection_pool.timeout,
                statement=database.query_timeout,
                bulk=database.bulk_timeout,
                lock=database.lock_timeout,
                idle_in_transaction=database.idle_in_transaction_timeout,
            ),
        )
        self._open.callback(pool.close)
        return pool

    @cached_property
    def tables(self) -> PostgresTables:
        """The three tables; only `begin`, and so sync and export, makes them where there are none.

        Raises:
            UnavailableError: The schema is of another revision than this package's.
        """
        schema.check(self.pool)
        return PostgresTables(self.pool)

    def begin(self) -> State:
        """The phase in force; a fresh site gets its tables and begins in the one its settings ask for.

        Raises:
            ProtectedError: There are tables of these names that are not this pipeline's.
        """
        schema.ensure(self.pool)
        return self.tables.begin(self.settings.wanted_phase)

    def inspect(self) -> InspectReport:
        """Read the CSV through the gate; see `operations.inspect`."""
        return inspect(self.csv)

    def status(self) -> StatusReport:
        """Where the site stands."""
        return status(self.csv, self.tables, wanted=self.settings.wanted_phase)

    def sync(
        self,
        *,
        csv: CsvStore | None = None,
        accept_loss: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
        step: Step = lambda _name: None,
    ) -> SyncReport:
        """Make the follower equal to the authority, or to a normalised copy; see `operations.sync`."""
        limits = self.settings.brakes
        schema.ensure(self.pool)
        return sync(
            csv or self.csv,
            self.tables,
            wanted=self.settings.wanted_phase,
            brakes=Brakes(limits.rows, limits.percent),
            accept_loss=accept_loss,
            dry_run=dry_run,
            progress=progress,
            step=step,
        )

    def compare(
        self, *, limit: int = FIRST, run_id: str | None = None, progress: Progress | None = None
    ) -> CompareReport:
        """Prove that the two sides are equal, or say where they are not; see `operations.compare`."""
        return compare(self.csv, self.tables, limit=limit, run_id=run_id, progress=progress)

    def render(self, sink: Sink) -> tuple[int, Dialect]:
        """Write the CSV that PostgreSQL holds; gives its rows and how it is spelled."""
        return self.tables.render(sink)

    def render_to(self, target: Path) -> tuple[int, Written]:
        """Put the CSV that PostgreSQL holds in a file's place; gives its rows and what lies there."""
        refuse_unless_file(target)
        if target.resolve() == self.csv.path.resolve():
            self._refuse_overwriting()
        with draft(target) as new:
            rows, _ = self.tables.render(new)
            return rows, new.replace()

    def _refuse_overwriting(self) -> None:
        state = self.tables.state()
        if state is None or state.phase.authority is Side.CSV:
            raise ProtectedError(
                "this is the CSV that leads; rendering must not overwrite it",
                code="not_the_authority",
                hint="Render to another file.",
            )

    def embedded(self) -> EmbeddedServer:
        """The embedded server.

        Raises:
            SettingsError: The configuration names another server.
        """
        if self.settings.database_url is not None:
            raise SettingsError(
                "the configuration names a server, so there is no embedded one",
                code="not_embedded",
                hint="Start and stop that server with its own tools.",
            )
        return EmbeddedServer(self.settings.paths.state_dir)

    def export(self, *, run_id: str | None = None) -> ExportReport:
        """Publish a version, if the newest is not the same already; see `operations.export`."""
        schema.ensure(self.pool)
        return export(
            self.csv,
            self.tables,
            self.versions,
            wanted=self.settings.wanted_phase,
            now=lambda: datetime.now(UTC),
            run_id=run_id,
        )

    def listing(self) -> Iterator[Version]:
        """All versions, the newest first."""
        return self.versions.listing()

    def quarantine(self, *, decided: bool = False) -> list[Entry]:
        """The quarantine's entries, with or without those decided."""
        return self.tables.quarantine(decided=decided)

    def decide(self, number: int, decision: Decision, text: dict[str, str]) -> Decided:
        """Carry out a decision on a quarantine entry; see `operations.quarantine`."""
        return decide(self.csv, self.tables, number, decision, text=text, by=_who())


def _who() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


@contextmanager
def open_pipeline(config: Path | str | Settings | None = None) -> Iterator[Pipeline]:
    """A pipeline for one site, closed at the end.

    Args:
        config: The settings, or the file to read them from; see `load_settings`.

    Raises:
        SettingsError: The configuration cannot be used.
    """
    settings = config if isinstance(config, Settings) else load_settings(config)
    with Pipeline(settings) as pipeline:
        yield pipeline
