"""Kill a writer at every step and every system call of its writes, and look at what is left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from benchmarks.campaign import record
from benchmarks.campaign.tracing import ON_DISK, TO_POSTGRES, Traced, check_strace
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.scenarios import killed_writer
from ingestion_pipeline_tests.scenarios.killed_writer import Mutant, Order, mutated
from ingestion_pipeline_tests.scenarios.killing import PEOPLE, Killing, Tally
from ingestion_pipeline_tests.scenarios.sites import Site, make_site

CONTROLS = (
    (Phase.DUAL_WRITE, Mutant.NO_JOURNAL),
    (Phase.ORIGINAL, Mutant.EARLY),
    (Phase.DATABASE_NATIVE, Mutant.EARLY),
    (Phase.ORIGINAL, Mutant.NO_RECOVERY),
    (Phase.DATABASE_PRIMARY, Mutant.CLEARED_FIRST),
)


class KillingAtCalls(Killing):
    """Kills at a system call rather than at a step.

    Attributes:
        call: Its name.
    """

    call = "write"
    _traced: Traced | None = None

    def _start(self, order: Order, telling: Connection) -> ForkServerProcess:
        self.finish()
        fault = f"{self.call}:signal=SIGKILL:when={order.at}"
        alive = replace(order, at=0)
        self._traced = Traced(self.forks, fault, killed_writer.run, self.site.settings, alive, telling)
        return self._traced.process

    def finish(self) -> None:
        """Let go of the last one."""
        if self._traced is not None:
            self._traced.faults()
            self._traced = None


@contextmanager
def site(server: Server, phase: Phase) -> Iterator[Site]:
    """A site of 20 people in this phase."""
    with record.database(server) as url, record.folder() as folder:
        yield make_site(folder, phase, PEOPLE, url)


def at_every_step(part: record.Part, server: Server, points: int) -> None:
    """Sweep over all phases, one and two deaths in a row, until there were so many points."""
    sums: dict[tuple[Phase, int], list[Tally]] = {}
    cases = cycle([(phase, deaths) for deaths in (1, 2) for phase in Phase])
    while sum(tally.trials for tallies in sums.values() for tally in tallies) < points:
        phase, deaths = next(cases)
        with site(server, phase) as made:
            tally = Killing(made, deaths=deaths).at_every_step(both=True)
        sums.setdefault((phase, deaths), []).append(tally)
    for (phase, deaths), tallies in sums.items():
        _add(part, f"{phase}, every step, {deaths} in a row", tallies)


def at_every_call(part: record.Part, server: Server, calls: int) -> None:
    """Sweep over all phases and system calls until there were so many points."""
    check_strace()
    sums: dict[Phase, list[Tally]] = {}
    phases = cycle(Phase)
    while sum(tally.trials for tallies in sums.values() for tally in tallies) < calls:
        phase = next(phases)
        for call in ON_DISK if phase is Phase.ORIGINAL else (*ON_DISK, *TO_POSTGRES):
            with site(server, phase) as made:
                killing = KillingAtCalls(made)
                killing.call = call
                sums.setdefault(phase, []).append(killing.at_every_step())
                killing.finish()
    for phase, tallies in sums.items():
        _add(part, f"{phase}, every system call", tallies)


def controls(part: record.Part, server: Server) -> None:
    """Put faults into the writer, each of which must be noticed."""
    for phase, mutant in CONTROLS:
        with site(server, phase) as made, mutated(mutant):
            tally = Killing(made, mutant).at_every_step()
        part.control(f"{phase}, {mutant}", noticed=bool(tally.violations), trials=tally.trials)


def _add(part: record.Part, case: str, tallies: list[Tally]) -> None:
    part.add(
        case,
        [violation for tally in tallies for violation in tally.violations],
        points=sum(tally.trials for tally in tallies),
        kills=sum(tally.kills for tally in tallies),
        acknowledged=sum(tally.acknowledged for tally in tallies),
    )


def work(part: record.Part, points: int, calls: int) -> None:
    """Do all of it, on a server that needs not outlive a power cut."""
    with record.server(fsync="off", full_page_writes="off", synchronous_commit="off") as server:
        controls(part, server)
        at_every_step(part, server, points)
        try:
            at_every_call(part, server, calls)
        except record.NotRunError as error:
            print(f"  system calls not run: {error}")


if __name__ == "__main__":
    counts = {"points": (10_000, 300), "calls": (2_000, 100)}
    sys.exit(record.run(record.Part("kill", "R1, R2"), __doc__ or "", counts, work))
