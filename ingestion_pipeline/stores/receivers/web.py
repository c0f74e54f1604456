"""Receivers that are told by a POST: any webhook, and Slack's."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ingestion_pipeline.domain.alert import Alert, Event, Level
from ingestion_pipeline.stores.receivers.receiver import (
    TIMEOUT,
    UndeliveredError,
    as_fields,
    as_text,
    headline,
)

_LATER = (408, 425, 429)
_FAULT_OF_THE_SERVER = 500

_SIGN = {Event.RECOVERED: ":white_check_mark:", Event.TEST: ":wave:"}
_HOW_BAD = {Level.WARNING: ":warning:", Level.ERROR: ":rotating_light:"}


@dataclass(frozen=True, slots=True)
class Webhook:
    """Gets every alert as one JSON object; see docs/alerts.md for its fields.

    Attributes:
        url: Where; its path may be a secret.
        name: See `Receiver`.
        timeout: Seconds.
    """

    url: str = field(repr=False)
    name: str = "webhook"
    timeout: float = TIMEOUT

    def tell(self, alert: Alert, site: str) -> None:
        """See `Receiver`."""
        _post(self.name, self.url, as_fields(alert, site), self.timeout)


@dataclass(frozen=True, slots=True)
class Slack:
    """An incoming webhook of Slack.

    Attributes:
        url: Where; its path is a secret.
        name: See `Receiver`.
        timeout: Seconds.
    """

    url: str = field(repr=False)
    name: str = "slack"
    timeout: float = TIMEOUT

    def tell(self, alert: Alert, site: str) -> None:
        """See `Receiver`."""
        sign = _SIGN.get(alert.event, _HOW_BAD[alert.level])
        text = f"{sign} *{_escaped(headline(alert))}*\n{_escaped(as_text(alert, site))}"
        _post(self.name, self.url, {"text": text}, self.timeout)


def _escaped(text: str) -> str:
    """Text in which Slack finds no link and nobody to call."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What a server sends elsewhere is not sent there: it was meant for that server only."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None


def _post(name: str, url: str, content: object, timeout: float) -> None:
    request = urllib.request.Request(  # noqa: S310 - the configuration takes http and https only
        url,
        json.dumps(content).encode(),
        {"Content-Type": "application/json; charset=utf-8", "User-Agent": "ingestion-pipeline"},
        method="POST",
    )
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=timeout):
            return
    except urllib.error.HTTPError as error:
        error.close()
        why, is_final = f"it answered {error.code}", _is_final(error.code)
    except urllib.error.URLError as error:
        why, is_final = _why(error.reason), isinstance(error.reason, ssl.SSLError)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why, is_final = _why(error), False
    # Raised here so that nothing that quotes the address is chained to it.
    raise UndeliveredError(f"{name} ({_host(url)})", why, is_final=is_final)


def _is_final(code: int) -> bool:
    return code < _FAULT_OF_THE_SERVER and code not in _LATER


def _why(error: object) -> str:
    """What went wrong; only what the system says of it is passed on, which quotes no address."""
    if isinstance(error, str):
        return "it cannot be reached"
    said = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}, {said}" if said else type(error).__name__


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
