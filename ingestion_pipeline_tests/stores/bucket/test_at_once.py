"""Programs that publish at once come one after another, and the same content comes once."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from ingestion_pipeline.domain.version import Manifest
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.bucket.folder import Folder
from ingestion_pipeline_tests.forks import forks
from ingestion_pipeline_tests.stores.bucket.publisher import Program
from ingestion_pipeline_tests.stores.bucket.publishing import NAME, NOON, entry_key, publish, sha256
from ingestion_pipeline_tests.stores.bucket.s3_stub import S3

PROGRAMS = 4
_BARRIERS: list[Barrier] = []


def begin(barrier: Barrier) -> None:
    _BARRIERS.append(barrier)


class InFolder:
    """What `Program` is for the stub."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def chain(self) -> Chain:
        return Chain(Folder(self._folder), NAME)


Where = InFolder | Program


def publish_each(where: Where, csvs: list[bytes]) -> list[Manifest]:
    """Publish each, all programs at one moment, and all at one time of day."""
    chain = where.chain()
    published = []
    for csv in csvs:
        _BARRIERS[0].wait(60)
        published.append(publish(chain, csv, NOON))
    return published


def publish_in_stub(where: Program, csvs: list[bytes]) -> list[Manifest]:
    with where.begun():
        return publish_each(where, csvs)


@pytest.fixture(params=["folder", "stub"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    if request.param == "folder":
        return InFolder(tmp_path / "versions")
    s3: S3 = request.getfixturevalue("s3")
    return Program(s3.url, tmp_path / "drafts", 2**20)


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    context = forks()
    barrier = context.Barrier(PROGRAMS)
    with ProcessPoolExecutor(PROGRAMS, context, begin, (barrier,)) as opened:
        yield opened


def run(pool: ProcessPoolExecutor, where: Where, csvs: list[list[bytes]]) -> list[list[Manifest]]:
    work = publish_in_stub if isinstance(where, Program) else publish_each
    return list(pool.map(work, [where] * PROGRAMS, csvs))


def entries(chain: Chain) -> list[bytes]:
    names = list(chain._place.names(f"{NAME}/manifests/"))  # noqa: SLF001
    assert names == [entry_key(number) for number in range(1, len(names) + 1)]
    return [b"".join(chain._place.read(name)) for name in names]  # noqa: SLF001


def test_each_comes_after_another(where: Where, pool: ProcessPoolExecutor) -> None:
    csvs = [[b"%d of %d" % (number, program) for number in range(8)] for program in range(PROGRAMS)]
    told = [one for published in run(pool, where, csvs) for one in published]
    chain = where.chain()
    listed = [version.manifest for version in chain.listing() if version.good]
    assert sorted(told, key=lambda one: -one.number) == listed
    assert len(listed) == 8 * PROGRAMS
    assert {one.content.sha256 for one in told} == {sha256(csv) for each in csvs for csv in each}
    stored = entries(chain)
    assert [one.parent for one in listed[::-1] if one] == [None, *map(sha256, stored[:-1])]


def test_the_same_content_comes_once(where: Where, pool: ProcessPoolExecutor) -> None:
    csvs = [[b"csv %d" % number for number in range(8)]] * PROGRAMS
    told = run(pool, where, csvs)
    chain = where.chain()
    listed = [version.manifest for version in chain.listing() if version.good]
    assert told == [listed[::-1]] * PROGRAMS
    assert len(entries(chain)) == 8
    lying = set(chain._place.names(f"{NAME}/2026/"))  # noqa: SLF001
    assert lying == {one.key for one in listed if one}
