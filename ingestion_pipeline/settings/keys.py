"""The keys there are, dotted, and how a wrong one is told."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ingestion_pipeline.domain.errors import Place, SettingsError
from ingestion_pipeline.settings.sections import Sections


def _fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{path}{name}.")
        else:
            yield f"{path}{field.alias or name}", field


SECTIONS = tuple(Sections.model_fields)
KEYS = dict(_fields(Sections))


def is_section(key: str) -> bool:
    """Whether keys lie under this one."""
    return bool(_under(key))


def _under(path: str) -> list[str]:
    return [key.removeprefix(f"{path}.") for key in KEYS if key.startswith(f"{path}.")]


def unknown_key(key: str, place: Place, source: str = "") -> SettingsError:
    """The refusal of a key that does not exist, with the one that may be meant."""
    near = [] if is_section(key) else get_close_matches(key, KEYS, 1, 0.8)
    known = _under(key) or _under(key.rpartition(".")[0]) or SECTIONS
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return SettingsError(f"unknown key {key}{source}", "unknown_key", place, hint)


def flat(tree: Mapping[Any, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """Sections in sections as dotted keys."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def nested(values: Mapping[str, object]) -> dict[str, Any]:
    """Dotted keys as sections in sections."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        inner = tree
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value
    return tree
