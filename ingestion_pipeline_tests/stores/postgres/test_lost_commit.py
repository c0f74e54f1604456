"""A line that breaks around COMMIT: a write takes effect exactly once, and its caller is told the truth."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
import pytest

from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import Write
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import schema, writing
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, Waits, translated
from ingestion_pipeline_tests.proxy import Cut, Proxy, through
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import postmaster_pid, wait_until
from ingestion_pipeline_tests.strays import stray

STATE = State(Phase.DATABASE_NATIVE, 1)
ROWS = ("a", "b", "c", "d")
NEW = {"name": "", "email": "", "type": ""}
MADE, NOT_MADE, UNKNOWN, GIVEN_UP = "made", "postgres_unavailable", "outcome_unknown", "contended"

Told = list[tuple[UUID, str]]
"""Of each write, what its caller was told."""


@pytest.fixture
def begun(database: str) -> str:
    """A database in which PostgreSQL leads, with a person per row_id."""
    begin(database)
    return database


def begin(database: str) -> None:
    state = "INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%s, %s)"
    stray(database, state, STATE.phase, STATE.epoch)
    for row_id in ROWS:
        stray(database, "INSERT INTO people (row_id, name, email, type) VALUES (%s, '', '', '')", row_id)


@pytest.fixture
def proxy(begun: str) -> Iterator[Proxy]:
    with through(begun) as opened:
        yield opened


@pytest.fixture
def lossy(proxy: Proxy) -> Iterator[Pool]:
    """Connections that lead through the proxy."""
    pool = Pool(proxy.url, waits=Waits(connect=2, statement=5))
    yield pool
    pool.close()


@pytest.fixture
def hasty(proxy: Proxy) -> Iterator[Pool]:
    """The same, soon out of patience."""
    pool = Pool(proxy.url, waits=Waits(connect=0.1, statement=0.4))
    yield pool
    pool.close()


def write(pool: Pool, *writes: Write) -> str:
    """What the caller is told."""
    try:
        writing.write(pool, STATE, "tester", writes)
    except (UnavailableError, ProtectedError) as error:
        return error.code
    return MADE


def count(pool: Pool, database: str, row_id: str, times: int, reached: int = 0) -> Told:
    """Write 1, 2, 3 … into a cell; what was not made is tried again as another write."""
    told: Told = []
    for _ in range(times):
        one = Write(row_id, {"document_text": str(reached + 1)})
        said = write(pool, one)
        told.append((one.write_id, said))
        reached += said == MADE
        if said == UNKNOWN:
            reached += made(database)[one.write_id]
    return told


def made(database: str) -> Counter[object]:
    """How often each write was made."""
    found = stray(
        database, "SELECT write_id::text FROM ingestion.history WHERE table_name = 'people' AND epoch = 1"
    )
    return Counter(UUID(str(write_id)) for (write_id,) in found)


def violations(database: str, told: Told) -> list[str]:
    """Every promise that was broken."""
    times = made(database)
    allowed = {MADE: (1,), NOT_MADE: (0,), GIVEN_UP: (0,), UNKNOWN: (0, 1)}
    broken = [f"told {said}, made {times[one]}" for one, said in told if times[one] not in allowed[said]]
    reached = stray(
        database,
        "SELECT sum(document_text::int) FROM processing_status WHERE document_text IS NOT NULL",
    )
    if reached != [(sum(times[one] for one, _ in told) or None,)]:
        broken.append("a counter is not what was written")
    return broken


def cut_once(proxy: Proxy, cut: Cut, where: bytes = b"COMMIT") -> None:
    """Cut the line at the next statement that says so."""
    left = [cut]

    def decide(statement: bytes) -> Cut | None:
        return left.pop() if left and where in statement else None

    proxy.decide = decide


@pytest.mark.parametrize("cut", Cut)
def test_write_whose_commit_is_cut_is_made_once(begun: str, proxy: Proxy, lossy: Pool, cut: Cut) -> None:
    cut_once(proxy, cut)

    told = count(lossy, begun, "a", 2)

    assert [said for _, said in told] == [MADE, MADE]
    assert violations(begun, told) == []


@pytest.mark.parametrize("where", [b"set_config('ingestion.epoch'", b"PREPARE", b"EXECUTE"])
def test_write_that_is_cut_before_commit_is_not_made(
    begun: str, proxy: Proxy, lossy: Pool, where: bytes
) -> None:
    all_told: Told = []
    for cut in Cut:
        lossy.close()  # so that the statement is prepared again
        cut_once(proxy, cut, where)

        told = count(lossy, begun, "a", 2, reached=sum(said == MADE for _, said in all_told))

        assert [said for _, said in told] == [NOT_MADE, MADE]
        all_told += told
        assert violations(begun, all_told) == []


def campaign(database: str, proxy: Proxy, pool: Pool, *, each: int, share: float = 0.25) -> tuple[int, Told]:
    """Count in every row at once, while the line is cut again and again; gives how often it was at COMMIT."""
    dice = random.Random(6)  # noqa: S311 - no secret
    cuts: list[bytes] = []

    def decide(statement: bytes) -> Cut | None:
        if dice.random() > (share if statement == b"COMMIT" else share / 10):
            return None
        cuts.append(statement)
        return dice.choice(list(Cut))

    proxy.decide = decide
    with ThreadPoolExecutor() as threads:
        runs = [threads.submit(count, pool, database, row_id, each) for row_id in ROWS]
        told = [one for run in runs for one in run.result()]
    proxy.decide = lambda _statement: None
    return cuts.count(b"COMMIT"), told


def test_many_cuts_lose_and_double_nothing(begun: str, proxy: Proxy, lossy: Pool) -> None:
    at_commit, told = campaign(begun, proxy, lossy, each=20)

    assert violations(begun, told) == []
    assert at_commit > 10
    assert Counter(said for _, said in told)[MADE] > 30


@pytest.mark.parametrize("answer", [True, False])
def test_same_cuts_find_a_guess_wrong(
    begun: str, proxy: Proxy, lossy: Pool, monkeypatch: pytest.MonkeyPatch, *, answer: bool
) -> None:
    monkeypatch.setattr(writing, "_was_committed", lambda *_: answer)

    at_commit, told = campaign(begun, proxy, lossy, each=6, share=0.6)

    assert at_commit > 3
    assert violations(begun, told) != []


@pytest.mark.parametrize("cut", [Cut.NOT_SENT, Cut.ANSWERED])
@pytest.mark.parametrize("number", ["1", "3", "99999999"], ids=["bootstrap's", "another's", "not yet given"])
def test_number_that_is_anothers_after_a_crash_misleads_nobody(
    begun: str, proxy: Proxy, lossy: Pool, monkeypatch: pytest.MonkeyPatch, cut: Cut, number: str
) -> None:
    carry = writing.carry

    def misled(cursor: Cursor, state: State, by: str = "") -> str:
        carry(cursor, state, by)
        return number

    monkeypatch.setattr(writing, "carry", misled)
    cut_once(proxy, cut)

    told = count(lossy, begun, "a", 2)

    assert [said for _, said in told] == [MADE, MADE]
    assert violations(begun, told) == []


@pytest.mark.parametrize("cut", [Cut.NOT_SENT, Cut.ANSWERED])
def test_batch_that_begins_with_what_was_made_before_is_made_whole(
    begun: str, proxy: Proxy, lossy: Pool, cut: Cut
) -> None:
    before = Write("a", {"document_text": "1"}, uuid4(), given=True)
    new = Write("b", {"document_text": "1"})
    write(lossy, before)
    cut_once(proxy, cut)

    said = write(lossy, before, new)

    assert violations(begun, [(before.write_id, said), (new.write_id, said)]) == []


@pytest.mark.parametrize(("cut", "times"), [(Cut.NOT_SENT, 0), (Cut.ANSWERED, 1)])
def test_server_that_stays_away_leaves_the_outcome_open(
    begun: str, proxy: Proxy, hasty: Pool, cut: Cut, times: int
) -> None:
    one = Write("a", {"document_text": "1"})

    def decide(statement: bytes) -> Cut | None:
        if statement != b"COMMIT":
            return None
        threading.Thread(target=leave).start()
        return cut

    def leave() -> None:
        wait_until(lambda: made(begun)[one.write_id] == times)
        proxy.away()

    proxy.decide = decide
    with pytest.raises(UnavailableError) as unknown:
        writing.write(hasty, STATE, "tester", [one])
    assert unknown.value.code == UNKNOWN
    assert str(one.write_id) in unknown.value.hint
    assert made(begun)[one.write_id] == times

    proxy.decide = lambda _statement: None
    proxy.back()
    again = Write("a", {"document_text": "1"}, one.write_id, given=True)
    assert violations(begun, [(one.write_id, write(hasty, again))]) == []


def test_answer_without_a_sqlstate_is_an_outage() -> None:
    with pytest.raises(UnavailableError) as away, translated():
        raise psycopg2.DatabaseError("server closed the connection unexpectedly")

    assert away.value.code == NOT_MADE


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of its own that keeps what it acknowledges."""
    server = EmbeddedServer(tmp_path / "state")
    server.acquire()
    yield server
    server.stop(force=True)
    server.destroy()


def crash(server: EmbeddedServer) -> None:
    """Stop the server at once, as a power cut would, and start it again."""
    os.kill(postmaster_pid(server), signal.SIGQUIT)
    wait_until(lambda: not server.status().running)
    server.acquire()


def test_server_that_crashes_loses_and_doubles_nothing(durable: EmbeddedServer) -> None:
    database = durable.dsn("postgres")
    pool = Pool(database, waits=Waits(connect=5, statement=5))
    schema.upgrade(pool)
    begin(database)
    over = threading.Event()

    def go_on(row_id: str) -> Told:
        told: Told = []
        while not over.is_set():
            one = Write(row_id, {"document_text": str(1 + sum(said == MADE for _, said in told))})
            told.append((one.write_id, write(pool, one)))
            if told[-1][1] != MADE:
                time.sleep(0.01)
        return told

    with ThreadPoolExecutor() as threads:
        runs = [threads.submit(go_on, row_id) for row_id in ROWS]
        for _ in range(3):
            time.sleep(0.15)
            crash(durable)
        time.sleep(0.1)
        over.set()
        told = [one for run in runs for one in run.result()]
    pool.close()

    assert violations(database, told) == []
    found = Counter(said for _, said in told)
    assert found[MADE] > 20
    assert found[NOT_MADE] > 0
