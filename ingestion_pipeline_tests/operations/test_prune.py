"""prune: versions that need not be kept are taken away, and never one that somebody may still ask for."""

from collections.abc import Iterator

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import SettingsError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, rendered, spelled
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.proxy import Proxy
from ingestion_pipeline_tests.remote import proxy, remote

__all__ = ["proxy", "remote"]

KEEP_TWO = "exports:\n  keep:\n    last: 2\n"


@pytest.fixture
def keeping(site: Site) -> Iterator[Pipeline]:
    """A site that keeps two versions."""
    site.config.write_text(f"migration:\n  phase: dual_write\n{KEEP_TWO}")
    site.put(spelled(people("4321")))
    with open_pipeline(site.config) as opened:
        opened.sync()
        yield opened


def publish(pipeline: Pipeline, number: int) -> list[str]:
    """Publish so many versions; gives their keys, the oldest first."""
    keys = []
    for _ in range(number):
        pipeline.write("1", {"link": f"version {len(list(pipeline.listing(read=False)))}"})
        pipeline.settle()
        keys.append(pipeline.export().manifest.key)
    return keys


def lying(site: Site) -> list[str]:
    exports = site.folder / "exports"
    return sorted(path.relative_to(exports).as_posix() for path in exports.glob("csv-versions/*/*/*.csv"))


def test_last_ones_are_kept(site: Site, keeping: Pipeline) -> None:
    keys = publish(keeping, 5)

    would = keeping.restore.prune(dry_run=True)
    assert lying(site) == sorted(keys)
    gone = keeping.restore.prune()

    assert [one.key for one in gone] == [one.key for one in would] == keys[2::-1]
    assert lying(site) == sorted(keys[3:])
    assert [(one.key, one.good) for one in keeping.listing()] == [(key, True) for key in keys[:2:-1]]
    assert keeping.restore.prune() == []
    with pytest.raises(SettingsError):
        keeping.restore.version(keys[0])
    assert keeping.restore.version(keys[3]).equal
    # Published after some were taken away, the chain goes on.
    assert keeping.export().manifest.number == 7
    assert all(one.good for one in keeping.listing())


def test_all_are_kept_where_nothing_else_is_asked_for(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people("4321")))
    pipeline.sync()
    keys = publish(pipeline, 4)

    assert pipeline.restore.prune() == []

    assert lying(site) == sorted(keys)
    assert pipeline.restore.keep.is_all


def test_what_a_receipt_names_stays(site: Site, keeping: Pipeline) -> None:
    publish(keeping, 2)
    lead(keeping, Phase.DATABASE_PRIMARY)
    [change] = keeping.phase.history()
    named = {change.version_before, change.version_after}
    keys = publish(keeping, 4)
    keeping.compare()

    keeping.restore.prune()

    assert set(lying(site)) == {*named, *keys[2:]}
    assert None not in named


def test_what_the_newest_proof_was_about_stays(site: Site, keeping: Pipeline) -> None:
    [proved] = publish(keeping, 1)
    keeping.compare()
    keys = publish(keeping, 4)

    keeping.restore.prune()

    assert lying(site) == sorted([proved, *keys[2:]])
    keeping.compare()
    keeping.restore.prune()
    assert lying(site) == sorted(keys[2:])


def test_newest_good_one_stays(site: Site, keeping: Pipeline) -> None:
    keys = publish(keeping, 5)
    for key in keys[2:]:
        (site.folder / "exports" / key).chmod(0o600)
        (site.folder / "exports" / key).write_bytes(b"damaged")

    keeping.restore.prune()

    assert lying(site) == sorted([keys[1], *keys[3:]])


def test_nothing_is_taken_away_while_the_newest_proof_is_not_known(
    site: Site, remote: Pipeline, proxy: Proxy
) -> None:
    site.config.write_text(f"migration:\n  phase: dual_write\n{KEEP_TWO}")
    site.put(spelled(people("4321")))
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        keys = publish(pipeline, 4)
        proxy.away()

        with pytest.raises(UnavailableError):
            pipeline.restore.prune()

    assert lying(site) == sorted(keys)
    assert remote.settings.exports.keep.last == 0


def test_original_asks_no_postgres(site: Site, proxy: Proxy, remote: Pipeline) -> None:
    site.config.write_text(KEEP_TWO)
    site.put(spelled([person(1)]))
    with open_pipeline(site.config) as pipeline:
        keys = publish(pipeline, 4)
        proxy.away()

        pipeline.restore.prune()

    assert lying(site) == sorted(keys[2:])
    assert remote.settings.exports.keep.last == 0


def test_versions_before_a_restore_go_by_the_same_rule(site: Site, keeping: Pipeline) -> None:
    keys = publish(keeping, 3)
    report = keeping.restore.version(keys[0])
    assert report.version_before == keys[2]

    publish(keeping, 2)
    keeping.restore.prune()

    assert keys[2] not in lying(site)
    assert rendered(keeping) == site.csv.read_bytes()
