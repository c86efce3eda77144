"""The only outgoing HTTP of Silah: one way to call, with a time limit, a size limit and no redirects.

Addresses that an admin wrote are trusted, loopback included. One that came in data is called by `PublicCaller` alone: over
TLS, and only when the machine that has answered the connection is a public one, whatever its name said. Errors say which side failed and what to do,
never what was sent or answered; `log` lines hold the method, the host, the status and the time, no path or query.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError

log = logging.getLogger("silah.outbound")

MAX_ANSWER = 64 * 1024 * 1024
_CHUNK = 1 << 16
_NOT_PUBLIC = "silah: not a public address"
_NAT64 = IPv6Network("64:ff9b::/96")


class Unreachable(Exception):
    """No whole answer came: refused, cut, timed out, or too long. *code* is `refused`, `timeout`, `cut` or `too_long`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NotPublic(Unreachable):
    """An address that came in data leads inside, or does without TLS: nothing was sent."""

    def __init__(self) -> None:
        super().__init__("cut")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. The body is for the adapter that knows its meaning and goes into no log or error."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 (RFC 9110: successful)

    @property
    def retry_after(self) -> timedelta | None:
        """`Retry-After` as seconds or a date (RFC 9110 §10.2.3); None when absent or unreadable."""
        value = self.headers.get("Retry-After", "").strip()
        if value.isdigit():
            return timedelta(seconds=int(value))
        try:
            return max(parsedate_to_datetime(value) - datetime.now(UTC), timedelta(0))
        except (ValueError, TypeError):
            return None


class Caller:
    """Calls one outside system: its base address, its standing headers, its pool of connections."""

    def __init__(
        self, base: str, *, headers: Mapping[str, str] | None = None, timeout: timedelta, pool: int = 16
    ) -> None:
        self.base = base.rstrip("/")
        self._timeout = (min(10.0, timeout.total_seconds()), timeout.total_seconds())
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc behind the admin's back
        self._session.headers.update(headers or {})
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=pool)
        self._made: dict[tuple[str, str], requests.PreparedRequest] = {}  # the last one
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def get(self, path: str, params: Mapping[str, str] | None = None, *, most: int = MAX_ANSWER) -> Answer:
        return self.call("GET", path, params=params, most=most)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        form: Mapping[str, str] | None = None,
        most: int = MAX_ANSWER,
    ) -> Answer:
        """One request, no redirect followed. *most* bounds the answer in bytes. Raises `Unreachable`."""
        started = time.monotonic()
        try:
            answer = self._send(method, path, params, headers, body if form is None else form, files, most)
        except Unreachable as error:
            self._tell(method, error.code, started)
            raise
        self._tell(method, str(answer.status), started)
        return answer

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        data: bytes | Mapping[str, str] | None,
        files: Mapping[str, tuple[str, bytes, str]] | None,
        most: int,
    ) -> Answer:
        try:
            request = self._prepared(method, path, params, headers, data, files)
            with self._session.send(request, timeout=self._timeout, allow_redirects=False, stream=True) as response:
                return Answer(response.status_code, response.headers, _bounded(response, most))
        except requests.Timeout:
            raise Unreachable("timeout") from None
        except requests.ConnectionError as error:
            if _NOT_PUBLIC in repr(error):
                raise NotPublic from None
            raise Unreachable("refused" if "NewConnectionError" in repr(error) else "cut") from None
        except requests.RequestException:
            raise Unreachable("cut") from None

    def _prepared(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        data: bytes | Mapping[str, str] | None,
        files: Mapping[str, tuple[str, bytes, str]] | None,
    ) -> requests.PreparedRequest:
        """What `requests` makes of it. Where only the body and some headers differ from call to call, as in deliveries,
        the rest is made once: that is half the work of a call."""
        if params or files or not isinstance(data, bytes) or len(self._session.cookies):
            asked = requests.Request(method, self.base + path, headers, files, data, params)
            return self._session.prepare_request(asked)
        made = self._made.get((method, path))
        if made is None:
            made = self._session.prepare_request(requests.Request(method, self.base + path))
            self._made = {(method, path): made}
        request = made.copy()
        request.headers.update(headers or {})
        request.prepare_body(data, None)
        return request

    def _tell(self, method: str, outcome: str, started: float) -> None:
        log.debug(
            "%s %s %s %.0f ms", method, urlsplit(self.base).hostname, outcome, 1000 * (time.monotonic() - started)
        )

    def close(self) -> None:
        self._session.close()


class PublicCaller(Caller):
    """Calls an address that came in data, as the place of a file that a form server sends us to.

    The address of the other end is looked at on the connection itself, before anything is sent: a name that changes its
    meaning between two look-ups (DNS rebinding) leads nowhere inside. Raises `NotPublic`.
    """

    def __init__(self, base: str, *, timeout: timedelta) -> None:
        super().__init__(base, timeout=timeout, pool=1)
        self._session.mount("http://", _NoDoor())
        self._session.mount("https://", _PublicAdapter())


class _PublicAdapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"https": _PublicPool}


class _NoDoor(HTTPAdapter):
    def send(self, *_: Any, **__: Any) -> requests.Response:
        raise requests.ConnectionError(_NOT_PUBLIC)


class _PublicConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        if is_public(connected.getpeername()[0]):
            return connected
        connected.close()
        raise NameResolutionError(self.host, self, socket.gaierror(_NOT_PUBLIC))


class _PublicPool(HTTPSConnectionPool):
    ConnectionCls = _PublicConnection


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet: not private, link-local, loopback, shared, reserved or multicast;
    of an IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4), whether that one is."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _bounded(response: requests.Response, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(_CHUNK):
        size += len(part)
        if size > most:
            raise Unreachable("too_long")
        parts.append(part)
    return b"".join(parts)
