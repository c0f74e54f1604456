"""Files that hold commands among other things: Makefiles, crontabs, workflows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ingestion_pipeline.domain.adoption.target import UNKNOWN_PART, plain


class Form(StrEnum):
    """What a file is, by its name and its first line."""

    PYTHON = "python"
    SHELL = "shell"
    MAKE = "make"
    CRON = "cron"
    WORKFLOW = "workflow"


_BY_SUFFIX = {
    "py": Form.PYTHON,
    "pyw": Form.PYTHON,
    "sh": Form.SHELL,
    "bash": Form.SHELL,
    "zsh": Form.SHELL,
    "ksh": Form.SHELL,
    "mk": Form.MAKE,
    "cron": Form.CRON,
    "crontab": Form.CRON,
}
_SHEBANG = re.compile(rb"#!\s*\S*?(?:env\s+(?:-S\s+)?)?(?P<program>[\w.]+)(?:\s|$)")
_MAKE_VARIABLE = re.compile(r"(?:export\s+)?(?P<name>[\w.-]+)\s*(?:\?|::?|\+)?=\s*(?P<value>.*)")
_MAKE_USE = re.compile(r"\$(?:\$|\((?P<round>[\w.-]+)\)|\{(?P<curly>[\w.-]+)\}|(?P<one>[@<^?*+]))")
_RULE = re.compile(r"(?P<targets>[^\s:#=][^:#=]*):(?!=)(?P<needs>[^#=]*)")
_CRON = re.compile(r"\s*(?:@\w+|(?:[\d*/,A-Za-z-]+\s+){4}[\d*/,A-Za-z-]+)\s+(?P<command>.*)")
_CRON_NAME = re.compile(r"\s*(?P<name>[A-Za-z_]\w*)\s*=\s*[\"']?(?P<value>[^\"']*)")
_RUN = re.compile(r"(?P<indent>\s*)(?P<dash>-\s+)?run:\s*(?P<rest>.*)")
_PAIR = re.compile(r"\s*(?:-\s+)?(?P<name>[\w-]+):\s+[\"']?(?P<value>[^\"'#]*?)[\"']?\s*(?:#.*)?")
_EXPRESSION = re.compile(r"\$\{\{\s*env\.(\w+)\s*\}\}")
_OTHER_EXPRESSION = re.compile(r"\$\{\{.*?\}\}")
_FILE_KEYS = {"path", "file", "files", "source", "src", "target", "dest", "csv", "input", "output"}


def form(file: str, first_line: bytes) -> Form | None:
    """What a file is; None where it is nothing that is looked at.

    Args:
        file: Its path in the checkout.
        first_line: How it begins; read only where the name says nothing.
    """
    folder, _, base = file.rpartition("/")
    stem, dot, suffix = base.rpartition(".")
    if f"/{folder}".endswith("/.github/workflows"):
        return Form.WORKFLOW if suffix in ("yml", "yaml") else None
    if base.lower() in ("makefile", "gnumakefile"):
        return Form.MAKE
    if base.startswith("crontab") or folder.endswith("cron.d"):
        return Form.CRON
    if dot and stem:
        return _BY_SUFFIX.get(suffix.lower())
    return _by_shebang(first_line)


def _by_shebang(first_line: bytes) -> Form | None:
    found = _SHEBANG.match(first_line)
    program = found["program"].decode("ascii", "replace") if found else ""
    if program.startswith(("python", "pypy")):
        return Form.PYTHON
    return Form.SHELL if program in ("sh", "bash", "zsh", "dash", "ksh") else None


@dataclass(frozen=True, slots=True)
class Script:
    """A piece of a file that a shell runs.

    Attributes:
        text: Its commands.
        line: The line of the file on which it begins, from 1.
        indent: The characters that were taken off its first line.
        names: Variables that are set before.
    """

    text: str
    line: int
    indent: int
    names: dict[str, str]


@dataclass(frozen=True, slots=True)
class Named:
    """A value that names a file to a program nobody looks at.

    Attributes:
        text: The value.
        line: From 1.
        column: From 1.
    """

    text: str
    line: int
    column: int


def pieces(file: str, text: str, form: Form) -> Iterator[Script | Named]:
    """What a shell runs of a file, piece by piece."""
    text = plain(text).replace("\r\n", "\n")
    match form:
        case Form.MAKE:
            yield from _make(text)
        case Form.CRON:
            yield from _cron(text, has_user=file.rpartition("/")[0].endswith("cron.d"))
        case Form.WORKFLOW:
            yield from _workflow(text)
        case _:
            yield Script(text, 1, 0, {})


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines, each with those that a backslash adds, and the number of the first."""
    begun, number = "", 0
    for place, line in enumerate(text.split("\n"), start=1):
        number = number or place
        begun += line
        if line.endswith("\\"):
            begun += "\n"
            continue
        yield number, begun
        begun, number = "", 0
    if begun:
        yield number, begun


def _make(text: str) -> Iterator[Script]:
    names: dict[str, str] = {}
    for number, line in _logical(text):
        if line.startswith("\t"):
            recipe = line.lstrip("\t@+- ")
            yield Script(_made(recipe, names), number, len(line) - len(recipe), {})
        elif variable := _MAKE_VARIABLE.fullmatch(line.partition("#")[0].strip()):
            names[variable["name"]] = _made(variable["value"].strip(), names)
        elif rule := _RULE.match(line):
            targets, needs = (_made(rule[each], names).split() for each in ("targets", "needs"))
            names |= {"@": " ".join(targets[:1]), "<": " ".join(needs[:1]), "^": " ".join(needs)}


def _made(text: str, names: dict[str, str]) -> str:
    def put(found: re.Match[str]) -> str:
        name = found["round"] or found["curly"] or found["one"]
        return "$" if name is None else names.get(name, UNKNOWN_PART)

    return _MAKE_USE.sub(put, text)


def _cron(text: str, *, has_user: bool) -> Iterator[Script]:
    names: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.lstrip().startswith("#"):
            continue
        entry = _CRON.fullmatch(line)
        if entry is not None:
            command = entry["command"].partition(" ")[2] if has_user else entry["command"]
            yield Script(command, number, len(line) - len(command), dict(names))
        elif variable := _CRON_NAME.match(line):
            names[variable["name"]] = variable["value"].strip()


def _workflow(text: str) -> Iterator[Script | Named]:
    lines, names, place = text.split("\n"), dict[str, str](), 0
    while place < len(lines):
        line = lines[place]
        run = _RUN.fullmatch(line)
        if run is None:
            yield from _pair(line, place + 1, names)
            place += 1
        elif run["rest"].startswith(("|", ">")):
            depth = len(run["indent"]) + len(run["dash"] or "")
            body = _block(lines, place + 1, depth)
            indent = min((len(each) - len(each.lstrip()) for each in body if each.strip()), default=0)
            text = "\n".join(each[indent:] for each in body)
            yield Script(_filled(text, names), place + 2, indent, dict(names))
            place += 1 + len(body)
        else:
            rest = run["rest"].strip()
            quoted = rest[:1] in ("'", '"') and rest[-1:] == rest[:1] and len(rest) > 1
            rest = rest[1:-1] if quoted else rest
            yield Script(_filled(rest, names), place + 1, line.find(rest), dict(names))
            place += 1


def _block(lines: list[str], start: int, depth: int) -> list[str]:
    end = start
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > depth):
        end += 1
    return lines[start:end]


def _pair(line: str, number: int, names: dict[str, str]) -> Iterator[Named]:
    found = _PAIR.fullmatch(line)
    if found is None:
        return
    if found["name"].upper() == found["name"]:
        names[found["name"]] = _filled(found["value"], names)
    elif found["name"] in _FILE_KEYS:
        yield Named(_filled(found["value"], names), number, found.start("value") + 1)


def _filled(text: str, names: dict[str, str]) -> str:
    filled = _EXPRESSION.sub(lambda found: names.get(found[1], UNKNOWN_PART), text)
    return _OTHER_EXPRESSION.sub(UNKNOWN_PART, filled)
