"""What must hold in every state: by itself, and if everybody died in it and somebody else came."""

from collections.abc import Iterator

from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline_tests.model.actors import Intent, Settles, Writes
from ingestion_pipeline_tests.model.steps import Alone, BlockedError, Faults
from ingestion_pipeline_tests.model.world import Content, World, rendered

PROBE = Writes(99, "1", "by who comes next")
"""A write by somebody who comes afterwards."""

COMERS: tuple[tuple[str, tuple[Intent, ...]], ...] = (
    ("who settles", (Settles(), PROBE, Settles())),
    ("who writes", (PROBE, Settles())),
)
"""Who may come next, and what they do; each has to succeed at once."""


class Checks:
    """Looks at states; what a crash of everybody leaves is looked at once."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def __call__(self, world: World, faults: Faults) -> str:
        if world.mark is None and world.state is not None and world.ledger != world.state:
            here, there = world.ledger, world.state
            return (
                f"both lead: the ledger says {here.phase} ({here.epoch}), "
                f"PostgreSQL {there.phase} ({there.epoch})"
            )
        left = _left(world)
        key = left.key()
        if key in self._known:
            return ""
        self._known.add(key)
        return next(self._afterwards(left, faults), "")

    def _afterwards(self, left: World, faults: Faults) -> Iterator[str]:
        for comer, intents in COMERS:
            world = left.copy()
            for intent in intents:
                came = _alone(intent, world, faults)
                if came not in ("settled", "written"):
                    yield f"everybody dies, and {comer} is told: {came}"
                    return
                if isinstance(intent, Settles):
                    yield from (f"everybody dies, and {comer} finds: {what}" for what in _amiss(world))
            yield from (f"everybody dies, and {comer} finds: {what}" for what in _lost(world))


def _left(world: World) -> World:
    left = world.copy()
    left.kill()
    left.up = True
    left.crashes = left.outages = left.losses = 0
    return left


def _alone(intent: Intent, world: World, faults: Faults) -> str:
    try:
        return intent(Alone("who comes next", world, faults), again=False)
    except BlockedError as error:
        return f"waits for ever: {error}"
    except PipelineError as error:
        return error.code


def _amiss(world: World) -> Iterator[str]:
    """What must not be after one settle with nobody else there."""
    if world.mark is not None:
        yield "the change of phase is still open"
    if world.ledger.phase.authority is Side.CSV:
        yield from _behind(world, pending=len(world.to_follow), what="records")
    else:
        yield from _behind(world, pending=len(world.pending), what="rows")
    if world.waiting:
        yield "the CSV still holds writes for PostgreSQL"
    yield from _lost(world)


def _behind(world: World, *, pending: int, what: str) -> Iterator[str]:
    if world.ledger.phase.follower is None:
        return
    if world.file != rendered(world.people):
        yield "the two sides differ after one settle"
    if pending:
        yield f"{pending} {what} are pending after one settle"


def _lost(world: World) -> Iterator[str]:
    """Acknowledged writes that are gone although no later one has replaced them."""
    here = dict(_leading(world))
    quarantined = set(world.conflicts)
    for row_id in {one.row_id for one in world.made}:
        order = [one.text for one in world.made if one.row_id == row_id]
        standing = _last(order, here.get(row_id, ""))
        for text in {*order} & world.told:
            # One that was sent again is made once: what replaced it at first may stand.
            if order.index(text) > standing and (row_id, text) not in quarantined:
                yield f"{text!r}, which was acknowledged, is lost"


def _last(order: list[str], text: str) -> int:
    return max((place for place, one in enumerate(order) if one == text), default=-1)


def _leading(world: World) -> Content:
    csv = world.ledger.phase in (Phase.ORIGINAL, Phase.DUAL_WRITE)
    return world.file if csv else rendered(world.people)
