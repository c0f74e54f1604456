"""The places of one site, opened when they are first needed and closed together."""

import threading
from contextlib import ExitStack
from functools import cached_property

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import SettingsError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.settings import Settings
from ingestion_pipeline.stores.bucket.folder import VersionFolder
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline.stores.postgres.server import serving
from ingestion_pipeline.stores.postgres.tables import PostgresTables


class Places:
    """The CSV, PostgreSQL and the versions of one site; safe to share between threads.

    Args:
        settings: The site's.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        locking = settings.file_locking
        self.csv = CsvStore(
            settings.paths.output_csv, timeout=locking.timeout, check_interval=locking.check_interval
        )
        self._open = ExitStack()
        self._opening = threading.RLock()

    @property
    def brakes(self) -> Brakes:
        """How much may vanish."""
        return Brakes(self.settings.brakes.rows, self.settings.brakes.percent)

    def close(self) -> None:
        """Close what was opened."""
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

    @property
    def pool(self) -> Pool:
        """Connections to the database."""
        with self._opening:
            return self._pool

    @cached_property
    def _pool(self) -> Pool:
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

    @property
    def tables(self) -> PostgresTables:
        """The three tables; only `begin` makes them where there are none.

        Raises:
            UnavailableError: The schema is of another revision than this package's.
        """
        with self._opening:
            return self._tables

    @cached_property
    def _tables(self) -> PostgresTables:
        schema.check(self.pool)
        return PostgresTables(self.pool)

    def begin(self, known: State | None) -> State:
        """The phase in force in PostgreSQL; a fresh database gets its tables, and begins.

        Args:
            known: What the ledger beside the CSV says.
        """
        schema.ensure(self.pool)
        return self.tables.begin(self.settings.wanted_phase, known=known)

    def has_database(self) -> bool:
        """Whether a database may say something else than phase original."""
        settings = self.settings
        return (
            settings.wanted_phase is not Phase.ORIGINAL
            or settings.database_url is not None
            or self.embedded().exists()
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
