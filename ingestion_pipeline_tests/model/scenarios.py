"""What is looked at: sites in each phase, and who comes in whose way there."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ingestion_pipeline.domain.journal import Kind
from ingestion_pipeline.domain.phase import Move, Phase
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline_tests.model.actors import Changes, Intent, Settles, Writes
from ingestion_pipeline_tests.model.checks import Checks
from ingestion_pipeline_tests.model.postgres import GAP
from ingestion_pipeline_tests.model.search import Found, Search
from ingestion_pipeline_tests.model.steps import Faults
from ingestion_pipeline_tests.model.world import Content, Entry, Person, World

O, D, P, N = Phase  # noqa: E741 - the four, in their order
MOVES = (Move(O, D), Move(D, P), Move(P, N), Move(N, P), Move(P, D), Move(D, O))
"""All six."""

EPOCH = 5
ONE = (("1",),)
TWO = (("1",), ("1",))
ROWS: Content = (("1", "first"), ("2", "second"))


@dataclass(frozen=True)
class Scenario:
    """Who does what, beginning where.

    Attributes:
        moves: What the switcher does, one after another.
        writers: What each writer writes: the row_id, of which there are two, or a new one.
        settles: Whether somebody settles meanwhile.
        crashes: How often somebody may die.
        outages: How often PostgreSQL may go away.
        losses: How often the answer to a COMMIT may be lost.
        begins: The phase it begins in; that of the first move by default.
    """

    name: str
    moves: tuple[Move, ...]
    writers: tuple[tuple[str, ...], ...] = TWO
    settles: bool = True
    crashes: int = 0
    outages: int = 0
    losses: int = 0
    begins: Phase | None = None
    faults: Faults = field(default_factory=Faults)

    def search(self, most: int | None = None) -> Found:
        phase = self.begins or self.moves[0].before
        world = replace(begun(phase), crashes=self.crashes, outages=self.outages, losses=self.losses)
        return Search(world, self._actors(), Checks(), self.faults).run(most)

    def _actors(self) -> dict[str, Sequence[Intent]]:
        actors: dict[str, Sequence[Intent]] = {}
        number = 0
        for place, row_ids in enumerate(self.writers):
            name = f"writer {'AB'[place]}"
            writes = []
            for row_id in row_ids:
                number += 1
                writes.append(Writes(number, row_id, f"{name}'s {number}"))
            actors[name] = writes
        if self.moves:
            actors["switcher"] = [Changes(move) for move in self.moves]
        if self.settles:
            actors["settler"] = [Settles()]
        return actors


def begun(phase: Phase) -> World:
    """A site in this phase, both sides equal; one that is in original has no PostgreSQL yet."""
    state = State(phase, EPOCH)
    people = tuple(Person(row_id, text, 1, 0, place * GAP, 0) for place, (row_id, text) in enumerate(ROWS))
    synced = Entry(2, EPOCH, Kind.CLOSED, file=ROWS, through=1)
    world = World(state, ROWS, state, people, index=(ROWS, 0), journal=(synced,))
    if phase is Phase.ORIGINAL:
        world.state, world.people, world.synced, world.journal = None, (), False, ()
    return world


def short() -> list[Scenario]:
    """What the suite looks at."""
    return [
        *(Scenario(f"{move}, two writers", (move,), settles=False) for move in (*MOVES[:2], *MOVES[3:])),
        *(Scenario(f"{move}, a crash", (move,), ONE, settles=False, crashes=1) for move in MOVES),
        Scenario("a new row, and PostgreSQL away", (), (("3",), ("1",)), settles=False, outages=1, begins=P),
    ]


def full() -> list[Scenario]:
    """What the campaign looks at."""
    there_and_back = [(MOVES[at], MOVES[5 - at]) for at in (0, 1)] + [(MOVES[2], MOVES[3])]
    # Within PostgreSQL fewer have to be looked at: the side that leads stays.
    crossing = [move for move in MOVES if N not in (move.before, move.after)]
    return [
        *(Scenario(f"{move}, two writers and a settler", (move,)) for move in MOVES),
        *(
            Scenario(f"{move}, two writers and a crash", (move,), settles=False, crashes=1)
            for move in crossing
        ),
        *(
            Scenario(f"{move}, a crash and a lost COMMIT", (move,), ONE, settles=False, crashes=1, losses=1)
            for move in MOVES
        ),
        *(Scenario(f"{move}, PostgreSQL away", (move,), ONE, outages=1) for move in MOVES),
        *(Scenario(f"{move}, a new row", (move,), (("3",), ("1",)), settles=False) for move in MOVES),
        *(Scenario(f"{there}, and back", (there, back), settles=False) for there, back in there_and_back),
        *(Scenario(f"{move}, with the intake", (move,), faults=Faults(intake=True)) for move in MOVES),
        Scenario("two writers, PostgreSQL away, a crash", (), outages=1, crashes=1, settles=False, begins=P),
    ]
