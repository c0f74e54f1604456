"""restore: the site is what it once was, as a new state, and both sides hold the same bytes."""

import functools
import gzip
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.restorable import How
from ingestion_pipeline.app.restoring import RestoreReport
from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    ProtectedError,
    SettingsError,
    UnavailableError,
)
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.reports import Weighed
from ingestion_pipeline.operations.export import ExportReport
from ingestion_pipeline.stores.bucket.client import connect
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline_tests.conftest import Server, Site
from ingestion_pipeline_tests.files import (
    COLUMNS,
    assert_agree,
    content,
    people,
    person,
    rendered,
    spelled,
)
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.proxy import Proxy
from ingestion_pipeline_tests.remote import proxy, remote
from ingestion_pipeline_tests.stores.bucket import s3_stub
from ingestion_pipeline_tests.stores.bucket.publishing import CREDENTIALS, ONCE
from ingestion_pipeline_tests.stores.bucket.s3_stub import S3, Fault
from ingestion_pipeline_tests.strays import stray

__all__ = ["proxy", "remote"]

ORIGINAL, DUAL, PRIMARY, NATIVE = Phase
EVERY_PHASE = pytest.mark.parametrize("phase", list(Phase), ids=str)
CSV_LEADS = pytest.mark.parametrize("phase", [ORIGINAL, DUAL], ids=str)
POSTGRES_LEADS = pytest.mark.parametrize("phase", [PRIMARY, NATIVE], ids=str)
FOUR = spelled(people("4321"))
ODD = spelled(
    [
        person(6, name='Müller, "quoted"', document_text="two\nlines"),
        person(5, processed="TRUE", file_uuids='{"b":"c"}', s3_paths="[1]"),
        person(4),
        person(4),
        person("", name="nobody"),
        person(3, name="=1+1"),
        person(3, name="another"),
        person(1, last_download_attempt="2026-11-22 10:00:00Z"),
    ],
    bom=True,
    end="\r\n",
    final=False,
    quoting="all",
)
"""Cells spelled otherwise, one in quarantine, a repeated line, rows in quarantine, and another dialect."""
MANY = spelled(people([*"4321", *range(100, 130)]))
ACCEPT_LOSS = How(accept_loss=True)
DRY_RUN = How(dry_run=True)


def begin(site: Site, pipeline: Pipeline, phase: Phase, file: bytes = FOUR) -> None:
    """Put a site into a phase, both sides equal."""
    site.put(file)
    pipeline.sync()
    if phase is not DUAL:
        lead(pipeline, phase)


def outgrown(site: Site, pipeline: Pipeline, phase: Phase) -> str:
    """Put a site with a version of four people into a phase with many; gives the version."""
    begin(site, pipeline, DUAL)
    version = pipeline.export().manifest.key
    site.put(MANY)
    pipeline.sync()
    if phase is not DUAL:
        lead(pipeline, phase)
    return version


def leading(site: Site, pipeline: Pipeline) -> bytes:
    """What the side that leads holds."""
    side = pipeline.in_force().phase.authority
    return site.csv.read_bytes() if side is Side.CSV else rendered(pipeline)


def bytes_of(site: Site, key: str | None) -> bytes:
    return (site.folder / "exports" / (key or "")).read_bytes()


def changed(site: Site, pipeline: Pipeline) -> bytes:
    """Change one, bring a new one, and give what the side that leads holds then."""
    pipeline.write("1", {"name": "Changed", "document_text": "long"})
    pipeline.write("n1", {"name": "New", "email": "n@example.org", "type": ""})
    pipeline.settle()
    return leading(site, pipeline)


def assert_level(site: Site, pipeline: Pipeline, file: bytes) -> None:
    """Every side that has a part holds this file, and nothing is pending."""
    phase = pipeline.in_force().phase
    if phase is not NATIVE:
        assert site.csv.read_bytes() == file
    if phase is not ORIGINAL:
        assert rendered(pipeline) == file
    report = pipeline.status()
    assert (report.pending.all, report.degraded) == (0, None)
    assert pipeline.settle().merged is None


def kept(report: RestoreReport) -> bytes:
    """The CSV that was there before, where it was kept as a file."""
    assert report.kept is not None
    return gzip.decompress(report.kept.read_bytes())


def replaced(site: Site, file: bytes) -> None:
    """What a script does that knows nothing of this package."""
    temporary = site.csv.with_name("script.tmp")
    temporary.write_bytes(file)
    temporary.replace(site.csv)


@pytest.fixture
def four(site: Site, pipeline: Pipeline) -> Pipeline:
    """A site of four persons in dual_write, both sides equal."""
    begin(site, pipeline, DUAL)
    return pipeline


# A version, in every phase


@EVERY_PHASE
@pytest.mark.parametrize("file", [FOUR, ODD], ids=["four", "odd"])
def test_version_is_what_both_sides_hold_then(
    site: Site, pipeline: Pipeline, phase: Phase, file: bytes
) -> None:
    begin(site, pipeline, phase, file)
    version = pipeline.export().manifest.key
    before = changed(site, pipeline)

    report = pipeline.restore.version(version)

    assert_level(site, pipeline, file)
    assert (report.source, report.phase, report.dry_run) == (version, phase, False)
    assert report.restored.sides == tuple(filter(None, (phase.authority, phase.follower)))
    assert report.equal is (True if phase.follower else None)
    assert bytes_of(site, report.version_before) == before
    assert report.kept is None
    assert (report.restored.weighed.deleted, report.restored.weighed.inserted) == (1, 0)
    assert report.restored.weighed.updated == 1


@EVERY_PHASE
def test_restored_is_a_new_state(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    changed(site, pipeline)
    last = pipeline.write("1", {"name": "Last"}).revision
    pipeline.settle()

    pipeline.restore.version(version)

    assert pipeline.write("2", {"name": "Since"}).revision > last
    if phase is not ORIGINAL:
        assert site.execute("SELECT revision > %s FROM people WHERE row_id = '1'", last) == [(True,)]
        change = [one for one in pipeline.history("1") if one.table == "people"][-1]
        assert (change.changed or {})["name"] == ("Last", "Name 1")
        assert [one.operation for one in pipeline.history("n1") if one.table == "people"][-1] == "delete"
    pipeline.settle()
    assert (pipeline.read("2") or {})["name"] == "Since"


@EVERY_PHASE
def test_dry_run_counts_and_changes_nothing(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    changed(site, pipeline)
    standing = site.csv.read_bytes(), content(site), pipeline.csv.state()

    report = pipeline.restore.version(version, DRY_RUN)

    assert (site.csv.read_bytes(), content(site), pipeline.csv.state()) == standing
    assert report.restored.weighed == Weighed(rows=4, inserted=0, updated=1, deleted=1)
    assert (report.dry_run, report.version_before, report.equal, report.restored.sides) == (
        True,
        None,
        None,
        (),
    )
    assert len(list(pipeline.listing())) == 1
    assert list(pipeline.csv.state_dir.glob("incoming/.*")) == []


@EVERY_PHASE
def test_state_before_can_be_restored_in_turn(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    before = changed(site, pipeline)

    undone = pipeline.restore.version(pipeline.restore.version(version).version_before or "")

    assert_level(site, pipeline, before)
    assert bytes_of(site, undone.version_before) == FOUR


def test_restoring_what_is_there_changes_nothing(site: Site, four: Pipeline) -> None:
    version = four.export().manifest.key

    report = four.restore.version("latest")

    assert report.version_before == version
    assert report.restored.weighed == Weighed(rows=4, inserted=0, updated=0, deleted=0)
    assert_level(site, four, FOUR)


@pytest.mark.parametrize("form", ["csv", "csv.zst"])
def test_version_is_named_by_its_key_or_the_last_part_of_it(site: Site, form: str) -> None:
    site.config.write_text(
        f"migration:\n  phase: dual_write\nexports:\n  compress: {'true' if form != 'csv' else 'false'}\n"
    )
    with open_pipeline(site.config) as pipeline:
        begin(site, pipeline, DUAL)
        version = pipeline.export().manifest.key
        changed(site, pipeline)
        pipeline.export()
        name = version.rpartition("/")[2]
        assert name.endswith(f".{form}")

        for wrong in (form, name[1:], "", "no such"):
            with pytest.raises(SettingsError) as refused:
                pipeline.restore.version(wrong)
            assert refused.value.code == "no_such_version"
        assert pipeline.restore.version(name).source == version

        assert_level(site, pipeline, FOUR)


def test_without_a_version_there_is_none_to_restore(four: Pipeline) -> None:
    with pytest.raises(SettingsError) as refused:
        four.restore.version("latest")

    assert refused.value.code == "no_such_version"


SIDES: list[tuple[Phase, Side, str | None]] = [
    (ORIGINAL, Side.CSV, None),
    (ORIGINAL, Side.POSTGRES, "no_part"),
    (DUAL, Side.CSV, None),
    (DUAL, Side.POSTGRES, "follows"),
    (PRIMARY, Side.POSTGRES, None),
    (PRIMARY, Side.CSV, "follows"),
    (NATIVE, Side.POSTGRES, None),
    (NATIVE, Side.CSV, "no_part"),
]


@pytest.mark.parametrize(("phase", "side", "code"), SIDES)
def test_follower_is_never_restored_alone(
    site: Site, pipeline: Pipeline, phase: Phase, side: Side, code: str | None
) -> None:
    begin(site, pipeline, phase)
    pipeline.export()
    before = changed(site, pipeline)

    if code is None:
        pipeline.restore.version("latest", How(to=side))
        assert_level(site, pipeline, FOUR)
    else:
        with pytest.raises(SettingsError) as refused:
            pipeline.restore.version("latest", How(to=side))
        assert refused.value.code == code
        assert_level(site, pipeline, before)


# Generations and dialects


MAPS = ("file_uuids", "s3_paths")
NINETEEN = [name for name in header(Mode.FULL) if name not in MAPS]
EIGHTEEN = [name for name in NINETEEN if name != "document_text"]
FILES: dict[str, bytes] = {
    "5 columns": spelled([["1", "Ada", "a@example.org", "INTJ", ""]], COLUMNS[:5]),
    "18 columns": spelled([["1", "Ada", *"x" * 16], ["2", "Bob", *"y" * 16]], EIGHTEEN),
    "19 columns": spelled([["1", "Ada", *"x" * 17], ["2", "Bob", *"y" * 17]], NINETEEN),
    "another order": spelled([["Ada", "1"], ["Bob", "2"]], ("name", "row_id")),
    "CRLF, BOM, no last line end": spelled(people("21"), end="\r\n", bom=True, final=False),
    "all quoted": spelled(people("21"), quoting="all", header_quoting="all"),
    "nobody": spelled([]),
}


@EVERY_PHASE
@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_version_of_another_shape(site: Site, pipeline: Pipeline, phase: Phase, file: bytes) -> None:
    begin(site, pipeline, DUAL, file)
    version = pipeline.export().manifest.key
    site.put(ODD)
    pipeline.settle(accept_loss=True)
    pipeline.sync(accept_loss=True)
    if phase is not DUAL:
        lead(pipeline, phase)

    report = pipeline.restore.version(version, ACCEPT_LOSS)

    assert report.equal is (True if phase.follower else None)
    assert_level(site, pipeline, file)


@EVERY_PHASE
def test_lines_and_spelling_come_back_though_no_person_moves(
    site: Site, pipeline: Pipeline, phase: Phase
) -> None:
    rows = [*people("43"), person(2, link="l"), person(1), person(1), person("")]
    file = spelled(rows, end="\r\n", bom=True)
    begin(site, pipeline, DUAL, file)
    version = pipeline.export().manifest.key
    site.put(FOUR)
    pipeline.sync()
    if phase is not DUAL:
        lead(pipeline, phase)

    pipeline.restore.version(version)

    assert_level(site, pipeline, file)


# What others do to the CSV


@EVERY_PHASE
def test_rewrite_after_it_does_not_bring_back_what_was_rolled_back(
    site: Site, pipeline: Pipeline, phase: Phase
) -> None:
    begin(site, pipeline, DUAL)
    pipeline.write("1", {"name": "first of all"})
    version = pipeline.export().manifest.key
    pipeline.write("1", {"name": "second of all"})
    pipeline.write("n1", {"name": "New", "email": "", "type": ""})
    if phase is not DUAL:
        lead(pipeline, phase)

    pipeline.restore.version(version)
    pipeline.write("2", {"name": "Written since"})
    if phase.authority is Side.POSTGRES:
        lead(pipeline, DUAL)
    pipeline.write("3", {"name": "Written later"})
    read = site.csv.read_bytes()
    pipeline.write("4", {"name": "Not seen"})
    replaced(site, read.replace(b"Written since", b"Corrected"))
    pipeline.settle()

    names = {row["row_id"]: row["name"] for row in pipeline.rows()}
    assert names == {"1": "first of all", "2": "Corrected", "3": "Written later", "4": "Not seen"}
    if pipeline.in_force().phase is DUAL:
        assert_agree(site, pipeline)


@CSV_LEADS
def test_rewrite_that_is_not_merged_yet_is_kept(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    changed(site, pipeline)
    theirs = site.csv.read_bytes().replace(b"Name 3", b"Theirs")
    replaced(site, theirs)

    report = pipeline.restore.version(version)

    assert_level(site, pipeline, FOUR)
    assert (bytes_of(site, report.version_before), report.kept) == (theirs, None)


def test_rewrite_of_a_csv_that_follows_is_kept_aside(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline, PRIMARY)
    version = pipeline.export().manifest.key
    before = changed(site, pipeline)
    replaced(site, spelled(people("98")))

    report = pipeline.restore.version(version)

    assert (bytes_of(site, report.version_before), report.equal) == (before, True)
    [aside] = (site.folder / "backups").glob("output_foreign_*")
    assert aside.read_bytes() == spelled(people("98"))
    assert site.csv.read_bytes() == FOUR
    assert_level(site, pipeline, FOUR)


@EVERY_PHASE
@pytest.mark.parametrize(
    "broken", [b"\xff\x00 nonsense", b"row_id,name\n1\n", b""], ids=["bytes", "row", "empty"]
)
def test_csv_that_cannot_be_read_is_no_obstacle(
    site: Site, pipeline: Pipeline, phase: Phase, broken: bytes
) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    before = changed(site, pipeline)
    replaced(site, broken)

    report = pipeline.restore.version(version)

    if phase is DUAL:
        assert report.kept_follower is not None
        assert gzip.decompress(report.kept_follower.read_bytes()) == before
    if phase.authority is Side.CSV:
        assert report.version_before is None
        assert kept(report) == broken
        assert report.restored.weighed == Weighed(rows=4, inserted=0, updated=None, deleted=1)
    assert_level(site, pipeline, FOUR)


@EVERY_PHASE
def test_csv_that_is_gone_comes_back(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    changed(site, pipeline)
    site.csv.unlink()

    report = pipeline.restore.version(version)

    assert report.kept is None
    assert (phase is DUAL) == (report.kept_follower is not None)
    assert_level(site, pipeline, FOUR)
    assert (phase.authority is Side.CSV) == (report.version_before is None)
    assert site.csv.exists() == (phase is not NATIVE)


@EVERY_PHASE
def test_ledger_and_journal_are_gone_too(site: Site, phase: Phase) -> None:
    with open_pipeline(site.config) as pipeline:
        begin(site, pipeline, phase)
        version = pipeline.export().manifest.key
        last = pipeline.write("1", {"name": "Last"}).revision
    shutil.rmtree(pipeline.csv.state_dir)
    site.csv.unlink()

    with open_pipeline(site.config) as pipeline:
        report = pipeline.restore.version(version)

        # In original only the ledger knew that PostgreSQL has no part; it says so as well.
        assert report.phase is phase
        assert_level(site, pipeline, FOUR)
        assert pipeline.write("1", {"name": "Since"}).revision > (0 if phase is ORIGINAL else last)
        pipeline.settle()
        assert (pipeline.read("1") or {})["name"] == "Since"


# The brakes


@EVERY_PHASE
@pytest.mark.parametrize("how", [How(), DRY_RUN], ids=["done", "dry run"])
def test_brake_stops_before_anything_is_changed(
    site: Site, pipeline: Pipeline, phase: Phase, how: How
) -> None:
    version = outgrown(site, pipeline, phase)

    with pytest.raises(ProtectedError) as braked:
        pipeline.restore.version(version, how)

    assert (braked.value.code, "--accept-loss" in braked.value.hint) == ("brake", True)
    assert pipeline.csv_is_ours()
    assert_level(site, pipeline, MANY)
    assert list((site.folder / "backups").glob("*before_restore*")) == []
    report = pipeline.restore.version(version, ACCEPT_LOSS)
    assert report.restored.weighed.deleted == 30
    assert_level(site, pipeline, FOUR)


def test_brake_knows_the_file_that_was_lost(site: Site, four: Pipeline) -> None:
    version = four.export().manifest.key
    site.put(MANY)
    four.sync()
    four.write("1", {"name": "Last"})
    site.csv.unlink()

    with pytest.raises(ProtectedError) as braked:
        four.restore.version(version)

    assert braked.value.code == "brake"
    assert not site.csv.exists()
    assert four.restore.version(version, ACCEPT_LOSS).equal


@CSV_LEADS
@pytest.mark.parametrize("how", [How(), DRY_RUN], ids=["done", "dry run"])
def test_brake_knows_the_file_that_somebody_cut_short(
    site: Site, pipeline: Pipeline, phase: Phase, how: How
) -> None:
    version = outgrown(site, pipeline, phase)
    pipeline.write("1", {"name": "Last"})
    replaced(site, FOUR)

    with pytest.raises(ProtectedError, match="delete 30 of 34 people") as braked:
        pipeline.restore.version(version, how)

    assert braked.value.code == "brake"
    assert site.csv.read_bytes() == FOUR
    assert phase is ORIGINAL or b"Last" in rendered(pipeline)
    pipeline.restore.version(version, ACCEPT_LOSS)
    assert_level(site, pipeline, FOUR)


@EVERY_PHASE
@pytest.mark.parametrize("how", [How(), DRY_RUN], ids=["done", "dry run"])
def test_brake_names_columns_that_a_version_has_not(
    site: Site, pipeline: Pipeline, phase: Phase, how: How
) -> None:
    begin(site, pipeline, DUAL, FILES["5 columns"])
    version = pipeline.export().manifest.key
    wider = spelled([["1", "Ada", "a@example.org", "INTJ", "", "yes"]], COLUMNS[:6])
    site.put(wider)
    pipeline.sync()
    if phase is not DUAL:
        lead(pipeline, phase)

    with pytest.raises(ProtectedError, match=f"lose all that stands in {COLUMNS[5]}$") as braked:
        pipeline.restore.version(version, how)

    assert braked.value.code == "brake"
    assert leading(site, pipeline) == wider


@CSV_LEADS
def test_file_that_was_cut_short_comes_back_whole(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase, MANY)
    version = pipeline.export().manifest.key
    replaced(site, FOUR)

    report = pipeline.restore.version(version)

    assert bytes_of(site, report.version_before) == FOUR
    assert_level(site, pipeline, MANY)


@pytest.mark.parametrize("there", [None, FOUR], ids=["gone", "cut short"])
@pytest.mark.parametrize("how", [How(), DRY_RUN], ids=["done", "dry run"])
def test_brake_asks_postgres_where_nothing_else_knows(site: Site, there: bytes | None, how: How) -> None:
    with open_pipeline(site.config) as pipeline:
        version = outgrown(site, pipeline, DUAL)
    shutil.rmtree(pipeline.csv.state_dir)
    site.csv.unlink()
    if there is not None:
        site.put(there)

    with open_pipeline(site.config) as pipeline:
        with pytest.raises(ProtectedError) as braked:
            pipeline.restore.version(version, how)

        assert braked.value.code == "brake"
        assert rendered(pipeline) == MANY
        assert (site.csv.read_bytes() if site.csv.exists() else None) == there
        assert pipeline.restore.version(version, ACCEPT_LOSS).equal
        assert_level(site, pipeline, FOUR)


@CSV_LEADS
def test_write_that_a_script_has_put_back_is_kept(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    stale = site.csv.read_bytes()
    pipeline.write("2", {"name": "Acknowledged"})
    replaced(site, stale.replace(b"Name 3", b"Theirs"))

    report = pipeline.restore.version(version)

    assert kept(report) == FOUR.replace(b"Name 2", b"Acknowledged").replace(b"Name 3", b"Theirs")
    assert_level(site, pipeline, FOUR)


# PostgreSQL is away, or was wiped


def wipe(site: Site) -> None:
    stray(
        site.database,
        "DROP SCHEMA ingestion CASCADE; DROP TABLE people, processing_status, s3_metadata CASCADE",
    )


@pytest.fixture
def own(server: Server, template: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site with a database that nobody else uses."""
    with server.new_database(template) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield Site(site.folder, url)


@EVERY_PHASE
def test_wiped_database(own: Site, phase: Phase) -> None:
    with open_pipeline(own.config) as pipeline:
        begin(own, pipeline, phase)
        pipeline.export()
        changed(own, pipeline)
        last = pipeline.write("1", {"link": "last"}).revision
        pipeline.settle()
        csv = own.csv.read_bytes()
    wipe(own)

    with open_pipeline(own.config) as pipeline:
        if phase.authority is Side.POSTGRES:
            for how in (How(), DRY_RUN):
                with pytest.raises(ProtectedError) as refused:
                    pipeline.restore.version("latest", how)
                assert refused.value.code == "database_empty"
            dry = pipeline.restore.version("latest", How(accept_loss=True, dry_run=True))
            assert dry.restored.weighed == Weighed(rows=4, inserted=4, updated=0, deleted=0)
            assert stray(own.database, "SELECT to_regclass('people')") == [(None,)]
            assert own.csv.read_bytes() == csv

        report = pipeline.restore.version("latest", ACCEPT_LOSS)

        assert_level(own, pipeline, FOUR)
        assert (report.phase, pipeline.in_force().phase, pipeline.csv.state()) == (
            phase,
            phase,
            pipeline.tables.state() if phase is not ORIGINAL else pipeline.in_force(),
        )
        if phase.authority is Side.CSV:
            assert bytes_of(own, report.version_before) == csv
        else:
            assert kept(report) == csv
        since = pipeline.write("1", {"name": "Since"}).revision
        pipeline.settle()
        assert (pipeline.read("1") or {})["name"] == "Since"
        # In native nothing but PostgreSQL had counted them.
        assert since > last or phase is NATIVE
        if phase.follower:
            assert_agree(own, pipeline)


@pytest.mark.parametrize("wanted", list(Phase), ids=str)
def test_both_sides_are_wiped(own: Site, wanted: Phase) -> None:
    with open_pipeline(own.config) as pipeline:
        begin(own, pipeline, DUAL, ODD)
        pipeline.export()
    wipe(own)
    own.csv.unlink()
    shutil.rmtree(pipeline.csv.state_dir)
    own.config.write_text(f"migration:\n  phase: {wanted}\n")

    with open_pipeline(own.config) as pipeline:
        report = pipeline.restore.version("latest")

        phase = wanted if wanted is ORIGINAL else DUAL
        assert (report.phase, report.kept, report.version_before) == (phase, None, None)
        assert_level(own, pipeline, ODD)


def test_restored_over_a_database_that_held_writes_to_come(
    site: Site, remote: Pipeline, proxy: Proxy
) -> None:
    """What the CSV took in for PostgreSQL is part of the state before."""
    begin(site, remote, PRIMARY)
    version = remote.export().manifest.key
    proxy.away()
    assert remote.write("1", {"name": "Taken in"}).durable_in is Side.CSV
    proxy.back()

    report = remote.restore.version(version)

    assert b"Taken in" in bytes_of(site, report.version_before)
    assert not remote.csv.takes_in
    assert_level(site, remote, FOUR)
    assert ("Taken in", "Name 1") in [(one.changed or {}).get("name") for one in remote.history("1")]


def test_csv_that_leads_is_restored_without_postgres(site: Site, remote: Pipeline, proxy: Proxy) -> None:
    begin(site, remote, DUAL)
    version = remote.export().manifest.key
    changed(site, remote)
    before = site.csv.read_bytes()
    proxy.away()

    with pytest.raises(UnavailableError) as away:
        remote.restore.version(version)
    assert (away.value.code, "--to csv" in away.value.hint) == ("postgres_unavailable", True)
    assert site.csv.read_bytes() == before
    report = remote.restore.version(version, How(to=Side.CSV))

    assert (report.restored.sides, report.equal, report.version_before) == ((Side.CSV,), None, None)
    assert kept(report) == before
    assert site.csv.read_bytes() == FOUR
    assert remote.status().pending.all == 1
    remote.write("2", {"name": "Meanwhile"})
    proxy.back()
    remote.settle()
    assert_agree(site, remote)
    assert b"Meanwhile" in site.csv.read_bytes()


def test_original_needs_no_postgres(site: Site, remote: Pipeline, proxy: Proxy) -> None:
    begin(site, remote, ORIGINAL)
    version = remote.export().manifest.key
    remote.write("1", {"name": "Changed"})
    before = site.csv.read_bytes()
    proxy.away()

    report = remote.restore.version(version)

    assert (report.restored.sides, report.kept) == ((Side.CSV,), None)
    assert bytes_of(site, report.version_before) == before
    assert site.csv.read_bytes() == FOUR
    remote.write("1", {"name": "Since"})
    assert bytes_of(site, remote.export().manifest.key) == site.csv.read_bytes()


def test_csv_that_cannot_follow_at_once_does_so_later(
    site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(site, pipeline, PRIMARY, ODD)
    version = pipeline.export().manifest.key
    before = changed(site, pipeline)

    def refuse(*_: object, **__: object) -> None:
        raise UnavailableError("the disk is full", code="disk")

    with monkeypatch.context() as patched:
        patched.setattr(LockedCsv, "render", refuse)
        report = pipeline.restore.version(version)

    assert (report.restored.sides, report.equal, site.csv.read_bytes()) == ((Side.POSTGRES,), None, before)
    assert rendered(pipeline) == ODD
    pipeline.settle()
    assert_level(site, pipeline, ODD)


# Damaged versions


@EVERY_PHASE
@pytest.mark.parametrize("harm", ["bit", "cut", "gone", "manifest"])
def test_damaged_version_changes_nothing(site: Site, pipeline: Pipeline, phase: Phase, harm: str) -> None:
    begin(site, pipeline, phase)
    good = pipeline.export().manifest.key
    for name in ("bad", "newer"):
        pipeline.write("1", {"name": name})
        pipeline.settle()
        pipeline.export()
    newer, bad, _ = (one.key for one in pipeline.listing())
    damage(site, bad, harm)
    standing = leading(site, pipeline), pipeline.in_force()
    named = "manifests/00000002.json" if harm == "manifest" else bad

    for how in (How(), DRY_RUN):
        with pytest.raises(InputRefusedError) as refused:
            pipeline.restore.version(named, how)
        assert refused.value.code == "version_damaged"
        assert good in refused.value.hint
        assert newer not in refused.value.hint
    with pytest.raises(InputRefusedError):
        pipeline.restore.version_to(named, site.folder / "x.csv")

    assert (leading(site, pipeline), pipeline.in_force()) == standing
    assert len(list(pipeline.listing())) == 3
    assert not (site.folder / "x.csv").exists()
    assert list(pipeline.csv.state_dir.glob("incoming/.*")) == []
    pipeline.restore.version(good)
    assert_level(site, pipeline, FOUR)


def damage(site: Site, key: str, harm: str) -> None:
    path = site.folder / "exports" / key
    if harm == "manifest":
        path = site.folder / "exports" / "csv-versions" / "manifests" / "00000002.json"
    path.chmod(0o600)
    match harm:
        case "bit":
            path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
        case "cut" | "manifest":
            path.write_bytes(path.read_bytes()[:-9])
        case _:
            path.unlink()


@CSV_LEADS
def test_drill_and_health_are_about_what_latest_names(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    changed(site, pipeline)
    before = pipeline.restore.version("latest").version_before

    assert (pipeline.backups.drill_version().key, pipeline.versions.newest()) == (
        version,
        next(one.manifest for one in pipeline.listing() if one.key == version),
    )
    assert before == next(pipeline.listing()).key
    damage(site, version, "bit")
    assert not pipeline.backups.drill_version().passed


# To a file


def test_version_is_written_to_a_file(site: Site, four: Pipeline) -> None:
    version = four.export().manifest.key
    before = changed(site, four)
    target = site.folder / "old.csv"
    read: list[int] = []

    manifest, written = four.restore.version_to(version, target, read.append)

    assert (manifest.key, written.size, read[-1]) == (version, len(FOUR), len(FOUR))
    assert target.read_bytes() == FOUR
    assert_level(site, four, before)


@pytest.mark.parametrize("name", ["output.csv", "link.csv", "folder"])
def test_file_that_is_not_to_be_replaced_is_not(site: Site, four: Pipeline, name: str) -> None:
    four.export()
    target = site.csv.with_name(name)
    if name == "link.csv":
        target.symlink_to(site.csv)
    if name == "folder":
        target.mkdir()
    standing = site.csv.read_bytes()

    for write in (
        lambda: four.restore.version_to("latest", target),
        lambda: four.restore.as_of_to(datetime.now(UTC), target),
    ):
        with pytest.raises(ProtectedError):
            write()

    assert site.csv.read_bytes() == standing


# What is written while the state before is being published


@EVERY_PHASE
def test_write_that_the_version_before_has_not_is_kept(
    site: Site, pipeline: Pipeline, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    export = pipeline.restore._site._export  # noqa: SLF001

    def export_and_write(before: str) -> ExportReport:
        report = export(before)
        pipeline.write("1", {"name": "In between"})
        return report

    monkeypatch.setattr(pipeline.restore._site, "_export", export_and_write)  # noqa: SLF001
    report = pipeline.restore.version(version)

    assert bytes_of(site, report.version_before) == FOUR
    if phase.authority is Side.CSV:
        assert kept(report) == FOUR.replace(b"Name 1", b"In between")
    else:
        assert report.kept is None
        assert ("In between", "Name 1") in [(one.changed or {}).get("name") for one in pipeline.history("1")]
    assert_level(site, pipeline, FOUR)


@pytest.mark.parametrize("phase", [DUAL, PRIMARY])
def test_latest_is_not_what_was_only_kept_before_a_restore(
    site: Site, pipeline: Pipeline, phase: Phase
) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    changed(site, pipeline)
    for _ in range(2):
        assert pipeline.restore.version("latest", How(dry_run=True)).source == version
        assert pipeline.restore.version("latest").source == version
    assert_level(site, pipeline, FOUR)


def test_stopped_by_a_brake_it_names_the_same_version_again(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline, DUAL)
    version = pipeline.export().manifest.key
    site.put(MANY)
    pipeline.sync()
    with pytest.raises(ProtectedError):
        pipeline.restore.version("latest")

    report = pipeline.restore.version("latest", How(accept_loss=True))

    assert (report.source, report.restored.weighed.deleted) == (version, 30)


def test_state_that_was_kept_before_a_restore_is_published_for_itself_later(
    site: Site, pipeline: Pipeline
) -> None:
    begin(site, pipeline, DUAL)
    first = pipeline.export().manifest.key
    changed(site, pipeline)
    kept_only = pipeline.restore.version(first).version_before
    pipeline.restore.version(kept_only or "")

    report = pipeline.export()

    assert report.published
    assert pipeline.restore.version("latest", How(dry_run=True)).source == report.manifest.key


@pytest.mark.parametrize("where", [".output.csv.ingestion/ledger.json", "../exports/x.csv"])
def test_sites_own_files_are_not_written_over(site: Site, pipeline: Pipeline, where: str) -> None:
    begin(site, pipeline, DUAL)
    pipeline.export()
    target = site.csv.parent / where
    before = target.read_bytes() if target.exists() else None
    with pytest.raises(ProtectedError) as refused:
        pipeline.restore.version_to("latest", target)
    assert refused.value.code == "sites_own"
    assert (target.read_bytes() if target.exists() else None) == before


@pytest.mark.parametrize(("phase", "to"), [(DUAL, PRIMARY), (PRIMARY, DUAL), (NATIVE, PRIMARY)], ids=str)
def test_phase_changed_meanwhile(
    site: Site, pipeline: Pipeline, phase: Phase, to: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(site, pipeline, phase)
    version = pipeline.export().manifest.key
    before = changed(site, pipeline)
    export = pipeline.restore._site._export  # noqa: SLF001

    def export_and_go(before: str) -> ExportReport:
        with open_pipeline(site.config) as other:
            lead(other, to)
        return export(before)

    monkeypatch.setattr(pipeline.restore._site, "_export", export_and_go)  # noqa: SLF001
    with pytest.raises(ProtectedError) as stale:
        pipeline.restore.version(version)

    assert stale.value.code == "stale_epoch"
    assert_level(site, pipeline, before)
    monkeypatch.undo()
    pipeline.restore.version(version)
    assert_level(site, pipeline, FOUR)


# From a bucket


@pytest.fixture
def bucket(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A bucket that the site publishes to."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_stub.serving() as served:
        site.config.write_text(
            "migration:\n  phase: dual_write\n"
            f"exports: {{bucket: people, region: us-east-1, endpoint_url: '{served.url}', compress: true}}\n"
        )
        yield served


def impatient(site: Site) -> AbstractContextManager[Pipeline]:
    return open_pipeline(site.config, connect_s3=functools.partial(connect, patience=ONCE))


def test_both_sides_come_back_from_a_bucket(own: Site, bucket: S3) -> None:
    with impatient(own) as pipeline:
        begin(own, pipeline, DUAL, ODD)
        pipeline.export()
    wipe(own)
    own.csv.unlink()
    shutil.rmtree(pipeline.csv.state_dir)

    with impatient(own) as pipeline:
        assert pipeline.restore.version("latest").equal

        assert_level(own, pipeline, ODD)
        assert bucket.names() != []
        assert not (own.folder / "exports").exists()


@EVERY_PHASE
def test_bucket_that_is_away_changes_nothing(site: Site, bucket: S3, phase: Phase) -> None:
    with impatient(site) as pipeline:
        begin(site, pipeline, phase)
        pipeline.export()
        before = changed(site, pipeline)
        bucket.decide = lambda _: Fault(silent=True)

        with pytest.raises(UnavailableError):
            pipeline.restore.version("latest")

        assert_level(site, pipeline, before)


@EVERY_PHASE
def test_bucket_that_takes_no_version_has_the_state_before_kept_here(
    site: Site, bucket: S3, phase: Phase
) -> None:
    with impatient(site) as pipeline:
        begin(site, pipeline, phase)
        pipeline.export()
        before = changed(site, pipeline)
        bucket.decide = lambda asked: Fault(answer=(403, "AccessDenied")) if "put" in asked.what else Fault()

        report = pipeline.restore.version("latest")

        assert (report.version_before, kept(report)) == (None, before)
        assert_level(site, pipeline, FOUR)
