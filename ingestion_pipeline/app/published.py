"""What was published of a site: found by name, and fetched."""

from ingestion_pipeline.domain.counting import Counted
from ingestion_pipeline.domain.errors import InputRefusedError, SettingsError
from ingestion_pipeline.domain.ports import Progress, Sink
from ingestion_pipeline.domain.version import Manifest, Version
from ingestion_pipeline.stores.bucket.chain import Chain, damaged

LATEST = "latest"

_LISTS = (
    "`ingest versions` lists versions and `ingest export` publishes one; with dumps of the database that is "
    "`ingest versions --database` and `ingest backup`."
)


def manifest_of(chain: Chain, name: str) -> Manifest:
    """The manifest of a version.

    Args:
        chain: Where it was published.
        name: `latest`, its key, or the last part of it. The latest is none that was kept before a restore.

    Raises:
        SettingsError: There is none.
        InputRefusedError: Its manifest is damaged; the hint names the one before that is good.
    """
    listed = list(chain.listing(read=False))
    version = next((one for one in listed if _is_meant(one, name)), None)
    if version is None:
        unread = [one.key for one in listed if one.manifest is None]
        raise SettingsError(
            "nothing has been published yet" if not listed else "nothing of that name was published",
            code="no_such_version",
            hint=f"What {unread[0]} is about cannot be told: it is damaged." if unread else _LISTS,
        )
    if version.manifest is None or version.amiss is not None:
        raise refused(chain, version.key, version.amiss or "its manifest cannot be read")
    return version.manifest


def _is_meant(version: Version, name: str) -> bool:
    return version.is_for_itself if name == LATEST else f"/{version.key}".endswith(f"/{name}")


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
        chain.fetch(manifest, Counted(sink, progress))
    except InputRefusedError as error:
        raise refused(chain, manifest.key, error.message) from None
