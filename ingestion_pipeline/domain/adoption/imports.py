"""Imports of the old module, and the same lines with `ingestion_pipeline.legacy` in its place."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingestion_pipeline.domain.adoption.access import LEGACY, Access, Certainty, What
from ingestion_pipeline.domain.adoption.modules import (
    NEW_MODULE,
    NEW_NAME,
    NEW_PACKAGE,
    OLD_MODULE,
    Modules,
    absolute,
)
from ingestion_pipeline.domain.adoption.spelling import Edit, Spelled
from ingestion_pipeline.domain.adoption.star import taken

_READERS = {
    "DownloadResult",
    "RowContext",
    "count_links_by_type",
    "create_csv_backup",
    "extract_all_links_from_row",
    "extract_links_from_row",
    "get_standard_csv_path",
    "load_and_filter_csv",
    "load_output_csv",
    "safe_csv_read",
}
_HANDED = f"look at it by hand: the module is passed on or looked into; legacy is {NEW_MODULE}"
_GAP = r"(?:\s|\\\r?\n)*"
_FROM = re.compile(rf"from(?P<gap>{_GAP})(?P<module>[.\w](?:[.\w]|{_GAP}(?=[.\w]))*?){_GAP}\bimport\b")
_LITERAL = re.compile(r"(?P<open>[uUrR]?(?P<quote>'''|\"\"\"|'|\"))(?P<name>[\w.]+)(?P=quote)")


@dataclass(frozen=True, slots=True)
class OldImport:
    """One import of the old module.

    Attributes:
        line: From 1.
        column: In bytes of UTF-8, from 0.
        how: How it is spelled.
        effect: Whether what it brings only reads.
        edits: What changes the line; nothing where that is up to people.
        change: What to do, in one line.
    """

    line: int
    column: int
    how: str
    effect: What
    edits: tuple[Edit, ...]
    change: str

    def access(self, file: str, spelled: Spelled) -> Access:
        """The same as an access of a file."""
        column = spelled.column(self.line, self.column)
        patched = bool(self.edits)
        return Access(
            file,
            self.line,
            column,
            What.IMPORTS,
            self.effect,
            self.how,
            Certainty.CERTAIN,
            self.change,
            patched,
        )


@dataclass(slots=True)
class Imports:
    """Finds the imports of the old module in one file.

    Attributes:
        file: Its path in the checkout.
        tree: Its code.
        spelled: Its text.
        modules: The checkout's modules.
        old_names: What `import *` may bring of the old module, where the checkout has it.
    """

    file: str
    tree: ast.Module
    spelled: Spelled
    modules: Modules
    old_names: frozenset[str]

    def all(self) -> Iterator[OldImport]:
        """Every import of the old module."""
        for node in ast.walk(self.tree):
            match node:
                case ast.ImportFrom():
                    yield from self._from(node)
                case ast.Import():
                    yield from self._plain(node)
                case ast.Call(args=[ast.Constant(value=str(name)) as literal, *_]):
                    yield from self._by_function(node, literal, name)

    def _is_old(self, name: str) -> bool:
        return self.modules.is_old(name, self.file)

    def _from(self, node: ast.ImportFrom) -> Iterator[OldImport]:
        module = absolute(self.file, node.module, node.level)
        if self._is_old(module):
            yield self._names_from(node)
            return
        for place, alias in enumerate(node.names):
            name = f"{module}.{alias.name}" if module else alias.name
            if alias.name == OLD_MODULE and self._is_old(name):
                yield self._module_from(node, place)

    def _names_from(self, node: ast.ImportFrom) -> OldImport:
        names = [alias.name for alias in node.names]
        star = names == ["*"]
        used = taken(self.tree, self.spelled.text, self.old_names) if star else names
        missing = [name for name in used if name not in LEGACY]
        how = f"import of {', '.join(names)}"
        effect = What.READS if set(used) <= _READERS and used else What.WRITES
        if missing:
            return self._by_hand(node, how, effect, f"not covered: legacy has no {', '.join(missing)}")
        span = self._module_span(node)
        if span is None:
            return self._by_hand(node, how, effect, f"import them from {NEW_MODULE}")
        edits = (Edit(span[0], span[1], span[2] + NEW_MODULE),)
        return self._patched(node, how, effect, edits, f"from {NEW_MODULE} import {', '.join(names)}")

    def _module_span(self, node: ast.ImportFrom) -> tuple[int, int, str] | None:
        """Where the module of a `from` stands, and the space that is missing before it."""
        start = self.spelled.offset(node.lineno, node.col_offset)
        found = _FROM.match(self.spelled.text, start)
        if found is None:
            return None
        return found.start("module"), found.end("module"), "" if found["gap"] else " "

    def _module_from(self, node: ast.ImportFrom, place: int) -> OldImport:
        """`from utils import csv_manager`, alone or among others."""
        alias = node.names[place]
        bound = alias.asname or alias.name
        how, line = f"import of the module {OLD_MODULE}", f"from {NEW_PACKAGE} import {NEW_NAME} as {bound}"
        obstacle = self._obstacle(bound)
        span = self._module_span(node)
        edits: Sequence[Edit] = ()
        if obstacle:
            line = obstacle
        elif span is not None and len(node.names) == 1:
            start, end = self._span(alias)
            edits = (
                Edit(span[0], span[1], span[2] + NEW_PACKAGE),
                Edit(start, end, f"{NEW_NAME} as {bound}"),
            )
        elif span is not None:
            edits = self._taken_out(node, place, line)
        return OldImport(node.lineno, node.col_offset, how, self._effect(bound), tuple(edits), line)

    def _taken_out(self, node: ast.ImportFrom, place: int, line: str) -> Sequence[Edit]:
        """One name of several goes to an import of its own before them; comments are not torn apart."""
        spans = [self._span(alias) for alias in node.names]
        if place + 1 < len(spans):
            gone = (spans[place][0], spans[place + 1][0])
        else:
            gone = (spans[place - 1][1], spans[place][1])
        if "#" in self.spelled.text[gone[0] : gone[1]]:
            return ()
        start = self.spelled.offset(node.lineno, node.col_offset)
        indentation = self.spelled.indentation(start)
        between = "; " if indentation is None else self.spelled.line_end(start) + indentation
        return (Edit(start, start, line + between), Edit(*gone, ""))

    def _plain(self, node: ast.Import) -> Iterator[OldImport]:
        for alias in node.names:
            if not self._is_old(alias.name):
                continue
            how = f"import of the module {alias.name}"
            if alias.asname is None and "." in alias.name:
                line = (
                    f"import {NEW_MODULE} as {OLD_MODULE}, and {OLD_MODULE} for {alias.name} where it is used"
                )
                yield self._by_hand(node, how, What.WRITES, line)
                continue
            bound = alias.asname or alias.name
            obstacle = self._obstacle(bound)
            if obstacle:
                yield self._by_hand(node, how, self._effect(bound), obstacle)
                continue
            start, end = self._span(alias)
            line = f"{NEW_MODULE} as {bound}"
            yield self._patched(node, how, self._effect(bound), (Edit(start, end, line),), f"import {line}")

    def _by_function(self, node: ast.Call, literal: ast.Constant, name: str) -> Iterator[OldImport]:
        match node.func:
            case ast.Attribute(attr="import_module") | ast.Name(id="import_module"):
                patchable = True
            case ast.Name(id="__import__"):
                patchable = False
            case _:
                return
        if name.startswith("."):
            name, patchable = f"utils{name}", False
        if not self._is_old(name):
            return
        how, line = f"import of the module {name} by a call", f'import_module("{NEW_MODULE}")'
        start, end = self._span(literal)
        found = _LITERAL.fullmatch(self.spelled.text, start, end)
        obstacle = self._obstacle_of_call(node) if patchable else line
        if found is None or obstacle:
            yield self._by_hand(node, how, What.WRITES, obstacle or line)
            return
        edits = (Edit(found.start("name"), found.end("name"), NEW_MODULE),)
        yield self._patched(node, how, What.WRITES, edits, line)

    def _attributes(self, bound: str) -> set[str]:
        """What is taken from a module by its name in this file."""
        return {
            node.attr
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == bound
        }

    def _obstacle(self, bound: str) -> str:
        """Why the module that a name stands for cannot simply be another one; empty where it can."""
        missing = sorted(self._attributes(bound) - set(LEGACY))
        if missing:
            return f"not covered: legacy has no {', '.join(missing)}"
        return _HANDED if self._is_handed(bound) else ""

    def _obstacle_of_call(self, call: ast.Call) -> str:
        """The same for the module that a call gives."""
        for node in ast.walk(self.tree):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=bound)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=bound), value=value)
                ) if value is call:
                    return self._obstacle(bound)
                case ast.Attribute(value=value, attr=attr) if value is call:
                    return "" if attr in LEGACY else f"not covered: legacy has no {attr}"
                case ast.Expr(value=value) if value is call:
                    return ""
        return _HANDED

    def _is_handed(self, bound: str) -> bool:
        """Whether the module itself goes elsewhere, where anything may be taken from it."""
        looked_at = {id(each) for node in ast.walk(self.tree) for each in _looked_at(node)}
        return any(
            isinstance(node, ast.Name)
            and node.id == bound
            and isinstance(node.ctx, ast.Load)
            and id(node) not in looked_at
            for node in ast.walk(self.tree)
        )

    def _effect(self, bound: str) -> What:
        used = self._attributes(bound)
        only_reads = used and used <= _READERS and not self._is_handed(bound)
        return What.READS if only_reads else What.WRITES

    def _span(self, node: ast.alias | ast.expr) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return self.spelled.offset(node.lineno, node.col_offset), self.spelled.offset(end_line, end_column)

    def _patched(
        self, node: ast.stmt | ast.expr, how: str, effect: What, edits: tuple[Edit, ...], change: str
    ) -> OldImport:
        return OldImport(node.lineno, node.col_offset, how, effect, edits, change)

    def _by_hand(self, node: ast.stmt | ast.expr, how: str, effect: What, change: str) -> OldImport:
        return OldImport(node.lineno, node.col_offset, how, effect, (), change)


def _looked_at(node: ast.AST) -> Sequence[ast.expr]:
    """The parts that do not go anywhere: asked for a name, or whether they are there at all."""
    match node:
        case ast.Attribute(value=value) | ast.Expr(value=value):
            return [value]
        case ast.If(test=test) | ast.IfExp(test=test) | ast.UnaryOp(op=ast.Not(), operand=test):
            return [test]
        case ast.Compare(left=left, comparators=others):
            return [left, *others]
        case ast.BoolOp(op=ast.And(), values=values):
            return values[:-1]
        case _:
            return []
