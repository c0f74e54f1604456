"""The file lock: one writer or several readers, never for longer than its holder lives."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.disk import lock as locking
from ingestion_pipeline.stores.disk.lock import FileLock, release
from ingestion_pipeline_tests.proxy import eventually

HOLDER = """
import sys, time
from pathlib import Path
from ingestion_pipeline.stores.disk.lock import FileLock
with FileLock(Path(sys.argv[1])).exclusive():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path: Path) -> FileLock:
    return FileLock(tmp_path / "state" / "lock", timeout=0.05)


def is_free(lock: FileLock) -> bool:
    descriptor = lock.at_once()
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


@contextmanager
def another_process(lock: FileLock) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock."""
    command = [sys.executable, "-c", HOLDER, str(lock.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def refused(asked: AbstractContextManager[None]) -> UnavailableError:
    with pytest.raises(UnavailableError) as caught, asked:
        pass
    return caught.value


def test_it_is_held_alone_and_then_let_go_of(lock: FileLock) -> None:
    with lock.exclusive():
        assert not is_free(lock)
    assert is_free(lock)


def test_it_is_let_go_of_when_what_it_was_held_for_fails(lock: FileLock) -> None:
    with pytest.raises(RuntimeError), lock.exclusive():
        raise RuntimeError
    assert is_free(lock)


def test_readers_hold_it_together(lock: FileLock) -> None:
    with lock.shared(), FileLock(lock.path, timeout=0).shared():
        assert not is_free(lock)
    assert is_free(lock)


def test_a_writer_waits_for_readers_and_a_reader_for_the_writer(lock: FileLock) -> None:
    with lock.shared():
        assert refused(lock.exclusive()).code == "locked"
    with lock.exclusive():
        assert refused(lock.shared()).code == "locked"


def test_whoever_waited_too_long_is_told_what_and_where(lock: FileLock) -> None:
    with lock.exclusive():
        began = time.monotonic()
        error = refused(lock.exclusive())
        waited = time.monotonic() - began
    assert "0.05 s" in error.message
    assert (error.code, error.place.file) == ("locked", str(lock.path))
    assert "file_locking.timeout" in error.hint
    assert 0.05 <= waited < 5


def test_a_timeout_of_nothing_still_tries_once(lock: FileLock) -> None:
    with FileLock(lock.path, timeout=0).exclusive():
        assert not is_free(lock)


def test_whoever_waits_gets_it_when_it_is_free(lock: FileLock) -> None:
    with ThreadPoolExecutor(1) as threads:
        with lock.exclusive():
            waiting = threads.submit(FileLock(lock.path, timeout=30).wait, lambda: False)
            time.sleep(0.01)
            assert not waiting.done()
        descriptor = waiting.result()
    assert descriptor is not None
    assert not is_free(lock)
    os.close(descriptor)
    assert is_free(lock)


def test_whoever_waits_need_not_when_something_else_comes_first(lock: FileLock) -> None:
    with lock.exclusive():
        assert lock.wait(lambda: True) is None
    assert is_free(lock)


def test_nothing_stays_open(lock: FileLock, monkeypatch: pytest.MonkeyPatch) -> None:
    still_open: list[int] = []
    begun, close = os.open, os.close

    def note_open(path: str, flags: int, mode: int = 0o777) -> int:
        still_open.append(begun(path, flags, mode))
        return still_open[-1]

    def note_close(descriptor: int) -> None:
        still_open.remove(descriptor)
        close(descriptor)

    lock.path.parent.mkdir()
    monkeypatch.setattr(os, "open", note_open)
    monkeypatch.setattr(os, "close", note_close)
    with lock.exclusive():
        assert lock.at_once() is None
        refused(lock.shared())
        assert lock.wait(lambda: True) is None
        with pytest.raises(UnavailableError):
            lock.wait(lambda: False)
        assert len(still_open) == 1
    assert still_open == []


def test_a_process_that_is_killed_lets_go_of_it(lock: FileLock) -> None:
    with another_process(lock) as holder:
        assert not is_free(lock)
        assert refused(lock.shared()).code == "locked"
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert is_free(lock)


def test_it_is_its_owner_s_only_and_no_symbolic_link(lock: FileLock, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with lock.exclusive():
            assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    lock.path.unlink()
    lock.path.symlink_to(tmp_path / "elsewhere")
    error = refused(lock.exclusive())
    assert (error.code, error.place.file) == ("disk", str(lock.path))
    assert not (tmp_path / "elsewhere").exists()


@contextmanager
def retaken(lock: FileLock, *, by: int) -> Iterator[list[int]]:
    """Others take the lock again and again, without a pause; gives who took it."""
    taken: list[int] = []
    over = threading.Event()

    def go_on(number: int) -> None:
        while not over.is_set():
            with FileLock(lock.path, timeout=30).exclusive():
                taken.append(number)
                time.sleep(0.005)

    with ThreadPoolExecutor(by) as threads:
        runs = [threads.submit(go_on, number) for number in range(by)]
        try:
            yield taken
        finally:
            over.set()
    for run in runs:
        run.result()


@pytest.mark.parametrize("by", [1, 4])
def test_whoever_waits_gets_it_although_others_keep_taking_it(lock: FileLock, by: int) -> None:
    others: list[int] = []
    with retaken(lock, by=by) as taken:
        for _ in range(10):
            while not taken:
                time.sleep(0.001)
            began = len(taken)
            with FileLock(lock.path, timeout=5).exclusive():
                others.append(len(taken) - began)

    # Each of the others once before, and whoever held it then; the rest is for a machine that is busy.
    assert sorted(others)[5] <= 2 * (by + 1)


def test_nobody_goes_before_whoever_waits(lock: FileLock) -> None:
    with ThreadPoolExecutor(1) as threads:
        with lock.exclusive():
            waiting = threads.submit(FileLock(lock.path, timeout=30).wait)
            turn = FileLock(lock.path.with_name("lock.turn"))
            eventually(lambda: not is_free(turn))
        for _ in range(100):
            if waiting.done():
                break
            early = lock.at_once()
            assert early is None or waiting.done()
        descriptor = waiting.result()
    assert descriptor is not None
    release(descriptor)
    assert is_free(lock)


WAITER = """
import sys
from pathlib import Path
from ingestion_pipeline.stores.disk.lock import FileLock, release
print("waits", flush=True)
release(FileLock(Path(sys.argv[1]), timeout=60).wait())
print("held", flush=True)
"""


def test_stopped_program_that_has_the_turn_does_not_stop_others_for_ever(
    lock: FileLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "_POLITE", 0.1)
    command = [sys.executable, "-c", WAITER, str(lock.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiter:
        assert waiter.stdout is not None
        try:
            with lock.exclusive():
                assert waiter.stdout.readline() == "waits\n"
                turn = FileLock(lock.path.with_name("lock.turn"))
                eventually(lambda: not is_free(turn))
                os.kill(waiter.pid, signal.SIGSTOP)
            assert lock.at_once() is None
            for _ in range(2):
                began = time.monotonic()
                with FileLock(lock.path, timeout=5).exclusive():
                    assert 0.1 <= time.monotonic() - began < 3
            os.kill(waiter.pid, signal.SIGCONT)
            assert waiter.stdout.readline() == "held\n"
        finally:
            waiter.kill()
    assert is_free(lock)


def test_turn_is_given_back_by_whoever_gave_up(lock: FileLock) -> None:
    with lock.exclusive():
        assert refused(lock.exclusive()).code == "locked"
        assert lock.wait(lambda: True) is None
    assert is_free(FileLock(lock.path.with_name("lock.turn")))
    assert is_free(lock)
