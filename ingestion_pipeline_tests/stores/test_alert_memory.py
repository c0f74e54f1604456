"""What alerts keep between looks: whole, readable by the owner only, and for one who looks at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion_pipeline.domain.alert import Level, Memory, Seen, Told
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores import alert_memory
from ingestion_pipeline.stores.alert_memory import AlertMemory

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KNOWN = Memory(
    NOON, {"health:disk": Seen(NOON, 2)}, {"log": {"health:disk": Told(NOON, NOON, Level.ERROR, "disk")}}
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alert_memory, "TURN", 0.05)
        yield tmp_path / "state"


def test_what_one_keeps_another_loads(folder: Path) -> None:
    AlertMemory(folder).keep(KNOWN)

    assert AlertMemory(folder).load(datetime.now(UTC)) == KNOWN
    assert (folder / "alerts.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["alerts.json"]


def test_nobody_looks_while_another_does(folder: Path) -> None:
    first, second = AlertMemory(folder), AlertMemory(folder)
    with first.alone(), ThreadPoolExecutor(1) as threads:

        def look() -> None:
            with second.alone():
                pass

        with pytest.raises(UnavailableError, match="somebody else held the lock of alerts"):
            threads.submit(look).result()
    look()


def test_what_cannot_be_noted_is_known_in_this_process_until_it_can(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = AlertMemory(folder)
    (folder / "alerts.json").mkdir(parents=True)
    memory.keep(KNOWN)

    assert memory.load(NOON) == KNOWN
    assert "what was told cannot be noted" in caplog.text

    (folder / "alerts.json").rmdir()
    memory.keep(KNOWN)
    assert AlertMemory(folder).load(NOON) == KNOWN


def test_a_disk_that_refuses_the_lock_keeps_nobody_from_looking(folder: Path) -> None:
    folder.mkdir()
    (folder / "alerts.lock").mkdir()

    with AlertMemory(folder).alone():
        AlertMemory(folder).keep(KNOWN)

    assert AlertMemory(folder).load(NOON) == KNOWN


def test_one_watches_at_a_time(folder: Path) -> None:
    with AlertMemory(folder).watching() as first, AlertMemory(folder).watching() as second:
        assert (first, second) == (True, False)
    with AlertMemory(folder).watching() as third:
        assert third
