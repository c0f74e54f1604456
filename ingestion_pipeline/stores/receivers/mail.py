"""The receiver that is told by e-mail."""

import re
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid

from ingestion_pipeline.domain.alert import Alert
from ingestion_pipeline.stores.receivers.receiver import TIMEOUT, UndeliveredError, as_text, headline

_LONGEST_SUBJECT = 200
_LATER = range(400, 500)


@dataclass(frozen=True, slots=True)
class Mail:
    """E-mail by one server.

    Attributes:
        host: The server.
        port: Its port.
        starttls: Whether to go on encrypted, the server having proved who it is, or not at all.
        sender: Its address.
        to: Who gets it.
        user: Who logs in; None for nobody.
        password: Of that user.
        name: See `Receiver`.
        timeout: Seconds.
    """

    host: str
    port: int
    starttls: bool
    sender: str
    to: Sequence[str]
    user: str | None = None
    password: str = field(default="", repr=False)
    name: str = "email"
    timeout: float = TIMEOUT

    def tell(self, alert: Alert, site: str) -> None:
        """See `Receiver`."""
        letter = self._letter(alert, site)
        try:
            with smtplib.SMTP(self.host, self.port, timeout=self.timeout) as server:
                if self.starttls:
                    server.starttls(context=ssl.create_default_context())
                if self.user is not None:
                    server.login(self.user, self.password)
                server.send_message(letter, self.sender, list(self.to))
                return
        except smtplib.SMTPResponseException as error:
            why, is_final = f"{type(error).__name__} {error.smtp_code}", error.smtp_code not in _LATER
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            why, is_final = f"nobody of those it goes to is taken: {_all(codes)}", not codes & set(_LATER)
        except smtplib.SMTPException as error:
            why, is_final = type(error).__name__, isinstance(error, smtplib.SMTPNotSupportedError)
        except (OSError, ValueError) as error:
            why, is_final = type(error).__name__, isinstance(error, ssl.SSLError)
        # Raised here so that what the server answered, which may quote a name, is not chained to it.
        raise UndeliveredError(f"{self.name} ({self.host}:{self.port})", why, is_final=is_final)

    def _letter(self, alert: Alert, site: str) -> EmailMessage:
        letter = EmailMessage(policy=SMTP)
        letter["From"] = self.sender
        letter["To"] = ", ".join(self.to)
        letter["Subject"] = _in_one_line(f"[{site}] {headline(alert)}")
        letter["Date"] = format_datetime(localtime())
        letter["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        # So that nobody's note of absence answers it.
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(as_text(alert, site), charset="utf-8")
        return letter


def _in_one_line(text: str) -> str:
    """Text in which no line ends, and with it no other header begins."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text)[:_LONGEST_SUBJECT]


def _all(codes: set[int]) -> str:
    return ", ".join(str(code) for code in sorted(codes))
