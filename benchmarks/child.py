"""Work in a process of its own, so that its memory is that of somebody who does nothing else."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

LONGEST = 3600.0
"""Seconds after which it is stopped."""

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Taken:
    """What one piece of work took.

    Attributes:
        seconds: From call to answer; of a program, from start to end.
        rss_mb: The most memory it had, in MB; 0 where that is not known.
        cpu_seconds: Of its own processor time.
        answer: What it said.
    """

    seconds: float
    rss_mb: float = 0.0
    cpu_seconds: float = 0.0
    answer: Mapping[str, Any] = field(default_factory=dict)


class FailedError(Exception):
    """It ended otherwise than well."""


def work(function: str, *given: object, env: Mapping[str, str] | None = None) -> Taken:
    """Call `module:function` of the benchmarks in a process of its own; what is imported first is not timed.

    Its answer is a dict; a `seconds` in it stands in the place of what the call took.
    """
    command = [sys.executable, "-m", "benchmarks.child", function, json.dumps(given)]
    done = _ended(command, env)
    answer = json.loads(done.stdout.splitlines()[-1])
    return Taken(answer.pop("seconds"), answer.pop("rss_mb"), answer.pop("cpu_seconds"), answer)


def program(*command: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Taken:
    """Run a program; what it prints is its answer's `text`."""
    began = time.perf_counter()
    cpu = _cpu_of_children()
    done = _ended([str(word) for word in command], env, cwd)
    seconds = time.perf_counter() - began
    return Taken(seconds, done.rss_mb, _cpu_of_children() - cpu, {"text": done.stdout})


@dataclass(frozen=True)
class _Ended:
    stdout: str
    rss_mb: float


def _ended(command: list[str], env: Mapping[str, str] | None, cwd: Path | None = None) -> _Ended:
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    with subprocess.Popen(  # noqa: S603 - this project's own commands, and peers that are named here
        command,
        env={**os.environ, **paths, **(env or {})},
        cwd=cwd or ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        peak = _Peak(process.pid)
        try:
            out, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            rss_mb = peak.end()
    if process.returncode:
        raise FailedError(f"{' '.join(command)[:200]}: {process.returncode}\n{err[-2000:]}{out[-500:]}")
    return _Ended(out, rss_mb)


class _Peak:
    """Looks now and then at the most memory a process has had."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._most = 0.0
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    def end(self) -> float:
        self._over.set()
        self._looking.join()
        return self._most

    def _look(self) -> None:
        while not self._over.wait(0.02):
            try:
                self._most = max(self._most, peak_mb(self._status))
            except (OSError, IndexError):
                return


def peak_mb(status: Path = Path("/proc/self/status")) -> float:
    """The most memory a process has had, in MB."""
    # Not getrusage: that begins with what the parent took.
    return int(status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) / 1024


def _cpu_of_children() -> float:
    now = os.times()
    return now.children_user + now.children_system


def seconds(call: Callable[[int], object], times: int) -> float:
    """Seconds that each of so many calls takes."""
    began = time.perf_counter()
    for number in range(times):
        call(number)
    return (time.perf_counter() - began) / times


def main() -> None:
    """Do the work that is named, and print what it took."""
    module, _, name = sys.argv[1].partition(":")
    function = getattr(import_module(module), name)
    given = json.loads(sys.argv[2])
    began, cpu = time.perf_counter(), time.process_time()
    answer = function(*given)
    took = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({**took, "rss_mb": peak_mb(), **answer}))


if __name__ == "__main__":
    main()
