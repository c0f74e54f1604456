"""Damage the journal in every way: whatever is not a torn end stops with a message, and no write is lost."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from benchmarks.campaign import record
from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain import journal
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.journal import Kind, Scan
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline_tests.scenarios.killing import PEOPLE, WRITTEN
from ingestion_pipeline_tests.scenarios.sites import Site, make_site

Damage = tuple[str, bytes, bool]
"""What was done, the journal after it, and whether it must be noticed although nothing else is known."""


class Journal:
    """One site's journal, damaged again and again.

    Attributes:
        whole: Its bytes.
        ends: Where each of its records ends.
    """

    def __init__(self, site: Site) -> None:
        self.violations: list[str] = []
        self.cases = self.stopped = 0
        self._site = site
        [self._segment] = (site.state_dir / "journal").iterdir()
        self.whole = self._segment.read_bytes()
        self._index = site.state_dir / "index"
        self._kept = {path: path.read_bytes() for path in (site.csv, self._index)}
        self._content = site.in_csv(WRITTEN)
        scan = Scan(self.whole, None)
        self.ends, self._kinds = [0], []
        for found in scan:
            self.ends.append(scan.end)
            self._kinds.append(found.kind)

    def acknowledged(self) -> int:
        """Where the last record of an acknowledged write ends."""
        last = max(number for number, kind in enumerate(self._kinds) if kind is Kind.WRITE)
        return self.ends[last + 1]

    def try_all(self, damages: Iterator[Damage], *, indexed: bool) -> None:
        """Look at each damage, with the index beside it or without."""
        for what, data, grave in damages:
            lost = self._common(data) < self.acknowledged()
            self._try(what, data, must_stop=grave or (indexed and lost), indexed=indexed)

    def _common(self, data: bytes) -> int:
        """How far the bytes are the journal's own."""
        pairs = enumerate(zip(self.whole, data, strict=False))
        return next((at for at, (ours, found) in pairs if ours != found), min(len(self.whole), len(data)))

    def _try(self, what: str, data: bytes, *, must_stop: bool, indexed: bool) -> None:
        self._restore(data, indexed=indexed)
        self.cases += 1
        stopped = False
        try:
            LockedCsv(self._site.csv, self._site.state_dir).refresh(None)
        except PipelineError as error:
            stopped = error.code == "journal_damaged" and bool(error.hint and error.place.file)
            if not stopped:
                self.violations.append(f"{what}: {error.code}")
        except Exception as error:  # noqa: BLE001 - no damage may come to that
            self.violations.append(f"{what}: {type(error).__name__}")
        self.stopped += stopped
        if must_stop and not stopped:
            self.violations.append(f"{what}: not noticed")
        if self._site.in_csv(WRITTEN) != self._content:
            self.violations.append(f"{what}: the file was changed")

    def _restore(self, data: bytes, *, indexed: bool) -> None:
        for path, kept in self._kept.items():
            if not path.exists() or path.read_bytes() != kept:
                path.write_bytes(kept)
        for path in (self._site.state_dir / "journal").iterdir():
            path.unlink()
        self._segment.write_bytes(data)
        if not indexed:
            self._index.unlink()


def cuts(kept: Journal, stride: int) -> Iterator[Damage]:
    """The journal ends at any byte."""
    for size in range(0, len(kept.whole), stride):
        yield f"cut to {size}", kept.whole[:size], False


def flips(kept: Journal, stride: int) -> Iterator[Damage]:
    """Any one bit is another."""
    for bit in range(0, len(kept.whole) * 8, stride):
        damaged = bytearray(kept.whole)
        damaged[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(damaged), bit // 8 < kept.ends[-2]


def moved(kept: Journal) -> Iterator[Damage]:
    """Records are doubled, left out, or change places."""
    spans = [kept.whole[begin:end] for begin, end in zip(kept.ends, kept.ends[1:], strict=False)]
    for at in range(len(spans)):
        last = at == len(spans) - 1
        yield f"record {at} twice", _joined([*spans[: at + 1], *spans[at:]]), True
        yield f"record {at} left out", _joined([*spans[:at], *spans[at + 1 :]]), not last and at > 0
        for other in range(at + 1, len(spans)):
            swapped = list(spans)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            yield f"records {at} and {other} swapped", _joined(swapped), True


def _joined(spans: Sequence[bytes]) -> bytes:
    return b"".join(spans)


@contextmanager
def written(size: int) -> Iterator[Journal]:
    """A site with a journal of about this size."""
    with record.folder() as folder:
        site = make_site(folder, Phase.ORIGINAL, PEOPLE, None)
        with open_pipeline(site.settings) as pipeline:
            number = 0
            while _size(site.state_dir / "journal") < size:
                number += 1
                pipeline.write(str(1 + number % 20), {"link": f"link {number}", "document_text": "text"})
        yield Journal(site)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*"))


def work(part: record.Part, size: int, stride: int) -> None:
    """Do all of it.

    Args:
        part: The part.
        size: Bytes of the journal.
        stride: Bits, and bytes, from one damage to the next.
    """
    with written(size) as kept, patch.object(journal, "_goes_on", lambda *_: False):
        kept.try_all(flips(kept, 97), indexed=False)
    part.control("damage is taken for a torn end", noticed=bool(kept.violations))
    ways: dict[str, Callable[[Journal], Iterator[Damage]]] = {
        "cut at every byte": lambda kept: cuts(kept, stride),
        "every bit flipped": lambda kept: flips(kept, stride),
        "records doubled, left out, swapped": moved,
    }
    for way, damages in ways.items():
        for indexed in (True, False):
            with written(size) as kept:
                kept.try_all(damages(kept), indexed=indexed)
            name = way if indexed else f"{way}, and the index gone"
            part.add(name, kept.violations, cases=kept.cases, stopped=kept.stopped, bytes=len(kept.whole))


if __name__ == "__main__":
    numbers = {"size": (4096, 2048), "stride": (1, 41)}
    sys.exit(record.run(record.Part("journal", "R7"), __doc__ or "", numbers, work))
