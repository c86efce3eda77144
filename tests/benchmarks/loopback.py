"""The other ends of the benchmark, each in a process of its own: a target that answers after a while, and a KoboToolbox
whose pages are glued together from one filled-in request, so that neither holds back what is measured.

`python -m tests.benchmarks.loopback target SECONDS` and `… kobo SUBMISSIONS` print their address.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import requests

from tests.benchmarks.machine import cpu_seconds
from tests.benchmarks.sample import FIRST, ROOT, row

Handler = Callable[[str, str, bytes], tuple[bytes, float]]
_PAGE = 1000


class Http(asyncio.Protocol):
    """HTTP/1.1 with Content-Length, kept alive, nothing else: *handle* gets (method, path, headers)."""

    def __init__(self, handle: Handler) -> None:
        self._handle, self._got, self._transport = handle, b"", asyncio.Transport()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            head = self._got[:end]
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._got) < whole:
                return
            self._got = self._got[whole:]
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            body, seconds = self._handle(method, path, head)
            if seconds:
                asyncio.get_running_loop().call_later(seconds, self._answer, body)
            else:
                self._answer(body)

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


class Target:
    """Takes every POST after *seconds* and counts the keys; GET tells."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._keys: set[bytes] = set()
        self._came: list[float] = []

    def __call__(self, method: str, _: str, head: bytes) -> tuple[bytes, float]:
        if method != "POST":
            told = {"posts": len(self._came), "keys": len(self._keys), "a_second": self._a_second()}
            return json.dumps(told).encode(), 0.0
        key = re.search(rb"(?i)idempotency-key: *(\S+)", head)
        self._keys.add(key[1] if key else b"")
        self._came.append(time.monotonic())
        return b"{}", self._seconds

    def _a_second(self) -> float:
        """How many came a second, after the first tenth: that is start-up."""
        some = self._came[len(self._came) // 10 :]
        return (len(some) - 1) / (some[-1] - some[0]) if len(some) > 1 else 0.0


class Kobo:
    """The part of KoboToolbox's API v2 that a pull asks: rights, the light list, whole submissions by a range of ids."""

    def __init__(self, number: int) -> None:
        whole = row()
        light = {key: whole[key] for key in ("_id", "_uuid", "meta/rootUuid", "_validation_status")}
        self._number, self._whole, self._light = number, _Template(whole), _Template(light)

    def __call__(self, _: str, path: str, __: bytes) -> tuple[bytes, float]:
        asked = urlsplit(path)
        if not asked.path.endswith("/data/"):
            return b'{"username": "silah", "effective_permissions": [{"codename": "view_submissions"}]}', 0.0
        query = parse_qs(asked.query)
        wanted = json.loads(query["query"][0])["_id"]
        template = self._light if "fields" in query else self._whole
        rows = [template.row(one) for one in self._ids(wanted)]
        return b'{"count": %d, "next": null, "previous": null, "results": [%s]}' % (self._number, b",".join(rows)), 0.0

    def _ids(self, wanted: dict[str, int]) -> list[int]:
        if "$in" in wanted:
            return [one for one in sorted(wanted["$in"]) if one < self._number]  # type: ignore[arg-type]
        start = wanted.get("$gte", wanted.get("$gt", -1) + 1)
        until = min(wanted.get("$lte", self._number), self._number - 1)
        return list(range(max(start, 1), until + 1))[:_PAGE]


class _Template:
    """One submission's JSON, cut where its ids stand."""

    def __init__(self, one: dict[str, object]) -> None:
        text = json.dumps({**one, "_id": -77}, ensure_ascii=False).encode()
        self._pieces = re.split(b"(-77|" + FIRST.encode() + b")", text)

    def row(self, number: int) -> bytes:
        fills = {b"-77": b"%d" % number, FIRST.encode(): (ROOT % number).encode()}
        return b"".join(fills.get(piece, piece) for piece in self._pieces)


@dataclass(frozen=True)
class Other:
    """A running other end."""

    url: str
    pid: int

    def told(self) -> dict[str, float]:
        return dict(requests.get(self.url, timeout=60).json())

    @property
    def cpu(self) -> float:
        return cpu_seconds(self.pid)


@contextmanager
def running(kind: str, argument: float) -> Iterator[Other]:
    """One of them in its own process, until the end of the block."""
    command = [sys.executable, "-m", "tests.benchmarks.loopback", kind, str(argument)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Other(process.stdout.readline().strip(), process.pid)
        finally:
            process.kill()


async def main() -> None:
    kind, argument = sys.argv[1], float(sys.argv[2])
    handle: Handler = Target(argument) if kind == "target" else Kobo(int(argument))
    server = await asyncio.get_running_loop().create_server(lambda: Http(handle), "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
