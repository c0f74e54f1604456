"""The CSV, its journal and its ledger in memory, one durable step at a time; as `stores/disk` does it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast
from uuid import UUID

from ingestion_pipeline.domain import merge
from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.errors import InputRefusedError, ProtectedError
from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.pending import Pending, Placed
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.domain.receipt import Answered, Write, WriteReceipt, taken_write_id, unknown_person
from ingestion_pipeline.domain.reports import Merged, State
from ingestion_pipeline.operations.write import Lead
from ingestion_pipeline_tests.model.steps import Process, Raised
from ingestion_pipeline_tests.model.world import Content, Entry, Made, Request, World, decoded, sha256

COLUMNS = ("row_id", "name")
"""What the file holds: who, and one cell."""

Outcome = Record | InputRefusedError


class Pass(NamedTuple):
    """One pass over a file."""

    content: Content

    @property
    def sha256(self) -> str:
        return sha256(self.content)

    @property
    def rows(self) -> int:
        return len(self.content)


class Sheet:
    """Takes a file's bytes; as a scratch file they go nowhere."""

    def __init__(self) -> None:
        self._data = b""

    def write(self, data: bytes) -> None:
        self._data += data

    def settle(self) -> None:
        """They are on disk at once."""

    @property
    def content(self) -> Content:
        return decoded(self._data)


class Pinned:
    """A file as it was, whatever has taken its place."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def sha256(self) -> str:
        return sha256(self._content)

    @contextmanager
    def reading(self, _progress: object = None) -> Iterator[Pass]:
        yield Pass(self._content)


class ModelCsv:
    """The CSV."""

    place = "the CSV"

    def __init__(self, process: Process) -> None:
        self._process = process
        self._holds = False

    def state(self) -> State:
        return self._process.step("reads the ledger", _in_ledger)

    def exists(self) -> bool:
        return True

    @property
    def takes_in(self) -> bool:
        if self._holds:
            return self._process.look(lambda world: world.waiting)
        return self._process.step("looks whether the CSV has taken writes in", lambda world: world.waiting)

    @contextmanager
    def held(self) -> Iterator["ModelHeld"]:
        self._process.step("locks the CSV", self._lock, self._is_free)
        with self._holding():
            yield ModelHeld(self._process)

    @contextmanager
    def held_unless_told(self) -> Iterator["ModelHeld | None"]:
        def free_or_told(world: World) -> bool:
            return world.mark is None or self._is_free(world)

        def lock_unless_told(world: World) -> bool:
            if world.mark is not None:
                self._lock(world)
            return world.mark is None

        if self._process.step("locks the CSV, unless the ledger says", lock_unless_told, free_or_told):
            yield None
            return
        with self._holding():
            yield ModelHeld(self._process)

    @contextmanager
    def _holding(self) -> Iterator[None]:
        self._holds = True
        try:
            yield
        finally:
            self._holds = False
            self._process.end(self._release)

    @contextmanager
    def pinned(self) -> Iterator[Pinned]:
        yield Pinned(self._process.look(lambda world: world.file))

    @contextmanager
    def scratch(self) -> Iterator[Sheet]:
        yield Sheet()

    def submit(self, writes: Sequence[Write], by: str, lead: Lead) -> Answered:
        if not self._process.faults.intake:
            with self.held() as held:
                return lead(cast("Any", held), [(by, writes)])[0]
        [write] = writes
        if self._process.step("locks the CSV, or asks who has it to write", lambda w: self._ask(w, write)):
            return self._led(write, by, lead)
        answer = self._process.step("takes the answer, or the lock", self._take, self._is_told)
        if isinstance(answer, tuple):
            return _answered(*answer)
        # Claimed by somebody who died: the journal may have it.
        given = write.given or not answer
        return self._led(Write(write.row_id, write.cells, write.write_id, given), by, lead)

    def _led(self, write: Write, by: str, lead: Lead) -> Answered:
        with self._holding():
            # What the ports ask for besides is of no interest here.
            held = cast("Any", ModelHeld(self._process))
            claimed = self._process.step("claims what waits", self._claim)
            groups = [(by, [write]), *((one.owner, [_asked(one)]) for one in claimed)]
            try:
                answers = lead(held, groups)
            except (ProtectedError, InputRefusedError) as error:
                refusal = Raised(type(error), error.message, error.code)
                self._process.step("tells those who waited", lambda w: _tell(w, claimed, refusal))
                raise
            self._process.step("tells those who waited", lambda w: _tell(w, claimed, answers[1:]))
            return answers[0]

    def _is_free(self, world: World) -> bool:
        return not world.lock or self._process.faults.no_lock

    def _lock(self, world: World) -> None:
        world.lock = self._process.who

    def _release(self, world: World) -> None:
        if world.lock == self._process.who:
            world.lock = ""

    def _ask(self, world: World, write: Write) -> bool:
        if not world.lock:
            self._lock(world)
            return True
        asked = (write.row_id, write.cells["name"], write.write_id.int, write.given)
        world.requests = (*world.requests, Request(self._process.who, asked))
        return False

    def _mine(self, world: World) -> Request:
        return next(one for one in world.requests if one.owner == self._process.who)

    def _is_told(self, world: World) -> bool:
        return not world.lock or self._mine(world).answer is not None

    def _take(self, world: World) -> object:
        """The answer; or the lock, and whether the request could be taken back."""
        mine = self._mine(world)
        world.requests = tuple(one for one in world.requests if one != mine)
        if mine.answer is not None:
            return mine.answer
        self._lock(world)
        return not mine.claimed

    def _claim(self, world: World) -> tuple[Request, ...]:
        claimed = tuple(one for one in world.requests if not one.claimed)
        world.requests = tuple(one._replace(claimed=True) for one in world.requests)
        return claimed


class ModelHeld:
    """The CSV while its lock is held."""

    columns = COLUMNS

    def __init__(self, process: Process) -> None:
        self._process = process
        self._look = process.look
        self._step = process.step

    def state(self) -> State:
        return self._look(_in_ledger)

    def keep(self, state: State) -> None:
        if self.state() == state:
            return
        begun = self.changing()
        if begun is not None and begun.epoch == state.epoch:
            self._step("notes the change of phase", lambda world: _note_phase(world, begun.epoch))
        self._step(f"keeps {state.phase} in the ledger", lambda world: _keep(world, state, None))

    def mark(self, state: State, change: PhaseChange) -> None:
        if not self._process.faults.no_mark:
            self._step("marks the ledger", lambda world: _keep(world, state, change))

    def changing(self) -> PhaseChange | None:
        return self._look(lambda world: world.mark)

    def refresh(self, _brakes: Brakes | None) -> Merged | None:
        if not self._look(_is_current):
            self._reconcile()
        return None

    def is_ours(self) -> bool:
        if self._look(_is_current):
            return True
        if not self._look(_is_known):
            self._look(_fail_foreign)
            return False
        self._reconcile()
        return True

    def _reconcile(self) -> None:
        stale = self._look(_stale)
        if stale:
            self._replace(stale)
        else:
            self.adopt()

    def _replace(self, content: Content) -> None:
        self._step("announces the file", lambda world: _announce(world, content))
        self._put(content)

    def _put(self, content: Content) -> None:
        self._step("replaces the file", lambda world: _put(world, content))
        self.adopt()

    def adopt(self) -> None:
        self._step("keeps the index", _index)

    @property
    def file(self) -> tuple[str, int, int]:
        content = self._look(lambda world: world.file)
        return sha256(content), len(content), len(content)

    def read_all(self, row_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        known = dict(self._look(lambda world: world.file))
        return {one: {"row_id": one, "name": known[one]} for one in row_ids if one in known}

    def placed(self, row_ids: Collection[str]) -> dict[str, Placed]:
        content = self._look(lambda world: world.file)
        return {row[0]: Placed(place, row) for place, row in enumerate(content) if row[0] in row_ids}

    def since(self, sequence: int) -> list[Record]:
        entries = self._look(lambda world: world.journal)
        return [_record(one) for one in entries if one.sequence > sequence and one.kind is not Kind.CLOSED]

    @contextmanager
    def reading(self) -> Iterator[Pass]:
        yield Pass(self._look(lambda world: world.file))

    def write(
        self, groups: Sequence[tuple[str, Sequence[Write]]], epoch: int, kind: Kind
    ) -> list[list[Outcome]]:
        journal, content = self._look(lambda world: (world.journal, world.file))
        group = _Group(journal, content, epoch, kind)
        outcomes = [[group.take(one) for one in writes] for _, writes in groups]
        if not group.entries:
            return outcomes
        if kind is Kind.FALLBACK and not self._look(lambda world: world.waiting):
            self._step("notes that the CSV takes writes in", lambda world: _wait(world, waits=True))
        spliced = group.content()
        kept = not self._process.faults.no_journal
        self._step("appends to the journal", lambda world: _append(world, group.entries, spliced, kept=kept))
        self._put(spliced)
        return outcomes

    def put(self, lines: Mapping[str, Sequence[str] | None], on_top: Sequence[str]) -> None:
        content = self._look(lambda world: world.file)
        new = [(row_id, cells[1]) for row_id in on_top if (cells := lines[row_id]) is not None]
        kept = [(row_id, _given(lines, row_id, text)) for row_id, text in content]
        self._replace((*new, *((row_id, text) for row_id, text in kept if text is not None)))

    def render(self, write: Callable[[Sink], object], *, foreign: str | None) -> Merged | None:
        sheet = Sheet()
        write(sheet)
        assert foreign in (None, "aside")
        if self._look(lambda world: world.file == sheet.content):
            self.adopt()
        else:
            self._replace(sheet.content)
        return None

    def open(self) -> list[Record]:
        return [_record(one) for one in self._look(lambda world: world.to_follow)]

    def close(self, epoch: int, *, least: int = 0, file: str | None = None) -> None:
        if self._look(lambda world: _has_to_close(world, least, file)):
            self._step("closes the journal's records", lambda world: _close(world, epoch, least))
        if self._look(lambda world: world.waiting):
            self._step("takes the note of taking in away", lambda world: _wait(world, waits=False))

    def last_sequence(self) -> int:
        return max(1, self._look(lambda world: world.last))

    def is_used(self) -> bool:
        return self._look(lambda world: bool(world.written_last) or world.index is not None)

    def waiting(self) -> Pending:
        records = self._look(lambda world: world.to_follow)
        fallback = sum(one.kind is Kind.FALLBACK for one in records)
        return Pending(len({one.row_id for one in records if one.kind is not Kind.FALLBACK}), 0.0, fallback)


class _Group:
    """Writes that go into the file together."""

    def __init__(self, journal: tuple[Entry, ...], content: Content, epoch: int, kind: Kind) -> None:
        self._journal = journal
        self._texts = dict(content)
        self._old = [row_id for row_id, _ in content]
        self._epoch = epoch
        self._kind = kind
        self.entries: tuple[Entry, ...] = ()

    def take(self, write: Write) -> Outcome:
        try:
            return _record(self._take(write))
        except InputRefusedError as error:
            return error

    def content(self) -> Content:
        new = [row_id for row_id in self._texts if row_id not in self._old]
        return tuple((row_id, self._texts[row_id]) for row_id in [*reversed(new), *self._old])

    def _take(self, write: Write) -> Entry:
        if write.given:
            before = next((one for one in self._journal if one.write_id == write.write_id.int), None)
            if before is not None and before.row_id != write.row_id:
                raise taken_write_id(write)
            if before is not None:
                return before
        text = self._texts.get(write.row_id)
        if text is None and not write.creates:
            raise unknown_person(write)
        after = self._texts[write.row_id] = write.cells["name"]
        # The first record of a journal says that there was none before it.
        last = max((one.sequence for one in (*self._journal, *self.entries)), default=1)
        entry = Entry(
            last + 1, self._epoch, self._kind, write.write_id.int, write.row_id, text, after, text is None
        )
        self.entries = (*self.entries, entry)
        return entry


def _in_ledger(world: World) -> State:
    return State(world.ledger.phase, world.ledger.epoch, changing=world.mark is not None)


def _keep(world: World, state: State, change: PhaseChange | None) -> None:
    world.ledger, world.mark = State(state.phase, state.epoch), change


def _note_phase(world: World, epoch: int) -> None:
    if epoch not in world.phases:
        world.phases = (*world.phases, epoch)


def _is_current(world: World) -> bool:
    return world.index == (world.file, world.written_last)


def _is_known(world: World) -> bool:
    return world.file in (world.announced, world.index and world.index[0])


def _stale(world: World) -> Content | None:
    """The file with what the journal has and it has not; None where it has all."""
    if world.index is None or world.file == world.announced or world.index[0] != world.file:
        return None
    texts = dict(world.file)
    chains = merge.chains(_record(one) for one in world.journal)
    found = merge.judge(chains, lambda row_id, column: _present(texts, row_id, column), world.index[1])
    stale = {
        one.row_id: one.acknowledged
        for one in found
        if one.fate is merge.Fate.STALE and one.column != merge.THERE and one.acknowledged is not None
    }
    if not stale:
        return None
    new = [(row_id, text) for row_id, text in stale.items() if row_id not in texts]
    return (*reversed(new), *((row_id, stale.get(row_id, text)) for row_id, text in world.file))


def _present(texts: Mapping[str, str], row_id: str, column: str) -> str | None:
    if row_id not in texts:
        return None
    return merge.THERE if column == merge.THERE else texts[row_id]


def _index(world: World) -> None:
    world.index = (world.file, world.written_last)


def _announce(world: World, content: Content) -> None:
    closed = max((one.through for one in world.journal), default=0)
    journal = _started(world)
    entry = Entry(journal[-1].sequence + 1, 0, Kind.CLOSED, file=content, through=closed)
    world.journal = (*journal, entry)


def _started(world: World) -> tuple[Entry, ...]:
    return world.journal or (Entry(1, 0, Kind.CLOSED),)


def _put(world: World, content: Content) -> None:
    world.file = content


def _append(world: World, entries: tuple[Entry, ...], content: Content, *, kept: bool) -> None:
    """The moment from which on the writes are durable."""
    if kept:
        last = entries[-1]._replace(file=content)
        world.journal = (*_started(world), *entries[:-1], last)
    for one in entries:
        world.made = (*world.made, Made(one.row_id, one.after, Side.CSV, one.epoch))
        _check_leads(world, one)


def _check_leads(world: World, entry: Entry) -> None:
    """PostgreSQL says who leads, whatever the writer believes."""
    truth = world.state
    taken_in = entry.kind is Kind.FALLBACK
    if truth is None:
        return
    fits = truth.phase is Phase.DATABASE_PRIMARY if taken_in else truth.phase.authority is Side.CSV
    if not fits or truth.epoch != entry.epoch:
        world.amiss = (
            f"the CSV takes a write of epoch {entry.epoch} in {truth.phase}, which is epoch {truth.epoch}"
        )


def _wait(world: World, *, waits: bool) -> None:
    world.waiting = waits


def _has_to_close(world: World, least: int, file: str | None) -> bool:
    announced = world.announced
    same = file is None or (announced is not None and sha256(announced) == file)
    return bool(world.to_follow) or least > world.last or not same


def _close(world: World, epoch: int, least: int) -> None:
    journal = _started(world)
    last = journal[-1].sequence
    world.journal = (*journal, Entry(max(last + 1, least), epoch, Kind.CLOSED, through=last))


def _fail_foreign(world: World) -> None:
    world.amiss = "a file that this package wrote is taken for somebody else's"


def _given(lines: Mapping[str, Sequence[str] | None], row_id: str, text: str) -> str | None:
    cells = lines.get(row_id, (row_id, text))
    return None if cells is None else cells[1]


def _record(entry: Entry) -> Record:
    return Record(
        entry.sequence,
        0,
        entry.epoch,
        entry.kind,
        UUID(int=entry.write_id),
        entry.row_id,
        {"name": (entry.before, entry.after)} if entry.row_id else {},
        created=entry.created,
        through=entry.through,
    )


def _asked(request: Request) -> Write:
    row_id, text, write_id, given = request.write
    return Write(row_id, {"name": text, "email": "", "type": ""}, UUID(int=write_id), given)


def _tell(world: World, claimed: Sequence[Request], answers: Sequence[Answered] | Raised) -> None:
    for number, one in enumerate(claimed):
        refused = answers if isinstance(answers, Raised) else _refusal(answers[number])
        receipts = () if isinstance(answers, Raised) else answers[number].receipts
        told = one._replace(claimed=True, answer=(receipts, refused))
        waits = one._replace(claimed=True)
        world.requests = tuple(told if other == waits else other for other in world.requests)


def _refusal(answer: Answered) -> Raised | None:
    error = answer.error
    return None if error is None else Raised(type(error), error.message, error.code)


def _answered(receipts: tuple[WriteReceipt, ...], refusal: Raised | None) -> Answered:
    if refusal is not None and not issubclass(refusal.kind, InputRefusedError):
        raise refusal.error()
    return Answered(receipts, None if refusal is None else refusal.error())
