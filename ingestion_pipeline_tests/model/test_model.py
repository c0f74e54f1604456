"""Writers, a settler and a change of phase in every order, with crashes: nothing lost, no stale writer.

The operations are the project's own, the stores are in memory. The campaign looks at more at a time.
"""

import pytest

from ingestion_pipeline_tests.model.mutants import Mutant, mutants
from ingestion_pipeline_tests.model.scenarios import Scenario, short
from ingestion_pipeline_tests.model.search import Found


def told(found: Found) -> str:
    return "\n".join([found.violation, *found.trace])


CAME = {"written", "changed", "not there", "settled"}
"""What comes of everybody's work while all stores are within reach, whoever dies."""

AWAY = {"postgres_unavailable", "outcome_unknown"}


@pytest.mark.parametrize("scenario", short(), ids=lambda scenario: scenario.name)
def test_every_order(scenario: Scenario) -> None:
    found = scenario.search()

    assert not found.violation, told(found)
    assert found.finished
    came = {word for one in found.came for word in one.partition(": ")[2].split(", ")}
    assert came >= ({"written", "changed"} if scenario.moves else {"written"})
    assert came <= (CAME | AWAY if scenario.outages else CAME)


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_missing_safeguard_shows(mutant: Mutant) -> None:
    found = mutant.search()

    assert found.violation
    assert "fault" not in found.violation, told(found)
