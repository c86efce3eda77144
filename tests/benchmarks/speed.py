"""The speed table: `make bench` prints the machine, raw figures, and ratios to the limits measured in the same run.

Quote ratios: machines are shared. Everything runs on loopback on this machine.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from connector import config
from connector.app import assemble
from connector.disclosure import Release
from connector.dispatch.embedded import Dispatcher
from connector.ledger.flow import Prepared
from connector.model import Bell, Receipt
from connector.pipeline import Pipeline
from connector.setup import new_key
from tests import postgres

_SECONDS = float(os.environ.get("SILAH_BENCH_SECONDS", "3"))
_CLIENTS = 16
_DRAIN = int(os.environ.get("SILAH_BENCH_DRAIN", "1500"))


class Waiting:
    """A target in this process that takes *seconds* to answer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def deliver(self, release: Release) -> Receipt:
        json.dumps(dict(release.fields), ensure_ascii=False)
        time.sleep(self._seconds)
        return Receipt()


@contextmanager
def node(database: str, seconds: float, threads: int = 16) -> Iterator[Pipeline]:
    """A configured flow with one target that waits."""
    os.environ["BENCH_TOKEN"] = "x"
    with tempfile.TemporaryDirectory() as folder:
        list(new_key(Path(folder) / "keys" / "master.key"))
        data: dict[str, Any] = {
            "society": "SY-RC", "database": database, "data_dir": "var", "master_key_file": "keys/master.key",
            "servers": {"kobo": {"type": "kobo", "url": "http://127.0.0.1:9", "token_env": "BENCH_TOKEN",
                "webhook_secret_env": "BENCH_TOKEN", "forms": {"tracing_request": "aBench"},
                "reconcile_on_start": False, "reconcile_every": "off"}},
            "targets": {"national": {"type": "rest", "url": "http://127.0.0.1:9", "recipient": "own_society",
                "accepts": ["tracing_request"], "concurrency": threads}},
        }  # fmt: skip
        flow = assemble(config.parse(data, Path(folder) / "silah.toml"))
        flow.targets = {"national": Waiting(seconds)}
        try:
            yield flow
        finally:
            flow.ledger.database.close()


def at_once(do: Callable[[int], object], seconds: float = _SECONDS) -> tuple[float, float]:
    """(how many a second, p99 in ms) of *do* by 16 threads."""
    until, times, lock = time.monotonic() + seconds, [], threading.Lock()

    def run(client: int) -> None:
        mine, number = [], client
        while (begun := time.monotonic()) < until:
            do(number)
            number += _CLIENTS
            mine.append(time.monotonic() - begun)
        with lock:
            times.extend(mine)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(run, range(_CLIENTS)))
    times.sort()
    return len(times) / seconds, 1000 * times[int(len(times) * 0.99)]


def receipts(database: str) -> tuple[float, float]:
    """Durable receipts of the ledger, 16 threads."""
    with node(database, 0) as flow:
        return at_once(lambda n: flow.ledger.keep("kobo", Bell("tracing_request", f"r{n}", f"i{n}", n)))


def fsyncs(folder: str) -> float:
    """Appends of 4 kB with an fsync each, a second."""
    until, number = time.monotonic() + 1, 0
    with (Path(folder) / "probe").open("wb") as file:
        while time.monotonic() < until:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            number += 1
    return float(number)


def rows_alone(folder: str) -> float:
    """SQLite, WAL, FULL: one row a transaction, a second; what a durable receipt cannot pass without group commit."""
    connection = sqlite3.connect(Path(folder) / "probe.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (x TEXT)")
    until, number = time.monotonic() + 1, 0
    while time.monotonic() < until:
        connection.execute("INSERT INTO t VALUES ('x')")
        number += 1
    connection.close()
    return float(number)


def fill(flow: Pipeline, number: int) -> float:
    """Keeps *number* read submissions with their deliveries in batches of 1 000; how many a second."""
    from tests.benchmarks.sample import submissions

    prepared: list[Prepared] = [flow.prepare(one, None) for one in submissions(number)]
    begun = time.monotonic()
    for start in range(0, number, 1000):
        flow.ledger.store(prepared[start : start + 1000], lambda _: ("national",))
    return number / (time.monotonic() - begun)


def drain(database: str, seconds: float, number: int) -> tuple[float, float]:
    """(kept a second, delivered a second): the gate, encryption and ledger on, the target answers after *seconds*."""
    with node(database, seconds, threads=64 if seconds else 16) as flow:
        kept = fill(flow, number)
        dispatcher = Dispatcher(flow)
        begun = time.monotonic()
        dispatcher.start()
        while flow.ledger.gauges().get(("national", "due"), (0, 0))[0]:
            time.sleep(0.05)
        taken = time.monotonic() - begun
        dispatcher.stop()
        states = {state: count for (_, state), (count, _) in flow.ledger.gauges().items()}
        assert {"delivered": number} == states, states
        return kept, number / taken


def bare_requests(number: int) -> float:
    """`requests.post` with 16 threads to a receiver in this process, a second."""
    from connector.sandbox.receiver import ReceiverApp, serve

    running = serve(ReceiverApp())
    local = threading.local()

    def post(index: int) -> None:
        session = getattr(local, "session", None) or requests.Session()
        local.session = session
        session.post(
            running.url + "/rfl",
            json={"id": str(index), "fields": {}},
            headers={"Idempotency-Key": str(index)},
            timeout=30,
        )

    begun = time.monotonic()
    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(post, range(number)))
    rate = number / (time.monotonic() - begun)
    running.close()
    return rate


def resident() -> float:
    """Of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if sys.platform == "linux" else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Prints the table."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(
        f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}, {datetime.now(UTC):%F %T}Z"
    )
    with tempfile.TemporaryDirectory() as folder:
        limits = {"fsync": fsyncs(folder), "one row a transaction": rows_alone(folder)}
    limits["bare requests.post, 16 threads"] = bare_requests(600)
    for name, rate in limits.items():
        print(f"limit  {name:<42} {rate:>9.0f}/s")
    tiers = {"embedded": lambda: "sqlite:///var/silah.db"}
    server = postgres.Server(durable=True) if postgres.wanted() else None
    if server is not None:
        tiers["postgres"] = server.database
    for tier, database in tiers.items():
        rate, p99 = receipts(database())
        one_row = limits["one row a transaction"]
        print(
            f"{tier:<9} durable receipts, 16 threads                  {rate:>7.0f}/s  p99 {p99:.0f} ms  {rate / one_row:.2f} x one row"
        )
        for seconds in (0.0, 0.05, 0.1):
            kept, rate = drain(database(), seconds, _DRAIN)
            bare = limits["bare requests.post, 16 threads"]
            print(
                f"{tier:<9} drain, target at {1000 * seconds:>3.0f} ms                      {rate:>7.0f}/s  {rate / bare:.2f} x bare   kept {kept:.0f}/s"
            )
    print(f"resident {resident():.0f} MB at the end (load generator and form engine of the bench included)")
    if server is not None:
        server.close()


if __name__ == "__main__":
    main()
