"""What was published of a site: found by name, and added to before something is restored over."""

from collections.abc import Callable
from pathlib import Path

from ingestion_pipeline.app.places import Places
from ingestion_pipeline.domain.errors import InputRefusedError, PipelineError, SettingsError
from ingestion_pipeline.domain.ports import Progress, Sink
from ingestion_pipeline.domain.version import Manifest
from ingestion_pipeline.operations.export import ExportReport
from ingestion_pipeline.stores.bucket.chain import Chain, damaged
from ingestion_pipeline.stores.disk.backups import Backups

LATEST = "latest"

_NOTHING_TO_PUBLISH = frozenset({"sides_differ", "csv_missing", "nothing_synced", "schema_behind"})
"""Why the present state cannot be published, and may well be restored over."""


def manifest_of(chain: Chain, name: str) -> Manifest:
    """The manifest of a version.

    Args:
        chain: Where it was published.
        name: `latest`, its key, or the last part of it.

    Raises:
        SettingsError: There is none.
        InputRefusedError: Its manifest is damaged; the hint names the one before that is good.
    """
    listed = chain.listing(read=False)
    named = (one for one in listed if name == LATEST or f"/{one.key}".endswith(f"/{name}"))
    version = next(named, None)
    if version is None:
        raise SettingsError(
            "nothing has been published yet" if name == LATEST else "nothing of that name was published",
            code="no_such_version",
            hint="`ingest versions` lists what was; `ingest export` publishes a version.",
        )
    if version.manifest is None or version.amiss is not None:
        raise refused(chain, version.key, version.amiss or "its manifest cannot be read")
    return version.manifest


def refused(chain: Chain, key: str, why: str) -> InputRefusedError:
    """The refusal of a damaged version, which names the one before that is good."""
    older = iter(chain.listing(read=False))
    for one in older:
        if one.key == key:
            break
    good = (one.key for one in older if one.amiss is None and one.manifest and chain.is_good(one.manifest))
    before = next(good, None)
    error = damaged(key, why)
    error.hint = f"Nothing was changed. The one before it that is good: {before or 'none'}"
    return error


def fetched(chain: Chain, manifest: Manifest, sink: Sink, progress: Progress | None) -> None:
    """Write what a version holds.

    Args:
        chain: Where it was published.
        manifest: Its manifest.
        sink: Takes its bytes.
        progress: Told how many have come.

    Raises:
        InputRefusedError: It is damaged; the hint names the one before that is good.
    """
    try:
        chain.fetch(manifest, _Counted(sink, progress))
    except InputRefusedError as error:
        raise refused(chain, manifest.key, error.message) from None


class _Counted:
    """Passes bytes on, and tells how many have come."""

    def __init__(self, sink: Sink, progress: Progress | None) -> None:
        self._sink = sink
        self._progress = progress
        self._size = 0

    def write(self, data: bytes, /) -> None:
        """Pass some bytes on."""
        self._sink.write(data)
        self._size += len(data)
        if self._progress is not None:
            self._progress(self._size)


def kept_before(places: Places, export: Callable[[], ExportReport]) -> tuple[str | None, Path | None]:
    """Publish the present state; where that cannot be, keep the CSV that is there.

    Returns:
        The version's name, or where the CSV was kept.

    Raises:
        UnavailableError: Neither can be done.
    """
    try:
        return export().manifest.key, None
    except InputRefusedError:
        pass
    except PipelineError as error:
        if error.code not in _NOTHING_TO_PUBLISH:
            raise
    csv = places.csv.path
    if not csv.is_file():
        return None, None
    settings = places.settings.csv_backup
    backups = Backups(settings.backup_dir, 0, compress=settings.compress)
    return None, backups.copy(csv, csv.with_stem(f"{csv.stem}_before_restore"))
