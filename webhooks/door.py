"""Who may stand at the door: the sender's address, how often they ring, and how much a body may hold.

What a proxy says of where a request came from counts only when the proxy itself is one that an admin wrote down.
Everything here is decided before a body is read.
"""

from __future__ import annotations

import ipaddress
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from flask import Request

from connector.config import Config
from connector.ledger.flow import Ledger

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MOST_SENDERS = 10_000
_MOST_VALUES = 200_000  # commas and brackets: a body of 10 MB that is nothing else would fill the memory
_MOST_DEPTH = 64
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # one that never ends reaches to the end: looked at once
_BRACKET = re.compile(rb"[\[\]{}]")
_COUNTS_A_SECOND, _COUNTS_AT_ONCE = 5.0, 200.0


class Refusal(Exception):
    """A request that is not taken: its status and code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Bucket:
    """So many a second, and so many at once after a rest (token bucket)."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = burst, clock()

    def take(self) -> bool:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Doorkeeper:
    """Looks at a request before anything of its body is read.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._clock = config, clock
        self._proxies = networks(config.door.trusted_proxies)
        self._allowed = {name: networks(one.allowed_from) for name, one in config.servers.items()}
        self._senders: OrderedDict[tuple[str, str], Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def admit(self, incoming: Request, name: str) -> None:
        """Raises `Refusal`: 401 from an address that may not ring here, 503 for a sender who rings too often.

        Args:
            name: whom the path names: a form server, a partner.
        """
        address = self.address(incoming)
        allowed = self._allowed.get(name)
        if allowed and (address is None or not any(address in one for one in allowed)):
            raise Refusal(401, "not_authentic")
        if not self._bucket(name, str(address)).take():
            raise Refusal(503, "webhook.too_many")

    def address(self, incoming: Request) -> Address | None:
        """Where the request came from: the nearest address that is not one of our proxies; None when nobody says it."""
        address = _address(incoming.remote_addr)
        told = [part for line in incoming.headers.getlist("X-Forwarded-For") for part in line.split(",")]
        while address is not None and told and any(address in one for one in self._proxies):
            address = _address(told.pop())
        return address

    def _bucket(self, name: str, address: str) -> Bucket:
        """The sender's; the one that has been quiet for longest is forgotten when there are too many."""
        with self._lock:
            key = (name, address)
            if key not in self._senders:
                door = self._config.door
                self._senders[key] = Bucket(door.rate, door.burst, self._clock)
            self._senders.move_to_end(key)
            while len(self._senders) > _MOST_SENDERS:
                self._senders.popitem(last=False)
            return self._senders[key]


class Tally:
    """Counts what was refused. A flood of refusals is a few writes, not one each: the rest is added to the next one."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger, self._lock = ledger, threading.Lock()
        self._bucket = Bucket(_COUNTS_A_SECOND, _COUNTS_AT_ONCE, clock)
        self._kept_back: dict[str, int] = {}

    def add(self, code: str) -> None:
        with self._lock:
            number = self._kept_back.pop(code, 0) + 1
            if not self._bucket.take():
                self._kept_back[code] = number
                return
        self._ledger.count(code, number)


def networks(written: Sequence[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Addresses and ranges as `silah.toml` has them, which checked them."""
    return [ipaddress.ip_network(one, strict=False) for one in written]


def not_too_complex(data: bytes) -> None:
    """Raises `Refusal` for JSON that is nested too deeply or holds too many values; counted before it is parsed."""
    if sum(data.count(mark) for mark in (b",", b"{", b"[")) > _MOST_VALUES:
        raise Refusal(422, "too_complex")
    depth = 0
    for mark in _BRACKET.findall(_TEXT.sub(b"", data)):
        depth += 1 if mark in b"[{" else -1
        if depth > _MOST_DEPTH:
            raise Refusal(422, "too_complex")


def _address(text: str | None) -> Address | None:
    """An address without its port; an IPv4 address in IPv6's clothes is that IPv4 address."""
    bare = re.sub(r"^\[(.*)\](:\d+)?$|^([\d.]+):\d+$", lambda m: m[1] or m[3], (text or "").strip())
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
