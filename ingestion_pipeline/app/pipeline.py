"""One site: the verbs, with the places they work on."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, cached_property
from getpass import getuser
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

from ingestion_pipeline.app.asking import Asking
from ingestion_pipeline.app.authority import Authority, AuthorityElsewhere
from ingestion_pipeline.app.batch import Batch
from ingestion_pipeline.app.places import ConnectS3, Places
from ingestion_pipeline.app.reading import Reading, is_text
from ingestion_pipeline.app.timed import timed
from ingestion_pipeline.app.writing import Writing
from ingestion_pipeline.domain.asking import FOUND, FindReport, SearchReport
from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.cells import Value
from ingestion_pipeline.domain.change import Change
from ingestion_pipeline.domain.counting import Counted
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import ProtectedError, SettingsError
from ingestion_pipeline.domain.health import Health
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Progress, Sink, Step
from ingestion_pipeline.domain.quarantine import Decision, Entry
from ingestion_pipeline.domain.receipt import Write, WriteReceipt, checked
from ingestion_pipeline.domain.reports import FIRST, CompareReport, State, SyncReport
from ingestion_pipeline.domain.timing import Timings
from ingestion_pipeline.domain.version import Form, Version
from ingestion_pipeline.operations.compare import compare
from ingestion_pipeline.operations.delete import DeleteReport
from ingestion_pipeline.operations.export import ExportReport, export
from ingestion_pipeline.operations.inspect import InspectReport, inspect
from ingestion_pipeline.operations.quarantine import Decided, decide
from ingestion_pipeline.operations.settle import SettleReport
from ingestion_pipeline.operations.status import StatusReport, status, status_elsewhere
from ingestion_pipeline.operations.sync import sync
from ingestion_pipeline.settings import Settings, load_settings
from ingestion_pipeline.stores.atomic import Written, draft, refuse_unless_file
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.bucket.place import Place
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables

if TYPE_CHECKING:
    import pandas as pd

    from ingestion_pipeline.app.bucketed import Bucketed
    from ingestion_pipeline.app.database_backups import DatabaseBackups
    from ingestion_pipeline.app.health import Looking
    from ingestion_pipeline.app.metrics import Metrics
    from ingestion_pipeline.app.phases import Phases
    from ingestion_pipeline.app.reports import Reports
    from ingestion_pipeline.app.restorable import Restorable
    from ingestion_pipeline.app.restoring import Restoring
    from ingestion_pipeline.app.spreadsheets import Spreadsheets

GROUP = 500
"""People made durable together where many are written."""


class Pipeline:
    """The verbs, with the places they work on filled in. Made by `open_pipeline`.

    PostgreSQL is reached, the embedded server started, and what few verbs need loaded, when a verb first
    needs it.

    Attributes:
        settings: The site's.
        csv: The CSV.
        asking: Keeps the search index, and answers from it.
    """

    def __init__(self, settings: Settings, connect_s3: ConnectS3 | None = None) -> None:
        self.settings = settings
        self._places = Places(settings, connect_s3)
        self.csv = self._places.csv
        authority = Authority if self._places.has_csv else AuthorityElsewhere
        self._authority = authority(
            self.csv, lambda: self.tables, self._places.begin, self._places.has_database
        )
        self._writing = Writing(self._places, self._authority, who())
        self._reading = Reading(
            self.csv,
            self._authority,
            self._places.brakes,
            self._writing.settle_first,
            fallback=self._places.fallback,
        )
        self.asking = Asking(self._places, self._authority, self._writing.settle_first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writing.close()
        finally:
            self._places.close()

    @cached_property
    def phase(self) -> "Phases":
        """Plans and makes changes of phase."""
        from ingestion_pipeline.app.phases import Phases  # noqa: PLC0415 - see the class

        return Phases(self._places, self._authority, self._writing, self.export, who())

    @cached_property
    def restore(self) -> "Restoring":
        """Restores versions, and what was at a time; takes old versions away."""
        from ingestion_pipeline.app.restoring import Restoring  # noqa: PLC0415 - see the class

        return Restoring(self._places, self._restorable, who())

    @cached_property
    def backups(self) -> "DatabaseBackups":
        """Makes and restores dumps of the database, and tries out what was published."""
        from ingestion_pipeline.app.database_backups import DatabaseBackups  # noqa: PLC0415 - see the class

        return DatabaseBackups(self._places, self._restorable)

    @cached_property
    def buckets(self) -> "Bucketed":
        """Syncs and compares in buckets, which several workers share."""
        from ingestion_pipeline.app.bucketed import Bucketed  # noqa: PLC0415 - see the class

        return Bucketed(
            self._places,
            self._writing.backup.before_load,
            lambda step: self.sync(step=step),
            lambda: self.status().pending.all,
            self._writing.settle,
        )

    @cached_property
    def _restorable(self) -> "Restorable":
        from ingestion_pipeline.app.restorable import Restorable  # noqa: PLC0415 - see the class

        return Restorable(
            self._places,
            self._authority,
            lambda before: self._export(before=before),
            self._compared,
            self._writing.settle_first,
        )

    @cached_property
    def spreadsheets(self) -> "Spreadsheets":
        """Writes the CSV for spreadsheet programs, and back."""
        from ingestion_pipeline.app.spreadsheets import Spreadsheets  # noqa: PLC0415 - see the class

        return Spreadsheets(self._places, self.render)

    @cached_property
    def reports(self) -> "Reports":
        """Counts figures of what PostgreSQL holds, and reports them and how the migration has gone."""
        from ingestion_pipeline.app.reports import Reports  # noqa: PLC0415 - see the class

        return Reports(self._places, self.status, self.phase.history)

    @cached_property
    def _looking(self) -> "Looking":
        from ingestion_pipeline.app.health import Looking  # noqa: PLC0415 - see the class

        return Looking(self._places, self.phase)

    @property
    def versions(self) -> Chain:
        """The versions that were published."""
        return self._places.versions

    @property
    def publishing(self) -> Place:
        """The folder or bucket that versions and dumps are published to."""
        return self._places.publishing

    @property
    def pool(self) -> Pool:
        """Connections to the database."""
        return self._places.pool

    @property
    def tables(self) -> PostgresTables:
        """The three tables."""
        return self._places.tables

    def disconnect(self) -> None:
        """Close the connections to the database; they are made anew when they are needed.

        A server that takes no new connections any more may go on with those it has. Whoever looks whether
        it is there makes one for each look.
        """
        self._places.disconnect()

    def embedded(self) -> EmbeddedServer:
        """The embedded server; an error where the configuration names another."""
        return self._places.embedded()

    @timed("begin")
    def begin(self) -> State:
        """The phase in force; a fresh site gets its tables and begins in the one its settings ask for.

        Raises:
            ProtectedError: There are tables of these names that are not this pipeline's, or the ledger
                beside the CSV contradicts them.
        """
        with self.csv.held() as held:
            return self._authority.agreed(held)

    def in_force(self) -> State:
        """The phase in force, as the ledger beside the CSV says."""
        return self._authority.in_force()

    @timed("write")
    def write(
        self, row_id: str, cells: Mapping[str, Value], *, write_id: UUID | str | None = None
    ) -> WriteReceipt:
        """Write some of a person's cells, in whichever side leads; the others are not touched.

        Safe to call from many threads and processes at once.

        Args:
            row_id: The person. Where there is none, the write must carry name, email and type.
            cells: By column, the new text, or a value that is rendered as the contract says.
            write_id: A UUID of your own for a write that may be tried again: it is made once.

        Returns:
            A receipt. The write is durable when this returns, not before.

        Raises:
            InputRefusedError: A cell does not fit its column, or there is no such person; nothing changed.
            UnavailableError: The side that leads is away; nothing changed, unless its code is
                `outcome_unknown`: then write again with the write_id that its hint names.
            ProtectedError: The journal is damaged, or a brake stopped what somebody else did to the CSV.
        """
        answered = self._writing.all([checked(row_id, cells, write_id)])
        if answered.error is not None:
            raise answered.error
        return answered.receipts[0]

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Collect writes, and make them durable together when the block ends without an error.

        Each person is written whole or not at all, in order. Where one is refused, those before it are
        written, those after it are not, and its error is raised.

        Raises:
            PipelineError: As `write`.
        """
        batch = Batch(self._writing.all)
        yield batch
        with self._places.timings.operation("write_many"):
            batch.finish()

    def write_each(self, writes: Iterable[Write], *, group: int = GROUP) -> Iterator[WriteReceipt]:
        """Write any number of people in groups, each durable together; gives their receipts as they are.

        Where the source of the writes raises a PipelineError, those before it are written first.

        Args:
            writes: Made by `checked`; taken only as far as they are needed.
            group: People made durable together.

        Raises:
            PipelineError: As `write`; the receipts given before stand.
        """
        if group < 1:
            raise SettingsError("a group is one person at least", code="bad_group")
        return self._writing.each(writes, group)

    @timed("delete")
    def delete(self, row_ids: Iterable[str], *, accept_loss: bool = False) -> DeleteReport:
        """Delete people, all or none, from the side that leads; the other follows.

        A row in quarantine with the same row_id is not the person, and stays.

        Args:
            row_ids: Who is to be gone; who is not there does not matter, so it can be done again.
            accept_loss: Let more people be gone than the brakes allow.

        Raises:
            UnavailableError: The side that leads is away; the CSV never stands in for PostgreSQL here.
            ProtectedError: A brake stopped it; nothing changed.
        """
        return self._writing.delete(frozenset(filter(is_text, row_ids)), accept_loss=accept_loss)

    @timed("add_columns")
    def add_columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Give the CSV, while it leads, columns of the contract behind its own; see `operations.add_columns`.

        Returns:
            Those it had not got yet.

        Raises:
            InputRefusedError: The contract has no such column.
            ProtectedError: PostgreSQL leads.
        """
        return self._writing.add_columns(names)

    def columns(self) -> tuple[str, ...]:
        """The columns a person has in the side that leads: the CSV's, or all of the contract."""
        return self._reading.columns()

    @property
    def brakes(self) -> Brakes:
        """How much may be lost at once unless somebody says so."""
        return self._places.brakes

    def settle(
        self,
        *,
        accept_loss: bool = False,
        progress: Progress | None = None,
        step: Step = lambda _name: None,
    ) -> SettleReport:
        """Bring the follower level, and finish whatever was interrupted; see `operations.settle`.

        Args:
            accept_loss: Let rows be gone from a CSV that somebody else rewrote.
            progress: Told how many bytes have been read or written, where one side is brought over whole.
            step: Told the name of each longer step.
        """
        return self._writing.settle(accept_loss=accept_loss, progress=progress, step=step)

    @timed("read")
    def read(self, row_id: str) -> dict[str, str] | None:
        """A person's cells as text by column, from the side that leads; None when there is no such person.

        The columns are the CSV's while it leads, and all of the contract's while PostgreSQL does.
        """
        return self._reading.person(row_id)

    @timed("rows")
    def rows(self) -> Iterator[dict[str, str]]:
        """Every person's cells as text by column, in the file's order, in one state and constant memory."""
        return self._reading.rows()

    @timed("frame")
    def frame(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Every person as a pandas DataFrame of text, in the file's order; empty cells are ''.

        Args:
            columns: Those wanted; all by default.
        """
        return self._reading.frame(columns)

    @timed("history")
    def history(self, row_id: str) -> list[Change]:
        """Every change of a person, the oldest first.

        PostgreSQL keeps them all; in phase original the journal keeps the last ones.
        """
        return self._reading.history(row_id)

    @timed("search")
    def search(self, query: str, limit: int = FOUND) -> SearchReport:
        """The people in whose name or document words are found, as PostgreSQL holds them.

        Args:
            query: Words that must all be there, `"a phrase"`, `or`, and `-not`, in any case.
            limit: Shown at most; all are counted, up to 10,000.

        Raises:
            SettingsError: PostgreSQL has no part (`no_part`) or does not know the language of the
                configuration, or the question cannot be asked (`bad_question`).
            UnavailableError: PostgreSQL is away.
        """
        return self.asking.search(query, limit)

    @timed("find")
    def find(
        self,
        *,
        uuid: str | None = None,
        path: str | None = None,
        description: str | None = None,
        shared: bool = False,
        mismatched: bool = False,
        limit: int = FOUND,
    ) -> FindReport:
        """Files by what file_uuids and s3_paths say of them; exactly one question at a time.

        Args:
            uuid: Whose is this UUID, compared as text.
            path: Whose is what lies at this S3 path.
            description: Who has a file of this description.
            shared: Which UUIDs and paths do several people have.
            mismatched: Which UUIDs stand in one of a person's maps and not in the other.
            limit: Shown at most; all are counted.

        Raises:
            SettingsError: As `search`.
            UnavailableError: PostgreSQL is away.
        """
        asked = {
            "uuid": uuid,
            "path": path,
            "description": description,
            "shared": shared,
            "mismatched": mismatched,
        }
        return self.asking.find(asked, limit)

    def csv_is_ours(self) -> bool:
        """Whether the CSV is the one this package wrote last; read only where its size or time is another."""
        with self.csv.still() as still:
            return still.looks_ours()

    @timed("inspect")
    def inspect(self) -> InspectReport:
        """Read the CSV through the gate; see `operations.inspect`."""
        return inspect(self.csv)

    @timed("status")
    def status(self) -> StatusReport:
        """Where the site stands, as far as this host can see."""
        verb = status if self._places.has_csv else status_elsewhere
        report = verb(self.csv, lambda: self.tables, wanted=self.settings.wanted_phase)
        return replace(report, host=self._places.host)

    def health(self) -> Health:
        """Look at the whole site: its figures, and what is not as it should be.

        Changes nothing but the files of timings. PostgreSQL being away is a finding, and no error.
        """
        return self._looking.look()

    def timings(self) -> Timings:
        """How long operations, transactions and queries took, in every process of the site."""
        return self._places.timings.all()

    def metrics(self) -> "Metrics":
        """The same for Prometheus."""
        # Nobody else needs its client.
        from ingestion_pipeline.app.metrics import Metrics  # noqa: PLC0415

        return Metrics(self._places, self.health, self.timings)

    @timed("sync")
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
        self.csv.check_here()
        schema.ensure(self.pool)
        if not dry_run:
            self._writing.backup.before_load()
        with self.csv.held() as held:
            return sync(
                csv or self.csv,
                held,
                self.tables,
                wanted=self.settings.wanted_phase,
                brakes=None if accept_loss else self._places.brakes,
                dry_run=dry_run,
                progress=progress,
                step=step,
            )

    @timed("compare")
    def compare(
        self, *, limit: int = FIRST, run_id: str | None = None, progress: Progress | None = None
    ) -> CompareReport:
        """Prove that the two sides are equal, or say where they are not; see `operations.compare`.

        PostgreSQL is read on the replica, if there is one and it is level; the proof is kept on the primary.
        """
        self.csv.check_here()

        def ask(tables: PostgresTables) -> CompareReport:
            return compare(
                self.csv,
                tables,
                brakes=self._places.brakes,
                limit=limit,
                run_id=run_id,
                progress=progress,
            )

        report, replica = self._places.read(ask)
        return replace(report, replica=replica)

    def replica(self) -> str | None:
        """`read` if there is a read replica and it is level, or why it would not be; None without one."""
        return self._places.read_pool(lambda _pool: None)[1]

    def _compared(self) -> CompareReport:
        return self.compare(limit=0)

    @timed("render")
    def render(self, sink: Sink) -> tuple[int, Dialect]:
        """Write the CSV that PostgreSQL holds; gives its rows and how it is spelled."""
        return self.tables.render(sink)

    @timed("render")
    def render_to(self, target: Path, progress: Progress | None = None) -> tuple[int, Written]:
        """Put the CSV that PostgreSQL holds in a file's place; gives its rows and what lies there."""
        refuse_unless_file(target)
        if target.resolve() != self.csv.path.resolve():
            return self._rendered(target, progress)
        with self.csv.held() as held:
            self._refuse_overwriting(held.state() or self.tables.state())
            rendered = self._rendered(target, progress)
            held.adopt()
            return rendered

    def _rendered(self, target: Path, progress: Progress | None) -> tuple[int, Written]:
        with draft(target) as new:
            rows, _ = self.tables.render(Counted(new, progress))
            return rows, new.replace()

    def _refuse_overwriting(self, state: State | None) -> None:
        if state is None or state.phase.authority is Side.CSV:
            raise ProtectedError(
                "this is the CSV that leads; rendering must not overwrite it",
                code="not_the_authority",
                hint="Render to another file.",
            )

    @timed("export")
    def export(self, *, run_id: str | None = None, progress: Progress | None = None) -> ExportReport:
        """Publish a version, if the newest is not the same already; see `operations.export`."""
        return self._export(run_id=run_id, progress=progress)

    def _export(
        self, *, run_id: str | None = None, before: str | None = None, progress: Progress | None = None
    ) -> ExportReport:
        here, phase = self._places.has_csv, self._authority.in_force().phase
        if not here and phase.authority is Side.CSV:
            self.csv.check_here()
        # There PostgreSQL has no part, and may be away.
        if phase is not Phase.ORIGINAL:
            schema.ensure(self.pool)
        return export(
            self.csv if here else None,
            self.tables,
            self.versions,
            wanted=self.settings.wanted_phase,
            brakes=self._places.brakes,
            now=lambda: datetime.now(UTC),
            form=Form.ZSTD if self.settings.exports.compress else Form.CSV,
            run_id=run_id,
            before=before,
            progress=progress,
        )

    def listing(self, *, read: bool = True) -> Iterator[Version]:
        """All versions, the newest first, each with its bytes read anew unless that is not asked for."""
        return self.versions.listing(read=read)

    @timed("quarantine")
    def quarantine(self, *, decided: bool = False) -> list[Entry]:
        """The quarantine's entries, with or without those decided."""
        return self.tables.quarantine(decided=decided)

    @timed("decide")
    def decide(self, number: int, decision: Decision, text: dict[str, str]) -> Decided:
        """Carry out a decision on a quarantine entry; see `operations.quarantine`."""
        return decide(
            self.csv,
            self.tables,
            number,
            decision,
            text=text,
            by=who(),
            write=self.write,
            brakes=self._places.brakes,
        )


@cache
def who() -> str:
    """Who runs this, for history."""
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


@contextmanager
def open_pipeline(
    config: Path | str | Settings | None = None, *, connect_s3: ConnectS3 | None = None
) -> Iterator[Pipeline]:
    """A pipeline for one site, closed at the end; what is pending is settled first, if it can be.

    >>> with open_pipeline("config/config.yaml") as pipeline:
    ...     receipt = pipeline.write("515", {"processed": True, "youtube_status": "completed"})
    ...     person = pipeline.read("515")
    >>> receipt.durable_in.value, receipt.created
    ('csv', False)
    >>> person["processed"], person["youtube_status"]
    ('yes', 'completed')

    Args:
        config: The settings, or the file to read them from; see `load_settings`.
        connect_s3: Makes the client for a bucket; that of boto3 by default.

    Raises:
        SettingsError: The configuration cannot be used.
    """
    settings = config if isinstance(config, Settings) else load_settings(config)
    with Pipeline(settings, connect_s3) as pipeline:
        yield pipeline
