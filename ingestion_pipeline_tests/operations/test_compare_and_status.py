"""compare and status: a proof is stamped, and whatever happens afterwards voids it."""

from collections.abc import Callable

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.columns import contract_version
from ingestion_pipeline.domain.difference import Kind
from ingestion_pipeline.domain.errors import InputRefusedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import person, spelled


def test_fresh_site(pipeline: Pipeline) -> None:
    report = pipeline.status()

    assert (report.wanted, report.in_force, report.epoch) == (Phase.DUAL_WRITE, None, None)
    assert (report.authority, report.follower, report.proof) == (None, None, None)
    assert report.why_not == ("nothing has been synced yet",)


def test_synced_and_compared_site(pipeline: Pipeline) -> None:
    pipeline.sync()
    before = pipeline.status()
    report = pipeline.compare(run_id="run 1")

    after = pipeline.status()

    assert before.why_not == ("the two sides have never been compared",)
    assert (after.in_force, after.epoch, after.authority, after.follower) == (
        Phase.DUAL_WRITE,
        1,
        Side.CSV,
        Side.POSTGRES,
    )
    assert after.why_not == ()
    proof = after.proof
    assert proof is not None
    assert (proof.csv_sha256, proof.rows, proof.differences, proof.bytes_equal) == (
        report.csv_sha256,
        510,
        0,
        True,
    )
    assert (proof.epoch, proof.run_id, proof.contract_version) == (1, "run 1", contract_version())
    assert proof.stamped_at is not None


def put_other(site: Site, _: Pipeline) -> None:
    site.put(site.csv.read_bytes() + b"\n"[:0] + b" ")


def sync_other(site: Site, pipeline: Pipeline) -> None:
    rows = site.csv.read_bytes().split(b"\n")
    site.put(b"\n".join(rows[:-2]) + b"\n")
    pipeline.sync()


def write_behind(site: Site, _: Pipeline) -> None:
    site.execute(
        "UPDATE people SET name = 'x', revision = nextval('ingestion.revision')"
        " WHERE id = (SELECT min(id) FROM people)"
    )


def delete_behind(site: Site, _: Pipeline) -> None:
    site.execute("DELETE FROM people WHERE id = (SELECT min(id) FROM people)")


def change_phase(site: Site, _: Pipeline) -> None:
    site.execute("UPDATE ingestion.migration_state SET epoch = 2")


def quarantine(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, processed="maybe")]))
    pipeline.sync(accept_loss=True)
    pipeline.compare()


def remove_file(site: Site, _: Pipeline) -> None:
    site.csv.unlink()


def find_differences(site: Site, pipeline: Pipeline) -> None:
    site.execute("UPDATE people SET name = 'x' WHERE row_id = '515'")
    pipeline.compare()


@pytest.mark.parametrize(
    ("happen", "reasons"),
    [
        (put_other, ["the CSV has changed"]),
        (sync_other, ["the CSV has changed", "PostgreSQL has changed"]),
        (write_behind, ["PostgreSQL has changed"]),
        (delete_behind, ["PostgreSQL has changed"]),
        (change_phase, ["was made in epoch 1, now is 2"]),
        (quarantine, ["1 quarantine entries are undecided"]),
        (remove_file, ["the CSV has changed"]),
        (find_differences, ["found 1 differences", "does not render the file's bytes"]),
    ],
)
def test_gate_shuts_when_it_should(
    site: Site, pipeline: Pipeline, happen: Callable[[Site, Pipeline], None], reasons: list[str]
) -> None:
    pipeline.sync()
    pipeline.compare()
    assert pipeline.status().why_not == ()

    happen(site, pipeline)

    found = pipeline.status().why_not
    assert len(found) == len(reasons)
    assert all(reason in said for reason, said in zip(reasons, found, strict=True))


def test_status_changes_nothing(site: Site, pipeline: Pipeline) -> None:
    pipeline.status()

    assert site.execute("SELECT count(*) FROM ingestion.migration_state") == [(0,)]


def test_nothing_to_compare_before_the_first_sync(pipeline: Pipeline) -> None:
    with pytest.raises(UnavailableError) as missing:
        pipeline.compare()

    assert missing.value.code == "not_begun"


def test_missing_file_cannot_be_compared(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.csv.unlink()

    with pytest.raises(UnavailableError) as missing:
        pipeline.compare()

    assert missing.value.code == "csv_missing"
    assert pipeline.tables.last_proof() is None


def test_refused_file_cannot_be_compared(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.put(b"row_id,name\n1\n")

    with pytest.raises(InputRefusedError):
        pipeline.compare()

    assert pipeline.tables.last_proof() is None


def test_rows_read_are_told(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.put(spelled([person(1)]))
    read: list[int] = []

    report = pipeline.compare(progress=read.append)

    assert (report.rows, read[-1]) == (1, site.csv.stat().st_size)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE people SET name = name WHERE row_id = '500'",
        "UPDATE processing_status SET document_text = 'x' WHERE id = (SELECT max(id) FROM processing_status)",
        "DELETE FROM s3_metadata WHERE id = (SELECT max(id) FROM s3_metadata)",
        "DELETE FROM ingestion.duplicate",
        "UPDATE ingestion.csv_file SET dialect = dialect",
        "INSERT INTO people (row_id, name, email, type) VALUES ('new', '', '', '')",
    ],
)
def test_any_change_behind_its_back_voids_the_proof(site: Site, pipeline: Pipeline, statement: str) -> None:
    pipeline.sync()
    pipeline.compare()
    assert pipeline.status().why_not == ()

    site.execute(statement)

    assert pipeline.status().why_not == ("PostgreSQL has changed since the last comparison",)


def test_status_makes_no_tables(empty_database: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)

    with open_pipeline(site.config) as pipeline:
        assert pipeline.status().in_force is None
        assert schema.current(pipeline.pool) is None


def test_quarantine_that_does_not_fit_the_data_is_a_difference(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1, processed="maybe"), person(2)]))
    pipeline.sync()
    assert pipeline.compare().equal
    site.execute("DELETE FROM ingestion.quarantine")

    report = pipeline.compare()

    assert (report.bytes_equal, report.equal) == (True, False)
    assert [(one.row_id, one.column) for one in report.differences] == [("1", "processed")]
    pipeline.sync()
    assert pipeline.compare().equal


def test_a_key_too_long_to_be_one_is_not_shown(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1)]))
    pipeline.sync()
    site.put(spelled([person(1), person("canary " * 20)]))

    report = pipeline.compare()

    assert [(one.row_id, one.kind) for one in report.differences] == [(None, Kind.MISSING)]
    pipeline.sync()
    assert [entry.row_id for entry in pipeline.quarantine()] == [""]
