"""Restoring a site, or a file, from what was published or from history; and taking old versions away."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ingestion_pipeline.app.places import Places
from ingestion_pipeline.app.published import fetched, manifest_of
from ingestion_pipeline.app.restorable import AS_USUAL, How, Keeping, Restorable
from ingestion_pipeline.app.spreadsheets import elsewhere
from ingestion_pipeline.app.timed import timed
from ingestion_pipeline.domain.errors import (
    SettingsError,
)
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.ports import Progress, Sink
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.retention import Keep, superfluous
from ingestion_pipeline.domain.version import Manifest
from ingestion_pipeline.operations.restore import Restored, check_side, restore
from ingestion_pipeline.stores.atomic import Written
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.postgres import as_of


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What came of it.

    Attributes:
        source: The version, or the time, that was restored.
        phase: The phase in force.
        restored: What was changed, or would be.
        version_before: The version of the state that was there before, if it could be published.
        kept: Where the CSV that was there before was kept, if it was not that version.
        kept_follower: Where what PostgreSQL held was kept, if the CSV that led could not be read.
        equal: Whether both sides were equal afterwards; None where there is one, or nobody could compare.
        dry_run: Whether nothing was changed.
    """

    source: str
    phase: Phase
    restored: Restored
    version_before: str | None = None
    kept: Path | None = None
    kept_follower: Path | None = None
    equal: bool | None = None
    dry_run: bool = False


Fill = Callable[[State, Sink], None]
"""Writes the file that is to be restored, given the phase in force."""


class Restoring:
    """Restores, and keeps only so many versions.

    Args:
        places: The site's.
        site: What is restored over.
        by: Who asks.
    """

    def __init__(self, places: Places, site: Restorable, by: str) -> None:
        self._places = places
        self._site = site
        self._by = by

    @timed("restore")
    def version(self, name: str, how: How = AS_USUAL) -> RestoreReport:
        """Make the site what a version holds, as a new state.

        Args:
            name: `latest`, a version's key, or the last part of it.
            how: How it is done.

        Raises:
            InputRefusedError: The version is damaged; nothing was changed, and the hint names a good one.
            ProtectedError: People would vanish, or the database that leads is empty.
            SettingsError: There is no such version, or the side named only follows.
            UnavailableError: A side, or the place where versions lie, is away.
        """
        manifest = manifest_of(self._places.versions, name)
        how.size(manifest.content.size)
        return self._restored(manifest.key, lambda _, sink: self._fetch(manifest, sink, how.progress), how)

    @timed("restore")
    def as_of(self, at: datetime, how: How = AS_USUAL) -> RestoreReport:
        """Make the site what it was at a time, by PostgreSQL's history; see `as_of.render`.

        Args:
            at: The time, with its zone.
            how: How it is done.

        Raises:
            SettingsError: History does not tell.
            ProtectedError: People would vanish.
            UnavailableError: A side is away.
        """

        def fill(state: State, sink: Sink) -> None:
            self._render_as_of(state, at, sink, accept_loss=how.accept_loss)

        return self._restored(at.isoformat(), fill, how)

    @timed("restore_to_file")
    def version_to(
        self, name: str, target: Path, progress: Progress | None = None, size: Progress = lambda _size: None
    ) -> tuple[Manifest, Written]:
        """Write a version to a file; gives its manifest and what lies there.

        Args:
            name: `latest`, the version's key, or the last part of it.
            target: The file.
            progress: Told how many bytes have been received.
            size: Told how many there are.

        Raises:
            InputRefusedError: The version is damaged; the file is as it was.
            ProtectedError: The file is the site's CSV.
        """
        manifest = manifest_of(self._places.versions, name)
        size(manifest.content.size)
        return manifest, self._written(target, lambda sink: self._fetch(manifest, sink, progress))

    @timed("restore_to_file")
    def as_of_to(self, at: datetime, target: Path, *, accept_loss: bool = False) -> Written:
        """Write what PostgreSQL held at a time to a file; see `as_of.render`.

        Raises:
            SettingsError: History does not tell.
            ProtectedError: The file is the site's CSV.
        """
        state = self._site.state()
        return self._written(
            target, lambda sink: self._render_as_of(state, at, sink, accept_loss=accept_loss)
        )

    @timed("prune")
    def prune(self, *, dry_run: bool = False) -> list[Manifest]:
        """Take away the versions and the dumps that need not be kept; gives them.

        The newest good one of each stays, and whatever a receipt or the newest proof names.

        Args:
            dry_run: Say which, and take none away.

        Raises:
            UnavailableError: PostgreSQL is away, so that nobody knows what the newest proof names.
        """
        named = set() if self.keep.is_all else self._named()
        return [
            *self._pruned(self._places.versions, named, dry_run=dry_run),
            *self._pruned(self._places.backups, set(), dry_run=dry_run),
        ]

    def _pruned(self, chain: Chain, named: set[str], *, dry_run: bool) -> list[Manifest]:
        known = [one.manifest for one in chain.listing(read=False) if one.manifest is not None]
        gone = superfluous(known, self.keep, named, chain.is_good)
        if not dry_run:
            now = datetime.now(UTC)
            chain.remove([one.key for one in gone], now, self._by)
            chain.sweep(now)
        return gone

    @property
    def keep(self) -> Keep:
        """How many versions are kept, by the configuration."""
        asked = self._places.settings.exports.keep
        return Keep(asked.last, asked.hourly, asked.daily, asked.monthly)

    def _named(self) -> set[str]:
        """The versions that receipts name, and what the newest proof was about."""
        changes = self._places.csv.phases()
        named = {key for one in changes for key in (one.version_before, one.version_after) if key}
        if self._site.state().phase is not Phase.ORIGINAL and not self._site.is_empty():
            proof = self._places.tables.last_proof()
            named |= set() if proof is None else {proof.csv_sha256}
        return named

    def _fetch(self, manifest: Manifest, sink: Sink, progress: Progress | None) -> None:
        fetched(self._places.versions, manifest, sink, progress)

    def _render_as_of(self, state: State, at: datetime, sink: Sink, *, accept_loss: bool) -> None:
        if at.tzinfo is None:
            raise SettingsError("a time without its zone may be several", code="no_zone")
        if state.phase is Phase.ORIGINAL or self._was_alone(at) or self._site.is_empty():
            raise SettingsError(
                "PostgreSQL has no history of that time: it had no part then, or has none now",
                code="before_history",
                hint="`ingest versions` lists what was published; restore one of those.",
            )
        as_of.render(self._places.pool, state, at, sink, accept_loss=accept_loss)

    def _was_alone(self, at: datetime) -> bool:
        """Whether the CSV was alone at a time, by the receipts."""
        alone = False
        for one in self._places.csv.phases():
            if datetime.fromisoformat(one.at) > at:
                return one.before is Phase.ORIGINAL
            alone = one.after is Phase.ORIGINAL
        return alone

    def _written(self, target: Path, write: Callable[[Sink], None]) -> Written:
        with elsewhere(self._places, target) as new:
            write(new)
            return new.replace()

    def _restored(self, source: str, fill: Fill, how: How) -> RestoreReport:
        state, is_new = self._site.in_force(how)
        check_side(how.to, state.phase)
        with self._places.csv.incoming() as incoming:
            how.step("receiving")
            fill(state, incoming)
            keeping = Keeping(self._places, state)
            if not how.dry_run:
                how.step("publishing what is there")
                keeping = self._site.kept(source, state, is_new=is_new)
            order = self._site.order(state, how, keeping, is_new=is_new)
            restored = restore(self._places.csv, lambda: self._places.tables, incoming, order)
        report = RestoreReport(source, state.phase, restored, keeping.key, keeping.path, keeping.follower)
        if how.dry_run or len(restored.sides) == 1:
            return replace(report, dry_run=how.dry_run)
        how.step("comparing")
        return replace(report, equal=self._site.is_equal())
