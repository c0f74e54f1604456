"""A restore that is interrupted, or that others write beside: one state or the other, and no write lost."""

import functools
import json
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.restorable import How
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.settings import Settings, load_settings
from ingestion_pipeline.stores.disk.journal_log import JournalLog
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.disk.row_file import RowFile
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, people, person, rendered, spelled
from ingestion_pipeline_tests.forks import forks
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.proxy import eventually
from ingestion_pipeline_tests.scenarios.killed_writer import Steps, watched

ORIGINAL, DUAL, PRIMARY, NATIVE = Phase
EVERY_PHASE = pytest.mark.parametrize("phase", list(Phase), ids=str)
NEWER = spelled([*people("87654321"), person(4), person("", name="nobody")])
OLDER = spelled([person(3, processed="TRUE"), *people("421"), person(2), person(2)])
"""With fewer people than a brake would let go."""

LATER = spelled(people("4321"))
EARLIER = spelled([*people("4321"), person(1), person("", name="nobody")], end="\r\n", bom=True)
"""Spelled otherwise, and with other lines, while no person changes: settling brings none of that over."""
ACCEPT_LOSS = How(accept_loss=True)

CALLS: Mapping[type, tuple[str, ...]] = {
    LockedCsv: ("restore", "outdate", "render", "adopt", "close"),
    JournalLog: ("append", "announce"),
    RowFile: ("keep",),
    PostgresTables: ("begin", "sync", "clear", "stamp", "last_revision"),
}
"""The calls that change something, or come after one; dying before one is dying after the one before."""


class DiedError(BaseException):
    """The program is over."""


@contextmanager
def dying(at: int) -> Iterator[None]:
    """Die at this call, before it or, the second time, after it."""
    left = [at]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                raise DiedError
            return function(*args, **kwargs)

        return call

    with ExitStack() as stack:
        for kind, names in CALLS.items():
            for name in names:
                stack.enter_context(patch.object(kind, name, counted(getattr(kind, name))))
        yield


class Survey:
    """A site whose restores die again and again."""

    def __init__(
        self, site: Site, pipeline: Pipeline, phase: Phase, files: tuple[bytes, bytes] = (OLDER, NEWER)
    ) -> None:
        self.site = site
        self.files = files
        site.put(files[0])
        pipeline.sync()
        self.older = pipeline.export().manifest.key
        site.put(files[1])
        pipeline.sync(accept_loss=True)
        pipeline.settle()
        if phase is not DUAL:
            lead(pipeline, phase)
        self.newer = pipeline.export().manifest.key
        self.number = 0

    def leading(self, pipeline: Pipeline) -> bytes:
        side = pipeline.in_force().phase.authority
        return self.site.csv.read_bytes() if side is Side.CSV else rendered(pipeline)

    def look(self) -> bool:
        """Somebody else comes: it is the one state or the other, and one settle makes both sides equal."""
        with open_pipeline(self.site.config) as pipeline:
            found = self.leading(pipeline)
            assert found in self.files
            pipeline.settle()
            assert (self.leading(pipeline), pipeline.csv_is_ours()) == (found, True)
            phase = pipeline.in_force().phase
            assert pipeline.tables.state() == pipeline.csv.state() == pipeline.in_force()
            if phase.follower:
                assert rendered(pipeline) == self.site.csv.read_bytes()
            assert pipeline.status().pending.all == 0
            self.number += 1
            pipeline.write("1", {"link": f"l{self.number}"})
            pipeline.settle()
            assert (pipeline.read("1") or {})["link"] == f"l{self.number}"
            if phase.follower:
                assert_agree(self.site, pipeline)
            pipeline.restore.version(self.newer, ACCEPT_LOSS)
            assert self.leading(pipeline) == self.files[1]
        return found == self.files[0]


def replaced(site: Site, file: bytes) -> None:
    """What a script does that knows nothing of this package."""
    temporary = site.csv.with_name("script.tmp")
    temporary.write_bytes(file)
    temporary.replace(site.csv)


@pytest.mark.parametrize(
    ("phase", "files"),
    [*((phase, (OLDER, NEWER)) for phase in Phase), (DUAL, (EARLIER, LATER)), (PRIMARY, (EARLIER, LATER))],
    ids=["original", "dual", "primary", "native", "dual, respelled", "primary, respelled"],
)
def test_restore_that_dies_at_any_step_was_made_or_not(
    site: Site, pipeline: Pipeline, phase: Phase, files: tuple[bytes, bytes]
) -> None:
    survey = Survey(site, pipeline, phase, files)
    made: list[bool] = []
    for at in range(1, 100):
        try:
            with open_pipeline(site.config) as opened, dying(at):
                opened.restore.version(survey.older, ACCEPT_LOSS)
            break
        except DiedError:
            made.append(survey.look())

    assert survey.look()
    assert set(made) == {True, False}
    assert made == sorted(made)
    # In original nothing is asked of PostgreSQL, whose commits are steps of the other phases.
    assert len(made) >= (4 if phase is Phase.ORIGINAL else 5)


def killed(settings: Settings, version: str, at: int, after: bool) -> None:  # noqa: FBT001 - another process's
    """Restore in a process of its own that is killed at a step after it held the CSV."""
    steps = Steps(at, after=after)
    with watched(steps), open_pipeline(settings) as pipeline:
        steps.counting = True
        pipeline.restore.version(version, ACCEPT_LOSS)
        steps.counting = False


@EVERY_PHASE
def test_restore_that_is_killed_was_made_or_not(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    survey = Survey(site, pipeline, phase)
    made: list[bool] = []
    codes: list[int | None] = []
    for turn, at in enumerate(range(1, 2000, 41)):
        args = (load_settings(site.config), survey.older, at, bool(turn % 2))
        child = forks().Process(target=killed, args=args)
        child.start()
        child.join(60)
        codes.append(child.exitcode)
        made.append(survey.look())
        if child.exitcode == 0:
            break

    assert set(codes) == {0, -signal.SIGKILL}
    assert set(made) == {True, False}


@pytest.mark.parametrize("phase", [ORIGINAL, DUAL], ids=str)
def test_writes_before_a_restore_that_never_was_are_not_undone(
    site: Site, pipeline: Pipeline, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = Survey(site, pipeline, phase)
    read = site.csv.read_bytes()
    pipeline.write("1", {"name": "Written"})
    append = JournalLog.append

    def append_and_die(log: JournalLog, records: Sequence[Record]) -> None:
        append(log, records)
        if records[-1].kind is Kind.RESTORED:
            raise DiedError

    with monkeypatch.context() as patched, open_pipeline(site.config) as opened:
        patched.setattr(JournalLog, "append", append_and_die)
        # Killed, it could not take it back.
        patched.setattr(JournalLog, "take_back", lambda *_: None)
        with pytest.raises(DiedError):
            opened.restore.version(survey.older, ACCEPT_LOSS)
    assert b"Written" in site.csv.read_bytes()

    with open_pipeline(site.config) as other:
        for name in ("seen by nobody", "Written"):
            other.write("2", {"name": name})
            other.settle()
            replaced(site, read)
            other.settle()

            assert (other.read("1") or {})["name"] == "Written"
            assert (other.read("2") or {})["name"] == name


# Others write meanwhile


class Ack(NamedTuple):
    """One write that was acknowledged."""

    row_id: str
    text: str
    began: float
    ended: float


HANDS = 3
OWN = 8
"""People of each hand."""


def written(settings: Settings, hand: int, log: Path, over: Path) -> None:
    """Write people of one's own, one after another, until it is over."""
    number = 0
    choose = random.Random(hand)  # noqa: S311 - no secret
    with open_pipeline(settings) as pipeline, log.open("w") as acks:
        while not over.exists():
            number += 1
            row_id, text = f"{hand}-{choose.randrange(OWN)}", f"{hand} {number}"
            began = time.monotonic()
            with suppress(UnavailableError):
                pipeline.write(row_id, {"name": text, "document_text": text, "file_uuids": {"t": text}})
                acks.write(json.dumps(Ack(row_id, text, began, time.monotonic())) + "\n")
                acks.flush()


@EVERY_PHASE
def test_write_that_is_acknowledged_after_it_stands(
    site: Site, pipeline: Pipeline, phase: Phase, tmp_path: Path
) -> None:
    keys = [f"{hand}-{number}" for hand in range(HANDS) for number in range(OWN)]
    site.put(spelled(people(keys)))
    pipeline.sync()
    if phase is not DUAL:
        lead(pipeline, phase)
    version = pipeline.export().manifest.key
    over = tmp_path / "over"
    logs = [tmp_path / f"log {hand}" for hand in range(HANDS)]
    writers = [
        forks().Process(target=written, args=(load_settings(site.config), hand, log, over))
        for hand, log in enumerate(logs)
    ]
    try:
        for writer in writers:
            writer.start()
        eventually(lambda: all(log.exists() and log.stat().st_size > 200 for log in logs), 60)
        for _ in range(2):
            time.sleep(0.3)
            began = time.monotonic()
            pipeline.restore.version(version, ACCEPT_LOSS)
            ended = time.monotonic()
        time.sleep(0.5)
    finally:
        over.touch()
        for writer in writers:
            writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * HANDS

    pipeline.settle()
    acks = [Ack(*json.loads(line)) for log in logs for line in log.read_text().splitlines()]
    assert sum(one.began > ended for one in acks) > HANDS
    found = {row["row_id"]: row for row in pipeline.rows()}
    assert sorted(found) == sorted(keys)
    for row_id, row in found.items():
        allowed = texts(row_id, [one for one in acks if one.row_id == row_id], began, ended)
        assert row["name"] in allowed
        assert row["name"] == f"Name {row_id}" or row["name"] == row["document_text"]
        assert row["document_text"] in row["file_uuids"]
    if phase.follower:
        assert_agree(site, pipeline)


def texts(row_id: str, acks: Sequence[Ack], began: float, ended: float) -> set[str]:
    """What a person may hold: the last write after the restore; one beside it; or what was restored."""
    after = [one for one in acks if one.began > ended]
    if after:
        return {after[-1].text}
    beside = [one for one in acks if one.ended > began]
    certain = [one for one in beside if one.ended > ended]
    if certain:
        return {certain[-1].text, *(f"Name {row_id}" for _ in beside)}
    return {f"Name {row_id}", *(one.text for one in beside[-1:])}
