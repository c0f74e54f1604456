"""The tables in memory: transactions, their locks, the fence and COMMIT; as `stores/postgres` does it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import NamedTuple, TypeVar
from uuid import UUID

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    PipelineError,
    ProtectedError,
    UnavailableError,
)
from ingestion_pipeline.domain.journal import Record
from ingestion_pipeline.domain.pending import Dirty, Followed, Pending, Placed
from ingestion_pipeline.domain.phase import Phase, Side, first_phase
from ingestion_pipeline.domain.ports import Sink, Step
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.quarantine import Count
from ingestion_pipeline.domain.receipt import Made as Receipt
from ingestion_pipeline.domain.receipt import Write, unknown_person
from ingestion_pipeline.domain.reconcile import reconcile
from ingestion_pipeline.domain.reports import Compared, Found, State, SyncReport
from ingestion_pipeline_tests.model.disk import Pass, Pinned
from ingestion_pipeline_tests.model.steps import COMMIT, ONE_WAY, Process
from ingestion_pipeline_tests.model.world import (
    Content,
    Made,
    Noted,
    Person,
    Transaction,
    World,
    encoded,
    rendered,
    sha256,
)

GAP = 100
"""Between the ordinals of two rows."""

Result = TypeVar("Result")
Finding = tuple[list[Receipt], InputRefusedError | None]


class View(NamedTuple):
    """One state of the tables."""

    state: State | None
    people: tuple[Person, ...]
    pending: tuple[tuple[str, int], ...]
    undecided: int
    seen: str


class ModelSnapshot:
    """One state of the tables, however long it is looked at."""

    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view

    def state(self) -> State:
        state = self._view().state
        assert state is not None
        return state

    def render(self, sink: Sink) -> tuple[int, None]:
        content = rendered(self._view().people)
        sink.write(encoded(content))
        return len(content), None

    def misspelled(self, _limit: int) -> Found:
        return Found()

    def compare(self, csv: Pinned, _authority: Side, _limit: int, _progress: object) -> Compared:
        content = rendered(self._view().people)
        with csv.reading() as file:
            parted = set(file.content) ^ set(content)
            equal = file.content == content
            found = Found() if equal else Found(changed=len(parted), counted=max(1, len(parted)))
            return Compared(sha256(file.content), sha256(content), len(file.content), found)

    def position(self) -> str:
        return str(sum(one.xid for one in self._view().people))

    def quarantine_count(self) -> Count:
        undecided = self._view().undecided
        return Count(undecided=undecided, conflicts=undecided)

    def seen(self) -> str:
        return self._view().seen

    def pending(self) -> Pending:
        return Pending(len(self._view().pending))

    def dirty(self, _columns: Sequence[str], _limit: int | None = None) -> list[Dirty]:
        view = self._view()
        known = {one.row_id: one for one in view.people}
        found = []
        for row_id, revision in view.pending:
            one = known.get(row_id)
            if one is None:
                found.append(Dirty(row_id, revision, moved=False, ordinal=None, cells=None))
            else:
                cells = (row_id, one.text)
                found.append(Dirty(row_id, revision, moved=False, ordinal=one.ordinal, cells=cells))
        return sorted(found, key=lambda one: one.ordinal or 0)

    def first_settled(self) -> int:
        view = self._view()
        waits = {row_id for row_id, _ in view.pending}
        return min((one.ordinal for one in view.people if one.row_id not in waits), default=2**63)


class ModelFence(ModelSnapshot):
    """The tables, which nobody else writes."""

    def __init__(self, tables: "ModelTables") -> None:
        self._tables = tables
        super().__init__(tables.seen)

    def changed_since(self, seen: str, _limit: int) -> set[str]:
        upto, *under_way = (int(one) for one in seen.split(":"))
        return {one.row_id for one in self._view().people if one.xid >= upto or one.xid in under_way}

    def has_lost_rows(self, _position: str, _seen: str) -> bool:
        return False

    def lines(self) -> int:
        return len(self._view().people)

    def placed(self, row_ids: Collection[str], _columns: Collection[str]) -> dict[str, Placed]:
        rows = enumerate(rendered(self._view().people))
        return {row[0]: Placed(place, row) for place, row in rows if row[0] in row_ids}

    def last_revision(self) -> int:
        return self._tables.inside(lambda world, _: world.revision)

    def note_pending(self, row_ids: Collection[str]) -> None:
        noted = tuple(sorted(row_ids))
        self._tables.inside(lambda world, mine: _note_pending(world, mine, noted))

    def clear_pending(self) -> None:
        self._tables.inside(lambda world, mine: _put(world, mine._replace(pending=())))

    def change(self, state: State, _by: str) -> None:
        self._tables.commit(f"commits {state.phase}", state)


class ModelTables:
    """The three tables and what guards them."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lost = False

    def state(self) -> State | None:
        return self._ask("asks which phase it is", lambda world: world.state)

    def begin(self, wanted: Phase, *, known: State | None = None) -> State:
        first = known or State(first_phase(wanted), 1)
        return self._ask(
            "has PostgreSQL say which phase it is",
            lambda world: _begin(world, State(first.phase, first.epoch)),
            lambda world: not any(one.holds_state for one in world.open),
        )

    def is_synced(self) -> bool:
        return self._process.look(lambda world: _reached(world).synced)

    def last_proof(self) -> Proof | None:
        return self._process.look(lambda world: _reached(world).proof)

    def last_revision(self) -> int:
        return self._ask("asks for the last revision", lambda world: world.revision)

    def stamp(self, proof: Proof) -> None:
        self._ask("keeps a proof", lambda world: _stamp(world, proof))

    @contextmanager
    def snapshot(self) -> Iterator[ModelSnapshot]:
        view = self._ask("takes a snapshot", _view)
        yield ModelSnapshot(lambda: view)

    def clear(self, dirty: Sequence[Dirty]) -> None:
        copied = {(one.row_id, one.revision) for one in dirty}
        every = self._process.faults.clears_all
        self._ask("clears what was pending", lambda world: _clear(world, copied, every=every))

    def write(self, state: State, _by: str, writes: Sequence[Write]) -> Finding:
        while True:
            if any(one.given for one in writes):
                before = self._ask("asks history for the write_id", lambda world: _written(world, writes))
                if before is not None:
                    return _receipts(before), None
            refusal = self._written(state, writes)
            if refusal is not None:
                return [], refusal
            made = self._committed(writes)
            if made is not None:
                return _receipts(made), None

    def _written(self, state: State, writes: Sequence[Write]) -> InputRefusedError | None:
        self._ask("begins to write", self._begin)
        try:
            self._pass_fence(state)
            for one in writes:
                self._ask("writes a row", self._writes(one, state.epoch), self._is_free(one.row_id))
        except InputRefusedError as error:
            self._process.end(self._abort)
            return error
        except PipelineError:
            self._process.end(self._abort)
            raise
        return None

    def _committed(self, writes: Sequence[Write]) -> tuple[Noted, ...] | None:
        """What was made; None where nothing was, and all is to be done again."""
        try:
            self.commit("commits the write")
        except UnavailableError:
            return self._process.step("asks what became of it", lambda world: _what_became(world, writes))
        return self._process.look(lambda world: _written(world, writes))

    def follow(self, state: State, rows: Sequence[Followed], file: tuple[str, int, int]) -> bool:
        assert file
        last = max(row.revision for row in rows)
        try:
            self._ask("begins to follow", lambda world: self._raise(world, last))
            if self._process.look(lambda world: not world.synced or world.revision > last):
                self._process.end(self._abort)
                return False
            self._pass_fence(state)
            for row in rows:
                self._ask("follows a row", self._follows(row), self._is_free(row.row_id))
        except PipelineError:
            self._process.end(self._abort)
            raise
        self.commit("commits what follows")
        return True

    def take_back(self, state: State, records: Sequence[Record]) -> int:
        return sum(self._taken_back(state, record) for record in records)

    def _taken_back(self, state: State, record: Record) -> int:
        self._ask("begins to take back", self._begin)
        try:
            if self._process.look(
                lambda world: any(one.write_id == record.write_id.int for one in world.history)
            ):
                self._process.end(self._abort)
                return 0
            self._ask("holds the row", lambda w: self._hold(w, record.row_id), self._is_free(record.row_id))
            self._pass_fence(state)
            conflicts = self._ask("takes a write back", lambda world: self._reconcile(world, record))
        except PipelineError:
            self._process.end(self._abort)
            raise
        self.commit("commits what was taken back")
        return conflicts

    def sync(
        self,
        opened: Callable[[], AbstractContextManager[Pass]],
        *,
        began: State,
        brakes: Brakes | None,
        dry_run: bool,
        step: Step,
        least_revision: int = 1,
    ) -> SyncReport:
        assert not dry_run
        assert brakes is None or brakes.rows
        step("load")
        with self._locked(began):
            with opened() as file:
                content = file.content
            self.inside(lambda world, mine: _load(world, mine, content, least_revision))
            self.commit("commits the load")
        return SyncReport(0, 0, 0, 0, 0, 0, 0, 0, 0, sha256=sha256(content), dry_run=False, seconds=0.0)

    @contextmanager
    def fenced(self, state: State) -> Iterator[ModelFence]:
        with self._locked(state):
            self._ask("holds the phase", self._hold_state, self._nobody_shares)
            yield ModelFence(self)
            if self._process.look(lambda world: self._mine(world) is not None):
                self.commit("commits with the phase unchanged")
            elif self._lost:
                raise _away()

    @contextmanager
    def _locked(self, state: State) -> Iterator[None]:
        self._ask("locks the tables", self._keep_out, _nobody_writes)
        try:
            self._process.look(lambda world: self._check_epoch(world, state))
            yield
        finally:
            self._process.end(self._abort)

    def seen(self) -> View:
        """What the open transaction sees."""
        return self.inside(
            lambda world, mine: _view(world)._replace(
                pending=world.pending if mine.pending is None else mine.pending
            )
        )

    def inside(self, effect: Callable[[World, Transaction], Result]) -> Result:
        """Do something within the open transaction."""
        return self._process.look(lambda world: effect(world, self._open(world)))

    def commit(self, label: str, change: State | None = None) -> None:
        """Commit; what becomes of the answer is open."""
        try:
            self._ask(label, lambda world: self._commit(world, change), choices=COMMIT)
        except UnavailableError:
            self._lost = True
            raise

    def _ask(
        self,
        label: str,
        effect: Callable[[World], Result],
        ready: Callable[[World], bool] = lambda _: True,
        choices: tuple[str, ...] = ONE_WAY,
    ) -> Result:
        return self._process.step(
            label, lambda world: effect(_reached(world)), lambda world: not world.up or ready(world), choices
        )

    def _pass_fence(self, state: State) -> None:
        self._ask("passes the fence", lambda world: self._share(world, state), _nobody_keeps_out)

    def _mine(self, world: World) -> Transaction | None:
        return next((one for one in world.open if one.owner == self._process.who), None)

    def _open(self, world: World) -> Transaction:
        mine = self._mine(_reached(world))
        if mine is None:
            raise _away()
        return mine

    def _is_free(self, row_id: str) -> Callable[[World], bool]:
        who = self._process.who
        return lambda world: not any(row_id in one.locked and one.owner != who for one in world.open)

    def _nobody_shares(self, world: World) -> bool:
        return not any(one.shares_state and one.owner != self._process.who for one in world.open)

    def _begin(self, world: World) -> None:
        world.open = (*world.open, Transaction(self._process.who, world.xid))
        world.xid += 1

    def _raise(self, world: World, least: int) -> None:
        self._begin(world)
        world.revision = max(world.revision, least)

    def _keep_out(self, world: World) -> None:
        self._begin(world)
        _put(world, self._open(world)._replace(keeps_out=True))

    def _hold_state(self, world: World) -> None:
        _put(world, self._open(world)._replace(holds_state=True))

    def _share(self, world: World, state: State) -> None:
        mine = self._open(world)
        _put(world, mine._replace(writes=True, shares_state=True))
        self._check_epoch(world, state)

    def _check_epoch(self, world: World, state: State) -> None:
        found = world.state
        if found is None or (found.epoch != state.epoch and not self._process.faults.no_fence):
            raise ProtectedError("the phase changed", code="stale_epoch")

    def _hold(self, world: World, row_id: str) -> None:
        mine = self._open(world)
        _put(world, mine._replace(locked=mine.locked | {row_id}))

    def _writes(self, write: Write, epoch: int) -> Callable[[World], None]:
        return lambda world: self._write(world, write, epoch)

    def _follows(self, row: Followed) -> Callable[[World], None]:
        return lambda world: self._follow(world, row)

    def _write(self, world: World, write: Write, epoch: int) -> None:
        mine = self._open(world)
        known = _person(world, mine, write.row_id)
        if known is None and not write.creates:
            raise unknown_person(write)
        world.revision += 1
        self._set(world, known, write.row_id, write.cells["name"], world.revision, write.write_id)
        _put(world, self._open(world)._replace(leads=epoch))

    def _follow(self, world: World, row: Followed) -> None:
        known = _person(world, self._open(world), row.row_id)
        if known is None or known.revision < row.revision:
            self._set(world, known, row.row_id, row.cells["name"], row.revision, row.write_id)

    def _reconcile(self, world: World, record: Record) -> int:
        known = _person(world, self._open(world), record.row_id)
        found = reconcile(None if known is None else {"name": known.text}, record.cells)
        for texts in found.conflicts.values():
            world.conflicts = (*world.conflicts, (record.row_id, texts["csv"]))
        if known is not None or found.apply:
            world.revision += 1
            text = found.apply.get("name", "" if known is None else known.text)
            self._set(world, known, record.row_id, text, world.revision, record.write_id)
        return len(found.conflicts)

    def _set(
        self, world: World, known: Person | None, row_id: str, text: str, revision: int, write_id: UUID
    ) -> None:
        mine = self._open(world)
        top = min((one.ordinal for one in world.people), default=0) - GAP
        ordinal = top if known is None else known.ordinal
        person = Person(row_id, text, revision, write_id.int, ordinal, mine.xid)
        noted = Noted(write_id.int, row_id, revision, known is None)
        _put(
            world,
            mine._replace(
                locked=mine.locked | {row_id},
                people=(*(one for one in mine.people if one.row_id != row_id), person),
                history=(*mine.history, noted),
            ),
        )

    def _commit(self, world: World, change: State | None) -> None:
        mine = self._open(world)
        lost = bool(self._process.choice)
        if self._process.choice != COMMIT[2]:
            _apply(world, mine, change)
        _drop(world, mine)
        if lost:
            world.losses -= 1
            raise _away()

    def _abort(self, world: World) -> None:
        mine = self._mine(world)
        if mine is not None:
            _drop(world, mine)


def _apply(world: World, mine: Transaction, change: State | None) -> None:
    """Everything at once."""
    truth = world.state
    follows = truth is not None and truth.phase is Phase.DATABASE_PRIMARY
    if mine.leads:
        _check_leads(world, mine)
    for person in mine.people:
        world.people = (*(one for one in world.people if one.row_id != person.row_id), person)
        if follows:
            rest = tuple(one for one in world.pending if one[0] != person.row_id)
            world.pending = tuple(sorted((*rest, (person.row_id, person.revision))))
    world.history = (*world.history, *mine.history)
    if mine.pending is not None:
        world.pending = mine.pending
    if change is not None:
        world.state = change


def _check_leads(world: World, mine: Transaction) -> None:
    """Writes became durable in PostgreSQL: it has to lead, in the epoch they were begun in."""
    truth = world.state
    for one in mine.people:
        world.made = (*world.made, Made(one.row_id, one.text, Side.POSTGRES, mine.leads))
    if truth is None or truth.phase.authority is not Side.POSTGRES or truth.epoch != mine.leads:
        here = "no phase" if truth is None else f"{truth.phase}, which is epoch {truth.epoch}"
        world.amiss = f"PostgreSQL takes a write of epoch {mine.leads} in {here}"


def _put(world: World, mine: Transaction) -> None:
    world.open = tuple(mine if one.owner == mine.owner else one for one in world.open)


def _drop(world: World, mine: Transaction) -> None:
    world.open = tuple(one for one in world.open if one != mine)


def _reached(world: World) -> World:
    if not world.up:
        raise _away()
    return world


def _away() -> UnavailableError:
    return UnavailableError("PostgreSQL is away", code="postgres_unavailable")


def _nobody_keeps_out(world: World) -> bool:
    return not any(one.keeps_out for one in world.open)


def _nobody_writes(world: World) -> bool:
    return not any(one.keeps_out or one.writes for one in world.open)


def _begin(world: World, first: State) -> State:
    if world.state is None and first.phase.authority is Side.CSV:
        world.state = first
    if world.state is None:
        raise ProtectedError("this database holds nothing", code="epochs_contradict")
    return world.state


def _stamp(world: World, proof: Proof) -> None:
    world.proof = replace(proof, run_id=None)


def _view(world: World) -> View:
    seen = ":".join(str(one) for one in (world.xid, *sorted(one.xid for one in world.open)))
    return View(world.state, world.people, world.pending, len(world.conflicts), seen)


def _clear(world: World, copied: set[tuple[str, int]], *, every: bool) -> None:
    locked = frozenset[str]().union(*(one.locked for one in world.open if one.writes))
    rows = {row_id for row_id, _ in copied}
    world.pending = tuple(
        one for one in world.pending if one[0] in locked or not (one in copied or (every and one[0] in rows))
    )


def _note_pending(world: World, mine: Transaction, row_ids: tuple[str, ...]) -> None:
    pending = dict(world.pending)
    revisions = {one.row_id: one.revision for one in world.people}
    pending |= {row_id: revisions[row_id] for row_id in row_ids if row_id not in pending}
    _put(world, mine._replace(pending=tuple(sorted(pending.items()))))


def _load(world: World, mine: Transaction, content: Content, least: int) -> None:
    world.revision = max(world.revision, least)
    known = {one.row_id: one for one in world.people}
    people = []
    for place, (row_id, text) in enumerate(content):
        before = known.get(row_id)
        if before is not None and (before.text, before.ordinal) == (text, place * GAP):
            continue
        if before is None or before.text != text:
            world.revision += 1
        people.append(Person(row_id, text, world.revision, 0, place * GAP, mine.xid))
    world.synced = True
    _put(world, mine._replace(people=tuple(people)))


def _person(world: World, mine: Transaction, row_id: str) -> Person | None:
    return next((one for one in (*mine.people, *world.people) if one.row_id == row_id), None)


def _written(world: World, writes: Sequence[Write]) -> tuple[Noted, ...] | None:
    """What history says of the writes, if it has all of them."""
    found = {one.write_id: one for one in world.history}
    numbers = [one.write_id.int for one in writes]
    return tuple(found[number] for number in numbers) if set(numbers) <= found.keys() else None


def _what_became(world: World, writes: Sequence[Write]) -> tuple[Noted, ...] | None:
    if not world.up:
        raise UnavailableError("it is not known whether it was made", code="outcome_unknown")
    return _written(world, writes)


def _receipts(found: Sequence[Noted]) -> list[Receipt]:
    return [Receipt(one.row_id, one.revision, UUID(int=one.write_id), one.created) for one in found]
