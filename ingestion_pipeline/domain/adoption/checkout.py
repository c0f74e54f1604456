"""A whole checkout: what of it touches the CSV, and the patch for its imports."""

import ast
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingestion_pipeline.domain.adoption.access import Access, Certainty, Unreadable, Use, What
from ingestion_pipeline.domain.adoption.called import Called
from ingestion_pipeline.domain.adoption.expressions import Expressions
from ingestion_pipeline.domain.adoption.imports import Imports, OldImport
from ingestion_pipeline.domain.adoption.modules import Modules, is_old_file
from ingestion_pipeline.domain.adoption.programs import ProgramCalls
from ingestion_pipeline.domain.adoption.shell import ShellReader
from ingestion_pipeline.domain.adoption.shell_files import Form, Named, form, pieces
from ingestion_pipeline.domain.adoption.shell_folders import Folders
from ingestion_pipeline.domain.adoption.spelling import Spelled, spelled
from ingestion_pipeline.domain.adoption.star import public_names
from ingestion_pipeline.domain.adoption.statements import Statements
from ingestion_pipeline.domain.adoption.target import Target
from ingestion_pipeline.domain.adoption.values import Facts

LOOKS = 6
"""How often the modules are looked through, each time with what the last look found."""

_WITHIN = "<code within a script>"


@dataclass(frozen=True, slots=True)
class Patch:
    """A file before and after its imports are changed.

    Attributes:
        file: Its path in the checkout.
        before: Its bytes.
        after: Its bytes with the imports changed.
    """

    file: str
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in a checkout.

    Attributes:
        looked_at: How many files were looked at.
        accesses: What touches the CSV, by file and line.
        unreadable: The files that nothing can be said of.
        replaced: The old module itself, which nothing needs once all imports are changed.
        patches: The files whose imports can be changed.
    """

    looked_at: int
    accesses: tuple[Access, ...]
    unreadable: tuple[Unreadable, ...]
    replaced: tuple[str, ...]
    patches: tuple[Patch, ...]

    @property
    def left(self) -> tuple[Access, ...]:
        """What the patches leave to people."""
        return tuple(access for access in self.accesses if not access.patched)


@dataclass(slots=True)
class _Module:
    spelled: Spelled
    tree: ast.Module


@dataclass(slots=True)
class Checkout:
    """The files of a checkout.

    Attributes:
        files: Their bytes, by path with slashes.
        target: The CSV.
        step: Told of every file that was looked at once more.
    """

    files: Mapping[str, bytes]
    target: Target
    step: Callable[[], None] = lambda: None
    _modules: dict[str, _Module] = field(default_factory=dict)
    _scripts: list[tuple[str, Form]] = field(default_factory=list)
    _unreadable: dict[str, Unreadable] = field(default_factory=dict)
    _index: Modules = field(default_factory=lambda: Modules(()))

    def examine(self) -> Findings:
        """Look at all of it."""
        for file, data in sorted(self.files.items()):
            self._sort(file, data)
        self._index = Modules(tuple(self._modules))
        replaced = tuple(file for file in self._modules if is_old_file(file, self._modules))
        accesses = self._python_accesses(replaced)
        patches = []
        for file in [each for each in self._modules if each not in replaced]:
            imports, patch = self._imports(file, replaced)
            accesses += imports
            patches += [patch] if patch is not None else []
        for file, kind in self._scripts:
            accesses += self._script_accesses(file, kind)
        ordered = sorted(set(accesses), key=lambda each: (each.file, each.line, each.column, each.what))
        unreadable = tuple(sorted(self._unreadable.values(), key=lambda each: each.file))
        return Findings(len(self.files), tuple(ordered), unreadable, replaced, tuple(patches))

    def _sort(self, file: str, data: bytes) -> None:
        kind = form(file, data[:200])
        if kind is Form.PYTHON:
            found = _parsed(file, data)
            if isinstance(found, Unreadable):
                self._unreadable[file] = found
            else:
                self._modules[file] = found
        elif kind is not None:
            self._scripts.append((file, kind))

    def _python_accesses(self, replaced: Sequence[str]) -> list[Access]:
        known = Facts()
        for _ in range(LOOKS):
            found, recorded = Facts(), dict[tuple[str, int, int, What], Access]()
            for file in list(self._modules):
                self._look(file, known, found, recorded)
                self.step()
            settled, known = found == known, found
            if settled:
                break
        return [access for access in recorded.values() if access.file not in replaced]

    def _look(
        self, file: str, known: Facts, found: Facts, recorded: dict[tuple[str, int, int, What], Access]
    ) -> None:
        module = self._modules[file]

        def record(node: ast.AST, use: Use) -> None:
            line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
            access = _access(file, line, module.spelled.column(line, column), use)
            key = (file, line, access.column, use.effect)
            before = recorded.get(key)
            sure = Certainty.LIKELY if before and before.certainty is Certainty.LIKELY else access.certainty
            recorded[key] = replace(access, certainty=sure)

        try:
            self._statements(file, known, found, record).module(module.tree)
        except RecursionError:
            self._unreadable[file] = Unreadable(file, 1, "it is nested too deeply")

    def _statements(
        self, file: str, known: Facts, found: Facts, record: Callable[[ast.AST, Use], None]
    ) -> Statements:
        programs = ProgramCalls(ShellReader(self.target, self._code_uses)) if file != _WITHIN else None
        shell: Callable[[Called, Target], Sequence[Use]] = programs.uses if programs else lambda *_: ()
        return Statements(Expressions(file, self.target, self._index, known, found, record, shell))

    def _imports(self, file: str, replaced: Sequence[str]) -> tuple[list[Access], Patch | None]:
        module = self._modules[file]
        old_names = frozenset().union(*(public_names(self._modules[each].tree) for each in replaced))
        try:
            found = list(Imports(file, module.tree, module.spelled, self._index, old_names).all())
        except RecursionError:
            self._unreadable[file] = Unreadable(file, 1, "it is nested too deeply")
            return [], None
        patch = self._patch(file, module.spelled, found)
        if patch is None:
            found = [replace(each, edits=()) for each in found]
        return [each.access(file, module.spelled) for each in found], patch

    def _patch(self, file: str, spelled: Spelled, found: Sequence[OldImport]) -> Patch | None:
        """The patch, unless what comes of it is no Python or another file's bytes change too."""
        edits = [edit for each in found for edit in each.edits]
        before = self.files[file]
        if not edits or spelled.encode(spelled.text) != before:
            return None
        after = spelled.encode(spelled.edited(edits))
        return None if isinstance(_parsed(file, after), Unreadable) else Patch(file, before, after)

    def _script_accesses(self, file: str, kind: Form) -> Iterator[Access]:
        try:
            yield from list(self._script_uses(file, kind))
        except RecursionError:
            self._unreadable[file] = Unreadable(file, 1, "it is nested too deeply")

    def _script_uses(self, file: str, kind: Form) -> Iterator[Access]:
        text = self.files[file].decode("utf-8", "replace")
        reader = ShellReader(self.target, self._code_uses)
        for piece in pieces(file, text, kind):
            if isinstance(piece, Named):
                match = self.target.match(piece.text)
                if match is not None:
                    use = Use(What.READS, "named to an action", Certainty.LIKELY, "`ingest render --to FILE`")
                    yield _access(file, piece.line, piece.column, use, What.SHELL)
                continue
            if kind is not Form.SHELL:
                reader.folders = Folders()
            for line, column, use in reader.script(piece.text, piece.names):
                shift = piece.indent if line == 1 or kind is Form.WORKFLOW else 0
                yield _access(file, piece.line + line - 1, column + shift, use, What.SHELL)

    def _code_uses(self, code: str) -> list[tuple[int, Use]]:
        """What Python code within a script does."""
        found = _parsed(_WITHIN, code.encode("utf-8", "replace"))
        if isinstance(found, Unreadable):
            return []
        uses: list[tuple[int, Use]] = []

        def record(node: ast.AST, use: Use) -> None:
            uses.append((getattr(node, "lineno", 1), use))

        known = Facts()
        for _ in range(2):
            uses.clear()
            facts = Facts()
            self._statements(_WITHIN, known, facts, record).module(found.tree)
            known = facts
        imports = Imports(_WITHIN, found.tree, found.spelled, self._index, frozenset()).all()
        uses += [(each.line, Use(each.effect, each.how, Certainty.CERTAIN, each.change)) for each in imports]
        return uses


def _access(file: str, line: int, column: int, use: Use, what: What | None = None) -> Access:
    kind = what or (What.SHELL if use.by_program else use.effect)
    # What an imported module does is not known; the old one writes.
    effect = What.WRITES if use.effect is What.IMPORTS else use.effect
    return Access(file, line, column, kind, effect, use.how, use.certainty, use.change)


def _parsed(file: str, data: bytes) -> _Module | Unreadable:
    found = spelled(file, data)
    if isinstance(found, Unreadable):
        return found
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Module(found, ast.parse(found.text))
    except SyntaxError as error:
        return Unreadable(file, error.lineno or 1, "it is not the syntax of Python 3")
    except (RecursionError, MemoryError):
        return Unreadable(file, 1, "it is nested too deeply")
    except ValueError:
        return Unreadable(file, 1, "it holds what no Python file may hold")
