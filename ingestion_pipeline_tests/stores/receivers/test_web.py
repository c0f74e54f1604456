"""Receivers that are told by HTTP, each a real server."""

import socket
import traceback
from datetime import UTC, datetime

import pytest

from ingestion_pipeline.domain.alert import Alert, Event, Level
from ingestion_pipeline.stores.receivers.receiver import UndeliveredError
from ingestion_pipeline.stores.receivers.web import Slack, Webhook
from ingestion_pipeline_tests.receiving import Web, free_port, web

ALERT = Alert(
    Event.RAISED,
    "check:people/types",
    Level.ERROR,
    "check <people> & types fails",
    "3 breaches, <!channel>",
    "Open it in Dagster.",
    datetime(2026, 11, 22, 10, 30, 15, 999, tzinfo=UTC),
)


def refused(receiver: Webhook | Slack) -> UndeliveredError:
    """The refusal; nothing it says or is chained to shows the address's secret."""
    with pytest.raises(UndeliveredError) as caught:
        receiver.tell(ALERT, "host:/site")
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint + repr(receiver)
    assert "CANARY" not in shown
    assert "127.0.0.1" in caught.value.message
    return caught.value


def test_a_webhook_gets_the_fields_that_are_promised() -> None:
    with web() as server:
        Webhook(server.url).tell(ALERT, "host:/site")

    assert server.got == [
        {
            "event": "raised",
            "key": "check:people/types",
            "level": "error",
            "title": "check <people> & types fails",
            "message": "3 breaches, <!channel>",
            "hint": "Open it in Dagster.",
            "since": "2026-11-22T10:30:15+00:00",
            "site": "host:/site",
        }
    ]


def test_slack_finds_nobody_to_call_in_it() -> None:
    with web() as server:
        Slack(server.url).tell(ALERT, "host:/site")

    [got] = server.got
    assert list(got) == ["text"]
    assert "<" not in got["text"]
    assert ":rotating_light: *check &lt;people&gt; &amp; types fails (error)*\n" in got["text"]
    assert "&lt;!channel&gt;" in got["text"]


@pytest.mark.parametrize(
    ("answer", "is_final"), [(400, True), (404, True), (429, False), (500, False), (503, False)]
)
def test_what_is_answered_says_whether_to_try_again(answer: int, *, is_final: bool) -> None:
    with web() as server:
        server.answers = [answer]
        error = refused(Webhook(server.url))

    assert f"it answered {answer}" in error.message
    assert error.is_final == is_final


@pytest.mark.parametrize("answer", [301, 302, 303, 307, 308])
def test_it_is_not_sent_elsewhere(answer: int) -> None:
    with web() as elsewhere, web(Web(answers=[answer], location=elsewhere.url)) as server:
        error = refused(Webhook(server.url))

    assert f"it answered {answer}" in error.message
    assert elsewhere.asked == 0


def test_nobody_there() -> None:
    error = refused(Slack(f"http://127.0.0.1:{free_port()}/CANARY"))

    assert "refused" in error.message.lower()
    assert not error.is_final


def test_a_server_that_says_nothing_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/CANARY"
        error = refused(Webhook(url, timeout=0.1))

    assert "TimeoutError" in error.message
    assert not error.is_final
