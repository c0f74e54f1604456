"""Whoever is killed, and wherever: everything is as it was."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import InputRefusedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres.dumping import dump, replace
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.proxy import eventually
from ingestion_pipeline_tests.stores.postgres.dumping.helpers import (
    AT_WORK,
    Fakes,
    everything,
    is_gone,
    later,
)
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import refused
from ingestion_pipeline_tests.strays import stray

REPLACING = """
import os, sys
from pathlib import Path
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres.dumping import replace
from ingestion_pipeline.stores.postgres.pool import Pool
replace(Pool(os.environ["TARGET"]), Path(sys.argv[1]), State(Phase.DUAL_WRITE, 2))
"""

SHARES = (0.05, 0.5, 1.0)


def children(pid: int) -> dict[str, int]:
    """The processes that a process has started, by their first word."""
    found = {}
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        with suppress(OSError):
            found[" ".join(Path(f"/proc/{child}/cmdline").read_text().split("\0")[:2])] = child
    return found


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("victim", ["python", "psql", "pg_restore", "backend"])
def test_killed_at_any_time_it_changes_nothing(
    filled: Site, kept: Path, pool: Pool, fakes: Fakes, victim: str, share: float
) -> None:
    stray(filled.database, "UPDATE people SET name = 'newer'", epoch=1)
    before = everything(filled.database)
    fakes.hold("pg_restore", share)
    replacing = subprocess.Popen(
        [sys.executable, "-c", REPLACING, kept],
        env=os.environ | {"TARGET": filled.database},
        stderr=subprocess.DEVNULL,
    )
    started: dict[str, int] = {}
    try:
        eventually(lambda: stray(filled.database, AT_WORK) == [(1,)], 30)
        started = children(replacing.pid)
        if victim == "backend":
            stray(
                filled.database,
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE relation = 'ingestion.proof'::regclass AND mode = 'AccessExclusiveLock'",
            )
        else:
            named = [pid for words, pid in started.items() if victim in words]
            os.kill(replacing.pid if victim == "python" else named[0], signal.SIGKILL)
        fakes.let_go()
        assert replacing.wait(30) != 0
    finally:
        fakes.let_go()
        replacing.kill()
        replacing.wait()

    pool.close()
    eventually(lambda: stray(filled.database, AT_WORK) == [(0,)])
    assert everything(filled.database) == before
    replace(pool, kept, State(Phase.DUAL_WRITE, 2))
    assert PostgresTables(pool).state() == State(Phase.DUAL_WRITE, 2)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("end", ["exit 1", "kill -9 $$"])
def test_pg_restore_that_fails_changes_nothing(
    filled: Site, kept: Path, pool: Pool, fakes: Fakes, share: float, end: str
) -> None:
    stray(filled.database, "UPDATE people SET name = 'newer'", epoch=1)
    before = everything(filled.database)
    fakes.cut("pg_restore", share, end)

    with refused(InputRefusedError, "dump_unreadable"):
        replace(pool, kept, later(filled))

    eventually(lambda: stray(filled.database, AT_WORK) == [(0,)])
    assert everything(filled.database) == before


@pytest.mark.parametrize("name", ["pg_dump", "pg_restore", "psql"])
def test_program_that_hangs_is_stopped(
    filled: Site, kept: Path, fakes: Fakes, name: str, tmp_path: Path
) -> None:
    fakes.put(name, f"echo $$ > {tmp_path}/pid; sleep 60")
    state = later(filled)
    with closing(Pool(filled.database, waits=Waits(bulk=0.6))) as hasty:
        began = time.monotonic()
        with refused(UnavailableError, "postgres_busy"):
            if name == "pg_dump":
                dump(hasty, io.BytesIO())
            else:
                replace(hasty, kept, state)

    assert time.monotonic() - began < 20
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_interrupted_it_takes_pg_dump_along(filled: Site, pool: Pool, fakes: Fakes, tmp_path: Path) -> None:
    fakes.put("pg_dump", f"echo $$ > {tmp_path}/pid; head -c 3000000 /dev/zero; sleep 60")
    assert filled.database

    class Sink:
        def write(self, _data: bytes, /) -> None:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        dump(pool, Sink())

    assert time.monotonic() - began < 20
    assert is_gone(int((tmp_path / "pid").read_text()))
