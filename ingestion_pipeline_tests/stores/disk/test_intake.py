"""The intake: a request is claimed once, answered to whoever still waits, and never half read."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.receipt import Write
from ingestion_pipeline.stores.disk import intake
from ingestion_pipeline.stores.disk.intake import Claimed, Request, claim

WRITES = [
    Write("1", {"name": 'a "b",\n', "link": ""}, UUID(int=1)),
    Write("r\u00e9", {"name": "\U0001f600"}, UUID(int=2), given=True),
]
ANSWER = {"receipts": [["1", 7, "x\n"]]}

REQUESTER = """
import sys, time
from pathlib import Path
from ingestion_pipeline.domain.receipt import Write
from ingestion_pipeline.stores.disk.intake import Request
with Request(Path(sys.argv[1]), [Write("1", {"name": "dead"})], "them"):
    print("waits", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "intake"


@pytest.fixture
def request_(folder: Path) -> Iterator[Request]:
    with Request(folder, WRITES, "me") as made:
        yield made


def claimed(folder: Path) -> list[Claimed]:
    return list(claim(folder))


def let_go(*requests: Claimed) -> None:
    for one in requests:
        one.close()


def test_nothing_waits_where_nobody_ever_asked(folder: Path) -> None:
    assert claimed(folder) == []


def test_a_request_is_claimed_with_all_it_holds(folder: Path, request_: Request) -> None:
    [one] = claimed(folder)
    assert (one.by, one.writes) == ("me", WRITES)
    assert not request_.path.exists()
    let_go(one)


def test_it_is_claimed_once(folder: Path, request_: Request) -> None:
    [one] = claimed(folder)
    assert claimed(folder) == []
    assert not request_.withdraw()
    let_go(one)


def test_whoever_asked_is_answered(folder: Path, request_: Request) -> None:
    [one] = claimed(folder)
    assert request_.answer() is None
    one.tell(ANSWER)
    let_go(one)
    assert request_.answer() == ANSWER


def test_half_an_answer_is_none(folder: Path, request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    [one] = claimed(folder)
    whole, calls = os.write, [0]

    def write_half(descriptor: int, data: bytes) -> int:
        calls[0] += 1
        if calls[0] > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", write_half)
    one.tell(ANSWER)
    let_go(one)
    assert request_.answer() is None


def test_a_long_answer_is_written_in_pieces(
    folder: Path, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    [one] = claimed(folder)
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:5]))
    one.tell(ANSWER)
    let_go(one)
    assert request_.answer() == ANSWER


def test_a_request_that_was_withdrawn_is_not_claimed(folder: Path, request_: Request) -> None:
    assert request_.withdraw()
    assert claimed(folder) == []
    assert not request_.withdraw()


def test_leaving_withdraws(folder: Path) -> None:
    with Request(folder, WRITES, "me"):
        pass
    assert list(folder.iterdir()) == []


def test_a_request_whose_writer_was_killed_is_thrown_away(folder: Path) -> None:
    command = [sys.executable, "-c", REQUESTER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as requester:
        assert requester.stdout is not None
        assert requester.stdout.readline() == "waits\n"
        requester.kill()
    assert len(list(folder.iterdir())) == 1
    assert claimed(folder) == []
    assert list(folder.iterdir()) == []


def test_only_so_many_are_claimed_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "AT_ONCE", 2)
    with Request(folder, WRITES, "a"), Request(folder, WRITES, "b"), Request(folder, WRITES, "c"):
        first, second = claimed(folder), claimed(folder)
        assert sorted(one.by for one in [*first, *second]) == ["a", "b", "c"]
        assert (len(first), len(second)) == (2, 1)
        let_go(*first, *second)


def test_a_request_that_is_being_made_is_not_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Claimed]] = []
    whole = os.write

    def look(descriptor: int, data: bytes) -> int:
        seen.append(claimed(folder))
        return whole(descriptor, data)

    monkeypatch.setattr(os, "write", look)
    with Request(folder, WRITES, "me"):
        assert seen == [[]]


def test_a_request_is_its_owner_s_only(folder: Path) -> None:
    before = os.umask(0)
    try:
        with Request(folder, WRITES, "me") as made:
            assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_a_full_disk_takes_no_request(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(UnavailableError) as caught:
            Request(folder, WRITES, "me")
    assert (caught.value.code, caught.value.place.file) == ("disk", str(folder))
    assert list(folder.iterdir()) == []


def test_a_large_request_is_written_in_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:5]))
    with Request(folder, WRITES, "me"):
        [one] = claimed(folder)
        assert one.writes == WRITES
        let_go(one)
