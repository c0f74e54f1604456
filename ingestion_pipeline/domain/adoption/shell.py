"""What the commands of a shell do to the CSV."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ingestion_pipeline.domain.adoption.access import Certainty, Use, What
from ingestion_pipeline.domain.adoption.shell_words import Command, Shell, Word
from ingestion_pipeline.domain.adoption.target import UNKNOWN_PART, Target, join, name, parts

PythonUses: TypeAlias = Callable[[str], Sequence[tuple[int, Use]]]
"""What Python code within a script does, each with its line in that code."""

Found: TypeAlias = tuple[int, int, Use]
"""Line, column, use."""

_READ_CHANGE = "`ingest render --to FILE`, and that file in its place"
_WRITE_CHANGE = "`ingest write ROW_ID COLUMN=TEXT`, or --stdin for many"
_REMOVE_CHANGE = "take it out; `ingest restore` brings an older state back"
_CODE_CHANGE = "move the code to a file, and adopt that"
_CHANGES = {What.READS: _READ_CHANGE, What.WRITES: _WRITE_CHANGE, What.REMOVES: _REMOVE_CHANGE}


def _several(words: str) -> frozenset[str]:
    return frozenset(words.split())


_READS = _several(
    "cat head tail grep egrep fgrep zgrep rg awk gawk mawk sed cut sort uniq wc diff cmp comm join paste "
    "less more md5sum sha1sum sha256sum shasum cksum xxd od nl tac rev column file strings iconv perl ruby "
    "jq mlr xsv qsv csvcut csvstat csvgrep csvlook csvsql csvjson csvtool zip tar mail curl wget split "
    "source ."
)
_WRITES = _several("tee truncate touch dos2unix unix2dos sponge ed ex vim vi nano")
_REMOVES = _several("rm unlink shred gzip bzip2 xz zstd")
_COPIES = _several("cp scp rsync install gsutil rclone")
_QUIET = _several(
    "echo printf test [ [[ ls stat cd pushd mkdir set chmod chown basename dirname realpath readlink which "
    "du find pwd true false exit return case esac in fi done } ] ]] : trap git type export unset shift local"
)
_ASKED = _several("psql sqlite3 duckdb ssh R Rscript node docker podman mysql")
_SHELLS = _several("sh bash zsh dash ksh")
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*$")
_IN_PLACE = re.compile(r"-[a-zA-Z]*i.*|--in-place.*")


@dataclass(slots=True)
class ShellReader:
    """Reads scripts and finds what touches the CSV.

    Attributes:
        target: The CSV.
        python: Looks at Python code within a script.
        folder: Where the script is, as far as it says by `cd`.
    """

    target: Target
    python: PythonUses
    folder: str = ""
    _folders: list[str] = field(default_factory=list)

    def script(self, text: str, names: Mapping[str, str] | None = None, depth: int = 0) -> Iterator[Found]:
        """Every use in a script."""
        for command in Shell(text, dict(names or {})).commands():
            yield from self.command(command, depth)

    def command(self, command: Command, depth: int = 0) -> Iterator[Found]:
        """Every use of one command."""
        for operator, word in command.redirections:
            effect = What.READS if operator == "<" else What.WRITES
            yield from self._one(word, effect, f"`{operator}`")
        if not command.words:
            return
        first, *rest = command.words
        program = name(first.text) or first.text
        if program == "cd":
            self._go(rest)
        elif _PYTHON.match(program):
            yield from self._python(command, rest)
        elif program in _SHELLS and depth < 3 and (code := _code(rest)) is not None:  # noqa: PLR2004 - sh in sh in sh
            inner = ShellReader(self.target, self.python, self.folder)
            for _, _, use in inner.script(code.text, depth=depth + 1):
                yield code.line, code.column, use
        else:
            yield from self._program(program, rest)

    def _go(self, rest: Sequence[Word]) -> None:
        # A folder that nobody knows is most often the checkout's own.
        where = rest[0].text if rest else UNKNOWN_PART
        self.folder = "" if UNKNOWN_PART in where else "/".join(parts(join(self.folder, where)))
        if where.startswith("/"):
            self.folder = f"/{self.folder}"

    def _match(self, text: str) -> Certainty | None:
        return self.target.match(join(self.folder, text)) if text else None

    def _one(self, word: Word, effect: What, how: str, *, likely: bool = False) -> Iterator[Found]:
        """A word that is the CSV's path, or ends with it behind a `=`."""
        for text in (word.text, word.text.partition("=")[2]):
            found = self._match(text)
            if found is not None:
                sure = Certainty.LIKELY if likely else found
                yield word.line, word.column, Use(effect, how, sure, _CHANGES[effect])
                return

    def _program(self, program: str, rest: Sequence[Word]) -> Iterator[Found]:
        if program in _QUIET:
            return
        files = [word for word in rest if not word.text.startswith("-") or "=" in word.text]
        if program == "aws" and [word.text for word in rest[:1]] == ["s3"]:
            program, files = f"aws s3 {rest[1].text if len(rest) > 1 else ''}", files[2:]
        if program in _COPIES or program in ("mv", "aws s3 cp", "aws s3 mv", "aws s3 sync"):
            yield from self._copy(program, files)
        elif program == "dd":
            yield from self._dd(files)
        elif program == "rm" and any(self.target.is_folder(join(self.folder, word.text)) for word in files):
            word = files[0]
            how = "`rm` of the CSV's folder"
            yield word.line, word.column, Use(What.REMOVES, how, Certainty.LIKELY, _REMOVE_CHANGE)
        else:
            effect, likely = self._effect(program, rest)
            for word in files:
                yield from self._one(word, effect, f"`{program}`", likely=likely)
            if program in _ASKED:
                yield from self._asked(program, rest)

    def _effect(self, program: str, rest: Sequence[Word]) -> tuple[What, bool]:
        """What a program does to the files it is given, and whether that is a guess."""
        options = [word.text for word in rest if word.text.startswith("-")]
        if program in ("sed", "perl", "ruby") and any(map(_IN_PLACE.fullmatch, options)):
            return What.WRITES, False
        if program in ("awk", "gawk") and any(word.text == "inplace" for word in rest):
            return What.WRITES, False
        if program == "sort" and any(each.startswith(("-o", "--output")) for each in options):
            return What.WRITES, True
        if program in _REMOVES and not {"-c", "-k", "--stdout", "--keep"} & set(options):
            return What.REMOVES, False
        if program in _READS | _REMOVES:
            return What.READS, False
        return What.WRITES, program not in _WRITES

    def _copy(self, program: str, files: Sequence[Word]) -> Iterator[Found]:
        if not files:
            return
        *sources, last = files
        moves = program in ("mv", "aws s3 mv")
        for word in sources:
            yield from self._one(word, What.REMOVES if moves else What.READS, f"`{program}`")
        yield from self._one(last, What.WRITES, f"`{program}`")
        folder = join(self.folder, last.text)
        if self.target.is_folder(folder):
            for word in sources:
                if self._match(join(last.text, name(word.text))):
                    how = f"`{program}` into the CSV's folder"
                    yield last.line, last.column, Use(What.WRITES, how, Certainty.LIKELY, _WRITE_CHANGE)

    def _dd(self, files: Sequence[Word]) -> Iterator[Found]:
        for word in files:
            effect = What.WRITES if word.text.startswith("of=") else What.READS
            yield from self._one(word, effect, "`dd`")

    def _asked(self, program: str, rest: Sequence[Word]) -> Iterator[Found]:
        """A program that is given text of its own language."""
        for word in rest:
            if self._match(word.text) is None and self.target.mentioned(word.text):
                how = f"named to `{program}`"
                yield word.line, word.column, Use(What.WRITES, how, Certainty.LIKELY, _WRITE_CHANGE)

    def _python(self, command: Command, rest: Sequence[Word]) -> Iterator[Found]:
        code = _code(rest)
        if code is not None:
            for _, use in self.python(code.text):
                yield code.line, code.column, _in_shell(use, "python -c")
        elif command.document is not None:
            text, start = command.document
            for line, use in self.python(text):
                yield start + line - 1, 1, _in_shell(use, "python <<")
        else:
            for word in rest:
                yield from self._one(word, What.WRITES, "given to a Python script", likely=True)


def _code(rest: Sequence[Word]) -> Word | None:
    """What follows `-c`."""
    for place, word in enumerate(rest[:-1]):
        if re.fullmatch(r"-[a-zA-Z]*c", word.text):
            return rest[place + 1]
        if not word.text.startswith("-"):
            return None
    return None


def _in_shell(use: Use, where: str) -> Use:
    return Use(use.effect, f"{where}: {use.how}", use.certainty, _CODE_CHANGE)
