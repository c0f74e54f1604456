"""Dumps of the database: made, restored, and, with the versions, tried out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ingestion_pipeline.app.places import Places
from ingestion_pipeline.app.published import fetched, manifest_of
from ingestion_pipeline.app.restorable import AS_USUAL, How, Restorable
from ingestion_pipeline.app.timed import timed
from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.counting import Counted
from ingestion_pipeline.domain.errors import SettingsError, UnavailableError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Progress, Sink, Step
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.version import Content, Form, Manifest, Version
from ingestion_pipeline.operations.drill import Drilled, drill
from ingestion_pipeline.operations.inspect import inspect
from ingestion_pipeline.operations.restore_dump import restore_dump
from ingestion_pipeline.stores.postgres import dumping, schema
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables


@dataclass(frozen=True, slots=True)
class DatabaseRestored:
    """What restoring a dump did.

    Attributes:
        key: The dump.
        rows: The lines of the CSV that it renders.
        state: The phase in force, with its new epoch.
        dump_before: The dump of the database that was there before; None where that held nothing.
        version_before: The version of the state that was there before, if it could be published.
        kept: Where the CSV that was there before was kept instead.
        equal: Whether both sides were equal afterwards; None where there is one.
        dry_run: Whether nothing was changed.
    """

    key: str
    rows: int
    state: State
    dump_before: str | None = None
    version_before: str | None = None
    kept: Path | None = None
    equal: bool | None = None
    dry_run: bool = False


class DatabaseBackups:
    """Makes and restores dumps of what PostgreSQL holds, history and all.

    Args:
        places: The site's.
        site: What is restored over.
    """

    def __init__(self, places: Places, site: Restorable) -> None:
        self._places = places
        self._site = site

    @property
    def place(self) -> str:
        """Where dumps lie, for people."""
        return self._places.backups.place

    @timed("backup")
    def make(self, *, run_id: str | None = None, progress: Progress | None = None) -> Manifest:
        """Dump the database, and publish the dump; gives its manifest.

        Args:
            run_id: The Dagster run that asks, if one does.
            progress: Told how many bytes have been dumped.

        Raises:
            SettingsError: In original PostgreSQL has no part.
            UnavailableError: A place is away, or pg_dump is missing or too old.
        """
        self._refuse_original()
        return self._made(run_id=run_id, progress=progress)[0]

    def _made(
        self, *, run_id: str | None = None, before: str | None = None, progress: Progress | None = None
    ) -> tuple[Manifest, str]:
        """A dump that was published, and the position of the tables in it."""
        with self._places.backups.draft(Form.DUMP) as new:
            found = dumping.dump(self._places.pool, Counted(new, progress))
            content = Content(
                sha256=found.sha256,
                size=found.size,
                rows=found.rows,
                columns=found.columns,
                dialect=found.dialect,
                phase=found.phase,
                epoch=found.epoch,
                published_at=datetime.now(UTC),
                run_id=run_id,
                before=before,
            )
            return new.publish(content, found.made_by), found.position

    def listing(self, *, read: bool = True) -> Iterator[Version]:
        """All dumps, the newest first, each with its bytes read anew unless that is not asked for."""
        return self._places.backups.listing(read=read)

    @timed("restore_dump")
    def restore(self, name: str, how: How = AS_USUAL) -> DatabaseRestored:
        """Make the database what a dump holds, as a new epoch, and bring the other side level.

        Where the CSV leads, it goes on leading: of the dump only history is new.

        Args:
            name: `latest`, the dump's key, or how its key ends.
            how: How it is done; of the sides, both.

        Raises:
            InputRefusedError: The dump is damaged, or of another release; nothing was changed.
            ProtectedError: The phase changed meanwhile; the database that leads holds nothing; people would
                vanish from it, or somebody has written to it since what it holds was dumped.
            UnavailableError: A place is away.
        """
        self._refuse_original()
        state, is_new = self._site.in_force(how, csv_alone=False)
        manifest = manifest_of(self._places.backups, name)
        with self._places.csv.scratch() as new:
            how.step("receiving")
            how.size(manifest.content.size)
            fetched(self._places.backups, manifest, new, how.progress)
            if how.dry_run:
                self._look(state)
                return DatabaseRestored(manifest.key, manifest.content.rows, state, dry_run=True)
            how.step("dumping what is there")
            # The dump comes last: it has what the other brings to PostgreSQL.
            keeping = self._site.kept(manifest.key, state, is_new=is_new)
            dumped, position = self._dumped(manifest.key, state, is_new=is_new)
            replace = partial(
                dumping.replace,
                self._places.pool,
                new.path,
                brakes=self._brakes(state, how),
                # What the CSV leads, it has; what was written to PostgreSQL since would be nowhere.
                position=None if how.accept_loss or state.phase.authority is Side.CSV else position,
            )
            order = self._site.order(state, how, keeping, is_new=is_new)
            ends = restore_dump(self._places.csv, lambda: self._places.tables, replace, order)
        how.step("comparing")
        return DatabaseRestored(
            manifest.key,
            manifest.content.rows,
            ends,
            dumped,
            keeping.key,
            keeping.path,
            self._site.is_equal() if ends.phase.follower else None,
        )

    def _look(self, state: State) -> None:
        """See that a CSV that leads is there, and keeps the contract: PostgreSQL is made equal to it."""
        if state.phase.authority is Side.CSV:
            inspect(self._places.csv)

    def _dumped(self, source: str, state: State, *, is_new: bool) -> tuple[str | None, str | None]:
        """A dump of what is there, and its position; neither where there is nothing."""
        if is_new:
            return None, None
        try:
            dumped, position = self._made(before=source)
        except UnavailableError as error:
            if error.code != "nothing_synced" or state.phase.authority is Side.POSTGRES:
                raise
            # A database that was lost and begun anew, beside the CSV that leads.
            return None, None
        return dumped.key, position

    def _brakes(self, state: State, how: How) -> Brakes | None:
        # What the CSV leads, it brings back.
        return None if how.accept_loss or state.phase.authority is Side.CSV else self._places.brakes

    @timed("drill")
    def drill_version(self, progress: Progress | None = None, step: Step = lambda _name: None) -> Drilled:
        """Restore the newest version into a database of its own, and see what that renders."""
        return drill(self._places.versions, partial(self._with_csv, progress, step))

    @timed("drill")
    def drill_dump(self, progress: Progress | None = None, step: Step = lambda _name: None) -> Drilled:
        """Restore the newest dump into a database of its own, and see what that renders."""
        return drill(self._places.backups, partial(self._with_dump, progress, step))

    def _with_csv(self, progress: Progress | None, step: Step, write: Callable[[Sink], None]) -> str:
        with self._places.csv.incoming() as incoming, dumping.scratch_database(self._places.pool) as pool:
            step("receiving the newest version")
            write(Counted(incoming, progress))
            schema.upgrade(pool)
            tables = PostgresTables(pool)
            tables.sync(
                lambda: incoming.reading(progress),
                began=tables.begin(Phase.DUAL_WRITE),
                brakes=None,
                dry_run=False,
                step=step,
            )
            step("rendering")
            return _rendered(pool)

    def _with_dump(self, progress: Progress | None, step: Step, write: Callable[[Sink], None]) -> str:
        with (
            self._places.csv.scratch() as new,
            dumping.scratch_database(self._places.pool) as pool,
        ):
            step("receiving the newest dump")
            write(Counted(new, progress))
            step("restoring it")
            dumping.restore_into(pool, new.path)
            step("rendering")
            return _rendered(pool)

    def _refuse_original(self) -> None:
        if self._site.state().phase is Phase.ORIGINAL:
            raise SettingsError(
                "in phase original PostgreSQL has no part, and is not backed up",
                code="no_part",
                hint="`ingest export` publishes the CSV.",
            )


def _rendered(pool: Pool) -> str:
    with PostgresTables(pool).snapshot() as snapshot:
        return snapshot.rendered_digest()[0]
