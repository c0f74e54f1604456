"""Operations taken apart into steps: each call of a store that touches what others see is one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ingestion_pipeline.domain.errors import PipelineError

if TYPE_CHECKING:
    from ingestion_pipeline_tests.model.world import World

Result = TypeVar("Result")
Effect = Callable[["World"], Result]
Ready = Callable[["World"], bool]

ONE_WAY = ("",)
COMMIT = ("", "made, and the answer lost", "lost before it was made")
"""What may become of a COMMIT."""


class ParkedError(BaseException):
    """The operation has come to its next step, and somebody else may be first."""


class BlockedError(Exception):
    """An operation that is alone waits for somebody."""


class Raised(NamedTuple):
    """An error that a store answered with."""

    kind: type[PipelineError]
    message: str
    code: str

    def error(self) -> PipelineError:
        return self.kind(self.message, code=self.code)


@dataclass(frozen=True, slots=True)
class Next:
    """The step an operation has come to.

    Attributes:
        label: What it does.
        ready: Whether it can be done, or waits for a lock.
        choices: In which ways it may turn out.
    """

    label: str
    ready: Ready
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Faults:
    """What is broken in the stores on purpose, and which of their ways are gone."""

    no_fence: bool = False
    no_lock: bool = False
    no_journal: bool = False
    no_mark: bool = False
    clears_all: bool = False
    intake: bool = False


class Process:
    """What the stores do their work through.

    Args:
        who: The actor.
        world: What it works on.
        faults: What is broken.
    """

    def __init__(self, who: str, world: "World", faults: Faults) -> None:
        self.who = who
        self.world = world
        self.faults = faults
        self.choice = ""

    def step(
        self,
        label: str,
        effect: Effect[Result],
        ready: Ready = lambda _: True,
        choices: tuple[str, ...] = ONE_WAY,
    ) -> Result:
        """Do what others can see, once it is this actor's turn."""
        raise NotImplementedError

    def look(self, effect: Effect[Result]) -> Result:
        """Do, together with the step before, what nobody else can come between."""
        raise NotImplementedError

    def end(self, effect: Effect[None]) -> None:
        """The same at the end of a block, unless it is left only because the operation is parked."""
        self.look(effect)


class Alone(Process):
    """Does every step at once: nobody else is there."""

    def step(
        self,
        label: str,
        effect: Effect[Result],
        ready: Ready = lambda _: True,
        choices: tuple[str, ...] = ONE_WAY,
    ) -> Result:
        if not ready(self.world):
            raise BlockedError(label)
        self.choice = choices[0]
        return effect(self.world)

    def look(self, effect: Effect[Result]) -> Result:
        return effect(self.world)


class Replay(Process):
    """Brings an operation to where its log ends by the same answers, does one step more, and parks it.

    Args:
        who: The actor.
        world: What the step is done to.
        faults: What is broken.
        log: The answers the operation has had.
        choice: The way the step turns out; None to do none, and park at once.

    Attributes:
        log: The answers, with the new ones.
        next: The step it came to.
    """

    def __init__(
        self, who: str, world: "World", faults: Faults, log: tuple[Any, ...], choice: str | None
    ) -> None:
        super().__init__(who, world, faults)
        self.log = list(log)
        self.next: Next | None = None
        self._known = len(log)
        self._at = 0
        self._turn = choice

    def step(
        self,
        label: str,
        effect: Effect[Result],
        ready: Ready = lambda _: True,
        choices: tuple[str, ...] = ONE_WAY,
    ) -> Result:
        if self._at < self._known:
            answer: Result = self._again()
            return answer
        if self._turn is None or self.next is not None:
            if self.next is None:
                self.next = Next(label, ready, choices)
            raise ParkedError
        self.choice, self._turn = self._turn, None
        return self._do(effect)

    def look(self, effect: Effect[Result]) -> Result:
        if self._at < self._known:
            answer: Result = self._again()
            return answer
        if self.next is not None:
            raise ParkedError
        return self._do(effect)

    def end(self, effect: Effect[None]) -> None:
        if self.next is None:
            self.look(effect)

    def _again(self) -> Any:
        answer = self.log[self._at]
        self._at += 1
        if isinstance(answer, Raised):
            raise answer.error()
        return answer

    def _do(self, effect: Effect[Result]) -> Result:
        try:
            answer = effect(self.world)
        except PipelineError as error:
            self.log.append(Raised(type(error), error.message, error.code))
            raise
        self.log.append(answer)
        return answer
