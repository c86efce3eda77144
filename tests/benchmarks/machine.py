"""What the machine gives at this moment: the limits that figures are compared with, and what a process uses."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import requests

_TICKS = os.sysconf("SC_CLK_TCK")
CLIENTS = 16


def described() -> str:
    """The machine and how busy it is, in one line."""
    load = os.getloadavg()[0]
    return f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}, {datetime.now(UTC):%F %T}Z"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident(pid: int) -> float:
    """Resident memory of a process now, in MB (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def most_resident(pid: int) -> float:
    """The most that a process had resident so far, in MB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def fsyncs(folder: str) -> float:
    """Appends of 4 kB with an fsync each, a second."""
    with (Path(folder) / "probe").open("wb") as file:

        def append() -> None:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())

        return _often(append)


def rows_alone(folder: str) -> float:
    """SQLite, WAL, FULL: one row a transaction, a second; what a durable receipt cannot pass without group commit."""
    connection = sqlite3.connect(Path(folder) / "probe.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE t (x TEXT)"):
        connection.execute(statement)
    rate = _often(lambda: connection.execute("INSERT INTO t VALUES ('x')"))
    connection.close()
    return rate


def json_records(body: bytes) -> float:
    """One record of the benchmark read from JSON and written again, a second."""
    return _often(lambda: json.dumps(json.loads(body), ensure_ascii=False).encode())


def _often(do: Callable[[], object], seconds: float = 1.0) -> float:
    """How many times a second *do* runs."""
    begun, number = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        do()
        number += 1
    return number / (time.monotonic() - begun)


def bare_requests(url: str, body: bytes, number: int) -> tuple[float, float]:
    """(a second, CPU ms each) of `requests.post` by 16 threads, a session each."""
    local = threading.local()

    def post(index: int) -> None:
        session = getattr(local, "session", None) or requests.Session()
        local.session = session
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"bare-{index}"}
        session.post(url, data=body, headers=headers, timeout=30).raise_for_status()

    begun, used = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(post, range(number)))
    return number / (time.monotonic() - begun), 1000 * (time.process_time() - used) / number
