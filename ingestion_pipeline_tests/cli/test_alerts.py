"""`ingest alerts test`: whether alerts arrive."""

import pytest

from ingestion_pipeline.app import alerting
from ingestion_pipeline.domain.errors import Exit
from ingestion_pipeline_tests.cli.conftest import Call
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.receiving import free_port, post, web


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerting, "PAUSES", (0.0, 0.0))


@pytest.mark.usefixtures("site")
def test_with_nothing_set_there_is_the_log(call: Call) -> None:
    answer = call("alerts", "test", "--json")

    assert answer.code == Exit.DONE
    assert answer.json == {"receivers": [{"receiver": "log", "told": True, "why_not": None}]}


def test_every_receiver_gets_a_message(call: Call, site: Site) -> None:
    with web() as hook, post() as mailbox:
        email = f"{{host: 127.0.0.1, port: {mailbox.port}, starttls: false, from: a@b.org, to: [c@d.org]}}"
        site.config.write_text(f"alerts:\n  webhook_url: {hook.url}\n  email: {email}\n")
        answer = call("alerts", "test", "--json")

    assert answer.code == Exit.DONE
    assert [(one["receiver"], one["told"]) for one in answer.json["receivers"]] == [
        ("log", True),
        ("webhook", True),
        ("email", True),
    ]
    assert hook.told == [("test", "test")]
    assert "Test: " in mailbox.letters[0]["Subject"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_one_that_cannot_be_told_is_named_without_its_secret(call: Call, site: Site, form: list[str]) -> None:
    with web() as hook:
        slack = f"http://127.0.0.1:{free_port()}/s3cr3t-CANARY"
        site.config.write_text(f"alerts: {{webhook_url: '{hook.url}', slack_webhook_url: '{slack}'}}")
        answer = call("alerts", "test", *form)

    assert answer.code == Exit.UNAVAILABLE
    assert "slack" in answer.said
    assert "CANARY" not in answer.said
    assert hook.told == [("test", "test")]


def test_an_address_with_a_login_is_refused(call: Call, site: Site) -> None:
    site.config.write_text("alerts: {webhook_url: 'https://ada:s3cr3t-CANARY@example.org/'}")

    answer = call("alerts", "test")

    assert answer.code == Exit.USAGE
    assert "alerts.webhook_url" in answer.err
    assert "CANARY" not in answer.said
