"""What the commands of a shell do to the CSV."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeAlias

from ingestion_pipeline.domain.adoption.access import Certainty, Use, What
from ingestion_pipeline.domain.adoption.shell_folders import Folders
from ingestion_pipeline.domain.adoption.shell_words import Command, Shell, Word
from ingestion_pipeline.domain.adoption.target import Target, join, name

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
_MOVES = _several("cd pushd popd")
_QUIET = _several(
    "echo printf test [ [[ ls stat mkdir set chmod chown basename dirname realpath readlink which "
    "du pwd true false exit return case esac in fi done } ] ]] : trap type export unset shift local"
)
_ASKED = _several("psql sqlite3 duckdb ssh R Rscript node docker podman mysql")
_SHELLS = _several("sh bash zsh dash ksh")
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*$")
_IN_PLACE = re.compile(r"-[a-zA-Z]*i.*|--in-place.*")
_OUTPUTS = {
    "curl": re.compile(r"-[a-zA-Z#]*o|--output"),
    "wget": re.compile(r"-[a-zA-Z]*O|--output-document"),
    "sort": re.compile(r"-[a-zA-Z]*o|--output"),
    "iconv": re.compile(r"-o|--output"),
    "xsv": re.compile(r"-o|--output"),
    "qsv": re.compile(r"-o|--output"),
}
_EXTRACTS = re.compile(r"-?[a-zA-Z]*x[a-zA-Z]*|--extract|--get")
_INTO = re.compile(r"-[a-zA-Z]*t|--target-directory")
_GIT = {"checkout": What.WRITES, "restore": What.WRITES, "rm": What.REMOVES}
_STAGED = {"--staged", "-S", "--cached"}
_FIND_NAMES = {"-name", "-iname"}
_FIND_OTHERS = _several("-path -ipath -wholename -iwholename -regex -iregex -empty -prune")


@dataclass(slots=True)
class ShellReader:
    """Reads scripts and finds what touches the CSV.

    Attributes:
        target: The CSV.
        python: Looks at Python code within a script.
        folders: Where the script may be, as far as it says by `cd`.
    """

    target: Target
    python: PythonUses
    folders: Folders = field(default_factory=Folders)

    def script(self, text: str, names: Mapping[str, str] | None = None, depth: int = 0) -> Iterator[Found]:
        """Every use in a script."""
        for command in Shell(text, dict(names or {})).commands():
            yield from self.command(command, depth)

    def command(self, command: Command, depth: int = 0) -> Iterator[Found]:
        """Every use of one command."""
        for mark in command.marks:
            self.folders.take(mark)
        for operator, word in command.redirections:
            effect = What.READS if operator == "<" else What.WRITES
            yield from self._one(word, effect, f"`{operator}`")
        if not command.words:
            return
        first, *rest = command.words
        program = name(first.text) or first.text
        if program in _MOVES:
            self._go(program, rest)
        elif _PYTHON.match(program):
            yield from self._python(command, rest)
        elif program == "eval" and rest and depth < 3:  # noqa: PLR2004 - eval in eval in eval
            for _, _, use in self.script(" ".join(word.text for word in rest), depth=depth + 1):
                yield rest[0].line, rest[0].column, use
        elif program in _SHELLS and depth < 3 and (code := _code(rest)) is not None:  # noqa: PLR2004 - sh in sh in sh
            inner = ShellReader(self.target, self.python, Folders(self.folders.possible))
            for _, _, use in inner.script(code.text, depth=depth + 1):
                yield code.line, code.column, use
        else:
            yield from self._program(program, rest)

    def _go(self, program: str, rest: Sequence[Word]) -> None:
        where = next((word.text for word in rest if not re.match(r"[-+].", word.text)), "")
        if program == "popd":
            self.folders.pop()
        elif program == "pushd" and where:
            self.folders.push(where)
        elif program == "cd":
            self.folders.go(where)

    def _match(self, text: str) -> Certainty | None:
        found = [self.target.match(join(folder, text)) if text else None for folder in self.folders.possible]
        if not any(found):
            return None
        return Certainty.CERTAIN if all(each is Certainty.CERTAIN for each in found) else Certainty.LIKELY

    def _is_folder(self, text: str) -> bool:
        return any(self.target.is_folder(join(folder, text)) for folder in self.folders.possible)

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
        files = _files(rest)
        if program == "aws" and [word.text for word in rest[:1]] == ["s3"]:
            program, files = f"aws s3 {rest[1].text if len(rest) > 1 else ''}", files[2:]
        if program in _COPIES or program in ("mv", "aws s3 cp", "aws s3 mv", "aws s3 sync"):
            yield from self._copy(program, _into_last(program, rest) or files)
        elif program == "git":
            yield from self._git(rest)
        elif program == "find":
            yield from self._find(rest)
        elif program == "dd":
            yield from self._dd(files)
        elif program == "rm" and any(self._is_folder(word.text) for word in files):
            word = files[0]
            how = "`rm` of the CSV's folder"
            yield word.line, word.column, Use(What.REMOVES, how, Certainty.LIKELY, _REMOVE_CHANGE)
        else:
            effect, likely = self._effect(program, rest)
            written = _written(program, rest)
            for word in files:
                done = What.WRITES if word in written else effect
                yield from self._one(word, done, f"`{program}`", likely=likely)
            if program in _ASKED:
                yield from self._asked(program, rest)

    def _effect(self, program: str, rest: Sequence[Word]) -> tuple[What, bool]:
        """What a program does to the files it is given, and whether that is a guess."""
        options = [word.text for word in rest if word.text.startswith("-")]
        if _in_place(program, rest, options):
            return What.WRITES, False
        if program in _REMOVES and not {"-c", "-k", "--stdout", "--keep"} & set(options):
            return What.REMOVES, False
        if program in _READS | _REMOVES:
            return What.READS, False
        return What.WRITES, program not in _WRITES

    def _copy(self, program: str, files: Sequence[Word]) -> Iterator[Found]:
        if not files:
            return
        *sources, last = files
        moves = program in ("mv", "git mv", "aws s3 mv")
        for word in sources:
            yield from self._one(word, What.REMOVES if moves else What.READS, f"`{program}`")
        yield from self._one(last, What.WRITES, f"`{program}`")
        if self._is_folder(last.text):
            for word in sources:
                if self._match(join(last.text, name(word.text))):
                    how = f"`{program}` into the CSV's folder"
                    yield last.line, last.column, Use(What.WRITES, how, Certainty.LIKELY, _WRITE_CHANGE)

    def _git(self, rest: Sequence[Word]) -> Iterator[Found]:
        """What git puts into the folder, or takes out of it."""
        verb, *more = [word for word in rest if not word.text.startswith("-")] or [Word("", 1, 1)]
        options = {word.text for word in rest}
        if verb.text == "mv":
            yield from self._copy("git mv", more)
        elif verb.text in _GIT and not options & _STAGED:
            for word in more:
                yield from self._one(word, _GIT[verb.text], f"`git {verb.text}`")

    def _find(self, rest: Sequence[Word]) -> Iterator[Found]:
        """Files that `find` removes by itself."""
        texts = [word.text for word in rest]
        acts = [texts[place + 1 : place + 2] for place, each in enumerate(texts) if each.startswith("-exec")]
        removes = "-delete" in texts or any(act and name(act[0]) in _REMOVES for act in acts)
        if not removes or _FIND_OTHERS & set(texts) or not _finds(texts, name(self.target.path)):
            return
        is_above = self.target.is_folder if "-maxdepth" in texts else self.target.is_below
        for word in rest:
            if word.text.startswith(("-", "(", "!")):
                return
            if any(is_above(join(folder, word.text)) for folder in self.folders.possible):
                how = "`find` that removes"
                yield word.line, word.column, Use(What.REMOVES, how, Certainty.LIKELY, _REMOVE_CHANGE)

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


def _files(rest: Sequence[Word]) -> list[Word]:
    return [word for word in rest if not word.text.startswith("-") or "=" in word.text]


def _in_place(program: str, rest: Sequence[Word], options: Sequence[str]) -> bool:
    """Whether a program that reads writes the files it is given."""
    if program in ("sed", "perl", "ruby"):
        return any(map(_IN_PLACE.fullmatch, options))
    if program in ("awk", "gawk"):
        return any(word.text == "inplace" for word in rest)
    if program == "tar":
        return any(map(_EXTRACTS.fullmatch, [*options, *(each.text for each in rest[:1])]))
    return program == "mlr" and "-I" in options


def _into_last(program: str, rest: Sequence[Word]) -> list[Word]:
    """What is copied and where to, where `-t` names that first; nothing where it does not."""
    if program not in ("cp", "mv", "install"):
        return []
    for place, word in enumerate(rest):
        option, _, folder = word.text.partition("=")
        if _INTO.fullmatch(option) and (folder or rest[place + 1 :]):
            width = 1 if folder else 2
            into = Word(folder, word.line, word.column) if folder else rest[place + 1]
            return [*_files([*rest[:place], *rest[place + width :]]), into]
    return []


def _written(program: str, rest: Sequence[Word]) -> list[Word]:
    """The files that a program which reads is told to write."""
    option = _OUTPUTS.get(program)
    if option is None:
        return []
    behind = [rest[place + 1] for place, word in enumerate(rest[:-1]) if option.fullmatch(word.text)]
    return behind + [word for word in rest if option.fullmatch(word.text.partition("=")[0])]


def _finds(texts: Sequence[str], file: str) -> bool:
    """Whether what `find` is asked for can be a file of this name."""
    fits = [
        fnmatchcase(file, texts[place + 1]) is not (texts[place - 1] in ("!", "-not"))
        for place, each in enumerate(texts[:-1])
        if each in _FIND_NAMES
    ]
    kinds = [texts[place + 1] for place, each in enumerate(texts[:-1]) if each == "-type"]
    if kinds and "f" not in kinds:
        return False
    return any(fits) or not fits if {"-o", "-or"} & set(texts) else all(fits)


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
