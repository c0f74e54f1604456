"""Recording how long things take, for some microseconds each, and a small file a second at most."""

import os
import threading
import time
from contextvars import ContextVar, Token
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.timing import BOUNDS, OK, Histogram, Kind, Timed, Timings, added, bucket, since
from ingestion_pipeline.stores.timings.files import AMISS, Files, name_of_this

EVERY = 1.0
"""Seconds between two writings of a process's file at least."""

PATIENCE = 0.5
"""Seconds that who ends, or looks, waits for those who put files together."""

OTHER = "other"
"""The operation of what no verb has asked for."""

# A name that was given once stays another's: the file for all may still list it.
_turns = count()

_operation: ContextVar[str | None] = ContextVar("operation", default=None)


class Recorder:
    """The timings of this process, for one site; safe to share between threads.

    Args:
        folder: Where they are kept; None to forget them.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._files = None if folder is None else Files(folder)
        self._users = 0
        self._begin()

    def _begin(self) -> None:
        """Begin with nothing, as in a forked child: the rest is its parent's."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counts: dict[tuple[Kind, str, str], list[float]] = {}
        self._folded: Timings = {}
        self._written: Timings = {}
        self._turn = next(_turns)
        self._due = 0.0

    def operation(self, name: str) -> "Timing":
        """Time a verb, and give its name to what is timed within; within another verb it does nothing."""
        return Timing(self, Kind.OPERATION, name)

    def timing(self, kind: Kind) -> "Timing":
        """Time something else, under the name of the verb it is done for."""
        return Timing(self, kind, None)

    def record(self, kind: Kind, operation: str, outcome: str, seconds: float) -> None:
        """Count something."""
        with self._lock:
            counts = self._counts.get((kind, operation, outcome))
            if counts is None:
                counts = self._counts[kind, operation, outcome] = [0.0] * (len(BOUNDS) + 2)
            counts[bucket(seconds)] += 1
            counts[-1] += seconds
            now = time.monotonic()
            is_due = now >= self._due
            if is_due:
                self._due = now + EVERY
        if is_due:
            self._write(0.0)

    def open(self) -> None:
        """Count somebody in who records here."""
        with self._lock:
            self._users += 1

    def close(self) -> None:
        """Count somebody out; when nobody is left, leave nothing behind but in the file for all."""
        with self._lock:
            self._users -= 1
            is_last = self._users <= 0
        if is_last:
            self._write(PATIENCE, ends=True)

    def all(self) -> Timings:
        """The timings of all processes of the site, those that have ended too."""
        if self._files is None:
            return self._recorded()
        self._write(PATIENCE)
        try:
            with self._files.locked(PATIENCE):
                self._files.fold()
        except AMISS:
            """They are read as they are."""
        with self._writing:
            # What could not be written is known here.
            unwritten = since(self._recorded(), self._written or self._folded)
            return added((self._files.read(), unwritten))

    def _recorded(self) -> Timings:
        with self._lock:
            counted = {key: tuple(counts) for key, counts in self._counts.items()}
        return {
            Timed(*key): Histogram(tuple(int(one) for one in counts[:-1]), counts[-1])
            for key, counts in counted.items()
        }

    def _write(self, patience: float, *, ends: bool = False) -> None:
        if (
            self._files is None
            or not self._is_begun(self._files)
            or not self._writing.acquire(timeout=patience)
        ):
            return
        try:
            with self._files.locked(patience):
                self._put(self._files, ends=ends)
        except AMISS:
            """The next writing has it too."""
        finally:
            self._writing.release()

    def _is_begun(self, files: Files) -> bool:
        """Whether anything ever came about: a wrong configuration is to make no folder."""
        return files.folder.exists() or any(outcome == OK for *_, outcome in list(self._counts))

    def _put(self, files: Files, *, ends: bool) -> None:
        name = name_of_this(self._turn)
        if self._written and not files.exists(name):
            # Somebody who cannot see this process has taken it for ended.
            self._begin_file(self._written)
            name = name_of_this(self._turn)
        recorded = self._recorded()
        new = since(recorded, self._folded)
        if new:
            files.write(name, new)
            self._written = recorded
        if ends and self._written:
            files.fold(name)
            self._begin_file(recorded)

    def _begin_file(self, folded: Timings) -> None:
        self._folded, self._written = folded, {}
        self._turn = next(_turns)


class Timing:
    """Something that is being timed. Made by `Recorder`."""

    __slots__ = ("_began", "_kind", "_name", "_outcome", "_recorder", "_token")

    def __init__(self, recorder: Recorder, kind: Kind, name: str | None) -> None:
        self._recorder = recorder
        self._kind = kind
        self._name = name
        self._outcome = OK
        self._token: Token[str | None] | None = None

    def __enter__(self) -> Self:
        if self._name is not None and _operation.get() is None:
            self._token = _operation.set(self._name)
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._began
        self.failed(error)
        if self._name is None:
            name = _operation.get() or OTHER
        elif self._token is None:
            return
        else:
            _operation.reset(self._token)
            name = self._name
        self._recorder.record(self._kind, name, self._outcome, seconds)

    def failed(self, error: BaseException | None) -> None:
        """Note the error that ended it, where that is not raised."""
        if error is not None and not isinstance(error, GeneratorExit):
            self._outcome = outcome_of(error)


def outcome_of(error: BaseException) -> str:
    """An error's code; of what PostgreSQL refuses, the class of its SQLSTATE. Few, and never its text."""
    if isinstance(error, PipelineError):
        return error.code
    state = getattr(error, "pgcode", None)
    if isinstance(state, str):
        return f"sqlstate_{state[:2]}"
    return "unexpected" if isinstance(error, Exception) else "interrupted"


_recorders: WeakValueDictionary[Path, Recorder] = WeakValueDictionary()
_finding = threading.Lock()


def recorder(folder: Path) -> Recorder:
    """The recorder of this process for a folder."""
    with _finding:
        found = _recorders.get(folder)
        if found is None:
            found = _recorders[folder] = Recorder(folder)
        return found


def _begin_anew() -> None:
    for one in list(_recorders.values()):
        one._begin()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_begin_anew)
