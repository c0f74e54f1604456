"""Retention: which versions may go."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ingestion_pipeline.domain.version import Manifest

_HOUR, _DAY, _MONTH = "%Y%m%d%H", "%Y%m%d", "%Y%m"


@dataclass(frozen=True, slots=True)
class Keep:
    """How many versions are kept: the last ones, and the last one of so many hours, days and months.

    Hours, days and months without a version do not count. Nothing asked for keeps all.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    monthly: int = 0

    @property
    def is_all(self) -> bool:
        """Whether nothing is ever taken away."""
        return not (self.last or self.hourly or self.daily or self.monthly)


def superfluous(
    versions: Sequence[Manifest], keep: Keep, protected: Collection[str], good: Callable[[Manifest], bool]
) -> list[Manifest]:
    """The versions that may go, the newest first.

    Those that were only kept before another was restored are counted by themselves: none of them takes the
    place of one that was published.

    Args:
        versions: All there are, the newest first, as the chain counts.
        keep: What is kept.
        protected: Keys that a receipt names, and digests of content that a proof does.
        good: Whether a version's bytes are those that were published; asked until one's are.
    """
    if keep.is_all:
        return []
    kept = {one.key for one in versions if {one.key, one.content.sha256} & set(protected)}
    for is_before in (False, True):
        counted = [one for one in versions if (one.content.before is not None) is is_before]
        kept |= {one.key for one in _kept(counted, keep)}
        kept |= {one.key for one in islice(filter(good, counted), 1)}
    return [one for one in versions if one.key not in kept]


def _kept(versions: Sequence[Manifest], keep: Keep) -> Iterator[Manifest]:
    yield from versions[: keep.last]
    for period, most in ((_HOUR, keep.hourly), (_DAY, keep.daily), (_MONTH, keep.monthly)):
        newest: dict[str, Manifest] = {}
        for one in versions:
            newest.setdefault(one.content.published_at.strftime(period), one)
        yield from list(newest.values())[:most]
