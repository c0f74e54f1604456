"""write while PostgreSQL is away: where it follows it catches up, where it leads the CSV takes writes in."""

import time
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import pytest

from ingestion_pipeline.app import Pipeline, authority, open_pipeline
from ingestion_pipeline.app.pipeline import who
from ingestion_pipeline.domain.errors import Exit, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.quarantine import Scope
from ingestion_pipeline.domain.receipt import Standing, checked
from ingestion_pipeline.operations import settle
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, people, person, rendered, spelled
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.proxy import Proxy
from ingestion_pipeline_tests.remote import proxy, remote
from ingestion_pipeline_tests.strays import stray

__all__ = ["proxy", "remote"]

NEW = {"name": "New", "email": "", "type": ""}
MADE = "SELECT write_id::text FROM ingestion.history WHERE table_name = 'people' AND write_id IS NOT NULL"


def stopped(*_: object, **__: object) -> None:
    raise ProtectedError("stopped", code="stopped")


def times_made(site: Site) -> Counter[object]:
    return Counter(write_id for (write_id,) in stray(site.database, MADE))


@pytest.fixture
def following(site: Site, remote: Pipeline) -> Pipeline:
    """A site of four persons where PostgreSQL follows."""
    site.put(spelled(people("4321")))
    remote.sync()
    return remote


def test_writes_go_on_while_postgres_that_follows_is_away(
    site: Site, following: Pipeline, proxy: Proxy
) -> None:
    proxy.away()

    receipts = [
        following.write("1", {"name": "a"}),
        following.write("1", {"name": "b"}),
        following.write("n1", NEW),
    ]

    assert {(receipt.durable_in, receipt.follower) for receipt in receipts} == {(Side.CSV, Standing.PENDING)}
    assert site.csv.read_bytes() == spelled([person("n1", **NEW), *people("432"), person(1, name="b")])
    assert (following.read("1") or {})["name"] == "b"
    status = following.status()
    assert (status.in_force, status.pending.rows, status.pending.fallback) == (Phase.DUAL_WRITE, 2, 0)
    assert status.pending.seconds > 0
    assert "PostgreSQL cannot be used" in (status.degraded or "")
    with pytest.raises(UnavailableError):
        following.settle()


@pytest.mark.parametrize("by", ["write", "settle"])
def test_all_is_brought_over_when_postgres_is_back(
    site: Site, following: Pipeline, proxy: Proxy, by: str
) -> None:
    proxy.away()
    for number in range(3):
        following.write("1", {"name": f"a{number}"})
        following.write(f"n{number}", NEW)
    proxy.back()

    if by == "write":
        assert following.write("n1", {"link": "l"}).follower is Standing.SETTLED
    else:
        assert following.settle().settled == 4

    assert_agree(site, following)
    assert [row["row_id"] for row in following.tables.rows()] == ["n2", "n1", "n0", *"4321"]
    assert set(times_made(site).values()) <= {1, 4}  # those loaded together share one
    assert (following.status().pending.all, following.status().degraded) == (0, None)


def test_more_than_a_few_are_brought_over_in_bulk(
    site: Site, following: Pipeline, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.away()
    writes = (checked(f"n{number}", NEW | {"link": f"l{number}"}) for number in range(settle.FOLLOWED + 1))
    receipts = list(following.write_each(writes))
    assert following.status().pending.rows == len(receipts) == 1001
    proxy.back()
    monkeypatch.setattr(PostgresTables, "follow", stopped)

    assert following.settle().settled == 1001

    assert_agree(site, following)
    monkeypatch.undo()
    monkeypatch.setattr(PostgresTables, "sync", stopped)
    assert following.write("n7", {"name": "after"}).follower is Standing.SETTLED
    assert_agree(site, following)


def test_what_was_acknowledged_is_not_braked(
    site: Site, following: Pipeline, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "FOLLOWED", 3)
    monkeypatch.setattr(authority, "LEFT_ALONE", 0.0)
    proxy.away()
    with following.batch() as batch:
        for key in "1234":
            batch.write(key, {"email": "", "type": ""})
    proxy.back()

    assert following.settle().settled == 4

    assert_agree(site, following)


def test_postgres_found_away_is_left_alone_for_a_moment(
    following: Pipeline, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "LEFT_ALONE", 0.3)
    proxy.away()
    assert following.write("1", {"name": "a"}).follower is Standing.PENDING
    found_away = time.monotonic()
    proxy.back()

    standing = [following.write("1", {"name": "b"}).follower]
    while standing[-1] is Standing.PENDING:
        assert time.monotonic() < found_away + 5
        standing.append(following.write("1", {"name": "b"}).follower)

    assert time.monotonic() > found_away + 0.29
    assert len(standing) > 1


def test_row_that_postgres_refuses_stays_pending_and_holds_nobody_up(site: Site, following: Pipeline) -> None:
    stray(site.database, "ALTER TABLE people ADD CONSTRAINT test CHECK (name <> 'refused')")
    try:
        assert following.write("1", {"name": "refused"}).follower is Standing.PENDING
        assert following.write("2", {"name": "b"}).follower is Standing.PENDING
        with pytest.raises(ProtectedError, match="SQLSTATE 23514"):
            following.settle()
        assert following.status().pending.rows == 2
    finally:
        stray(site.database, "ALTER TABLE people DROP CONSTRAINT test")

    assert following.settle().settled == 2
    assert_agree(site, following)


@pytest.fixture
def leading(site: Site, remote: Pipeline) -> Pipeline:
    """A site of four persons where PostgreSQL leads and the CSV follows."""
    site.put(spelled(people("4321")))
    remote.sync()
    lead(remote, Phase.DATABASE_PRIMARY)
    return remote


def assert_level(site: Site, pipeline: Pipeline) -> None:
    pipeline.settle()
    assert site.csv.read_bytes() == rendered(pipeline)
    status = pipeline.status()
    assert (status.pending.all, status.degraded) == (0, None)
    assert_agree(site, pipeline)


def test_csv_takes_writes_in_while_postgres_that_leads_is_away(
    site: Site, leading: Pipeline, proxy: Proxy
) -> None:
    proxy.away()

    receipts = [
        leading.write("1", {"name": "a"}),
        leading.write("n1", NEW),
        leading.write("1", {"name": "b"}),
    ]

    assert {(receipt.durable_in, receipt.follower) for receipt in receipts} == {
        (Side.CSV, Standing.AUTHORITY)
    }
    assert [receipt.created for receipt in receipts] == [False, True, False]
    assert site.csv.read_bytes() == spelled([person("n1", **NEW), *people("432"), person(1, name="b")])
    status = leading.status()
    assert (status.in_force, status.authority) == (Phase.DATABASE_PRIMARY, Side.POSTGRES)
    assert status.pending.fallback == 3
    assert "the CSV has taken in 3 writes for it" in (status.degraded or "")
    assert (leading.read("1") or {})["name"] == "b"
    assert [row["row_id"] for row in leading.rows()] == ["n1", *"4321"]


@pytest.mark.parametrize("by", ["write", "settle"])
def test_what_was_taken_in_is_brought_to_postgres_when_it_is_back(
    site: Site, leading: Pipeline, proxy: Proxy, by: str
) -> None:
    proxy.away()
    receipts = [
        leading.write("1", {"name": "a"}),
        leading.write("n1", NEW),
        leading.write("1", {"name": "b"}),
    ]
    proxy.back()
    assert "taken in 3 writes for PostgreSQL" in (leading.status().degraded or "")

    if by == "write":
        assert leading.write("n1", {"link": "l"}).durable_in is Side.POSTGRES
    else:
        report = leading.settle()
        assert (report.taken_back, report.conflicts, report.settled) == (3, 0, 2)

    assert (leading.tables.read("1") or {})["name"] == "b"
    assert [row["row_id"] for row in leading.tables.rows()] == ["n1", *"4321"]
    assert all(times_made(site)[str(receipt.write_id)] == 1 for receipt in receipts)
    assert [one.actor for one in leading.history("1")[-2:]] == [who(), who()]
    assert_level(site, leading)


@pytest.mark.parametrize("method", [(LockedCsv, "close"), (PostgresTables, "clear"), (LockedCsv, "put")])
def test_taking_back_that_was_cut_short_is_not_done_twice(
    site: Site, leading: Pipeline, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, method: tuple[type, str]
) -> None:
    proxy.away()
    receipts = [
        leading.write("1", {"name": "a"}),
        leading.write("2", {"name": "ours"}),
        leading.write("n1", NEW),
    ]
    proxy.back()
    stray(site.database, "UPDATE people SET name = 'theirs' WHERE row_id = '2'")
    with monkeypatch.context() as patch:
        patch.setattr(*method, stopped)
        with pytest.raises(ProtectedError, match="stopped"):
            leading.settle()
    stray(site.database, "UPDATE people SET name = 'later' WHERE row_id = '1'")

    leading.settle()

    assert all(times_made(site)[str(receipt.write_id)] == 1 for receipt in receipts)
    assert leading.status().quarantine.conflicts == 1
    assert (leading.read("1") or {})["name"] == "later"
    assert_level(site, leading)


def test_cell_that_both_sides_changed_waits_in_quarantine(
    site: Site, leading: Pipeline, proxy: Proxy
) -> None:
    proxy.away()
    leading.write("1", {"name": "ours", "link": "l"})
    stray(site.database, "UPDATE people SET name = 'theirs' WHERE row_id = '1'")
    proxy.back()

    report = leading.settle()

    assert (report.taken_back, report.conflicts) == (1, 1)
    [entry] = leading.quarantine()
    assert (entry.scope, entry.row_id, entry.column, entry.decision) == (Scope.CONFLICT, "1", "name", None)
    raw = stray(site.database, "SELECT raw FROM ingestion.quarantine")
    assert raw == [({"postgres": "theirs", "csv": "ours"},)]
    found = leading.read("1") or {}
    assert (found["name"], found["link"]) == ("theirs", "l")
    assert leading.status().quarantine.conflicts == 1
    assert_level(site, leading)


def test_write_that_postgres_had_made_is_known_again_though_it_is_away(
    site: Site, leading: Pipeline, proxy: Proxy
) -> None:
    write_id = uuid4()
    leading.write("1", {"name": "a"}, write_id=write_id)
    leading.settle()
    proxy.away()

    receipt = leading.write("1", {"name": "a"}, write_id=write_id)

    assert receipt.follower is Standing.AUTHORITY
    proxy.back()
    assert_level(site, leading)
    assert times_made(site)[str(write_id)] == 1


def test_batch_is_taken_in_whole(site: Site, leading: Pipeline, proxy: Proxy) -> None:
    proxy.away()
    with leading.batch() as batch:
        for number in range(5):
            batch.write(f"n{number}", NEW)

    assert {receipt.follower for receipt in batch.receipts} == {Standing.AUTHORITY}
    proxy.back()
    assert_level(site, leading)
    assert [row["row_id"] for row in leading.rows()] == ["n4", "n3", "n2", "n1", "n0", *"4321"]


def test_csv_that_somebody_rewrote_takes_nothing_in(site: Site, leading: Pipeline, proxy: Proxy) -> None:
    foreign = spelled(people("1"))
    site.put(foreign)
    proxy.away()

    with pytest.raises(ProtectedError) as refused:
        leading.write("1", {"name": "a"})

    assert refused.value.code == "csv_changed_while_away"
    assert site.csv.read_bytes() == foreign
    proxy.back()
    assert_level(site, leading)


def test_csv_that_somebody_rewrote_after_it_took_writes_in_is_kept_aside(
    site: Site, leading: Pipeline, proxy: Proxy
) -> None:
    proxy.away()
    leading.write("1", {"name": "ours"})
    foreign = spelled([person(3, name="foreign"), *people("421")])
    site.put(foreign)
    proxy.back()

    report = leading.settle()

    assert (report.taken_back, report.conflicts) == (1, 0)
    assert (leading.read("1") or {})["name"] == "ours"
    assert site.csv.read_bytes() == rendered(leading) == spelled([*people("432"), person(1, name="ours")])
    assert [path.read_bytes() for path in (site.folder / "backups").glob("*foreign*")] == [foreign]
    assert_level(site, leading)


def test_reading_while_away_leaves_a_foreign_csv_to_be_noticed(
    site: Site, leading: Pipeline, proxy: Proxy
) -> None:
    proxy.away()
    leading.write("1", {"name": "ours"})
    foreign = spelled([person(4), person(3, name="foreign"), person(2), person(1, name="ours")])
    site.put(foreign)

    for read in (lambda: leading.read("1"), lambda: list(leading.rows())):
        with pytest.raises(ProtectedError, match="somebody else has rewritten the CSV"):
            read()
    proxy.back()
    leading.settle()

    assert site.csv.read_bytes() == rendered(leading)
    assert_level(site, leading)


@pytest.fixture
def strict(site: Site, remote: Pipeline) -> Iterator[Pipeline]:
    """PostgreSQL leads, and the CSV takes nothing in for it."""
    site.put(spelled(people("4321")))
    remote.sync()
    lead(remote, Phase.DATABASE_PRIMARY)
    site.config.write_text("migration:\n  phase: dual_write\ndatabase:\n  fallback_to_csv: false\n")
    with open_pipeline(site.config) as opened:
        assert opened.write("1", {"link": "l"}).durable_in is Side.POSTGRES
        opened.settle()
        yield opened


def test_without_fallback_a_write_fails_clearly(site: Site, strict: Pipeline, proxy: Proxy) -> None:
    before = site.csv.read_bytes()
    proxy.away()

    with pytest.raises(UnavailableError, match="PostgreSQL cannot be used") as away:
        strict.write("1", {"name": "canary"})

    assert (away.value.code, away.value.exit) == ("postgres_unavailable", Exit.UNAVAILABLE)
    assert away.value.hint
    assert "canary" not in str(away.value)
    assert site.csv.read_bytes() == before
    with pytest.raises(UnavailableError):
        strict.read("1")
    proxy.back()
    assert (strict.read("1") or {})["name"] == "Name 1"
    assert strict.write("1", {"name": "b"}).durable_in is Side.POSTGRES


def test_phase_without_a_csv_never_falls_back(site: Site, remote: Pipeline, proxy: Proxy) -> None:
    site.put(spelled(people("4321")))
    remote.sync()
    lead(remote, Phase.DATABASE_NATIVE)
    remote.write("1", {"link": "l"})
    before = site.csv.read_bytes()
    proxy.away()

    with pytest.raises(UnavailableError) as away:
        remote.write("1", {"name": "a"})
    with pytest.raises(UnavailableError):
        remote.read("1")

    assert away.value.code == "postgres_unavailable"
    assert (site.csv.read_bytes(), remote.csv.takes_in) == (before, False)
    proxy.back()
    assert (remote.read("1") or {})["name"] == "Name 1"
