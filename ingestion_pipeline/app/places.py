"""The places of one site, opened when they are first needed and closed together."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import SettingsError
from ingestion_pipeline.domain.host import Host
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import READ, State
from ingestion_pipeline.settings import Settings
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.bucket.folder import Folder
from ingestion_pipeline.stores.bucket.place import Place
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.disk.elsewhere import CsvElsewhere
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline.stores.postgres.replica import Replica, ReplicaTables, ReplicaUnfitError
from ingestion_pipeline.stores.postgres.server import serving
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline.stores.timings import recorder

ConnectS3 = Callable[..., Any]
Answer = TypeVar("Answer")


class Places:
    """The CSV, PostgreSQL and the versions of one site; safe to share between threads.

    Args:
        settings: The site's.
        connect_s3: Makes the client for the bucket, given region, profile and endpoint_url.

    Attributes:
        host: This host; None where no host is named to have the CSV.
    """

    def __init__(self, settings: Settings, connect_s3: ConnectS3 | None = None) -> None:
        self.settings = settings
        self._connect_s3 = connect_s3
        self.host = None if settings.paths.csv_host is None else Host(settings.host, settings.paths.csv_host)
        self.csv = self._csv()
        self.timings = recorder(self.timings_folder)
        self.timings.open()
        self._open = ExitStack()
        self._opening = threading.RLock()

    def _csv(self) -> CsvStore:
        path, locking = self.settings.paths.output_csv, self.settings.file_locking
        if self.host is not None and not self.host.has_csv:
            return CsvElsewhere(path, self.host)
        return CsvStore(path, timeout=locking.timeout, check_interval=locking.check_interval)

    @property
    def brakes(self) -> Brakes:
        """How much may vanish."""
        return Brakes(self.settings.brakes.rows, self.settings.brakes.percent)

    @property
    def own(self) -> tuple[Path, ...]:
        """The CSV, and the folders in which nothing is to be but what this package puts there."""
        return self.settings.paths.output_csv, self.csv.state_dir, self.settings.exports.folder

    def close(self) -> None:
        """Close what was opened."""
        try:
            self._open.close()
        finally:
            self.timings.close()

    @property
    def timings_folder(self) -> Path:
        """Where timings, and the looks at them, are kept."""
        return self.settings.paths.state_dir / "timings"

    @cached_property
    def publishing(self) -> Place:
        """The folder or bucket that is published to."""
        exports, legacy = self.settings.exports, self.settings.downloads.s3
        if exports.bucket is None:
            return Folder(exports.folder)
        # boto3 takes long to load, and few have a bucket.
        from ingestion_pipeline.stores.bucket.bucket import Bucket, Encryption  # noqa: PLC0415
        from ingestion_pipeline.stores.bucket.client import connect  # noqa: PLC0415

        return Bucket(
            (self._connect_s3 or connect)(
                region=exports.region or legacy.aws_region,
                profile=exports.profile or legacy.aws_profile,
                endpoint_url=exports.endpoint_url,
            ),
            exports.bucket,
            exports.prefix,
            self.settings.paths.state_dir / "outgoing",
            Encryption(exports.encryption, exports.kms_key_id),
        )

    @property
    def versions(self) -> Chain:
        """The versions that were published."""
        return Chain(self.publishing, "csv-versions")

    @property
    def backups(self) -> Chain:
        """The dumps of the database that were published."""
        return Chain(self.publishing, "database-backups")

    @property
    def pool(self) -> Pool:
        """Connections to the database."""
        with self._opening:
            return self._pool

    @cached_property
    def _pool(self) -> Pool:
        url = self.settings.database_url
        named = None if url is None else url.get_secret_value()
        served = self._open.enter_context(serving(named, self.settings.paths.state_dir))
        return self._new_pool(served, connect=self.settings.database.connect_timeout)

    def _new_pool(self, url: str, *, connect: float) -> Pool:
        database = self.settings.database
        pool = Pool(
            url,
            smallest=database.connection_pool.min_connections,
            largest=database.connection_pool.max_connections,
            waits=Waits(
                connect=connect,
                free=database.connection_pool.timeout,
                statement=database.query_timeout,
                bulk=database.bulk_timeout,
                lock=database.lock_timeout,
                idle_in_transaction=database.idle_in_transaction_timeout,
            ),
            timings=self.timings,
        )
        self._open.callback(pool.close)
        return pool

    @cached_property
    def _replica(self) -> Replica | None:
        url, database = self.settings.replica_url, self.settings.database
        if url is None:
            return None
        seconds = database.replica_wait_seconds
        connect = min(database.connect_timeout, seconds)
        return Replica(self.pool, self._new_pool(url.get_secret_value(), connect=connect), seconds)

    def read(self, ask: Callable[[PostgresTables], Answer]) -> tuple[Answer, str | None]:
        """Ask a question that changes nothing of the read replica if there is one, else of the primary.

        The replica is asked only once it has all that the primary had when this was called, so that no answer
        is stale.

        Args:
            ask: Asks; begun again on the primary where the replica turns out not to be able to answer.

        Returns:
            The answer; and, where a replica is configured, `read` or why it was not.
        """
        return self._read(lambda: ask(self.tables), lambda replica: ask(self._tables_read_on(replica)))

    def read_pool(self, ask: Callable[[Pool], Answer]) -> tuple[Answer, str | None]:
        """The same for a question that needs no more than connections."""

        def on_replica(replica: Replica) -> Answer:
            with replica.asked():
                return ask(replica.pool)

        return self._read(lambda: ask(self.pool), on_replica)

    def _tables_read_on(self, replica: Replica) -> ReplicaTables:
        schema.check(self.pool)
        return ReplicaTables(self.pool, replica)

    def _read(
        self, on_primary: Callable[[], Answer], on_replica: Callable[[Replica], Answer]
    ) -> tuple[Answer, str | None]:
        with self._opening:
            replica = self._replica
        if replica is None:
            return on_primary(), None
        try:
            replica.check_level()
            return on_replica(replica), READ
        except ReplicaUnfitError as error:
            return on_primary(), error.message

    def disconnect(self) -> None:
        """Close the connections to the database; they are made anew when they are needed."""
        with self._opening:
            if "_pool" in self.__dict__:
                self._pool.close()

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

    @property
    def has_csv(self) -> bool:
        """Whether the CSV is on this host."""
        return self.settings.has_csv

    @property
    def fallback(self) -> bool:
        """Whether the CSV may stand in for PostgreSQL here."""
        return self.settings.database.fallback_to_csv and self.has_csv

    def has_database(self) -> bool:
        """Whether a database may say something else than phase original."""
        return self.settings.wanted_phase is not Phase.ORIGINAL or self.has_server()

    def has_server(self) -> bool:
        """Whether there is a server to be asked, other than one that would have to be made for it."""
        return self.settings.database_url is not None or self.embedded().exists()

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
