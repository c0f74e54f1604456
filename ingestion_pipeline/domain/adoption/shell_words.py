"""Shell scripts as the commands they run: words, redirections, variables filled in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingestion_pipeline.domain.adoption.target import UNKNOWN_PART, plain

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?P<rest>[^}]*)\}|(?P<name>\w+|[@*#?$!-]))")
_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_]\w*)\+?=(?P<value>.*)", re.DOTALL)
_OPERATORS = ("<<<", "<<-", "&>>", "||", "&&", ";;", ">>", "<<", "&>", ">|", ">&", "<&", "|&", "|", "&", ";")
_SINGLE = ("<", ">", "(", ")", "\n")
_REDIRECTIONS = {"<", ">", ">>", "&>", "&>>", ">|"}
_DUPLICATES = {">&", "<&"}
_DECLARES = {"export", "readonly", "local", "declare", "typeset"}
_LEADS = {"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "sudo", "exec", "nohup"}
_LEADS |= {"command", "builtin", "env", "nice", "ionice", "xargs", "stdbuf"}
_MARKS = {"if", "then", "else", "elif", "fi", "do", "while", "until", "done", "esac", "{", "}"}
LONGEST = 4000


@dataclass(frozen=True, slots=True)
class Word:
    """A word, with what its variables hold.

    Attributes:
        text: Without quotes; what nobody knows is marked as in `target`.
        line: From 1.
        column: From 1.
        quoted: Whether any of it was in quotes.
    """

    text: str
    line: int
    column: int
    quoted: bool = False


@dataclass(slots=True)
class Command:
    """One simple command.

    Attributes:
        words: Its name and arguments.
        redirections: Operator and file.
        document: What `<<` gives it, and the line on which that begins.
        marks: The operators and the words of the shell's own between it and the command before; `()` is what
            makes a function.
    """

    words: list[Word] = field(default_factory=list)
    redirections: list[tuple[str, Word]] = field(default_factory=list)
    document: tuple[str, int] | None = None
    marks: tuple[str, ...] = ()


@dataclass(slots=True)
class Shell:
    """Reads a script from its beginning; `names` are its variables at each command.

    Args:
        text: The script.
        names: Variables that are set before it begins.
    """

    text: str
    names: dict[str, str] = field(default_factory=dict)
    _at: int = 0
    _line: int = 1
    _line_start: int = 0
    _documents: list[tuple[Command, str]] = field(default_factory=list)
    _inner: list[tuple[str, int]] = field(default_factory=list)
    _marks: list[str] = field(default_factory=list)

    def commands(self) -> Iterator[Command]:
        """The commands, one after the other, with those within `$(…)`."""
        command, operator = Command(), ""
        for each in self._tokens():
            if isinstance(each, Word):
                operator = self._take(command, operator, each)
                continue
            if each in _REDIRECTIONS or each in _DUPLICATES or each.startswith("<<"):
                operator = each
                continue
            operator = ""
            if each == "\n":
                self._read_documents()
            # The rest of the line comes before what `<<` gives.
            yield from self._finished(command, late=bool(self._documents))
            command = Command()
            self._mark(each)
        self._read_documents()
        yield from self._finished(command)

    def _take(self, command: Command, operator: str, word: Word) -> str:
        if operator in ("<<", "<<-"):
            self._documents.append((command, word.text))
        elif operator in _REDIRECTIONS:
            command.redirections.append((operator, word))
        elif operator == "":
            self._take_word(command.words, word)
        return ""

    def _take_word(self, words: list[Word], word: Word) -> None:
        begins = not words and not word.quoted
        if begins and word.text in _MARKS:
            self._marks.append(word.text)
        elif word.text == "{" and words and words[0].text == "function":
            self._marks += ["()", "{"]
            words.clear()
        else:
            if begins and word.text == "case":
                self._marks.append(word.text)
            words.append(word)

    def _mark(self, operator: str) -> None:
        before = self._marks[-1:]
        if operator == ")" and before == ["("]:
            self._marks[-1] = "()"
        elif operator != "\n" or before not in (["&&"], ["||"], ["|"]):
            self._marks.append(operator)

    def _marked(self, command: Command) -> Command:
        command.marks, self._marks = (*self._marks, *command.marks), []
        return command

    def _finished(self, command: Command, *, late: bool = False) -> Iterator[Command]:
        inner, self._inner = self._inner, []
        for text, line in inner:
            self._marks.append("(")
            for each in Shell(text, dict(self.names)).commands():
                yield self._marked(_moved(each, line - 1))
            self._marks.append(")")
        self._assign(command)
        if late:
            self._read_ahead(command)
        if command.words or command.redirections:
            yield self._marked(command)

    def _read_ahead(self, command: Command) -> None:
        """A document of a command that ends before its line does: found without going there."""
        for owner, end in self._documents:
            if owner is command:
                line_end = self.text.find("\n", self._at)
                body, _ = _document(self.text, line_end + 1 if line_end >= 0 else len(self.text), end)
                command.document = (body, self._line + 1)

    def _assign(self, command: Command) -> None:
        """Take leading words and assignments off, and remember the latter."""
        words = command.words
        while words:
            found = _ASSIGNMENT.fullmatch(words[0].text)
            if found is not None:
                self.names[found["name"]] = found["value"]
                words.pop(0)
            elif words[0].text in _DECLARES:
                words.pop(0)
                words[:] = [word for word in words if "=" in word.text]
            elif words[0].text in _LEADS:
                words.pop(0)
                while words and words[0].text.startswith("-"):
                    words.pop(0)
            elif words[0].text == "for" and len(words) > 3 and words[2].text == "in":  # noqa: PLR2004 - for x in y
                self.names[words[1].text] = words[3].text
                words.clear()
            else:
                return

    def _read_documents(self) -> None:
        for command, end in self._documents:
            body, after = _document(self.text, self._at, end)
            command.document = command.document or (body, self._line)
            self._line += self.text.count("\n", self._at, after)
            self._at = self._line_start = after
        self._documents.clear()

    def _tokens(self) -> Iterator[Word | str]:
        while self._at < len(self.text):
            character = self.text[self._at]
            if character == "\n":
                self._at += 1
                self._line += 1
                self._line_start = self._at
                yield "\n"
            elif character in " \t\r\f":
                self._at += 1
            elif self.text.startswith("\\\n", self._at):
                self._at += 2
                self._line += 1
                self._line_start = self._at
            elif character == "#":
                end = self.text.find("\n", self._at)
                self._at = len(self.text) if end < 0 else end
            elif operator := self._operator():
                self._at += len(operator)
                yield operator
            else:
                yield from self._word()

    def _operator(self) -> str:
        several = (each for each in _OPERATORS if self.text.startswith(each, self._at))
        found = next(several, "")
        return found or (self.text[self._at] if self.text[self._at] in _SINGLE else "")

    def _word(self) -> Iterator[Word]:
        line, column, start = self._line, self._at - self._line_start + 1, self._at
        made, quoted = "", False
        while self._at < len(self.text):
            character = self.text[self._at]
            if character in "'\"":
                quoted = True
                made += self._quoted(character)
            elif character == "\\":
                escaped = self.text[self._at + 1 : self._at + 2]
                made += "" if escaped == "\n" else escaped
                self._skip(2)
            elif character in "$`":
                made += self._expanded()
            elif character in " \t\r\f" or self._operator():
                break
            else:
                made += character
                self._at += 1
        if made.isdigit() and self.text[self._at : self._at + 1] in ("<", ">") and not quoted:
            # The number of a stream, as in 2>&1.
            return
        if self._at > start:
            yield Word(made[:LONGEST], line, column, quoted)

    def _skip(self, count: int) -> None:
        self._line += self.text.count("\n", self._at, self._at + count)
        self._at += count

    def _quoted(self, quote: str) -> str:
        self._at += 1
        made = ""
        while self._at < len(self.text) and self.text[self._at] != quote:
            character = self.text[self._at]
            if quote == '"' and character == "\\" and self.text[self._at + 1 : self._at + 2] in '"\\$`\n':
                escaped = self.text[self._at + 1 : self._at + 2]
                made += "" if escaped == "\n" else escaped
                self._skip(2)
            elif quote == '"' and character in "$`":
                made += self._expanded()
            else:
                # As much as possible at once: a script may be one long text.
                end = self._plain_until(quote)
                made += plain(self.text[self._at : end])
                self._skip(end - self._at)
        self._at += 1
        return made

    def _plain_until(self, quote: str) -> int:
        stops = re.compile("'" if quote == "'" else '["\\\\$`]').search(self.text, self._at + 1)
        return stops.start() if stops else len(self.text)

    def _expanded(self) -> str:
        """A variable, or what a command gives."""
        if self.text[self._at] == "`" or self.text.startswith("$(", self._at):
            self._substitution()
            return UNKNOWN_PART
        found = _VARIABLE.match(self.text, self._at)
        if found is None:
            self._at += 1
            return "$" if self.text[self._at - 1] == "$" else ""
        self._skip(found.end() - found.start())
        return self._variable(found["braced"] or found["name"], found["rest"] or "")

    def _variable(self, name: str, rest: str) -> str:
        known = self.names.get(name)
        if rest.startswith((":-", "-", ":=", "=")) and known is None:
            return plain(rest.lstrip(":-="))
        return UNKNOWN_PART if known is None or rest[:1] in ("%", "#", "/", "^", ",") else known

    def _substitution(self) -> None:
        if self.text[self._at] == "`":
            end = self.text.find("`", self._at + 1)
            inner, after = self.text[self._at + 1 : end], end + 1
        else:
            end = _closing(self.text, self._at + 1)
            inner, after = self.text[self._at + 2 : end], end + 1
        if end < 0:
            self._skip(len(self.text) - self._at)
            return
        self._inner.append((inner, self._line))
        self._skip(after - self._at)


def _closing(text: str, start: int) -> int:
    """Where the parenthesis that opens at a place closes; -1 where it does not."""
    depth, quote, place = 0, "", start
    while place < len(text):
        character = text[place]
        if character == "\\":
            place += 1
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
            if depth == 0:
                return place
        place += 1
    return -1


def _document(text: str, start: int, end: str) -> tuple[str, int]:
    """What stands from a place to the line that says `end`, and what is behind that."""
    place = start
    while place < len(text):
        after = text.find("\n", place)
        after = len(text) if after < 0 else after + 1
        if text[place:after].strip() == end:
            return text[start:place], after
        place = after
    return text[start:], len(text)


def _moved(command: Command, lines: int) -> Command:
    def moved(word: Word) -> Word:
        return Word(word.text, word.line + lines, word.column, word.quoted)

    document = command.document and (command.document[0], command.document[1] + lines)
    redirections = [(operator, moved(word)) for operator, word in command.redirections]
    return Command([moved(word) for word in command.words], redirections, document, command.marks)
