"""export: what leads is published once, and never while the two sides differ."""

from pathlib import Path

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline.domain.errors import InputRefusedError, PipelineError, ProtectedError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled
from ingestion_pipeline_tests.stores.bucket import s3_stub
from ingestion_pipeline_tests.stores.bucket.publishing import CREDENTIALS


def published(site: Site) -> list[Path]:
    return sorted((site.folder / "exports").glob("csv-versions/*/*/*.csv"))


def test_publishes_once(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()

    first, second = pipeline.export(run_id="run 1"), pipeline.export(run_id="run 2")

    assert (first.published, second.published) == (True, False)
    assert second.manifest == first.manifest
    [version] = published(site)
    assert version.read_bytes() == site.csv.read_bytes()
    assert version.relative_to(site.folder / "exports").as_posix() == first.manifest.key
    content = first.manifest.content
    assert (content.rows, content.size, content.run_id) == (510, site.csv.stat().st_size, "run 1")
    assert (content.phase, content.epoch, content.dialect.columns) == (Phase.DUAL_WRITE, 1, header(Mode.FULL))
    assert [one.good for one in pipeline.listing()] == [True]


def test_every_change_is_a_version(site: Site, pipeline: Pipeline) -> None:
    keys = []
    for name in ("a", "b", "a"):
        site.put(spelled([person(1, name=name)]))
        pipeline.sync()
        report = pipeline.export()
        assert report.published
        keys.append(report.manifest.key)

    assert [one.key for one in pipeline.listing()] == keys[::-1]
    assert [path.read_bytes() for path in published(site)] == [spelled([person(1, name=n)]) for n in "aba"]


def test_damaged_version_does_not_count_as_the_newest(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.export()
    [version] = published(site)
    version.chmod(0o600)
    version.write_bytes(b"damaged")

    assert pipeline.export().published
    assert [one.good for one in pipeline.listing()] == [True, False]


@pytest.mark.parametrize("side", ["csv", "postgres"])
def test_nothing_is_published_while_the_sides_differ(site: Site, pipeline: Pipeline, side: str) -> None:
    pipeline.sync()
    if side == "csv":
        site.put(spelled([person(1)]))
    else:
        site.execute("UPDATE people SET name = 'x' WHERE row_id = '515'")

    with pytest.raises(ProtectedError) as refused:
        pipeline.export()

    assert refused.value.code == "sides_differ"
    assert published(site) == []
    assert [path.name for path in (site.folder / "exports").iterdir()] == []


def test_original_publishes_the_files_bytes(site: Site) -> None:
    site.config.write_text("")
    site.put(
        spelled([person(1), person(""), person(2, processed="maybe")], bom=True, end="\r\n", final=False)
    )
    with open_pipeline(site.config) as pipeline:
        report = pipeline.export()
        again = pipeline.export()

    assert (report.published, again.published) == (True, False)
    assert (report.manifest.content.phase, report.manifest.content.rows) == (Phase.ORIGINAL, 3)
    assert [path.read_bytes() for path in published(site)] == [site.csv.read_bytes()]
    assert site.execute("SELECT count(*) FROM people") == [(0,)]


def test_original_refuses_a_file_that_somebody_has_cut_short(site: Site) -> None:
    site.config.write_text("")
    site.put(spelled(people(range(40))))
    with open_pipeline(site.config) as pipeline:
        pipeline.begin()
        newest = pipeline.export().manifest
        site.put(spelled(people(range(4))))

        with pytest.raises(ProtectedError) as braked:
            pipeline.export()

        assert braked.value.code == "brake"
        assert [one.key for one in pipeline.listing()] == [newest.key]
        pipeline.settle(accept_loss=True)
        assert pipeline.export().manifest.content.rows == 4


def test_original_refuses_what_the_gate_refuses(site: Site) -> None:
    site.config.write_text("")
    site.put(b"row_id,name\n1,a\n2\n")
    with open_pipeline(site.config) as pipeline, pytest.raises(InputRefusedError):
        pipeline.export()

    assert published(site) == []


def test_postgres_is_published_where_it_leads(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.execute("UPDATE ingestion.migration_state SET phase = 'database_primary', epoch = 2")
    original = site.csv.read_bytes()
    site.put(spelled([person(1)]))

    report = pipeline.export()

    assert (report.manifest.content.phase, report.manifest.content.epoch) == (Phase.DATABASE_PRIMARY, 2)
    assert [path.read_bytes() for path in published(site)] == [original]


def test_nothing_to_publish_before_the_first_sync(site: Site, pipeline: Pipeline) -> None:
    with pytest.raises(PipelineError) as refused:
        pipeline.export()

    assert refused.value.code == "nothing_synced"
    assert published(site) == []


IN_BUCKET = """
migration:
  phase: dual_write
exports:
  bucket: people
  prefix: site
  endpoint_url: {url}
  compress: true
"""


def test_with_a_bucket_versions_go_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_stub.serving() as s3:
        site.config.write_text(IN_BUCKET.format(url=s3.url))
        with open_pipeline(site.config) as pipeline:
            pipeline.sync()
            report = pipeline.export()
            assert not pipeline.export().published
            assert [one.good for one in pipeline.listing()] == [True]
    assert report.manifest.key.endswith(".csv.zst")
    assert s3.names() == [f"site/{report.manifest.key}", "site/csv-versions/manifests/00000001.json"]
    assert published(site) == []
    assert list((site.folder / ".ingestion" / "outgoing").iterdir()) == []
