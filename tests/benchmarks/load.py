"""Rings bells at a node as fast as it answers: `python -m tests.benchmarks.load URL SECONDS CLIENTS FIRST` prints one JSON object.

Each client keeps its connection and waits for each answer; a process of its own, so that it shares nothing with the node.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.benchmarks.sample import ROOT


@dataclass(frozen=True)
class Rung:
    """What came of it. Times in ms."""

    a_second: float
    p50: float
    p99: float
    statuses: dict[str, int] = field(default_factory=dict)


def ring(url: str, seconds: float, clients: int, first: int) -> Rung:
    """Bells for submissions that nobody rang for before, numbered from *first* on."""
    command = [sys.executable, "-m", "tests.benchmarks.load", url, str(seconds), str(clients), str(first)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Rung(**json.loads(done.stdout))


async def _client(url: str, until: float, numbers: range, times: list[float], statuses: Counter[str]) -> None:
    host = urlsplit(url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    for number in numbers:
        begun = time.monotonic()
        if begun >= until:
            break
        root = ROOT % number
        body = json.dumps({"_id": number, "_uuid": root, "meta/rootUuid": root, "_xform_id_string": "aBench"}).encode()
        head = f"POST /webhooks/kobo/kobo HTTP/1.1\r\nHost: {host.netloc}\r\nX-Silah-Token: x\r\nContent-Type: application/json"
        writer.write(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        times.append(time.monotonic() - begun)
        statuses[answer[9:12].decode()] += 1
    writer.close()


async def main() -> None:
    url, seconds, clients, first = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    times: list[float] = []
    statuses: Counter[str] = Counter()
    until = time.monotonic() + seconds
    numbers = [range(first + client, first + 100_000_000, clients) for client in range(clients)]
    await asyncio.gather(*(_client(url, until, some, times, statuses) for some in numbers))
    times.sort()
    p50, p99 = (1000 * times[int(len(times) * part)] for part in (0.5, 0.99))
    print(json.dumps({"a_second": len(times) / seconds, "p50": p50, "p99": p99, "statuses": statuses}))


if __name__ == "__main__":
    asyncio.run(main())
