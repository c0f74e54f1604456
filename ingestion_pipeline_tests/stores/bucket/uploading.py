"""Publishing to a bucket that fails at random, by programs that may die, and looking at what is listed."""

import hashlib
import os
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from multiprocessing.context import ForkServerProcess
from random import Random

from ingestion_pipeline.domain.errors import InputRefusedError, UnavailableError
from ingestion_pipeline.domain.version import Form, Version
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline_tests.forks import forks
from ingestion_pipeline_tests.stores.bucket import publisher
from ingestion_pipeline_tests.stores.bucket.publisher import Program
from ingestion_pipeline_tests.stores.bucket.publishing import publish_now
from ingestion_pipeline_tests.stores.bucket.s3_stub import (
    NONE,
    S3,
    Fault,
    Request,
    flipped,
    lost,
    refused,
    shortened,
)

PATIENCE = 60
"""Seconds after which a program hangs."""

WINDOW = 3
"""How many of the newest versions are looked at after each publish."""

REQUESTS = 14
"""At one of how many requests a program is killed; most need fewer, and so live."""

_WRITES = frozenset(
    {"put_object", "upload_part", "create_multipart_upload", "complete_multipart_upload", "delete_object"}
)
_SPOILT = frozenset({"put_object", "upload_part"})
_CONDITIONAL = frozenset({"put_object", "complete_multipart_upload"})


@dataclass
class Tally:
    """What a run came to.

    Attributes:
        publishes: How often somebody set out to publish.
        acknowledged: How often that was said to be done.
        refused: How often it was said not to be.
        kills: How many died over it.
        faults: Requests that went wrong.
        in_parts: Versions sent in parts, as far as they are listed.
        listed: Versions that are listed and good in the end.
        amiss: Entries that the bucket stored wrong, and could not be taken back; they are told as damaged.
        swept: What was left behind, and taken away.
        violations: What was found amiss.
    """

    publishes: int = 0
    acknowledged: int = 0
    refused: int = 0
    kills: int = 0
    faults: int = 0
    in_parts: int = 0
    listed: int = 0
    amiss: int = 0
    swept: int = 0
    violations: list[str] = field(default_factory=list)


class Uploading:
    """Publishes again and again, and looks after each.

    Args:
        s3: The bucket.
        program: How is published.
        seed: Of what goes wrong.
        share: How many of the requests go wrong.
        large: How many of the versions may be sent in parts.
    """

    def __init__(
        self, s3: S3, program: Program, *, seed: int = 1, share: float = 0.06, large: float = 0.3
    ) -> None:
        self.tally = Tally()
        self._s3 = s3
        self._program = program
        self._random = Random(seed)  # noqa: S311
        self._share = share
        self._large = large
        self._acknowledged: dict[int, str] = {}
        self._spoilt: set[str] = set()
        self._forks = forks()

    def publish(self, times: int, *, kills: float = 0.1) -> Tally:
        """Publish so often, one after another; some are killed over it."""
        for number in range(times):
            csv, form = self._csv(number)
            if self._random.random() < kills:
                self._publish_and_die(csv, form)
            elif not self._try(self._program.chain(), csv, form) and number % 2:
                self._try(self._program.chain(), csv, form)
            self._look_at_newest()
            if self.tally.violations:
                break
        return self._ended(once=True)

    def publish_at_once(self, programs: int, times: int) -> Tally:
        """Let so many programs publish beside each other; now and then the same."""
        with ThreadPoolExecutor(programs) as pool:
            for _ in pool.map(self._publish_beside, range(programs), [times] * programs):
                pass
        return self._ended(once=False)

    def _publish_beside(self, program: int, times: int) -> None:
        chain = self._program.chain()
        for number in range(times):
            self._try(chain, b"%d of %d" % (number, 0 if number % 4 == 0 else program), Form.CSV)

    def _csv(self, number: int) -> tuple[bytes, Form]:
        most = self._program.part * 5 // 2 if self._random.random() < self._large else self._program.part
        rows = self._random.randbytes(self._random.randrange(most))
        return b"%d\n" % number + rows, self._random.choice([Form.CSV, Form.ZSTD])

    def _try(self, chain: Chain, csv: bytes, form: Form) -> bool:
        """Publish while the bucket fails; gives whether that was said to be done."""
        self.tally.publishes += 1
        self._s3.decide = self._fault
        try:
            self._acknowledge(publish_now(chain, csv, form).number, csv)
        except UnavailableError:
            self.tally.refused += 1
            return False
        except Exception as error:  # noqa: BLE001 - no fault may come to that
            self._amiss(f"{type(error).__name__}: {error}")
        return True

    def _acknowledge(self, number: int, csv: bytes) -> None:
        self.tally.acknowledged += 1
        sha256 = hashlib.sha256(csv).hexdigest()
        if self._acknowledged.setdefault(number, sha256) != sha256:
            self._amiss(f"two were told that theirs is number {number}")

    def _publish_and_die(self, csv: bytes, form: Form) -> None:
        """Publish in a process that is killed over one of its requests, if it makes so many."""
        self.tally.publishes += 1
        listening, telling = self._forks.Pipe(duplex=False)
        child = self._forks.Process(target=publisher.run, args=(self._program, csv, form, telling))
        killed: list[bool] = []
        self._s3.decide = self._killing(child, killed)
        child.start()
        telling.close()
        child.join(PATIENCE)
        if child.exitcode is None:
            self._amiss("a program hangs")
            child.kill()
            child.join(PATIENCE)
        elif child.exitcode != (-signal.SIGKILL if killed else 0):
            self._amiss(f"a program ended with {child.exitcode}")
        said: list[int | None] = []
        with suppress(EOFError):
            said.append(listening.recv())
        listening.close()
        self.tally.kills += len(killed)
        self.tally.refused += said == [None]
        for number in said:
            if number is not None:
                self._acknowledge(number, csv)

    def _killing(self, child: ForkServerProcess, killed: list[bool]) -> Callable[[Request], Fault]:
        left = self._random.randint(1, REQUESTS)

        def kill() -> None:
            assert child.pid is not None
            killed.append(True)
            os.kill(child.pid, signal.SIGKILL)

        def decide(request: Request) -> Fault:
            nonlocal left
            left -= 1
            if left:
                return self._fault(request)
            if request.size and self._random.random() < 0.5:
                return Fault(upto=self._random.randrange(request.size), then=kill)
            return Fault(silent=True, done=self._random.random() < 0.5, then=kill)

        return decide

    def _fault(self, request: Request) -> Fault:
        if self._random.random() >= self._share:
            return NONE
        self.tally.faults += 1
        fault = self._random.choice(list(self._faults(request)))
        if fault.spoil is not NONE.spoil:
            self._spoilt.add(request.key)
        return fault

    def _faults(self, request: Request) -> Iterable[Fault]:
        """What can go wrong with a request of this kind."""
        at = self._random.randrange(max(1, request.size))
        yield from (refused(500, "InternalError"), refused(503, "SlowDown"))
        yield from (Fault(silent=True, done=False), Fault(wait=0.01), Fault(download=0))
        if request.what == "get_object":
            yield from (Fault(download=1), Fault(download=self._random.randrange(self._program.part)))
        if request.size:
            yield from (Fault(upto=0), Fault(upto=at), Fault(upto=at // 1024 * 1024))
        if request.what in _WRITES:
            yield from (lost(500, "InternalError"), lost(503, "SlowDown"), Fault(silent=True))
        if request.what in _CONDITIONAL:
            yield from (refused(409, "ConditionalRequestConflict"), refused(412, "PreconditionFailed"))
        if request.what in _SPOILT and request.size:
            yield from (flipped(at), shortened(at))

    def _look_at_newest(self) -> None:
        self._s3.decide = lambda _request: NONE
        chain = self._program.chain()
        self._look_at(chain, islice(chain.listing(), WINDOW))

    def _look_at(self, chain: Chain, versions: Iterable[Version]) -> list[Version]:
        """Every version is whole, unless the bucket spoilt its entry; gives those that are."""
        good = []
        for version in versions:
            if version.manifest is not None and version.amiss is None:
                good.append(version)
                self._restore(chain, version)
            elif version.key not in self._spoilt:
                self._amiss(f"{version.key} is listed, and {version.amiss}")
            else:
                self.tally.amiss += 1
        return good

    def _restore(self, chain: Chain, version: Version) -> None:
        assert version.manifest is not None
        found = hashlib.sha256()
        with suppress(InputRefusedError):
            chain.fetch(version.manifest, _Into(found.update))
        if found.hexdigest() != version.manifest.content.sha256:
            self._amiss(f"{version.key} is listed as good, and gives something else")

    def _ended(self, *, once: bool) -> Tally:
        """Look at all there is, and at what sweeping leaves."""
        self._s3.decide = lambda _request: NONE
        chain = self._program.chain()
        self._sweep(chain)
        self.tally.amiss = 0
        good = self._look_at(chain, chain.listing())
        self.tally.listed = len(good)
        self._check_order(good, once=once)
        uploaded = [one for one in good if one.manifest and one.manifest.stored.size > self._program.part]
        self.tally.in_parts = len(uploaded)
        return self.tally

    def _check_order(self, good: list[Version], *, once: bool) -> None:
        """Each number is there once and who was told of one finds theirs under it."""
        manifests = [one.manifest for one in good if one.manifest is not None]
        found = {one.number: one.content.sha256 for one in manifests}
        for number, sha256 in self._acknowledged.items():
            if found.get(number) != sha256:
                self._amiss(f"number {number} was acknowledged, and is not what is listed")
        contents = [one.content.sha256 for one in manifests]
        if once and len(set(contents)) != len(contents):
            self._amiss("the same is listed twice")
        if any(one == other for one, other in pairwise(contents)):
            self._amiss("the same is listed twice in a row")

    def _sweep(self, chain: Chain) -> None:
        """Once nobody works any more, nothing is left but what is listed."""
        self.tally.swept = chain.sweep(datetime.now(UTC) + timedelta(minutes=1), timedelta(seconds=0))
        if self._s3.uploads:
            self._amiss(f"{len(self._s3.uploads)} uploads in parts are left")
        if drafts := list(self._program.folder.glob(".*")):
            self._amiss(f"{len(drafts)} drafts are left")
        listed = list(chain.listing(read=False))
        keys = [one.key for one in listed]
        if keys and all(one.amiss is None for one in listed):
            # What is older than the chain, or newer than its end, may be of somebody else.
            left = [name for name in self._s3.names() if "Z_" in name and name not in keys]
            if within := [name for name in left if min(keys) < name < keys[0]]:
                self._amiss(f"{len(within)} versions are left that are not listed")

    def _amiss(self, what: str) -> None:
        self.tally.violations.append(what)


class _Into:
    def __init__(self, update: Callable[[bytes], None]) -> None:
        self._update = update

    def write(self, data: bytes, /) -> None:
        self._update(data)
