"""The only outgoing mail: always over TLS, plain text, without an answer of a form in it."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import urlsplit

from connector.config import Alerts
from connector.errors import SilahError

_SECONDS = 20
_REFUSED = 400  # RFC 5321 §4.2.1
_SUBMISSION, _SUBMISSION_TLS = 587, 465  # RFC 6409, RFC 8314


class MailError(SilahError):
    """The mail server did not take a message."""


def send(config: Alerts, subject: str, text: str) -> None:
    """Sends one message to all of `to`; raises `MailError`."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = config.sender, ", ".join(config.to), subject
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=str(config.sender).rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody on holiday answers
    message.set_content(text)
    with _server(config) as server:
        refused = server.send_message(message)
    if refused:
        raise _error("mail.refused", config)


def reach(config: Alerts) -> None:
    """Goes as far as a message would without sending one; raises `MailError`."""
    with _server(config) as server:
        steps = [server.mail(str(config.sender)), *(server.rcpt(one) for one in config.to)]
        server.rset()
    if any(code >= _REFUSED for code, _ in steps):
        raise _error("mail.refused", config)


@contextmanager
def _server(config: Alerts) -> Iterator[smtplib.SMTP]:
    """A session over TLS, logged in where a user is named."""
    address = urlsplit(str(config.smtp))
    trust = ssl.create_default_context(cafile=config.trusted_ca)
    try:
        with _connected(address.scheme, str(address.hostname), address.port, trust) as server:
            if config.secret("username"):
                server.login(str(config.secret("username")), str(config.secret("password")))
            yield server
    except smtplib.SMTPAuthenticationError:
        raise _error("mail.unauthorized", config) from None
    except smtplib.SMTPNotSupportedError:
        raise _error("mail.no_tls", config) from None
    except ssl.SSLError:
        raise _error("mail.no_tls", config) from None
    except smtplib.SMTPException:
        raise _error("mail.refused", config) from None
    except OSError:
        raise _error("mail.unreachable", config) from None


def _connected(scheme: str, host: str, port: int | None, trust: ssl.SSLContext) -> smtplib.SMTP:
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or _SUBMISSION_TLS, timeout=_SECONDS, context=trust)
    server = smtplib.SMTP(host, port or _SUBMISSION, timeout=_SECONDS)
    try:
        server.starttls(context=trust)
    except (OSError, smtplib.SMTPException):
        server.close()
        raise
    return server


def _error(code: str, config: Alerts) -> MailError:
    host = urlsplit(str(config.smtp)).hostname
    return MailError(code, f"mail server {host}", _ADVICE[code])


_ADVICE = {
    "mail.unreachable": "Mend `smtp` under [alerts], or the network.",
    "mail.no_tls": "The server offers no TLS that we trust: use smtps:// or port 587, or name its CA as `ca_file`.",
    "mail.unauthorized": "Mend the user and the password that [alerts] names.",
    "mail.refused": "The server refuses `sender` or one of `to` under [alerts]: mend them.",
}
