"""Change the phase under many writers, kill and stop them and the switcher, and look at every stop."""

import os
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from benchmarks.campaign import record
from benchmarks.jobs.switch import spread
from ingestion_pipeline import open_pipeline
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.server import DATABASE
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.phases import ROUND
from ingestion_pipeline_tests.scenarios.counting_writer import Mutant as Writers
from ingestion_pipeline_tests.scenarios.switcher import Mutant
from ingestion_pipeline_tests.scenarios.switching import OnSite, Switching, sample

EACH = 60
"""Switches on one site, before a new one is made."""

PROCESSES = (4, 6, 8)
"""How many write."""

STEPS = 90
"""Steps that a switch takes at most."""

LONGEST = 0.8
"""Seconds after which a switcher is killed at most, and for which a writer is stopped."""

CONTROLS = (Mutant.NO_FENCE, Mutant.NO_DRAIN, Mutant.NO_MARK, Writers.NO_JOURNAL)


@dataclass
class Sums:
    """What the sites of one kind came to."""

    switches: int = 0
    acknowledged: int = 0
    deaths: int = 0
    stopped: int = 0
    kills: int = 0
    stale: int = 0
    again: Counter[str] = field(default_factory=Counter)
    pauses: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def take(self, switching: Switching) -> None:
        """Add what one site came to."""
        journey, tally = switching.journey, switching.crowd.tally
        self.switches += journey.switches
        self.deaths += journey.deaths
        self.stopped += journey.halted
        self.again += journey.again
        self.pauses += [change.pause for change in journey.changes if change.pause is not None]
        self.stale += switching.refused
        self.kills += tally.kills
        self.acknowledged += tally.acknowledged
        self.waits += tally.waits
        self.load.append(os.getloadavg()[0])
        self.violations += tally.violations


def undisturbed(switching: Switching, to: Phase) -> None:
    """Only change the phase."""
    switching.go(to)


def at_a_step(switching: Switching, to: Phase) -> None:
    """Have the switcher die before or after a step of the switch."""
    draw = switching.crowd.draw
    switching.go(to, at=draw.randint(1, STEPS), after=draw.random() < 0.5)  # noqa: PLR2004 - a coin


def at_a_time(switching: Switching, to: Phase) -> None:
    """Have the switcher die at some moment."""
    switching.go(to, killed_after=switching.crowd.draw.uniform(0, LONGEST))


def too_late(switching: Switching, to: Phase) -> None:
    """Have a writer miss the switch."""
    with switching.halted():
        switching.go(to)


def stopped(switching: Switching, to: Phase) -> None:
    """Stop a writer wherever it is, and have it go on a little later."""
    with switching.stopped(0, LONGEST):
        switching.go(to, killed_after=switching.crowd.draw.choice((None, LONGEST / 2)))


def writer_killed(switching: Switching, to: Phase) -> None:
    """Kill a writer, and have another one begin."""
    switching.crowd.kill_one()
    switching.go(to)


def compared(switching: Switching, to: Phase) -> None:
    """Compare and settle before and after, while everybody writes."""
    switching.crowd.look_meanwhile()
    switching.go(to)
    with (
        switching.crowd.noting("settled meanwhile"),
        open_pipeline(switching.crowd.site.settings) as pipeline,
    ):
        pipeline.settle()
    switching.crowd.look_meanwhile()


WAYS: tuple[Callable[[Switching, Phase], None], ...] = (
    *(undisturbed, at_a_step, at_a_time, too_late),
    *(stopped, at_a_step, writer_killed, compared),
)


Sites = Callable[[], AbstractContextManager[tuple[OnSite, Path]]]
"""Makes a site, and says where its logs may be."""


@contextmanager
def on_server(server: Server) -> Iterator[tuple[OnSite, Path]]:
    """A site whose database is on a server."""
    with record.database(server) as url, record.folder() as folder:
        yield sample(folder, url), folder / "logs"


@contextmanager
def on_embedded() -> Iterator[tuple[OnSite, Path]]:
    """A site with an embedded server of its own."""
    with record.folder() as folder:
        made = sample(folder, None)
        embedded = EmbeddedServer(made.site.settings.paths.state_dir)
        try:
            with embedded:
                site = replace(made.site, url=embedded.dsn(DATABASE))
                yield replace(made, site=site), folder / "logs"
        finally:
            embedded.destroy()


def journeys(part: record.Part, case: str, switches: int, sites: Sites) -> None:
    """Go there and back, on one site after another, until there were so many switches."""
    sums, ways, processes = Sums(), cycle(WAYS), cycle(PROCESSES)
    while sums.switches < switches and not sums.violations:
        route = islice(cycle(ROUND), min(switches - sums.switches, EACH))
        with sites() as (on, logs):
            with Switching.under_way(on, logs, next(processes)) as switching:
                for to in route:
                    next(ways)(switching, to)
                    switching.look()
                    if switching.crowd.tally.violations:
                        break
            sums.take(switching)
    _add(part, case, sums)


def _add(part: record.Part, case: str, sums: Sums) -> None:
    part.add(
        case,
        sums.violations,
        switches=sums.switches,
        acknowledged=sums.acknowledged,
        switchers_killed=sums.deaths,
        writers_stopped=sums.stopped,
        writers_killed=sums.kills,
        refused_as_stale=sums.stale,
        started_again=dict(sums.again),
        pause_ms=spread(sums.pauses),
        write_ms=spread(sums.waits),
        load=round(statistics.mean(sums.load), 1),
    )


def control(part: record.Part, server: Server, mutant: Mutant | Writers) -> None:
    """Put a fault in, which must be noticed."""
    with on_server(server) as (on, logs), Switching.under_way(on, logs, 4, mutant) as switching:
        for to in (*ROUND[:2], *ROUND[-2:]):
            if not switching.crowd.tally.violations:
                switching.go(to)
                switching.look()
    part.control(mutant, noticed=bool(switching.crowd.tally.violations), switches=switching.journey.switches)


def work(part: record.Part, switches: int, embedded: int) -> None:
    """Do all of it, mostly on a server that needs not outlive a power cut."""
    with record.server(fsync="off", full_page_writes="off", synchronous_commit="off") as server:
        for mutant in CONTROLS:
            control(part, server, mutant)
        journeys(part, "on a server that is named", switches, partial(on_server, server))
    journeys(part, "on an embedded server", embedded, on_embedded)


if __name__ == "__main__":
    counts = {"switches": (900, 48), "embedded": (100, 12)}
    sys.exit(record.run(record.Part("switches", "R5"), __doc__ or "", counts, work))
