"""A sink in a thread of its own."""

import threading
from contextlib import suppress

import pytest

from ingestion_pipeline.stores.beside import AHEAD, Beside


class Kept:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.threads: set[int] = set()

    def write(self, data: bytes, /) -> None:
        self.pieces.append(data)
        self.threads.add(threading.get_ident())


class Full:
    def write(self, _data: bytes, /) -> None:
        raise OSError(28, "No space left on device")


def test_all_arrives_in_order_and_elsewhere() -> None:
    kept, pieces = Kept(), [b"%d" % number for number in range(AHEAD * 5)]
    with Beside(kept) as beside:
        for piece in pieces:
            beside.write(piece)
        beside.end()
        assert kept.pieces == pieces
    assert kept.threads.isdisjoint({threading.get_ident()})


def test_what_the_sink_raises_comes_to_the_writer() -> None:
    with Beside(Full()) as beside:
        for _ in range(AHEAD):
            beside.write(b"x")
        with pytest.raises(OSError, match="No space left"):
            beside.write(b"x")
    with Beside(Full()) as beside:
        beside.write(b"x")
        with pytest.raises(OSError, match="No space left"):
            beside.end()


def test_only_so_many_pieces_wait() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Kept):
        def write(self, data: bytes, /) -> None:
            begun.set()
            go_on.wait(10)
            super().write(data)

    slow = Slow()
    with Beside(slow) as beside:
        for _ in range(AHEAD):
            beside.write(b"x")
        begun.wait(10)
        timer = threading.Timer(0.1, go_on.set)
        timer.start()
        assert not slow.pieces
        beside.write(b"x")
        assert slow.pieces
        timer.join()


def test_nothing_is_left_behind_when_the_writer_gives_up() -> None:
    before = threading.active_count()
    with suppress(LookupError), Beside(Kept()) as beside:
        beside.write(b"x")
        raise LookupError
    assert threading.active_count() == before
