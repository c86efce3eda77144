"""A mail server on loopback that speaks as much of SMTP as a message needs, over TLS, with a certificate of its own.

It follows RFC 5321 (dialogue), RFC 3207 (STARTTLS) and RFC 4954 (AUTH PLAIN); Python's own `smtplib` is the other side.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import ipaddress
import socketserver
import ssl
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "silah", "of-the-mail-server"


class MailServer:
    """Keeps what it is sent. *implicit*: TLS from the first byte, else after STARTTLS, without which nothing is taken."""

    def __init__(self, folder: Path, *, implicit: bool) -> None:
        self.ca = folder / "mail-ca.pem"
        self.context = _context(self.ca, folder / "mail-key.pem")
        self.implicit = implicit
        self.messages: list[EmailMessage] = []
        self.refuses: set[str] = set()
        outer = self

        class Session(_Session):
            home = outer

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"{'smtps' if implicit else 'smtp'}://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Session(socketserver.StreamRequestHandler):
    home: MailServer

    def handle(self) -> None:
        self.safe = self.known = False
        try:
            if self.home.implicit:
                self._wrap()
            self._say(220, "mail.test ready")
            while line := self.rfile.readline():
                if not self._answer(*line.decode().strip().partition(" ")[::2]):
                    return
        except OSError:
            return
        finally:
            for one in (self.rfile, self.wfile, self.request):
                with contextlib.suppress(OSError):
                    one.close()

    def _wrap(self) -> None:
        self.request = self.home.context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
        self.safe = True

    def _say(self, code: int, *lines: str) -> None:
        for number, line in enumerate(lines, 1):
            self.wfile.write(f"{code}{' ' if number == len(lines) else '-'}{line}\r\n".encode())

    def _answer(self, verb: str, rest: str) -> bool:
        match verb.upper():
            case "EHLO":
                self._say(250, "mail.test", *(["AUTH PLAIN"] if self.safe else ["STARTTLS"]))
            case "STARTTLS":
                self._say(220, "go")
                self._wrap()
            case "AUTH":
                given = base64.b64decode(rest.split()[1]).decode().split("\0")[1:]
                self.known = given == [USER, PASSWORD]
                self._say(235 if self.known else 535, "done")
            case "MAIL" | "RCPT":
                refused = any(one in rest for one in self.home.refuses) or not self.known
                self._say(550 if refused else 250, "heard")
            case "DATA":
                self._say(354, "go")
                self._keep()
            case "QUIT":
                self._say(221, "bye")
                return False
            case _:
                self._say(250, "ok")
        return True

    def _keep(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        self.home.messages.append(cast("EmailMessage", message))
        self._say(250, "kept")


def _context(certificate: Path, key_file: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key_file)
    return context
