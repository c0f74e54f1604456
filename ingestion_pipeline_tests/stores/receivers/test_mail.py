"""The receiver that is told by e-mail, and a real server."""

import subprocess
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion_pipeline.domain.alert import Alert, Event, Level
from ingestion_pipeline.stores.receivers.mail import Mail
from ingestion_pipeline.stores.receivers.receiver import UndeliveredError
from ingestion_pipeline_tests.receiving import free_port, post

ALERT = Alert(
    Event.RECOVERED,
    "health:disk",
    Level.WARNING,
    "Platz für Neues",
    "Es ist wieder gut.",
    "",
    datetime(2026, 11, 22, 10, 30, tzinfo=UTC),
)
CANARY = "s3cr3t-CANARY"
SITE = "host:/srv/people"


def mail(port: int, *, starttls: bool = False) -> Mail:
    return Mail("127.0.0.1", port, starttls, "ingestion@example.org", ("ada@example.org", "b@example.org"))


def refused(receiver: Mail) -> UndeliveredError:
    with pytest.raises(UndeliveredError) as caught:
        receiver.tell(ALERT, SITE)
    shown = "".join(traceback.format_exception(caught.value)) + repr(receiver)
    assert CANARY not in shown
    return caught.value


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that it is 127.0.0.1, with its key, trusted by nobody."""
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(file), "-out", str(file.with_suffix(".crt"))),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + file.with_suffix(".crt").read_text())
    return file


def test_a_letter_arrives_whole() -> None:
    with post() as server:
        mail(server.port).tell(ALERT, SITE)

    [letter] = server.letters
    assert letter["Subject"] == f"[{SITE}] Recovered: Platz für Neues (warning)"
    assert (letter["From"], letter["To"]) == ("ingestion@example.org", "ada@example.org, b@example.org")
    assert letter["Message-ID"].endswith("@example.org>")
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_content().splitlines() == [
        "Es ist wieder gut.",
        "since 2026-11-22 10:30:00 UTC",
        f"site {SITE}",
        "health:disk",
    ]
    assert [line for line in server.said if line.upper().startswith("RCPT")] == [
        "rcpt TO:<ada@example.org>",
        "rcpt TO:<b@example.org>",
    ]


def test_two_letters_are_two() -> None:
    with post() as server:
        mail(server.port).tell(ALERT, SITE)
        mail(server.port).tell(ALERT, SITE)

    assert len({letter["Message-ID"] for letter in server.letters}) == 2


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028"])
def test_no_header_can_be_put_into_one(end: str) -> None:
    sly = replace(ALERT, title=f"x{end}Bcc: eve@example.org{end}{end}body")

    with post() as server:
        mail(server.port).tell(sly, f"host:/a{end}Bcc: eve@example.org")

    [letter] = server.letters
    assert letter["Bcc"] is None
    assert "eve@example.org" in letter["Subject"]
    assert not any("eve" in line for line in server.said)


def test_it_logs_in_only_once_it_is_encrypted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))

    with post(certificate) as server:
        replace(mail(server.port, starttls=True), user="ingestion", password=CANARY).tell(ALERT, SITE)

    assert len(server.letters) == 1
    [login] = [line for line in server.said if "AUTH" in line]
    assert login.startswith("*AUTH PLAIN")
    assert server.said.index("STARTTLS") < server.said.index(login)


def test_a_server_that_cannot_prove_who_it_is_gets_nothing(certificate: Path) -> None:
    with post(certificate) as server:
        error = refused(replace(mail(server.port, starttls=True), user="u", password=CANARY))

    assert error.is_final
    assert server.letters == []
    assert not any("AUTH" in line for line in server.said)


def test_a_server_without_encryption_gets_nothing_where_it_was_asked_for() -> None:
    with post() as server:
        error = refused(mail(server.port, starttls=True))

    assert error.is_final
    assert server.letters == []


@pytest.mark.parametrize(
    ("answer", "is_final"), [(f"550 no such {CANARY}", True), (f"451 later, {CANARY}", False)]
)
def test_a_refusal_is_told_by_its_number(answer: str, *, is_final: bool) -> None:
    with post() as server:
        server.refuse = answer
        error = refused(mail(server.port))

    assert answer[:3] in error.message
    assert error.is_final == is_final


def test_nobody_there() -> None:
    assert not refused(mail(free_port())).is_final
