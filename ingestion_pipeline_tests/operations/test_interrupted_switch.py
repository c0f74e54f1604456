"""A change of phase that is interrupted: one side takes writes, none is lost, and it can be run again."""

import functools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.changing import Changing, How
from ingestion_pipeline.app.settler import Settler
from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import PipelineError, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.transition import Condition
from ingestion_pipeline.operations import settle as settling
from ingestion_pipeline.operations import write as writing
from ingestion_pipeline.settings import Settings, load_settings
from ingestion_pipeline.stores.disk.ledger import Ledger
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.disk.phase_log import PhaseLog
from ingestion_pipeline.stores.postgres.fence import PostgresFence
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, rendered, spelled
from ingestion_pipeline_tests.forks import forks
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.proxy import Cut, Proxy, eventually
from ingestion_pipeline_tests.remote import proxy, remote
from ingestion_pipeline_tests.scenarios.killed_writer import Steps, watched
from ingestion_pipeline_tests.strays import stray

__all__ = ["proxy", "remote"]

ORIGINAL, DUAL, PRIMARY, NATIVE = Phase
FOUR = spelled(people("4321"))
BRAKES = Brakes(rows=100, percent=100)
MOVES = pytest.mark.parametrize(
    ("before", "after"),
    [(ORIGINAL, DUAL), (DUAL, PRIMARY), (PRIMARY, NATIVE)],
    ids=["ORIGINAL-DUAL", "DUAL-PRIMARY", "PRIMARY-NATIVE"],
)
CALLS: Mapping[type, tuple[str, ...]] = {
    LockedCsv: ("refresh", "put", "close", "mark", "keep", "note_later"),
    Ledger: ("mark", "keep"),
    PhaseLog: ("_append",),
    PostgresTables: ("begin", "follow", "sync", "fenced", "stamp"),
    PostgresFence: ("note_pending", "clear_pending", "change"),
}
"""The calls that change something; dying before one is dying after the one before."""


class DiedError(BaseException):
    """The program is over."""


class Dying:
    """Counts the calls from the switch on, and ends at one of them."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.counting = False

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.counting and threading.current_thread() is threading.main_thread():
                self.left -= 1
                if not self.left:
                    raise DiedError
            return function(*args, **kwargs)

        return call

    def switch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            self.counting = True
            return function(*args)

        return call


@contextmanager
def dying(at: int) -> Iterator[None]:
    """Die at this call."""
    steps = Dying(at)
    with ExitStack() as stack:
        for kind, names in CALLS.items():
            for name in names:
                stack.enter_context(patch.object(kind, name, steps.counted(getattr(kind, name))))
        stack.enter_context(patch.object(Changing, "switch", steps.switch(Changing.switch)))
        yield


class Survey:
    """One site that dies again and again, and what was acknowledged on it."""

    def __init__(self, site: Site, pipeline: Pipeline, first: Phase) -> None:
        self.site = site
        self.number = 0
        self.acknowledged: dict[str, str] = {}
        site.put(FOUR)
        pipeline.sync()
        lead(pipeline, first)

    def write(self, pipeline: Pipeline, row_id: str) -> Side:
        self.number += 1
        link = f"link {self.number}"
        receipt = pipeline.write(row_id, {"link": link})
        self.acknowledged[row_id] = link
        return receipt.durable_in

    def leave_pending(self, pipeline: Pipeline) -> None:
        """Write so that the other side has yet to get it, if there is one."""
        with patch.object(PostgresTables, "follow", _refuse), patch.object(Settler, "soon"):
            self.write(pipeline, "1")

    def look(self, to: Phase) -> None:
        """Somebody else comes: one side takes the write, none is lost, and the change can be made."""
        with open_pipeline(self.site.config) as pipeline:
            begun = pipeline.phase.changing()
            assert pipeline.status().changing == begun
            side = self.write(pipeline, "2")
            state = pipeline.in_force()
            assert (pipeline.tables.state(), pipeline.csv.state(), side) == (
                state,
                state,
                state.phase.authority,
            )
            assert pipeline.phase.changing() is None
            assert begun is None or state.epoch in (begun.epoch - 1, begun.epoch)
            assert_others_are_refused(pipeline, state)
            self.check(pipeline)
            lead(pipeline, to)
            self.check(pipeline)
            changes = pipeline.phase.history()
            assert [change.epoch for change in changes] == list(range(2, pipeline.in_force().epoch + 1))
            assert changes[-1].after is to

    def check(self, pipeline: Pipeline) -> None:
        pipeline.settle()
        assert {row["row_id"]: row["link"] for row in pipeline.rows()} == dict.fromkeys(
            "34", ""
        ) | self.acknowledged
        if pipeline.in_force().phase.follower:
            assert rendered(pipeline) == self.site.csv.read_bytes()
            assert pipeline.status().pending.all == 0


def _refuse(*_: object, **__: object) -> None:
    raise ProtectedError("refused", code="refused")


def assert_others_are_refused(pipeline: Pipeline, state: State) -> None:
    for other in (State(state.phase, state.epoch - 1), State(state.phase, state.epoch + 1)):
        with pytest.raises(ProtectedError) as refused:
            pipeline.tables.write(other, "tester", [checked("3", {"link": "stale"})])
        assert refused.value.code == "stale_epoch"


@MOVES
def test_change_that_dies_at_any_step_there_or_back_can_be_run_again(
    site: Site, pipeline: Pipeline, before: Phase, after: Phase
) -> None:
    survey = Survey(site, pipeline, before)
    unharmed: set[Phase] = set()
    died = 0
    for at in range(1, 100):
        for to in {after, before} - unharmed:
            with open_pipeline(site.config) as opened:
                if opened.in_force().phase is to:
                    lead(opened, before if to is after else after)
                survey.leave_pending(opened)
                try:
                    with dying(at):
                        lead(opened, to)
                    unharmed.add(to)
                except DiedError:
                    died += 1
            survey.look(to)
        if unharmed == {before, after}:
            break

    assert unharmed == {before, after}
    assert died > 16


def killed(settings: Settings, to: Phase, at: int, after: bool) -> None:  # noqa: FBT001 - another process's
    """Change the phase in a process of its own that is killed at a step after the change was marked."""
    steps = Steps(at, after=after)
    mark = LockedCsv.mark

    def marked(*args: Any) -> None:
        steps.counting = True
        mark(*args)

    with watched(steps), patch.object(LockedCsv, "mark", marked), open_pipeline(settings) as pipeline:
        lead(pipeline, to)
        steps.counting = False


@pytest.mark.parametrize(
    ("before", "after", "first"),
    [(ORIGINAL, DUAL, 1), (DUAL, PRIMARY, 2), (PRIMARY, NATIVE, 3)],
    ids=["ORIGINAL-DUAL", "DUAL-PRIMARY", "PRIMARY-NATIVE"],
)
def test_change_that_is_killed_once_it_was_marked_is_made_or_not(
    site: Site, pipeline: Pipeline, before: Phase, after: Phase, first: int
) -> None:
    survey = Survey(site, pipeline, before)
    context = forks()
    codes: list[int | None] = []
    for turn, at in enumerate(range(first, 300, 20)):
        to = before if pipeline.in_force().phase is after else after
        survey.leave_pending(pipeline)
        child = context.Process(target=killed, args=(load_settings(site.config), to, at, bool(turn // 2 % 2)))
        child.start()
        child.join(30)
        codes.append(child.exitcode)
        survey.look(to)
        if codes[-2:] == [0, 0]:
            break

    assert set(codes) == {0, -signal.SIGKILL}
    assert codes.count(-signal.SIGKILL) > 2


# PostgreSQL goes away as it is told to change the phase.


@pytest.fixture
def far(site: Site, remote: Pipeline) -> Pipeline:
    """A site of four persons in dual_write, with a line to PostgreSQL that can be cut."""
    site.put(FOUR)
    remote.sync()
    return remote


def cut_at_the_change(proxy: Proxy, cut: Cut, then: Callable[[], object] = lambda: None) -> None:
    """Cut the line once, as the phase's change is committed."""
    told: list[bytes] = []

    def decide(statement: bytes) -> Cut | None:
        if b"UPDATE ingestion.migration_state" in statement:
            told.append(statement)
        if statement != b"COMMIT" or len(told) != 1:
            return None
        told.append(statement)
        then()
        return cut

    proxy.decide = decide


MADE = {Cut.NOT_SENT: False, Cut.HALF_SENT: False, Cut.SENT: True, Cut.ANSWERED: True, Cut.LATE: True}
BACK_AND_FORTH = pytest.mark.parametrize(
    ("before", "after"), [(DUAL, PRIMARY), (PRIMARY, DUAL)], ids=["DUAL-PRIMARY", "PRIMARY-DUAL"]
)


@BACK_AND_FORTH
@pytest.mark.parametrize(("cut", "made"), MADE.items())
def test_lost_answer_to_the_change_is_found_out(
    far: Pipeline,
    proxy: Proxy,
    cut: Cut,
    made: bool,  # noqa: FBT001 - a column of the table
    before: Phase,
    after: Phase,
) -> None:
    lead(far, before)
    epoch = far.in_force().epoch
    cut_at_the_change(proxy, cut)

    if made:
        assert lead(far, after).changes[0].pause
    else:
        with pytest.raises(UnavailableError):
            lead(far, after)

    expected = State(after, epoch + 1) if made else State(before, epoch)
    # It was found out at once: nobody need ask PostgreSQL any more.
    assert (far.csv.state(), far.csv.changing()) == (expected, None)
    assert far.tables.state() == expected
    assert far.write("1", {"link": "l"}).durable_in is expected.phase.authority
    assert lead(far, after).state == State(after, epoch + 1)
    assert far.phase.history()[-1].epoch == epoch + 1


def lose(site: Site, far: Pipeline, proxy: Proxy, cut: Cut, to: Phase) -> UnavailableError:
    """PostgreSQL goes away as it is told to commit the change; whether it has is the cut's."""
    epoch = far.in_force().epoch + MADE[cut]
    lost = threading.Event()
    begin = PostgresTables.begin

    def away(*args: Any, **kwargs: Any) -> State:
        if lost.is_set():
            state = "SELECT epoch FROM ingestion.migration_state"
            eventually(lambda: stray(site.database, state) == [(epoch,)])
            proxy.away()
        return begin(*args, **kwargs)

    cut_at_the_change(proxy, cut, lost.set)
    with patch.object(PostgresTables, "begin", away), pytest.raises(UnavailableError) as unknown:
        lead(far, to)
    assert lost.is_set()
    proxy.decide = lambda _statement: None
    return unknown.value


@BACK_AND_FORTH
@pytest.mark.parametrize("cut", [Cut.NOT_SENT, Cut.ANSWERED])
def test_nobody_writes_until_it_is_known_which_side_leads(
    site: Site, far: Pipeline, proxy: Proxy, cut: Cut, before: Phase, after: Phase
) -> None:
    lead(far, before)
    error = lose(site, far, proxy, cut, after)

    assert (error.code, "Nothing is written until PostgreSQL is back" in error.hint) == (
        "outcome_unknown",
        True,
    )
    begun = far.phase.changing()
    assert begun is not None
    assert (begun.before, begun.after) == (before, after)
    assert far.status().changing == begun
    csv = site.csv.read_bytes()
    with pytest.raises(UnavailableError) as refused:
        far.write("1", {"link": "canary"})
    assert (refused.value.code, refused.value.hint != "") == ("postgres_unavailable", True)
    assert (site.csv.read_bytes(), far.csv.takes_in, far.csv.changing()) == (csv, False, begun)

    proxy.back()
    state = State(after, begun.epoch) if MADE[cut] else State(before, begun.epoch - 1)
    assert far.write("1", {"link": "l"}).durable_in is state.phase.authority
    assert (far.in_force(), far.tables.state(), far.phase.changing()) == (state, state, None)
    assert lead(far, after).state == State(after, begun.epoch)
    far.settle()
    assert rendered(far) == site.csv.read_bytes()
    assert [change.epoch for change in far.phase.history()] == list(range(2, begun.epoch + 1))


@pytest.mark.parametrize("at", ["mark", "keep", "close"])
def test_csv_that_goes_on_alone_does_so_though_that_was_interrupted(
    far: Pipeline, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    lead(far, PRIMARY)
    proxy.away()
    alone = How(overrides=frozenset({Condition.POSTGRES_AWAY}), because="it is gone")

    def die(*_: object, **__: object) -> None:
        raise DiedError

    with monkeypatch.context() as patched:
        patched.setattr(LockedCsv, at, die)
        with pytest.raises(DiedError):
            far.phase.rollback(ORIGINAL, alone)
    far.phase.rollback(ORIGINAL, alone) if at == "mark" else None

    assert far.write("1", {"link": "alone"}).durable_in is Side.CSV
    assert far.in_force() == State(ORIGINAL, 3)
    assert [change.after for change in far.phase.history()] == [PRIMARY, ORIGINAL]


# A writer who was stopped before, and goes on after.

STOPPED = """
import os, signal, sys
from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.operations import write
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.postgres.tables import PostgresTables

refused = []
def stopped(kind, name):
    inner = getattr(kind, name)
    def call(self, *args):
        if not refused:
            print("stops", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        try:
            return inner(self, *args)
        except ProtectedError as error:
            refused.append(error.code)
            raise
    setattr(kind, name, call)

with open_pipeline(sys.argv[1]) as pipeline:
    pipeline.in_force()
    stopped(*((CsvStore, "submit") if sys.argv[2] == "csv" else (PostgresTables, "write")))
    receipt = pipeline.write("1", {"link": "late"})
print(*refused, receipt.durable_in, flush=True)
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [(DUAL, PRIMARY), (PRIMARY, DUAL), (DUAL, ORIGINAL), (PRIMARY, NATIVE), (NATIVE, PRIMARY)],
    ids=str,
)
def test_writer_who_was_stopped_meanwhile_writes_to_the_side_that_leads_now(
    site: Site, pipeline: Pipeline, before: Phase, after: Phase
) -> None:
    site.put(FOUR)
    pipeline.sync()
    lead(pipeline, before)
    command = [sys.executable, "-c", STOPPED, str(site.config), before.authority]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == "stops\n"
            lead(pipeline, after)
            writer.send_signal(signal.SIGCONT)
            assert writer.stdout.readline() == f"stale_epoch {after.authority}\n"
            assert writer.wait(20) == 0
        finally:
            writer.kill()

    assert (pipeline.read("1") or {})["link"] == "late"
    pipeline.settle()
    if after.follower:
        assert rendered(pipeline) == site.csv.read_bytes()


@pytest.mark.parametrize("state", [State(NATIVE, 4), State(PRIMARY, 3)], ids=["made", "cancelled"])
def test_who_comes_during_the_switch_waits_for_its_end_and_not_for_the_lock(
    site: Site, pipeline: Pipeline, state: State
) -> None:
    site.put(FOUR)
    pipeline.sync()
    lead(pipeline, PRIMARY)
    began = pipeline.in_force()
    found: list[State] = []
    looking = threading.Thread(target=lambda: found.append(pipeline.in_force()))
    with pipeline.csv.held() as held:
        held.mark(began, PhaseChange(4, PRIMARY, NATIVE, at="", by="", wanted=NATIVE, by_hand=True))
        looking.start()
        looking.join(0.2)
        assert found == []
        held.keep(state)
        looking.join(5)
        assert found == [state]


@MOVES
def test_no_store_takes_what_was_begun_in_another_epoch(
    site: Site, pipeline: Pipeline, before: Phase, after: Phase
) -> None:
    site.put(FOUR)
    pipeline.sync()
    lead(pipeline, before)
    for there in (after, before):
        old = pipeline.in_force()
        lead(pipeline, there)
        standing = site.csv.read_bytes(), rendered(pipeline)
        writes = [checked("1", {"link": "stale"})]
        site_of_writes: Any = None
        tries: dict[str, Callable[[LockedCsv], object]] = {
            "tables": lambda _: pipeline.tables.write(old, "tester", writes),  # noqa: B023
            "csv": lambda held: writing._in_csv(site_of_writes, held, [("tester", writes)], old, BRAKES),  # noqa: B023, SLF001
            "fallback": lambda held: writing._taken_in(held, [("tester", writes)], old),  # noqa: B023, SLF001
        }
        for name, write in tries.items():
            with pipeline.csv.held() as held, pytest.raises(ProtectedError) as refused:
                write(held)
            assert (name, refused.value.code) == (name, "stale_epoch")
        with pytest.raises(PipelineError) as unsettled:
            settling.settle(pipeline.csv, pipeline.tables, state=old, brakes=None, aside="aside")
        assert unsettled.value.code == "stale_epoch"
        assert (site.csv.read_bytes(), rendered(pipeline)) == standing
