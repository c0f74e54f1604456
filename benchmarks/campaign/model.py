"""Try every order of writers, settler, change of phase, crashes and lost answers: nothing is lost."""

import sys

from benchmarks.campaign import record
from ingestion_pipeline_tests.model.mutants import mutants
from ingestion_pipeline_tests.model.scenarios import full
from ingestion_pipeline_tests.model.search import Found


def work(part: record.Part, states: int) -> None:
    """Do all of it.

    Args:
        part: The part.
        states: How many states of each site are looked at, at most.
    """
    for mutant in mutants():
        found = mutant.search()
        part.control(
            mutant.name,
            noticed=bool(found.violation),
            states=found.states,
            steps=len(found.trace),
            what=found.violation,
        )
    total = 0
    for scenario in full():
        found = scenario.search(states)
        total += found.states
        part.add(
            scenario.name,
            list(_amiss(found)),
            states=found.states,
            transitions=found.transitions,
            seconds=round(found.seconds, 1),
            complete=found.finished,
        )
    part.add("all of them", [], states=total)


def _amiss(found: Found) -> list[str]:
    return ["; ".join([found.violation, *found.trace])] if found.violation else []


if __name__ == "__main__":
    sys.exit(record.run(record.Part("model", "R5"), __doc__ or "", {"states": (2_000_000, 2_000)}, work))
