"""Timing the verbs."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ingestion_pipeline.app.places import Places

_Site = TypeVar("_Site")
_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")

_Verb = Callable[Concatenate[_Site, _Given], _Answer]


def timed(name: str) -> Callable[[_Verb[_Site, _Given, _Answer]], _Verb[_Site, _Given, _Answer]]:
    """Time a verb of a class that keeps its site's places as `_places`.

    What PostgreSQL is asked meanwhile is counted under the same name. A verb that is part of another is not
    counted by itself.

    Args:
        name: The verb's.
    """

    def decorated(verb: _Verb[_Site, _Given, _Answer]) -> _Verb[_Site, _Given, _Answer]:
        @wraps(verb)
        def call(site: Any, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Answer:
            places: Places = site._places  # noqa: SLF001 - its own decorator
            with places.timings.operation(name):
                return verb(site, *args, **kwargs)

        return call

    return decorated
