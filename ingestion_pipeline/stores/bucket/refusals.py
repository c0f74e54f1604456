"""What a bucket refuses, as this package's own errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, which is none of Python's
    HTTPClientError,
    IncompleteReadError,
)
from urllib3.exceptions import HTTPError

from ingestion_pipeline.domain.errors import Place, UnavailableError
from ingestion_pipeline.stores.bucket.place import UnreadableError

FAULTS = (BotoCoreError, HTTPError)
"""Whatever a client raises besides what the bucket itself answers."""

_AWAY = (HTTPClientError, ConnectionError, IncompleteReadError, HTTPError)
_TAKEN = frozenset({"PreconditionFailed", "412"})
_MEANWHILE = frozenset({"ConditionalRequestConflict", "OperationAborted", "NoSuchUpload", "409"})
_NOTHING = frozenset({"NoSuchKey", "NoSuchVersion"})
_LATER = frozenset({"RequestTimeout", "TooManyRequests", "429"})
_ARCHIVED = "InvalidObjectState"
_REFUSED = range(300, 500)
_NOT_OFFERED = 501


class BusyError(UnavailableError):
    """Somebody else asks for the same name at this moment."""


@contextmanager
def refusals(where: str, key: str = "") -> Iterator[None]:
    """Raise this package's errors instead of the client's.

    Args:
        where: The bucket.
        key: What is asked for there.
    """
    place = Place(file=where + key)
    try:
        yield
    except ClientError as error:
        raise _refusal(place, key, error) from None
    except FAULTS as error:
        raise _unavailable(place, type(error).__name__, away=isinstance(error, _AWAY)) from None


def told(answer: Mapping[str, Any], name: str) -> Any:
    """What every answer of its kind says: one that was cut before its body is an empty one to the client.

    Raises:
        IncompleteReadError: It does not.
    """
    if name not in answer:
        raise IncompleteReadError(actual_bytes=0, expected_bytes=1)
    return answer[name]


def code_of(error: ClientError) -> str:
    """The bucket's word for it."""
    return str(error.response.get("Error", {}).get("Code") or "unknown")


def is_not_offered(error: ClientError) -> bool:
    """Whether the server has no such thing."""
    return _status(error) == _NOT_OFFERED


def is_refused(error: ClientError) -> bool:
    """Whether asking again would be of no use."""
    is_final = _status(error) in _REFUSED or is_not_offered(error)
    return is_final and code_of(error) not in _LATER | _MEANWHILE


def _refusal(place: Place, key: str, error: ClientError) -> Exception:
    code = code_of(error)
    if code in _TAKEN:
        return FileExistsError(key)
    if code in _NOTHING:
        return FileNotFoundError(key)
    if code == _ARCHIVED:
        return UnreadableError(
            "it was moved to an archive",
            code="bucket_archived",
            place=place,
            hint="Bring it back from there first: `aws s3api restore-object`.",
        )
    if code in _MEANWHILE:
        return BusyError(
            "others ask for the same name at this moment",
            code="bucket_busy",
            place=place,
            hint="Try again; nothing half-sent is ever listed.",
        )
    return _unavailable(place, code, away=not is_refused(error))


def _unavailable(place: Place, code: str, *, away: bool) -> UnavailableError:
    hint = "See that the bucket is there, and that the credentials may use it: `ingest doctor`."
    return UnavailableError(
        f"the bucket cannot be used: {code}",
        code="bucket_unavailable" if away else "bucket_refused",
        place=place,
        hint="Try again; nothing half-sent is ever listed." if away else hint,
    )


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
