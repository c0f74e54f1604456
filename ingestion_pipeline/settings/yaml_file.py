"""Reading a YAML file that may be wrong, too large or made to be so, without quoting it."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ingestion_pipeline.domain.errors import Place, SettingsError

LARGEST_FILE = 1024 * 1024
"""Most bytes a file may have, and most characters and values it may hold with its aliases written out."""


def read_yaml(file: Path) -> dict[Hashable, Any]:
    """What the file holds; an empty one holds nothing."""
    tree = _parsed(_content(file), file)
    if tree is None:
        return {}
    if isinstance(tree, dict):
        return tree
    raise _refusal("the file must hold sections with keys", "config_syntax", file, "begin with `paths:`")


def _refusal(message: str, code: str, file: Path | str, hint: str, line: int | None = None) -> SettingsError:
    return SettingsError(message, code, Place(file=str(file), line=line), hint)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        message = f"the configuration cannot be read: {error.strerror}"
        raise _refusal(message, "config_unreadable", file, "check its permissions") from None
    if len(content) <= LARGEST_FILE:
        return content
    message = f"the configuration has more than {LARGEST_FILE} bytes"
    raise _refusal(message, "config_too_large", file, "is it another file?")


def _parsed(content: bytes, file: Path) -> object:
    try:
        loader = _Loader(content)
        loader.name = str(file)
        return loader.get_single_data()
    except RecursionError:
        refusal = _refusal("values are nested too deeply", "config_too_large", file, "is it another file?")
    except yaml.reader.ReaderError as error:
        line = content.count(b"\n", 0, error.position) + 1
        refusal = _refusal(
            "a character is not allowed or not UTF-8", "config_syntax", file, "save it as UTF-8", line
        )
    except yaml.MarkedYAMLError as error:
        refusal = _told(error, file)
    # Raised here so that PyYAML's own error, which quotes the file, is not chained to it.
    raise refusal


def _told(error: yaml.MarkedYAMLError, file: Path) -> SettingsError:
    mark = error.problem_mark or error.context_mark
    # What PyYAML quotes is the file's text, which may be a password.
    problem = re.split("['\"]", str(error.problem))[0].strip(" ,")
    return _refusal(
        f"this is not YAML this program reads: {problem}",
        "config_syntax",
        file,
        "check indentation and colons here and one line above; put values with special characters in quotes",
        None if mark is None else mark.line + 1,
    )


class _Loader(yaml.SafeLoader):
    """Refuses what SafeLoader lets pass: keys given twice, and aliases that grow without bound."""

    def get_single_node(self) -> yaml.Node | None:
        root = super().get_single_node()
        size, pending = 0, [] if root is None else [root]
        while pending:
            node = pending.pop()
            # Aliases share their nodes: only following them is costly, so the count comes first.
            size += 1 + len(node.value)
            if size > LARGEST_FILE:
                raise _refused(node, "the values grow too large", "config_too_large", "use fewer aliases")
            if isinstance(node, yaml.MappingNode):
                _refuse_twice([key for key, _ in node.value])
                pending += [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                pending += node.value
        return root

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError):
            problem = "a value is not of its type"
        raise yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)


def _refuse_twice(keys: list[yaml.Node]) -> None:
    seen = set()
    for key in keys:
        name = (key.tag, str(key.value))
        if name in seen:
            raise _refused(key, f"the key {key.value} is given twice", "duplicate_key", "keep one of them")
        seen.add(name)


def _refused(node: yaml.Node, message: str, code: str, hint: str) -> SettingsError:
    return _refusal(message, code, node.start_mark.name, hint, node.start_mark.line + 1)
