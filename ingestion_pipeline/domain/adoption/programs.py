"""Calls of Python that start a program or a shell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingestion_pipeline.domain.adoption.access import Certainty, Use
from ingestion_pipeline.domain.adoption.called import Called
from ingestion_pipeline.domain.adoption.shell import ShellReader
from ingestion_pipeline.domain.adoption.shell_folders import Folders, within
from ingestion_pipeline.domain.adoption.shell_words import Command, Word
from ingestion_pipeline.domain.adoption.target import Target
from ingestion_pipeline.domain.adoption.values import Items, Text, Value, texts

_STARTS = {
    f"subprocess.{name}"
    for name in ("run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput")
} | {"os.system", "os.popen", "asyncio.create_subprocess_shell"}
_SPREAD = {"asyncio.create_subprocess_exec", "os.execlp", "os.execl"}
_LISTS = {"os.execv", "os.execvp", "os.spawnv"}


@dataclass(slots=True)
class ProgramCalls:
    """Finds what a started program does to the CSV.

    Attributes:
        reader: Looks at commands.
    """

    reader: ShellReader

    def uses(self, called: Called, target: Target) -> Sequence[Use]:
        """Every use of a call; nothing where it starts no program."""
        sure = not any(each.loose for each in texts(called.argument(-1, "cwd")))
        found = _weighed(self._uses(called, target), sure=sure)
        return [replace(use, how=f"{called.name}: {use.how}", by_program=True) for use in found]

    def _uses(self, called: Called, target: Target) -> Sequence[Use]:
        if called.name in _STARTS:
            given = called.argument(0, "args", "cmd", "command")
        elif called.name in _SPREAD:
            self._begin(called)
            return self._words(called.args, target)
        elif called.name in _LISTS:
            given = called.argument(1, "args")
        else:
            return ()
        found: list[Use] = []
        for atom in given:
            self._begin(called)
            if isinstance(atom, Text):
                uses = [use for _, _, use in self.reader.script(atom.text)]
                found += _weighed(uses, sure=len(given) == 1 and not atom.loose)
            elif isinstance(atom, Items):
                found += self._words(atom.values, target)
        return found

    def _begin(self, called: Called) -> None:
        where = texts(called.argument(-1, "cwd"))
        self.reader.folders = Folders(tuple(within("", each.text) for each in where) or ("",))

    def _words(self, values: Sequence[Value], target: Target) -> list[Use]:
        words = [Word(_chosen(value, target), 1, 1) for value in values]
        sure = all(len(value) == 1 and not any(each.loose for each in texts(value)) for value in values)
        return _weighed([use for _, _, use in self.reader.command(Command(words))], sure=sure)


def _weighed(uses: Sequence[Use], *, sure: bool) -> list[Use]:
    return list(uses) if sure else [replace(use, certainty=Certainty.LIKELY) for use in uses]


def _chosen(value: Value, target: Target) -> str:
    """Of the texts it may be, the CSV's path if it is among them."""
    found = [each.text for each in texts(value)] or [""]
    return next((each for each in found if target.match(each)), found[0])
