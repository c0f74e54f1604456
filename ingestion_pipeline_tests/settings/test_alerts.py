"""Section alerts: who is told, and no secret in anything said."""

import logging
import pickle

import pytest

from ingestion_pipeline.app.alerting import receivers
from ingestion_pipeline_tests.settings.conftest import CANARY, Load, Refuse


@pytest.mark.parametrize("key", ["webhook_url", "slack_webhook_url"])
@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{CANARY}@example.org/hook",
        f"https://{CANARY}@example.org",
        f"ftp://example.org/{CANARY}",
        f"file:///{CANARY}",
        f"example.org/{CANARY}",
        f"https:///{CANARY}",
        f"https://example.org/{CANARY} x",
        f"https://example.org/{CANARY}\\r\\nHost: x",
        f"https://example.org:port/{CANARY}",
        f"https://[example.org/{CANARY}",
    ],
)
def test_an_address_that_is_none_or_holds_a_login_is_refused(refuse: Refuse, key: str, url: str) -> None:
    error = refuse(f'alerts: {{{key}: "{url}"}}')

    assert error.code == "bad_value"
    assert error.message.startswith(f"bad value of alerts.{key}: ")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"{{host: mail.example.org, to: {CANARY}, from: a@example.org}}", "alerts.email.to"),
        (f"{{host: m, to: [a@b.org], from: '{CANARY}'}}", "alerts.email.from"),
        (f'{{host: m, from: a@b.org, to: ["a@b.org\\r\\nBcc: {CANARY}@b.org"]}}', "alerts.email.to"),
        (f"{{host: m, from: a@b.org, to: ['{CANARY} <a@b.org>']}}", "alerts.email.to"),
        ("{host: m, to: a@b.org}", "alerts.email"),
        ("{host: m, from: a@b.org}", "alerts.email"),
        (f"{{host: m, from: a@b.org, to: a@b.org, user: {CANARY}, starttls: false}}", "alerts.email"),
        ("{port: 70000}", "alerts.email.port"),
    ],
)
def test_email_that_cannot_be_meant_is_refused(refuse: Refuse, text: str, key: str) -> None:
    error = refuse(f"alerts: {{email: {text}}}")

    assert error.message.startswith(f"bad value of {key}")


@pytest.mark.parametrize("text", ["{remind_hours: 0}", "{patience: 0}", "{drill_age_days: -1}"])
def test_figures_that_cannot_be_meant_are_refused(refuse: Refuse, text: str) -> None:
    assert refuse(f"alerts: {text}").code == "bad_value"


def test_with_nothing_set_only_the_log_is_told(load: Load) -> None:
    text = "alerts: {webhook_url: '', slack_webhook_url: '', email: {host: '', user: '', from: '', to: ''}}"

    assert [one.name for one in receivers(load(text).alerts)] == ["log"]


def test_all_of_it_may_be_set_and_none_of_it_is_shown(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = load(
        """
        alerts:
          webhook_url: "${HOOK}"
          slack_webhook_url: https://hooks.slack.com/services/s3cr3t-CANARY
          email:
            host: mail.example.org
            user: ingestion
            password: "${MAIL_PASSWORD:-}"
            from: ingestion@example.org
            to: ada@example.org, grace@example.org
          remind_hours: 4
        """,
        HOOK=f"https://example.org/hook?key={CANARY}",
        MAIL_PASSWORD=CANARY,
    )

    found = receivers(settings.alerts)

    assert [one.name for one in found] == ["log", "webhook", "slack", "email"]
    assert settings.alerts.email.to == ("ada@example.org", "grace@example.org")
    assert settings.alerts.email.sender == "ingestion@example.org"
    assert settings.alerts.email.password.get_secret_value() == CANARY
    assert CANARY not in f"{settings!r}{settings}{settings.model_dump()}{found!r}{caplog.text}"
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own


def test_secrets_may_come_from_the_environment(load: Load) -> None:
    settings = load(
        "alerts: {email: {host: m, from: a@b.org}}",
        INGESTION__ALERTS__WEBHOOK_URL=f"https://example.org/{CANARY}",
        INGESTION__ALERTS__EMAIL__PASSWORD=CANARY,
        INGESTION__ALERTS__EMAIL__TO="ada@example.org,grace@example.org",
    ).alerts

    assert settings.webhook_url is not None
    assert settings.webhook_url.get_secret_value().endswith(CANARY)
    assert settings.email.password.get_secret_value() == CANARY
    assert settings.email.to == ("ada@example.org", "grace@example.org")
