"""Every way in which several actors can come in each other's way, one step at a time, breadth first."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import patch

from ingestion_pipeline_tests.model.actors import Intent
from ingestion_pipeline_tests.model.steps import Faults, Next, ParkedError, Replay
from ingestion_pipeline_tests.model.world import World

Check = Callable[[World, Faults], str]
"""What is amiss in a state, in words; nothing is."""


class Actor(NamedTuple):
    """One actor.

    Attributes:
        name: Who it is.
        intents: What it has yet to do; the first is under way.
        log: The answers that its operation has had.
        digest: Stands for the log.
        next: The step it has come to; None once it is done with all.
        again: Whether a process before it died at the same.
        came: What came of what it did.
    """

    name: str
    intents: tuple[Intent, ...]
    log: tuple[Any, ...] = ()
    digest: int = 0
    next: Next | None = None
    again: bool = False
    came: tuple[str, ...] = ()

    def key(self) -> tuple[int, int, bool, tuple[str, ...]]:
        return len(self.intents), self.digest, self.again, self.came


class Node(NamedTuple):
    """One state, and the number under which the way to it is kept."""

    world: World
    actors: tuple[Actor, ...]
    key: int


@dataclass
class Found:
    """What a search came to.

    Attributes:
        states: Distinct states.
        transitions: Steps from one to another.
        seconds: How long it took.
        violation: What was amiss first, in words; none if nothing was.
        trace: The steps that led there.
        came: How often what came of an operation, at the ends.
        finished: Whether all was looked at.
    """

    states: int = 0
    transitions: int = 0
    seconds: float = 0.0
    violation: str = ""
    trace: tuple[str, ...] = ()
    came: Counter[str] = field(default_factory=Counter)
    finished: bool = True


class AmissError(Exception):
    """Something is amiss."""

    def __init__(self, what: str, last: str = "") -> None:
        super().__init__(what)
        self.last = last


class Search:
    """One search.

    Args:
        world: The beginning.
        actors: By name, what each does, in order.
        check: Looks at every state.
        faults: What is broken on purpose.
    """

    def __init__(
        self, world: World, actors: dict[str, Sequence[Intent]], check: Check, faults: Faults
    ) -> None:
        self._check = check
        self._faults = faults
        self._ways: dict[int, tuple[int, str]] = {}
        begun = tuple(self._started(Actor(name, tuple(intents)), world) for name, intents in actors.items())
        self._first = _node(world, begun)

    def run(self, most: int | None = None) -> Found:
        """Look at every state that can be reached, up to so many."""
        found = Found()
        began = time.monotonic()
        with patch("ingestion_pipeline.app.authority.LEFT_ALONE", 0.0):
            self._run(found, most)
        found.states = len(self._ways)
        found.seconds = time.monotonic() - began
        return found

    def _run(self, found: Found, most: int | None) -> None:
        waiting = deque([self._first])
        self._ways[self._first.key] = (0, "")
        while waiting:
            node = waiting.popleft()
            if most is not None and len(self._ways) >= most:
                found.finished = False
                return
            try:
                self._look(node, found)
                for label, after in self._steps(node):
                    found.transitions += 1
                    if after.key not in self._ways:
                        self._ways[after.key] = (node.key, label)
                        waiting.append(after)
            except AmissError as error:
                found.violation = str(error)
                found.trace = tuple(self._trace(node.key, error.last))
                return

    def _look(self, node: Node, found: Found) -> None:
        if node.world.amiss:
            raise AmissError(node.world.amiss)
        amiss = self._check(node.world, self._faults)
        if amiss:
            raise AmissError(amiss)
        if all(actor.next is None for actor in node.actors):
            found.came.update(f"{one.name}: {', '.join(one.came)}" for one in node.actors)
        elif node.world.up and not any(_is_ready(actor, node.world) for actor in node.actors):
            raise AmissError("nobody can go on")

    def _steps(self, node: Node) -> Iterator[tuple[str, Node]]:
        for place, actor in enumerate(node.actors):
            if not _is_ready(actor, node.world) or actor.next is None:
                continue
            for choice in actor.next.choices:
                if choice and not node.world.losses:
                    continue
                yield self._step(node, place, choice)
            if node.world.crashes and actor.log:
                yield self._crash(node, place)
        yield from _weather(node)

    def _step(self, node: Node, place: int, choice: str) -> tuple[str, Node]:
        actor = node.actors[place]
        assert actor.next is not None
        label = f"{actor.name} {actor.next.label}{choice and f' ({choice})'}"
        world = node.world.copy()
        try:
            moved = self._on(actor, world, choice)
        except Exception as error:
            raise AmissError(f"a fault: {type(error).__name__}: {error}", label) from error
        actors = (*node.actors[:place], moved, *node.actors[place + 1 :])
        return label, _node(world, actors)

    def _on(self, actor: Actor, world: World, choice: str | None) -> Actor:
        process = Replay(actor.name, world, self._faults, actor.log, choice)
        try:
            came = actor.intents[0](process, again=actor.again)
        except ParkedError:
            fresh = process.log[len(actor.log) :]
            digest = hash((actor.digest, *fresh))
            return actor._replace(log=tuple(process.log), digest=digest, next=process.next)
        done = Actor(actor.name, actor.intents[1:], came=(*actor.came, came))
        return self._started(done, world)

    def _started(self, actor: Actor, world: World) -> Actor:
        return self._on(actor, world, None) if actor.intents else actor

    def _crash(self, node: Node, place: int) -> tuple[str, Node]:
        actor = node.actors[place]
        world = node.world.copy()
        world.crashes -= 1
        world.kill(actor.name)
        anew = self._started(Actor(actor.name, actor.intents, again=True, came=actor.came), world)
        actors = (*node.actors[:place], anew, *node.actors[place + 1 :])
        return f"{actor.name} dies", _node(world, actors)

    def _trace(self, key: int, last: str) -> Iterator[str]:
        labels = [last] if last else []
        while key:
            key, label = self._ways[key]
            if label:
                labels.append(label)
        yield from reversed(labels)


def _node(world: World, actors: tuple[Actor, ...]) -> Node:
    return Node(world, actors, hash((world.key(), tuple(actor.key() for actor in actors))))


def _is_ready(actor: Actor, world: World) -> bool:
    return actor.next is not None and actor.next.ready(world)


def _weather(node: Node) -> Iterator[tuple[str, Node]]:
    """PostgreSQL goes away, and comes back."""
    world = node.world.copy()
    if not world.up:
        world.up = True
        yield "PostgreSQL comes back", _node(world, node.actors)
    elif world.outages:
        world.up = False
        world.outages -= 1
        world.open = ()
        yield "PostgreSQL goes away", _node(world, node.actors)
