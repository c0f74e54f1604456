"""The harness: what it makes of what was taken, and that it fails where a goal is missed."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks import __main__ as harness
from benchmarks import child, guard, kept, page
from benchmarks.bench import Bench, Site
from benchmarks.child import FailedError, Taken
from benchmarks.job import Contender, Goal, Job, Role, grown, measured
from benchmarks.jobs import JOBS, compare, sync
from benchmarks.shapes import DOCUMENTS, Shape
from ingestion_pipeline_tests.conftest import Server


class Calm(Bench):
    """A bench without a server."""

    def __init__(self) -> None:
        super().__init__(Path(), cast("Server", None), "")

    def calm(self) -> None:
        """Nothing to write."""


def job(
    ours: Sequence[float], floor: float = 1.0, *goals: Goal, peers: Sequence[Contender] = (), **given: Any
) -> Job:
    """A job that takes what it is told to, round by round."""

    @contextmanager
    def ready(_bench: Bench, _shape: Shape, _rows: int) -> Iterator[Sequence[Contender]]:
        times = itertools.cycle(ours)
        yield [
            Contender(Role.OURS, "we", lambda: Taken(next(times), rss_mb=50.4)),
            Contender(Role.FLOOR, "least", lambda: Taken(floor)),
            *peers,
        ]

    return Job("made up", "nothing", ready, goals, **given)


def test_medians_are_compared() -> None:
    found = measured(job([2.0, 100.0, 3.0], 1.0, Goal("ratio", 3.0)), Calm(), DOCUMENTS, 10, 3)

    assert found["ours"] == {
        "name": "we", "seconds": 3.0, "fastest": 2.0, "slowest": 100.0, "cpu_seconds": 0.0, "rss_mb": 50,
    }  # fmt: skip
    assert found["goals"] == [{"figure": "ratio", "found": 3.0, "goal": "≤ 3 times the floor", "kept": True}]


@pytest.mark.parametrize(
    ("goal", "kept_"),
    [
        (Goal("ratio", 1.9), False), (Goal("ratio", 2.0), True),
        (Goal("rate", 0.6, least=True), False), (Goal("rate", 0.5, least=True), True),
        (Goal("rss_mb", 49), False), (Goal("seconds", 2.0), True),
        (Goal("times slow", 5, least=True), True), (Goal("times slow", 5.1, least=True), False),
    ],
)  # fmt: skip
def test_each_kind_of_goal_is_kept_or_not(goal: Goal, kept_: bool) -> None:  # noqa: FBT001
    peers = [Contender(Role.PEER, "slow", lambda: Taken(10.0))]

    found = measured(job([2.0], 1.0, goal, peers=peers), Calm(), DOCUMENTS, 10, 1)

    assert [verdict["kept"] for verdict in found["goals"]] == [kept_]


def test_a_goal_is_asked_for_only_at_its_sizes() -> None:
    goal = Goal("ratio", 0.1, rows=(100, 1000))

    assert not measured(job([1.0], 1.0, goal), Calm(), DOCUMENTS, 10, 1)["goals"]
    assert measured(job([1.0], 1.0, goal), Calm(), DOCUMENTS, 100, 1)["goals"]


def test_a_peer_that_is_missing_slow_or_fails_is_said_to_be() -> None:
    def fail() -> Taken:
        raise FailedError("no")

    peers = [
        Contender(Role.PEER, "missing", fail, missing="not installed"),
        Contender(Role.PEER, "slow", fail, most=9),
        Contender(Role.PEER, "broken", fail),
    ]

    found = measured(job([1.0], peers=peers), Calm(), DOCUMENTS, 10, 2)["peers"]

    assert {name: peer["not_run"] for name, peer in found.items()} == {
        "missing": "not installed", "slow": "takes too long", "broken": "failed",
    }  # fmt: skip


def test_growth_is_judged_from_fewest_to_most_rows() -> None:
    asked = job([1.0], growth=(Goal("growth", 1.3), Goal("exponent", 1.1)))
    lines = [
        {"rows": rows, "shape": "documents", "ours": {"seconds": seconds}}
        for rows, seconds in ((500, 1.0), (10_000, 1.0), (100_000, 100.0))
    ]

    found = grown(asked, lines)

    assert found is not None
    assert [(one["figure"], one["found"], one["kept"]) for one in found["goals"]] == [
        ("growth", 100.0, False), ("exponent", 2.0, False),
    ]  # fmt: skip


@pytest.fixture
def without_server(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def opened(_folder: object = None) -> Iterator[Bench]:
        yield Calm()

    monkeypatch.setattr(harness, "opened", opened)
    monkeypatch.setattr(guard, "opened", opened)
    monkeypatch.setattr(kept, "machine", lambda _bench: {})


@pytest.mark.usefixtures("without_server")
@pytest.mark.parametrize(("limit", "code"), [(2.0, 0), (1.9, 1)])
def test_a_missed_goal_fails_the_run(
    limit: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(JOBS, "start", job([2.0], 1.0, Goal("ratio", limit), sizes=(7,)))

    assert harness.main(["--jobs", "start"]) == code
    assert ("missed: made up, 7 rows: ≤ 1.9 times the floor, found 2" in capsys.readouterr().out) is bool(
        code
    )


@pytest.mark.usefixtures("without_server")
@pytest.mark.parametrize(
    ("before", "code", "word"), [(1.7, 0, "as it was"), (1.5, 1, "worse"), (4.0, 0, "better")]
)
def test_the_guard_says_which_ratio_got_worse(
    before: float, code: int, word: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(kept, "RESULTS", tmp_path)
    # What else the machine does is no matter: the fastest counts.
    monkeypatch.setitem(JOBS, "start", replace(job([9.0, 2.0, 3.0], 1.0), name="start", sizes=(7,)))
    # Everything took ten times as long there: another machine.
    line = {"job": "start", "shape": "documents", "rows": 7, "ours": {"fastest": before * 10}}
    kept.keep("bench", {"lines": [line | {"floor": {"fastest": 10.0}}]})

    assert guard.main(["--jobs", "start", "--rows", "7"]) == code
    assert word in capsys.readouterr().out


@pytest.mark.usefixtures("without_server")
def test_what_seems_worse_is_measured_once_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kept, "RESULTS", tmp_path)
    slow_at_first = itertools.chain([9.0, 9.0], itertools.repeat(2.0))
    ours = Contender(Role.OURS, "we", lambda: Taken(next(slow_at_first)))
    floor = Contender(Role.FLOOR, "least", lambda: Taken(1.0))

    @contextmanager
    def ready(_bench: Bench, _shape: Shape, _rows: int) -> Iterator[Sequence[Contender]]:
        yield [ours, floor]

    monkeypatch.setitem(JOBS, "start", Job("start", "nothing", ready, sizes=(7,)))
    line = {"job": "start", "shape": "documents", "rows": 7, "ours": {"fastest": 2.0}}
    kept.keep("bench", {"lines": [line | {"floor": {"fastest": 1.0}}]})

    assert guard.main(["--jobs", "start", "--rounds", "2"]) == 0


@pytest.mark.usefixtures("without_server")
def test_the_guard_guards_nothing_where_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kept, "RESULTS", tmp_path)

    assert guard.main(["--jobs", "start"]) == 2


def test_the_page_has_what_is_kept() -> None:
    text = page.PAGE.read_text()

    for name, kept_text in page.texts().items():
        found = page.marked(name).search(text)
        assert found is not None
        assert found[2] == kept_text, "python -m benchmarks.page"


def test_work_has_the_memory_of_a_process_of_its_own() -> None:
    held = bytearray(200 << 20)

    taken = child.work("benchmarks.plain:append", "/tmp", 4)  # noqa: S108 - any folder that takes a file

    assert len(held) > 100 << 20
    assert 5 < taken.rss_mb < 100
    assert 0 < taken.seconds < 5


def test_work_that_fails_is_told() -> None:
    with pytest.raises(FailedError, match="FileNotFoundError"):
        child.work("benchmarks.plain:read", "/nowhere.csv")


@pytest.fixture
def bench(server: Server, template: str, tmp_path: Path) -> Bench:
    return Bench(tmp_path, server, template)


def test_a_small_run_of_the_real_thing(bench: Bench) -> None:
    places = list(harness.places([sync.JOB, compare.JOB], [200], [DOCUMENTS]))

    lines, growths, broken = harness.measure(bench, places, 1, peers=False)

    assert [(line["job"], line["rows"]) for line in lines] == [("sync", 200), ("compare", 200)]
    for line in lines:
        assert line["ours"]["seconds"] > 0
        assert line["floor"]["seconds"] > 0
        assert 30 < line["ours"]["rss_mb"] < 200
    assert (growths, broken) == ([], [])
    json.dumps(lines)


def test_a_sync_that_loads_too_few_is_no_result(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Site.ours

    def fewer(site: Site, verb: str, *given: object) -> Taken:
        if verb == "sync":
            DOCUMENTS.write(site.csv, 199)
        return real(site, verb, *given)

    monkeypatch.setattr(Site, "ours", fewer)

    with pytest.raises(FailedError, match="not all of 200 rows"):
        measured(sync.JOB, bench, DOCUMENTS, 200, 1, peers=False)


def test_the_harness_needs_nothing_that_only_peers_do() -> None:
    only_theirs = ("polars", "matplotlib", "pandas")
    script = f"import sys, benchmarks.__main__; print([n for n in {only_theirs} if n in sys.modules])"

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)

    assert said.stdout == "[]\n"


def test_sizes_and_shapes_are_as_they_are_asked_for() -> None:
    found = harness.usual(list(JOBS.values()), (500, 10_000))

    shown = {(place.job.name, place.rows, place.shape.name) for place in found}
    assert {("sync", 500, "documents"), ("sync", 10_000, "documents"), ("sync", 10_000, "filled")} <= shown
    assert {("start", 0, "documents"), ("switch", 500, "documents")} <= shown
    assert ("sync", 500, "filled") not in shown
    assert ("write", 10_000, "filled") not in shown
    assert ("switch", 100_000, "documents") not in shown
