"""A line that breaks around COMMIT: a write takes effect exactly once, and its caller is told the truth."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
import pytest

from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import Made, Write
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


def count(
    pool: Pool, database: str, row_id: str, times: int, reached: int = 0, *, given: bool = False
) -> Told:
    """Write 1, 2, 3 … into a cell; what was not made is tried again as another write."""
    told: Told = []
    for _ in range(times):
        one = Write(row_id, {"document_text": str(reached + 1)}, uuid4(), given)
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


def commits(statement: bytes) -> bool:
    """Whether a statement is COMMIT, or is a transaction of its own that writes."""
    return statement == b"COMMIT" or b"; EXECUTE " in statement


def cut_once(proxy: Proxy, cut: Cut, where: bytes | None = None) -> None:
    """Cut the line at the next statement that says so, or that commits."""
    left = [cut]

    def decide(statement: bytes) -> Cut | None:
        is_here = commits(statement) if where is None else where in statement
        return left.pop() if left and is_here else None

    proxy.decide = decide


@pytest.mark.parametrize("given", [False, True], ids=["alone", "in a transaction"])
@pytest.mark.parametrize("cut", Cut)
def test_write_whose_commit_is_cut_is_made_once(
    begun: str, proxy: Proxy, lossy: Pool, cut: Cut, *, given: bool
) -> None:
    cut_once(proxy, cut)

    told = count(lossy, begun, "a", 2, given=given)

    assert [said for _, said in told] == [MADE, MADE]
    assert violations(begun, told) == []


@pytest.mark.parametrize(
    ("where", "given"),
    [
        (b"pg_stat_get_activity", False),
        (b"PREPARE", False),
        (b"set_config('ingestion.epoch'", True),
        (b"PREPARE", True),
        (b"EXECUTE", True),
    ],
)
def test_write_that_is_cut_before_commit_is_not_made(
    begun: str, proxy: Proxy, lossy: Pool, where: bytes, *, given: bool
) -> None:
    all_told: Told = []
    for cut in Cut:
        lossy.close()  # so that the statement is prepared again
        cut_once(proxy, cut, where)

        reached = sum(said == MADE for _, said in all_told)
        told = count(lossy, begun, "a", 2, reached, given=given)

        assert [said for _, said in told] == [NOT_MADE, MADE]
        all_told += told
        assert violations(begun, all_told) == []


def campaign(database: str, proxy: Proxy, pool: Pool, *, each: int, share: float = 0.25) -> tuple[int, Told]:
    """Count in every row at once, while the line is cut again and again; gives how often it was at COMMIT."""
    dice = random.Random(6)  # noqa: S311 - no secret
    cuts: list[bytes] = []

    def decide(statement: bytes) -> Cut | None:
        if dice.random() > (share if commits(statement) else share / 10):
            return None
        cuts.append(statement)
        return dice.choice(list(Cut))

    proxy.decide = decide
    with ThreadPoolExecutor() as threads:
        runs = [
            threads.submit(count, pool, database, row_id, each, given=row_id in ROWS[::2]) for row_id in ROWS
        ]
        told = [one for run in runs for one in run.result()]
    proxy.decide = lambda _statement: None
    return sum(map(commits, cuts)), told


def test_many_cuts_lose_and_double_nothing(begun: str, proxy: Proxy, lossy: Pool) -> None:
    at_commit, told = campaign(begun, proxy, lossy, each=20)

    assert violations(begun, told) == []
    assert at_commit > 10
    assert Counter(said for _, said in told)[MADE] > 30


def believed(answer: bool) -> Callable[..., list[Made] | None]:  # noqa: FBT001 - what is patched in
    """Takes every lost answer for the same, without asking."""

    def found(
        _pool: Pool, _is_over: object, _write_id: UUID, writes: Sequence[Write | Made]
    ) -> list[Made] | None:
        return [Made(one.row_id, 1, one.write_id, created=False) for one in writes] if answer else None

    return found


@pytest.mark.parametrize("answer", [True, False])
def test_same_cuts_find_a_guess_wrong(
    begun: str, proxy: Proxy, lossy: Pool, monkeypatch: pytest.MonkeyPatch, *, answer: bool
) -> None:
    monkeypatch.setattr(writing, "_found", believed(answer))

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

    told = count(lossy, begun, "a", 2, given=True)

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
        if not commits(statement):
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


def test_process_that_has_not_ended_is_waited_for(
    begun: str, proxy: Proxy, lossy: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_has_ended", lambda *_: True)
    amiss = []
    for _ in range(4):
        cut_once(proxy, Cut.LATE)
        one = Write("a", {"document_text": "1"})
        said = write(lossy, one)
        wait_until(
            lambda: (
                not stray(
                    begun, "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SET%'"
                )
            )
        )
        time.sleep(0.3)
        amiss += violations(begun, [(one.write_id, said)])

    assert "told made, made 2" in amiss


def test_session_that_was_ended_is_not_written_through(begun: str, pool: Pool) -> None:
    told = count(pool, begun, "a", 1)  # so that the connection is a fresh one
    terminated(begun)

    told += count(pool, begun, "a", 1, 1)

    assert [said for _, said in told] == [MADE, MADE]
    assert violations(begun, told) == []


def test_write_whose_session_is_ended_while_it_waits_is_made_once(begun: str, pool: Pool) -> None:
    one = Write("a", {"document_text": "1"})
    with closing(psycopg2.connect(begun)) as holder, ThreadPoolExecutor() as threads:
        holder.cursor().execute("SELECT FROM people WHERE row_id = 'a' FOR UPDATE")
        waiting = threads.submit(write, pool, one)
        wait_until(lambda: bool(stray(begun, "SELECT 1 FROM pg_locks WHERE NOT granted")))
        terminated(begun)
        holder.rollback()

        assert violations(begun, [(one.write_id, waiting.result())]) == []
    assert waiting.result() == MADE


def terminated(database: str) -> None:
    """End the pool's sessions."""
    stray(
        database,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'ingestion_pipeline'",
    )


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
