"""Dumps of the site's database: restored in every phase, whoever leads, and tried out."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.restorable import How
from ingestion_pipeline.domain.errors import InputRefusedError, PipelineError, ProtectedError, SettingsError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.version import Manifest
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres import dumping
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, rendered, spelled
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.proxy import Proxy
from ingestion_pipeline_tests.remote import proxy, remote

__all__ = ["proxy", "remote"]

ORIGINAL, DUAL, PRIMARY, NATIVE = Phase
FOUR = spelled(people("4321"))


@pytest.fixture
def four(site: Site, pipeline: Pipeline) -> Pipeline:
    """A site of four persons in dual_write, both sides equal."""
    site.put(FOUR)
    pipeline.sync()
    return pipeline


def dumped(pipeline: Pipeline, phase: Phase) -> Manifest:
    """A dump made in this phase, and one person changed since."""
    if pipeline.in_force().phase is not phase:
        lead(pipeline, phase)
    pipeline.write("1", {"name": "before"})
    pipeline.settle()
    manifest = pipeline.backups.make()
    pipeline.write("1", {"name": "after"})
    pipeline.settle()
    return manifest


@pytest.mark.parametrize("phase", [PRIMARY, NATIVE])
def test_where_postgres_leads_it_is_what_the_dump_holds(site: Site, four: Pipeline, phase: Phase) -> None:
    manifest = dumped(four, phase)
    began = four.in_force()

    report = four.backups.restore("latest")

    assert (report.key, report.equal) == (manifest.key, True if phase is PRIMARY else None)
    assert (four.read("1") or {})["name"] == "before"
    assert (four.in_force().phase, four.in_force().epoch) == (phase, began.epoch + 1)
    assert four.tables.state() == four.csv.state() == four.in_force()
    if phase is PRIMARY:
        assert rendered(four) == site.csv.read_bytes()
    assert four.write("1", {"name": "since"}).revision > 0


def test_where_the_csv_leads_it_goes_on_leading(site: Site, four: Pipeline) -> None:
    dumped(four, DUAL)

    report = four.backups.restore("latest")

    assert report.equal
    assert (four.read("1") or {})["name"] == "after"
    assert rendered(four) == site.csv.read_bytes()


def test_state_before_is_published_first(four: Pipeline) -> None:
    dumped(four, PRIMARY)

    report = four.backups.restore("latest")

    assert report.version_before is not None
    four.restore.version(report.version_before)
    assert (four.read("1") or {})["name"] == "after"


def test_who_began_before_is_refused(four: Pipeline) -> None:
    dumped(four, PRIMARY)
    began = four.in_force()
    four.backups.restore("latest")

    with pytest.raises(ProtectedError) as refused:
        four.tables.write(began, "tester", [checked("1", {"name": "stale"})])

    assert refused.value.code == "stale_epoch"


def test_another_process_goes_on_writing(site: Site, four: Pipeline) -> None:
    dumped(four, PRIMARY)
    with open_pipeline(site.config) as other:
        other.write("2", {"name": "other"})
        four.backups.restore("latest")

        other.write("2", {"name": "again"})

    assert (four.read("2") or {})["name"] == "again"


@pytest.mark.parametrize("phase", [DUAL, PRIMARY, NATIVE])
def test_killed_before_the_ledger_knows_it_goes_on(
    site: Site, four: Pipeline, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumped(four, phase)
    began, keep = four.in_force(), LockedCsv.keep

    class DiedError(BaseException):
        """The program is over."""

    def die(csv: LockedCsv, state: State) -> None:
        if state.epoch > began.epoch:
            raise DiedError
        keep(csv, state)

    with monkeypatch.context() as patch:
        patch.setattr(LockedCsv, "keep", die)
        with pytest.raises(DiedError):
            four.backups.restore("latest")

    with open_pipeline(site.config) as other:
        other.write("2", {"name": "since"})
        other.settle()
        assert (other.read("1") or {})["name"] == ("after" if phase is DUAL else "before")
        assert rendered(other) == site.csv.read_bytes() or phase is NATIVE
        assert phase is NATIVE or other.compare().equal


@pytest.mark.parametrize(
    "spoilt", [None, b"spoilt\n", FOUR.split(b"\n")[0] + b"\n"], ids=["gone", "no CSV", "empty"]
)
def test_csv_that_leads_and_is_spoilt_stops_before_the_database_is_given_up(
    site: Site, four: Pipeline, spoilt: bytes | None
) -> None:
    dumped(four, DUAL)
    before = rendered(four)
    if spoilt is None:
        site.csv.unlink()
    else:
        site.csv.write_bytes(spoilt)

    with pytest.raises(PipelineError):
        four.backups.restore("latest")

    assert rendered(four) == before
    assert four.tables.state() == four.csv.state()


def test_what_the_csv_took_in_meanwhile_is_brought_back_first(
    site: Site, remote: Pipeline, proxy: Proxy
) -> None:
    site.put(FOUR)
    remote.sync()
    dumped(remote, PRIMARY)
    proxy.away()
    assert remote.write("1", {"name": "Taken in"}).durable_in is Side.CSV
    proxy.back()

    report = remote.backups.restore("latest")

    assert report.equal
    assert not remote.csv.takes_in
    remote.backups.restore(report.dump_before or "")
    assert (remote.read("1") or {})["name"] == "Taken in"


def test_csv_that_somebody_rewrites_meanwhile_is_kept(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumped(four, PRIMARY)
    replace, foreign = dumping.replace, FOUR.replace(b"INTJ", b"ENFP")

    def rewrite_and_replace(*arguments: Any, **named: Any) -> None:
        site.put(foreign)
        replace(*arguments, **named)

    monkeypatch.setattr(dumping, "replace", rewrite_and_replace)
    four.backups.restore("latest")

    [aside] = (site.folder / "backups").glob("output_foreign_*")
    assert aside.read_bytes() == foreign
    assert rendered(four) == site.csv.read_bytes()


def test_time_that_was_restored_over_is_not_told(site: Site, four: Pipeline) -> None:
    dumped(four, PRIMARY)
    then = datetime.now(UTC)
    four.backups.restore("latest")

    with pytest.raises(SettingsError) as refused:
        four.restore.as_of_to(then, site.folder / "then.csv")

    assert refused.value.code == "restored_over"
    four.restore.as_of_to(datetime.now(UTC), site.folder / "now.csv")
    assert (site.folder / "now.csv").read_bytes() == rendered(four)


def test_what_is_there_is_dumped_first_and_can_be_brought_back(four: Pipeline) -> None:
    dumped(four, NATIVE)
    told = len(four.history("1"))
    report = four.backups.restore("latest")
    assert (four.read("1") or {})["name"] == "before"

    four.backups.restore(report.dump_before or "")

    assert (four.read("1") or {})["name"] == "after"
    assert len(four.history("1")) == told


def test_latest_is_not_what_was_only_kept_before_a_restore(four: Pipeline) -> None:
    manifest = dumped(four, PRIMARY)
    for _ in range(2):
        assert four.backups.restore("latest").key == manifest.key


@pytest.mark.parametrize("accept_loss", [False, True])
def test_write_since_what_is_there_was_dumped_is_not_given_up_unasked(
    site: Site, four: Pipeline, monkeypatch: pytest.MonkeyPatch, *, accept_loss: bool
) -> None:
    dumped(four, NATIVE)
    replace = dumping.replace

    def write_and_replace(*arguments: Any, **named: Any) -> None:
        with open_pipeline(site.config) as other:
            other.write("2", {"name": "meanwhile"})
        replace(*arguments, **named)

    monkeypatch.setattr(dumping, "replace", write_and_replace)
    if accept_loss:
        four.backups.restore("latest", How(accept_loss=True))
        assert (four.read("2") or {})["name"] != "meanwhile"
        return
    with pytest.raises(ProtectedError) as refused:
        four.backups.restore("latest")
    assert refused.value.code == "written_meanwhile"
    assert (four.read("2") or {})["name"] == "meanwhile"


def test_database_that_is_lost_beside_a_csv_that_leads(site: Site, four: Pipeline) -> None:
    dumped(four, DUAL)
    before = site.csv.read_bytes()
    site.execute("DROP SCHEMA ingestion CASCADE")
    site.execute("DROP TABLE IF EXISTS people, processing_status, s3_metadata CASCADE")

    with open_pipeline(site.config) as other:
        report = other.backups.restore("latest")

        assert (report.dump_before, report.equal) == (None, True)
        assert (site.csv.read_bytes(), rendered(other)) == (before, before)
        assert [one.changed for one in other.history("1")] != []


@pytest.mark.parametrize("phase", [PRIMARY, NATIVE])
def test_database_that_is_lost_is_made_anew(site: Site, four: Pipeline, phase: Phase) -> None:
    dumped(four, phase)
    state = four.in_force()
    site.execute("DROP SCHEMA ingestion CASCADE")
    site.execute("DROP TABLE IF EXISTS people, processing_status, s3_metadata CASCADE")

    with open_pipeline(site.config) as other:
        with pytest.raises(ProtectedError) as refused:
            other.backups.restore("latest")
        assert refused.value.code == "database_empty"
        report = other.backups.restore("latest", How(accept_loss=True))

        assert report.state == State(phase, state.epoch + 1)
        assert (other.read("1") or {})["name"] == "before"
        assert report.kept is not None


def test_damaged_dump_changes_nothing(site: Site, four: Pipeline) -> None:
    manifest = dumped(four, PRIMARY)
    path = site.folder / "exports" / manifest.key
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    began = four.in_force(), site.csv.read_bytes()

    with pytest.raises(InputRefusedError) as refused:
        four.backups.restore("latest")

    assert refused.value.code == "version_damaged"
    assert (four.in_force(), site.csv.read_bytes()) == began
    assert not four.backups.drill_dump().passed


ASKS: list[Callable[[Pipeline], object]] = [
    lambda pipeline: pipeline.backups.make(),
    lambda pipeline: pipeline.backups.restore("latest"),
]


@pytest.mark.parametrize("ask", ASKS, ids=["make", "restore"])
def test_in_original_there_is_nothing_to_dump(four: Pipeline, ask: Callable[[Pipeline], object]) -> None:
    four.phase.rollback(ORIGINAL)

    with pytest.raises(SettingsError) as refused:
        ask(four)

    assert refused.value.code == "no_part"


def test_without_a_dump_there_is_none_to_restore(four: Pipeline) -> None:
    with pytest.raises(SettingsError) as refused:
        four.backups.restore("latest")

    assert refused.value.code == "no_such_version"


@pytest.mark.parametrize("phase", [PRIMARY, NATIVE])
def test_brake_stops_where_people_would_vanish(four: Pipeline, phase: Phase) -> None:
    dumped(four, phase)
    for row_id in ("5", "6"):
        four.write(row_id, {"name": "new", "email": "e", "type": "INTJ"})
    began = four.in_force()

    with pytest.raises(ProtectedError) as stopped:
        four.backups.restore("latest")

    assert stopped.value.code == "brake"
    assert four.in_force() == began == four.tables.state()
    assert four.read("6") is not None
    four.backups.restore("latest", How(accept_loss=True))
    assert four.read("6") is None


def test_one_may_vanish(four: Pipeline) -> None:
    dumped(four, NATIVE)
    four.write("5", {"name": "new", "email": "e", "type": "INTJ"})
    four.backups.restore("latest")
    assert four.read("5") is None


def test_dry_run_changes_nothing(four: Pipeline) -> None:
    manifest = dumped(four, PRIMARY)
    began = four.in_force()

    report = four.backups.restore("latest", How(dry_run=True))

    assert (report.key, report.rows, report.dry_run) == (manifest.key, 4, True)
    assert four.in_force() == began
    assert (four.read("1") or {})["name"] == "after"
    assert report.version_before is None


def test_what_the_csv_leads_vanishes_nowhere(four: Pipeline) -> None:
    dumped(four, DUAL)
    for row_id in ("5", "6"):
        four.write(row_id, {"name": "new", "email": "e", "type": "INTJ"})
    four.settle()
    assert four.backups.restore("latest").equal
    assert four.read("6") is not None


def test_dumps_are_pruned_too(site: Site, four: Pipeline) -> None:
    made = [dumped(four, DUAL).key for _ in range(3)]
    site.config.write_text("migration:\n  phase: dual_write\nexports:\n  keep:\n    last: 2\n")
    with open_pipeline(site.config) as pipeline:
        assert made[0] in [one.key for one in pipeline.restore.prune(dry_run=True)]
        pipeline.restore.prune()
        listed = list(pipeline.backups.listing())
    assert [one.key for one in listed if one.good] == made[:0:-1]
