"""`make celery`: Redis, two workers and the daemon here; a file synced, compared and reported over them.

With --kill one worker is killed with SIGKILL in the middle of a bucket. Nothing outlives it, and no site is
touched: it has a folder and a database of its own.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, EventLogEntry
from yaml import safe_dump, safe_load

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.defs.over_celery import settings
from ingestion_pipeline.domain.errors import PipelineError, SettingsError, UnavailableError
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer

PROJECT = Path(__file__).parents[3]
DEPLOY = PROJECT / "deploy" / "celery"
SAMPLE = PROJECT / "sample_data" / "output.csv"
WORKSPACE = ("-w", str(DEPLOY / "workspace.yaml"))
LOCATION = "ingestion_pipeline.defs.over_celery.definitions"

PATIENCE = 30.0
"""Seconds in which a program begins or ends."""

LOOK = 0.03
"""Seconds between two looks at a run in which a worker is to be killed."""

_ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
_OF_STEPS = {
    DagsterEventType.STEP_START,
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
}


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one run over the workers.

    Attributes:
        job: Its name.
        run_id: Dagster's.
        success: Whether it ended in success.
        seconds: How long it took, from asking for it.
        by_worker: Steps begun by each worker's process.
        begun_twice: Steps that were begun more than once.
        found: What the last step says of it.
    """

    job: str
    run_id: str
    success: bool
    seconds: float
    by_worker: dict[str, int]
    begun_twice: tuple[str, ...]
    found: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of all of it.

    Attributes:
        rows: Of the file.
        buckets: How many.
        killed: The step in which a worker was killed; None where none was.
        runs: The runs, in order.
        equal: Whether PostgreSQL renders the file's bytes, by the ordinary comparison.
        sha256: Of the file.
        peak_mb: By worker, the most memory that one of the processes of its steps had resident, in MB.
    """

    rows: int
    buckets: int
    killed: str | None
    runs: tuple[Tried, ...]
    equal: bool
    sha256: str
    peak_mb: tuple[float, ...]

    @property
    def is_well(self) -> bool:
        """Whether every run ended in success, and both sides are equal."""
        return self.equal and all(run.success for run in self.runs)


@dataclass
class Worker:
    """A worker: a session of its own, whose process forks one for steps."""

    name: str
    process: "subprocess.Popen[bytes]"
    peaks: dict[int, int] = field(default_factory=dict)

    def children(self) -> list[int]:
        """The processes that do its steps, and those that these have begun."""
        return list(_descendants(self.process.pid))

    def look(self) -> None:
        """Note how much memory each of them has had."""
        for pid in self.children():
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        self.peaks[pid] = int(line.split()[1])

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError, ValueError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def try_out(
    *,
    csv: Path,
    buckets: int,
    kill: bool,
    daemon: bool,
    visibility: float,
    longest: float,
    database: str | None = None,
    workers: int = 2,
) -> Trial:
    """Sync, compare and report a file over workers of its own.

    Args:
        csv: The file; a copy of it is worked on.
        buckets: How many.
        kill: Kill a worker in the middle of a bucket.
        daemon: Have the daemon launch the runs, as on a server; else this program launches them.
        visibility: Seconds after which a lost step is given to another worker.
        longest: Seconds that a run may take.
        database: The URL of an empty database; by default a server is started.
        workers: How many.

    Raises:
        PipelineError: Something that is needed is not there, or does not begin or end in time.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="celery-")))
        if database is None:
            database = stack.enter_context(_server(folder / "postgres"))
        _lay_out(folder, csv, buckets, visibility, database)
        stack.enter_context(_redis(folder))
        begun = [stack.enter_context(_worker(folder, number)) for number in range(1, workers + 1)]
        if daemon:
            stack.enter_context(_running(folder, "daemon", _dagster("daemon", "run", *WORKSPACE)))
        instance = stack.enter_context(DagsterInstance.from_config(str(folder)))
        runs, killed = [], None
        for job in ("sync_in_buckets", "compare_in_buckets", "report_in_buckets"):
            victim = kill and killed is None
            run, killed_now = _run(folder, instance, job, begun, daemon=daemon, kill=victim, longest=longest)
            runs.append(run)
            killed = killed or killed_now
        with open_pipeline(folder / "config" / "config.yaml") as pipeline:
            compared = pipeline.compare(limit=0)
        peaks = tuple(round(max(worker.peaks.values(), default=0) / 1024, 1) for worker in begun)
        return Trial(
            rows=compared.rows,
            buckets=buckets,
            killed=killed,
            runs=tuple(runs),
            equal=compared.equal and compared.bytes_equal,
            sha256=compared.csv_sha256,
            peak_mb=peaks,
        )


def _lay_out(folder: Path, csv: Path, buckets: int, visibility: float, database: str) -> None:
    """A site in a folder, which this program and all it starts work on."""
    (folder / "config").mkdir()
    (folder / "outputs").mkdir()
    site = {
        "migration": {"phase": "dual_write"},
        "bulk": {"buckets": buckets},
        "automation": {"enabled": False},
        "csv_backup": {"enabled": False},
    }
    (folder / "config" / "config.yaml").write_text(safe_dump(site), encoding="utf-8")
    shutil.copyfile(csv, folder / "outputs" / "output.csv")
    shutil.copyfile(DEPLOY / "dagster.yaml", folder / "dagster.yaml")
    shared = safe_load((DEPLOY / "celery.yaml").read_text(encoding="utf-8"))
    options = shared["execution"]["config"]["config_source"]["broker_transport_options"]
    options |= {"visibility_timeout": visibility, "unacked_restore_interval": 1}
    (folder / "celery.yaml").write_text(safe_dump(shared), encoding="utf-8")
    socket = f"redis+socket://{folder / 'redis.sock'}"
    os.environ.update(
        {
            "DATABASE_URL": database,
            "DAGSTER_HOME": str(folder),
            "INGESTION_CONFIG": str(folder / "config" / "config.yaml"),
            "INGESTION_CELERY_BROKER": socket,
            "INGESTION_CELERY_BACKEND": socket,
            "INGESTION_DAGSTER_FOLDER": str(folder / "dagster"),
            settings.VARIABLE: str(folder / "celery.yaml"),
            # Few threads, few arenas: a worker does one step at a time.
            "MALLOC_ARENA_MAX": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
    )


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    server = EmbeddedServer(folder)
    with server:
        yield server.dsn("postgres")
    server.destroy()


@contextmanager
def _redis(folder: Path) -> Iterator[None]:
    program = shutil.which("redis-server")
    if program is None:
        raise SettingsError(
            "there is no redis-server", code="no_redis", hint="Debian: apt-get install redis-server"
        )
    # No port: nobody else can reach it. Nothing is kept: what is queued goes with it.
    words = [program, "--port", "0", "--unixsocket", str(folder / "redis.sock"), "--unixsocketperm", "700"]
    words += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    with _running(folder, "redis", words):
        _wait((folder / "redis.sock").exists, "Redis does not begin")
        yield


@contextmanager
def _worker(folder: Path, number: int) -> Iterator[Worker]:
    name = f"worker{number}"
    words = [sys.executable, "-OO", "-m", "ingestion_pipeline.defs.over_celery.worker", "--name", name]
    with _running(folder, name, words) as process:
        yield Worker(name, process)


@contextmanager
def _running(folder: Path, name: str, words: Sequence[str]) -> "Iterator[subprocess.Popen[bytes]]":
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Those it has forked too, whether it has ended or not.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _dagster(*words: str) -> list[str]:
    if words[0] == "daemon":
        return [sys.executable, "-m", "dagster._daemon", *words[1:]]
    return [sys.executable, "-m", "dagster", *words]


def _run(
    folder: Path,
    instance: DagsterInstance,
    job: str,
    workers: Sequence[Worker],
    *,
    daemon: bool,
    kill: bool,
    longest: float,
) -> tuple[Tried, str | None]:
    began = time.monotonic()
    if daemon:
        words = _dagster("job", "launch", *WORKSPACE, "-l", "over_celery", "-j", job)
    else:
        words = _dagster("job", "execute", "-m", LOCATION, "-j", job)
    killed = None
    with _running(folder, job, words):
        while True:
            run = next(iter(instance.get_run_records(limit=1)), None)
            if run is not None and run.dagster_run.job_name == job:
                if run.dagster_run.status in _ENDED:
                    break
                if kill and killed is None:
                    killed = _kill_one(instance, run.dagster_run.run_id, workers)
            if time.monotonic() - began > longest:
                raise UnavailableError(f"{job} took longer than {longest:g} s", code="too_long")
            for worker in workers:
                worker.look()
            time.sleep(LOOK if kill and killed is None else 0.2)
    seconds = round(time.monotonic() - began, 1)
    return _told(instance, run.dagster_run.run_id, job, run.dagster_run.status, workers, seconds), killed


def _kill_one(instance: DagsterInstance, run_id: str, workers: Sequence[Worker]) -> str | None:
    """Kill the worker that is in the middle of a bucket; None where none is."""
    for step, pid in _under_way(instance, run_id):
        for worker in workers:
            if pid in worker.children():
                # Stopped first, so that it cannot finish while it is looked at.
                worker.send(signal.SIGSTOP)
                if (step, pid) in _under_way(instance, run_id):
                    worker.look()
                    worker.send(signal.SIGKILL)
                    return step
                worker.send(signal.SIGCONT)
    return None


def _under_way(instance: DagsterInstance, run_id: str) -> list[tuple[str, int]]:
    begun: dict[str, int] = {}
    for entry in instance.all_logs(run_id, of_type=_OF_STEPS):
        step = entry.step_key or ""
        if "_bucket_" in step:
            pid = _pid(entry)
            if entry.dagster_event_type is DagsterEventType.STEP_START and pid is not None:
                begun[step] = pid
            else:
                begun.pop(step, None)
    return list(begun.items())


def _pid(entry: EventLogEntry) -> int | None:
    return None if entry.dagster_event is None else entry.dagster_event.pid


def _told(
    instance: DagsterInstance,
    run_id: str,
    job: str,
    status: DagsterRunStatus,
    workers: Sequence[Worker],
    seconds: float,
) -> Tried:
    begun: dict[str, int] = {}
    by_worker = {worker.name: 0 for worker in workers}
    names = {pid: worker.name for worker in workers for pid in worker.peaks}
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_START):
        begun[entry.step_key or ""] = begun.get(entry.step_key or "", 0) + 1
        name = names.get(_pid(entry) or 0)
        if name is not None:
            by_worker[name] += 1
    return Tried(
        job,
        run_id,
        status is DagsterRunStatus.SUCCESS,
        seconds,
        by_worker,
        tuple(sorted(step for step, count in begun.items() if count > 1)),
        _found(instance, run_id),
    )


def _found(instance: DagsterInstance, run_id: str) -> dict[str, Any]:
    """What the last step says."""
    found: dict[str, Any] = {}
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_OUTPUT):
        event = entry.dagster_event
        if event is not None and entry.step_key in ("level", "add_up", "add_up_report"):
            found = {name: one.value for name, one in event.step_output_data.metadata.items()}
    return found


def _wait(is_so: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise UnavailableError(otherwise, code="too_long")
        time.sleep(0.05)


def main() -> int:
    """Try it, and say what came of it; 0 when both sides are equal."""
    parser = argparse.ArgumentParser(prog="make celery", description=__doc__)
    parser.add_argument("--csv", type=Path, default=SAMPLE, help="the file; the sample by default")
    parser.add_argument("--buckets", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill", action="store_true", help="kill a worker in the middle of a bucket")
    parser.add_argument("--no-daemon", action="store_true", help="launch the runs from here")
    parser.add_argument(
        "--visibility", type=float, default=5.0, help="seconds until a lost step is given again"
    )
    parser.add_argument("--longest", type=float, default=600.0, help="seconds that a run may take")
    parser.add_argument("--database", help="an empty database; by default a server is started")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    # However it is told to end, it ends what it has begun.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        trial = try_out(
            csv=given.csv,
            buckets=given.buckets,
            kill=given.kill,
            daemon=not given.no_daemon,
            visibility=given.visibility,
            longest=given.longest,
            database=given.database,
            workers=given.workers,
        )
    except PipelineError as error:
        sys.stderr.write(f"{error}\n  {error.hint}\n")
        return error.exit
    sys.stdout.write(json.dumps(asdict(trial)) + "\n" if given.json else _shown(trial))
    return 0 if trial.is_well else 1


def _shown(trial: Trial) -> str:
    lines = [f"rows           {trial.rows} in {trial.buckets} buckets"]
    if trial.killed:
        lines.append(f"killed         a worker in {trial.killed}")
    for run in trial.runs:
        shared = ", ".join(f"{name} {steps}" for name, steps in run.by_worker.items())
        twice = f"; begun twice: {', '.join(run.begun_twice)}" if run.begun_twice else ""
        ended = "success" if run.success else "failure"
        lines.append(f"{run.job:<18} {ended} in {run.seconds} s; steps: {shared}{twice}")
    lines.append(f"bytes equal    {'yes' if trial.equal else 'no'}")
    lines.append(f"peak memory    {', '.join(f'{peak} MB' for peak in trial.peak_mb)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
