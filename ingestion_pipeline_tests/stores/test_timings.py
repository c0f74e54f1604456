"""Timings: recorded at next to no cost, never in the way, and nothing left behind."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.timing import BOUNDS, OK, Histogram, Kind, Timed, Timings
from ingestion_pipeline.stores.timings import Looks, Recorder
from ingestion_pipeline.stores.timings.files import ENDED, Files, name_of_this
from ingestion_pipeline.stores.timings.looks import KEPT, LAST, LOOKS
from ingestion_pipeline.stores.timings.recording import outcome_of

WRITE = Timed(Kind.OPERATION, "write", OK)
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
DEAD = "4194303-1-0.json"
"""No system gives so high a number."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "timings"


@pytest.fixture
def recorder(folder: Path) -> Iterator[Recorder]:
    made = Recorder(folder)
    made.open()
    yield made
    made.close()


def counted(timings: Timings) -> dict[str, int]:
    return {f"{one.kind} {one.operation} {one.outcome}": found.count for one, found in timings.items()}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def once(number: int = 1) -> Timings:
    return {WRITE: Histogram((number, *[0] * len(BOUNDS)), 0.001 * number)}


def test_what_is_done_for_a_verb_has_its_name(recorder: Recorder) -> None:
    with recorder.operation("write"):
        with recorder.timing(Kind.TRANSACTION), recorder.timing(Kind.QUERY):
            pass
        with recorder.operation("settle"), recorder.timing(Kind.QUERY):
            pass
    with recorder.timing(Kind.QUERY):
        pass

    assert counted(recorder.all()) == {
        "operation write ok": 1,
        "transaction write ok": 1,
        "query write ok": 2,
        "query other ok": 1,
    }


def test_what_fails_is_counted_by_its_code(recorder: Recorder) -> None:
    with pytest.raises(UnavailableError), recorder.operation("write"), recorder.timing(Kind.QUERY):
        raise UnavailableError("secret", code="locked")
    with recorder.operation("read") as timing:
        timing.failed(ZeroDivisionError("secret"))
    with pytest.raises(KeyboardInterrupt), recorder.operation("sync"):
        raise KeyboardInterrupt

    assert set(counted(recorder.all())) == {
        "operation write locked",
        "query write locked",
        "operation read unexpected",
        "operation sync interrupted",
    }


def test_the_time_is_that_of_the_block(recorder: Recorder) -> None:
    with recorder.operation("write"):
        time.sleep(0.03)

    [found] = recorder.all().values()
    assert 0.03 <= found.seconds < 1
    assert found.counts[BOUNDS.index(0.02)] == 0


def test_threads_have_names_of_their_own(recorder: Recorder) -> None:
    def query() -> None:
        with recorder.timing(Kind.QUERY):
            pass

    with recorder.operation("write"):
        thread = threading.Thread(target=query)
        thread.start()
        thread.join()

    assert counted(recorder.all())["query other ok"] == 1


def test_a_file_a_second_at_most(recorder: Recorder, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    put = Files.put

    def noted(files: Files, name: str, data: bytes) -> None:
        written.append(name)
        put(files, name, data)

    monkeypatch.setattr(Files, "put", noted)
    for _ in range(1000):
        with recorder.operation("write"):
            pass

    assert 1 <= len(written) <= 3
    assert {one.split("-")[0] for one in written} == {str(os.getpid())}
    assert oct((folder / written[0]).stat().st_mode & 0o777) == "0o600"
    assert oct(folder.stat().st_mode & 0o777) == "0o700"


def test_who_ends_leaves_one_file_for_all(folder: Path) -> None:
    for _ in range(3):
        recorder = Recorder(folder)
        recorder.open()
        with recorder.operation("write"):
            pass
        recorder.close()

    assert names(folder) == {"ended.json", "lock"}
    assert counted(Recorder(folder).all()) == {"operation write ok": 3}


def test_who_was_killed_is_put_to_the_others_by_who_looks(folder: Path) -> None:
    script = (
        "import os; from pathlib import Path; from ingestion_pipeline.stores.timings import Recorder\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
        f"recorder = Recorder(Path({str(folder)!r})); recorder.open()\n"
        "with recorder.operation('write'): pass\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert len(names(folder)) == 3

    found = [counted(Recorder(folder).all()) for _ in range(2)]

    assert found == [{"operation write ok": 2}] * 2
    assert names(folder) == {"ended.json", "lock"}


def test_killed_while_it_puts_them_together_it_counts_nothing_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    files = Files(folder)
    with files.locked(1):
        files.write(DEAD, once(5))
        monkeypatch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            files.fold()
        monkeypatch.undo()

    assert names(folder) == {"ended.json", "lock", DEAD}
    assert counted(files.read()) == {"operation write ok": 5}
    with files.locked(1):
        files.fold()
    assert names(folder) == {"ended.json", "lock"}
    assert counted(files.read()) == {"operation write ok": 5}


def test_taken_for_ended_by_mistake_it_counts_nothing_twice(recorder: Recorder, folder: Path) -> None:
    with recorder.operation("write"):
        pass
    [own] = [name for name in names(folder) if name.startswith(str(os.getpid()))]
    files = Files(folder)
    with files.locked(1):
        files.fold(own)

    with recorder.operation("write"):
        pass

    assert counted(recorder.all()) == {"operation write ok": 2}


def test_a_number_given_again_is_another_process(folder: Path) -> None:
    files = Files(folder)
    reused = f"{os.getpid()}-1-0.json"
    with files.locked(1):
        files.write(reused, once())
        files.write(name_of_this(10**9), once())
        files.fold()

    assert reused not in names(folder)
    assert name_of_this(10**9) in names(folder)


def test_a_forked_child_counts_its_own_only(recorder: Recorder) -> None:
    script = """
import os, sys
from pathlib import Path
from ingestion_pipeline.stores.timings import recorder
one = recorder(Path(sys.argv[1])); one.open()
for _ in range(2):
    with one.operation("write"): pass
child = os.fork()
with one.operation("read"): pass
if child:
    os.waitpid(child, 0)
one.close()
"""
    files = recorder._files  # noqa: SLF001
    assert files is not None
    subprocess.run([sys.executable, "-c", script, str(files.folder)], check=True)

    assert counted(recorder.all()) == {"operation write ok": 2, "operation read ok": 2}


@pytest.mark.parametrize("obstacle", ["file", "damaged", "nested", "locked"])
def test_no_verb_fails_for_a_timing(tmp_path: Path, obstacle: str) -> None:
    folder = tmp_path / "timings"
    if obstacle == "file":
        folder.write_text("in the way")
    else:
        folder.mkdir()
        (folder / ENDED).write_text("[]" if obstacle == "damaged" else "{")
        (folder / DEAD).write_text('{"bounds": [], "timings": 3}')
        (folder / LOOKS).write_text("7\n{}\n")
    if obstacle == "nested":
        for name in (ENDED, LAST, LOOKS):
            (folder / name).write_text("[" * 100_000)
    recorder = Recorder(folder)
    recorder.open()
    if obstacle == "locked":
        with Files(folder).locked(1), recorder.operation("write"):
            pass
    else:
        with recorder.operation("write"):
            pass

    assert counted(recorder.all()) == {"operation write ok": 1}
    assert Looks(folder).look(recorder.all(), AT).timings
    recorder.close()


def test_a_full_disk_is_no_matter(recorder: Recorder, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ingestion_pipeline.stores.timings.files.write_all", full)
    with recorder.operation("write"):
        pass
    assert counted(recorder.all()) == {"operation write ok": 1}
    assert not set(folder.glob("*.json"))
    monkeypatch.undo()

    assert counted(recorder.all()) == {"operation write ok": 1}
    assert set(folder.glob("*.json"))


def test_where_nothing_ever_came_about_no_folder_is_made(recorder: Recorder, folder: Path) -> None:
    with pytest.raises(UnavailableError), recorder.operation("status"):
        raise UnavailableError("away", code="postgres_unavailable")
    assert not folder.exists()

    with recorder.operation("status"):
        pass

    assert counted(recorder.all()) == {
        "operation status postgres_unavailable": 1,
        "operation status ok": 1,
    }


def test_recording_costs_microseconds(recorder: Recorder) -> None:
    def record() -> float:
        began = time.perf_counter()
        for _ in range(1000):
            with recorder.operation("write"):
                pass
        return (time.perf_counter() - began) / 1000

    assert min(record() for _ in range(5)) < 50e-6


def test_outcomes_are_few() -> None:
    class RefusedError(Exception):
        pgcode = "40P01"

    assert outcome_of(RefusedError()) == "sqlstate_40"


def test_a_look_tells_what_has_come_since_the_one_before(folder: Path) -> None:
    looks = Looks(folder)
    looks.look(once(3), AT)

    later = looks.look(once(5), AT + timedelta(minutes=5))

    key = (Kind.OPERATION, "write")
    assert later.timings[key].count == 2
    assert len(later.before[key]) == 1


def test_the_looks_of_two_minutes_are_recent(folder: Path) -> None:
    looks = Looks(folder)
    for turn in range(6):
        found = looks.look(once(turn + 1), AT + timedelta(seconds=40 * turn))

    key = (Kind.OPERATION, "write")
    assert found.timings[key].count == 3
    assert len(found.before[key]) == 3


def test_looks_that_are_near_share_a_line(folder: Path) -> None:
    looks = Looks(folder)
    for seconds in (0, 3, 9, 10, 19):
        found = looks.look(once(seconds + 1), AT + timedelta(seconds=seconds))

    lines = (folder / LOOKS).read_text().splitlines()
    assert [json.loads(line)["at"][17:19] for line in lines] == ["00", "10"]
    assert found.timings[Kind.OPERATION, "write"].count == 20


def test_looks_are_bounded(folder: Path) -> None:
    looks = Looks(folder)
    looks.look(once(), AT)
    path = folder / LOOKS
    path.write_text(path.read_text() * KEPT)

    looks.look(once(2), AT + timedelta(minutes=1))

    lines = path.read_text().splitlines()
    assert KEPT // 2 < len(lines) < KEPT
    assert json.loads(lines[-1])["at"] == (AT + timedelta(minutes=1)).isoformat()
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_a_clock_that_was_wrong_holds_nothing_up(folder: Path) -> None:
    looks = Looks(folder)
    looks.look(once(), AT + timedelta(days=400))

    looks.look(once(2), AT)

    assert len((folder / LOOKS).read_text().splitlines()) == 2
