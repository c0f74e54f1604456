"""A real site that is written, settled, moved through the phases and killed, beside a dict of its cells."""

import csv
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg2
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ingestion_pipeline.app import Pipeline, changing, open_pipeline
from ingestion_pipeline.app.settler import Settler
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.operations import switch as switching
from ingestion_pipeline_tests.files import people, rendered, spelled
from ingestion_pipeline_tests.reused import EMPTY
from ingestion_pipeline_tests.scenarios.sites import make_site

FIRST = "123"
"""The people at the beginning."""

CRASHES = (
    "stores.disk.journal_log.JournalLog.append",
    "stores.disk.row_file.RowFile.keep",
    "stores.disk.locked_csv.LockedCsv.close",
    "stores.disk.locked_csv.LockedCsv.mark",
    "stores.disk.locked_csv.LockedCsv.keep",
    "stores.disk.locked_csv.LockedCsv.put",
    "stores.postgres.tables.PostgresTables.follow",
    "stores.postgres.tables.PostgresTables.write",
    "stores.postgres.tables.PostgresTables.clear",
    "stores.postgres.fence.PostgresFence.change",
    "stores.postgres.fence.PostgresFence.clear_pending",
)
"""Where a process may die, before or after it."""

KEYS = st.sampled_from("12345")


class DiedError(BaseException):
    """The process dies."""


@contextmanager
def dying(place: str, *, after: bool) -> Iterator[None]:
    """Die at a call of a store, the first time."""
    name = f"ingestion_pipeline.{place}"
    module, kind, method = name.rsplit(".", 2)
    real = getattr(getattr(__import__(module, fromlist=[kind]), kind), method)

    def dies(*given: object, **named: object) -> None:
        if after:
            real(*given, **named)
        raise DiedError

    with patch(name, dies), suppress(DiedError):
        yield


class Machine(RuleBasedStateMachine):
    """The machine; made anew for every example.

    Args:
        database: The URL of a database that may be emptied.
    """

    def __init__(self, database: str) -> None:
        super().__init__()
        self._database = database
        self._number = 0
        self._folder = tempfile.TemporaryDirectory()
        self._execute(EMPTY.partition(";")[2])
        made = make_site(Path(self._folder.name) / "site", Phase.ORIGINAL, spelled(people(FIRST)), None)
        self._site = made.with_postgres(database)
        self._holds = dict.fromkeys(FIRST, "")
        self._quiet = patch.object(Settler, "soon", lambda _: None)
        self._quiet.start()
        self._pipeline = Pipeline(self._site.settings)

    def teardown(self) -> None:
        self._quiet.stop()
        self._pipeline.__exit__(None, None, None)
        self._folder.cleanup()

    @initialize(moves=st.integers(0, 3))
    def begin(self, moves: int) -> None:
        for _ in range(moves):
            self._move(self._pipeline, forward=True)

    @rule(key=KEYS)
    def write(self, key: str) -> None:
        text = self._text()
        receipt = self._pipeline.write(key, self._cells(key, text))
        assert receipt.created == (key not in self._holds)
        self._holds[key] = text

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4))
    def batch(self, keys: list[str]) -> None:
        with self._pipeline.batch() as batch:
            for key in keys:
                text = self._text()
                batch.write(key, self._cells(key, text))
                self._holds[key] = text

    @rule()
    def settle(self) -> None:
        self._pipeline.settle()
        self._check_level()

    @precondition(lambda self: self.phase in (Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY))
    @rule()
    def compare(self) -> None:
        report = self._pipeline.compare()
        assert (report.equal, report.bytes_equal, report.counted) == (True, True, 0)

    @precondition(lambda self: self.phase is Phase.DUAL_WRITE)
    @rule()
    def sync(self) -> None:
        assert self._pipeline.sync().deleted == 0
        self._check_level()

    @rule(forward=st.booleans(), loaded=st.booleans(), key=KEYS)
    def change(self, *, forward: bool, loaded: bool, key: str) -> None:
        """To the next phase, or the one before; perhaps somebody writes as it is about to be changed."""
        after = self.phase.next if forward else self.phase.previous
        if after is None:
            return
        with self._written_before_the_switch(key) if loaded else nullcontext():
            self._move(self._pipeline, forward=forward)
        assert self.phase is after
        self._pipeline.settle()
        self._check_level()

    @rule(key=KEYS, forward=st.booleans())
    def write_while_the_phase_changes(self, key: str, *, forward: bool) -> None:
        """A write knows the phase in force; before it gets any further, that is another one."""
        if (self.phase.next if forward else self.phase.previous) is None:
            return
        text = self._text()
        with self._changed_after_it_was_asked(forward=forward):
            self._pipeline.write(key, self._cells(key, text))
        self._holds[key] = text

    @rule(key=KEYS, place=st.sampled_from(CRASHES), after=st.booleans())
    def die_writing(self, key: str, place: str, *, after: bool) -> None:
        text = self._text()
        told = []
        with dying(place, after=after):
            told.append(self._pipeline.write(key, self._cells(key, text)))
        self._come_again()
        if told or self._read(key) == text:
            self._holds[key] = text

    @rule(forward=st.booleans(), place=st.sampled_from(CRASHES), after=st.booleans())
    def die_changing(self, place: str, *, forward: bool, after: bool) -> None:
        here = self.phase
        there = here.next if forward else here.previous
        if there is None:
            return
        with dying(place, after=after):
            self._move(self._pipeline, forward=forward)
        self._come_again()
        assert self.phase in (here, there)

    @precondition(lambda self: self.phase.authority is Side.POSTGRES)
    @rule(key=st.sampled_from(FIRST))
    def change_by_psql(self, key: str) -> None:
        text = self._text()
        self._execute("UPDATE people SET link = %s WHERE row_id = %s", text, key)
        self._holds[key] = text

    @precondition(lambda self: self.phase.authority is Side.CSV)
    @rule(key=st.sampled_from(FIRST))
    def edit_by_hand(self, key: str) -> None:
        text = self._text()
        rows = list(csv.reader(io.StringIO(self._site.csv.read_text(encoding="utf-8"), newline="")))
        link = rows[0].index("link")
        edited = [[*row[:link], text, *row[link + 1 :]] if row[0] == key else row for row in rows[1:]]
        other = self._site.csv.with_name("edited.csv")
        other.write_bytes(spelled(edited, rows[0]))
        other.replace(self._site.csv)
        self._holds[key] = text
        self._pipeline.settle()
        self._check_level()

    @invariant()
    def reads_say_what_was_written(self) -> None:
        assert {row["row_id"]: row["link"] for row in self._pipeline.rows()} == self._holds

    @invariant()
    def history_leads_to_the_phase_in_force(self) -> None:
        state, changes = self._pipeline.in_force(), self._pipeline.phase.history()
        assert [one.epoch for one in changes] == list(range(2, state.epoch + 1))
        assert [one.before for one in changes[1:]] == [one.after for one in changes[:-1]]
        assert state.phase is (changes[-1].after if changes else Phase.ORIGINAL)

    @property
    def phase(self) -> Phase:
        return self._pipeline.in_force().phase

    def _text(self) -> str:
        self._number += 1
        return f"text {self._number}"

    def _cells(self, key: str, text: str) -> dict[str, str]:
        new = (
            {} if key in self._holds else {"name": f"Name {key}", "email": "new@example.org", "type": "INTJ"}
        )
        return {**new, "link": text}

    def _read(self, key: str) -> str | None:
        found = self._pipeline.read(key)
        return None if found is None else found["link"]

    def _check_level(self) -> None:
        if self.phase.follower is not None:
            assert rendered(self._pipeline) == self._site.csv.read_bytes()
            assert self._pipeline.status().pending.all == 0

    def _come_again(self) -> None:
        """Another process, which finishes what was interrupted."""
        self._pipeline.__exit__(None, None, None)
        self._pipeline = Pipeline(self._site.settings)
        self._pipeline.settle()
        self._check_level()

    def _move(self, pipeline: Pipeline, *, forward: bool) -> None:
        report = pipeline.phase.advance() if forward else pipeline.phase.rollback()
        assert report.shut is None, report.shut

    @contextmanager
    def _written_before_the_switch(self, key: str) -> Iterator[None]:
        real: Callable[..., Any] = switching.switch
        text = self._text()
        cells = self._cells(key, text)

        def after_a_write(*given: object, **named: object) -> object:
            if self._holds.get(key) != text:
                with open_pipeline(self._site.settings) as other:
                    other.write(key, cells)
                self._holds[key] = text
            return real(*given, **named)

        with patch.object(changing, "switch", after_a_write):
            yield

    @contextmanager
    def _changed_after_it_was_asked(self, *, forward: bool) -> Iterator[None]:
        authority = self._pipeline._authority  # noqa: SLF001 - where a write asks
        real = authority.in_force
        asked: list[State] = []

        def in_force(*, again: bool = False) -> State:
            asked.append(real(again=again))
            # Once for the backup, once for the write itself.
            if len(asked) == 2:
                with open_pipeline(self._site.settings) as other:
                    self._move(other, forward=forward)
            return asked[-1]

        with patch.object(authority, "in_force", in_force):
            yield

    def _execute(self, statement: str, *values: object) -> None:
        with (
            closing(psycopg2.connect(self._database)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, values or None)
