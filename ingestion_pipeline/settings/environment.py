"""The environment: which keys it sets, and what it puts into the file's strings."""

import os
import re
from collections.abc import Mapping

from ingestion_pipeline.domain.errors import Place, SettingsError
from ingestion_pipeline.settings.keys import KEYS, unknown_key

_PREFIX = "INGESTION__"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")


def read_environment() -> Mapping[str, str]:
    """The environment as it is now; nothing else here reads it."""
    return dict(os.environ)


def variable_of(key: str) -> str:
    """The variable that sets this key."""
    return _PREFIX + key.upper().replace(".", "__")


def overrides(environment: Mapping[str, str]) -> dict[str, str]:
    """The keys the environment sets, dotted, each with its text."""
    given = {
        name[len(_PREFIX) :].lower().replace("__", "."): text
        for name, text in environment.items()
        if name.upper().startswith(_PREFIX)
    }
    for key in given:
        if key not in KEYS:
            raise unknown_key(key, Place(), f", from the environment variable {variable_of(key)}")
    return given


def expanded(value: object, key: str, environment: Mapping[str, str], place: Place) -> object:
    """A value of the file with its variables put in; one without a value and a default is refused."""

    def put_in(match: re.Match[str]) -> str:
        name, default = match.groups()
        text = environment.get(name) or default
        if text is None and name not in environment:
            message = f"{key} needs the environment variable {name}, which is not set"
            raise SettingsError(
                message, "unset_variable", place, f"set {name}, or write ${{{name}:-a default}}"
            )
        return text or ""

    if isinstance(value, list):
        return [expanded(each, key, environment, place) for each in value]
    return _VARIABLE.sub(put_in, value) if isinstance(value, str) else value
