"""The speed table: `make bench` prints the machine, raw figures, and ratios to limits measured in the same run.

Every node is a real `silah` process, every other end a process of its own, all on loopback. Quote ratios: machines are
shared. `--only drain,receipts` runs a part, `--scale 0.1` runs it smaller, `--tier postgres` on one tier.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import requests

from connector.targets.rest import body_of
from tests import postgres
from tests.benchmarks import load, loopback, machine
from tests.benchmarks.loopback import Other
from tests.benchmarks.machine import CLIENTS
from tests.benchmarks.nodes import Running, node

_SECONDS = 8.0
_NO_LOOSE_END = 60.0  # seconds in which nothing arrives: then the drain has stuck and the bench says so
Database = Callable[[], str | None]


@dataclass
class Bench:
    """One run: how large, on what, and the limits that its rows are compared with."""

    scale: float
    tiers: Mapping[str, Database]
    bare: float = 0.0
    rows_alone: float = 0.0
    server: postgres.Server | None = field(default=None, repr=False)

    def number(self, full: int) -> int:
        return max(50, int(full * self.scale))

    def seconds(self, full: float = _SECONDS) -> float:
        return max(1.0, full * min(1.0, self.scale))


def say(tier: str, what: str, figure: str, beside: str = "") -> None:
    print(f"{tier:<9} {what:<58} {figure:>22}  {beside}", flush=True)


# Limits


def limits(bench: Bench) -> None:
    """What nobody on this machine could pass at this moment."""
    with tempfile.TemporaryDirectory() as folder:
        say("limit", "fsync of 4 kB", f"{machine.fsyncs(folder):.0f}/s")
        bench.rows_alone = machine.rows_alone(folder)
        say("limit", "SQLite, one row a transaction", f"{bench.rows_alone:.0f}/s")
    body = _record_body()
    say("limit", f"JSON of one record ({len(body)} B), read and written", f"{machine.json_records(body):.0f}/s")
    with loopback.running("target", 0) as target:
        machine.bare_requests(target.url, body, 100)
        bench.bare, cpu = machine.bare_requests(target.url, body, bench.number(4000))
        say("limit", "bare requests.post, 16 threads", f"{bench.bare:.0f}/s", f"{cpu:.2f} ms of CPU each")


def _record_body() -> bytes:
    """What the target gets of one record."""
    from connector.disclosure import Release

    with node(target="http://127.0.0.1:9") as here:
        here.fill(1)
        with here.opened() as flow:
            release = flow._decision(flow.ledger.due("national", 1)[0])
            assert isinstance(release, Release)
            return body_of(release)


# Receipts


def receipts(bench: Bench) -> None:
    """Durable receipts through HTTP, nothing else running in the node."""
    for tier, database in bench.tiers.items():
        with (
            node(target="http://127.0.0.1:9", database=database()) as here,
            here.running("serve", "--port", "0", "--no-dispatch") as silah,
        ):
            load.ring(silah.url, 1.0, CLIENTS, 1)
            used = silah.cpu
            rung = load.ring(silah.url, bench.seconds(), CLIENTS, 1_000_000)
            used = 1000 * (silah.cpu - used) / (rung.a_second * bench.seconds())
            beside = f"p50 {rung.p50:.0f} ms, p99 {rung.p99:.0f} ms; {used:.2f} ms of CPU each; {_odd(rung)}limit 1 200/s, 30 ms"
            say(tier, "durable receipts, 16 clients", f"{rung.a_second:.0f}/s", beside)


def _odd(rung: load.Rung) -> str:
    others = {status: count for status, count in rung.statuses.items() if status != "201"}
    return f"not 201: {others}; " if others else ""


def receipts_beside_a_drain(bench: Bench) -> None:
    """Receipts while bells are followed and deliveries go out, to a quick target and to a slow one."""
    rates = {wait: _receipts_while(bench, wait) for wait in (0, 100)}
    say("embedded", "receipts, target at 100 ms compared with 0 ms", f"{rates[100] / rates[0]:.2f} x", "limit 0.9")


def _receipts_while(bench: Bench, wait: int) -> float:
    """Receipts a second while what was due before goes to a target that answers after *wait* ms."""
    with ExitStack() as stack:
        target, kobo = (stack.enter_context(loopback.running(*one)) for one in (("target", wait / 1000), ("kobo", 10)))
        here = stack.enter_context(node(target=target.url, kobo=kobo.url))
        here.fill(bench.number(6000))
        silah = stack.enter_context(here.running("serve", "--port", "0"))
        time.sleep(1)
        rung = load.ring(silah.url, bench.seconds(5), CLIENTS, 1_000_000)
        beside = f"p99 {rung.p99:.0f} ms, {target.told()['posts']:.0f} delivered meanwhile; {_odd(rung)}"
        say("embedded", f"receipts while a target at {wait} ms drains", f"{rung.a_second:.0f}/s", beside)
        return rung.a_second


# Drain


def drain(bench: Bench) -> None:
    """Deliveries to a target that answers after 0, 50 and 100 ms; gate, encryption and ledger on."""
    for tier, database in bench.tiers.items():
        for wait, limit in ((0, "0.5 x bare"), (50, "400/s"), (100, "250/s")):
            threads = 64 if wait else CLIENTS
            with _drained(bench, database(), wait, bench.number(4000), threads) as (rate, cpu, silah):
                beside = f"{rate / bench.bare:.2f} x bare; {cpu:.2f} ms of CPU each; most resident {silah.most_resident:.0f} MB; limit {limit}"
                say(tier, f"drain, target at {wait} ms, {threads} threads", f"{rate:.0f}/s", beside)


@contextmanager
def _drained(
    bench: Bench, database: str | None, wait: int, number: int, threads: int, grown: int = 0
) -> Iterator[tuple[float, float, Running]]:
    """(delivered a second, CPU ms each, the node while it still runs)."""
    embedded = database is None
    command = ("serve", "--port", "0") if embedded else ("work",)
    with (
        loopback.running("target", wait / 1000) as target,
        node(target=target.url, database=database, threads=threads) as here,
    ):
        if grown:
            here.grow(grown)
        here.fill(number)
        with here.running(*command) as silah:
            rate, used = arrivals(target, [silah], number)
            yield rate, 1000 * used / number, silah


def arrivals(target: Other, nodes: list[Running], number: int) -> tuple[float, float]:
    """(a second, CPU seconds of the nodes meanwhile); all of *number* arrive, each key once."""
    seen, at, used = 0, time.monotonic(), sum(one.cpu for one in nodes)
    while seen < number:
        time.sleep(0.1)
        told = target.told()
        if told["posts"] > seen:
            seen, at = int(told["posts"]), time.monotonic()
        if time.monotonic() - at > _NO_LOOSE_END:
            raise SystemExit(f"stuck: {seen} of {number} arrived")
    told = target.told()
    assert told["keys"] == number, told
    return told["a_second"], sum(one.cpu for one in nodes) - used


# Pull


def backfill(bench: Bench) -> None:
    """`silah pull` of everything a form server has, into an empty ledger."""
    number = bench.number(100_000)
    for tier, database in bench.tiers.items():
        with (
            loopback.running("kobo", number + 1) as kobo,
            node(target="http://127.0.0.1:9", kobo=kobo.url, database=database()) as here,
        ):
            taken, cpu, memory, account = here.pull()
            assert account["total"]["here"] == number, account
            beside = f"{1000 * cpu / number:.2f} ms of CPU each; {_memory(memory)}; the server used {kobo.cpu / taken:.0%} of a core; limit 1 500/s, 200 MB"
            say(tier, f"back-fill of {number} through HTTP", f"{number / taken:.0f}/s", beside)


def sweep(bench: Bench) -> None:
    """`silah pull` of a list in which nothing changed."""
    number = bench.number(1_000_000)
    with loopback.running("kobo", number + 1) as kobo, node(target="http://127.0.0.1:9", kobo=kobo.url) as here:
        here.know(number)
        taken, cpu, memory, account = here.pull()
        assert account["total"]["here"] == number, account
        beside = f"{taken:.0f} s in all; {_memory(memory)}; the server used {kobo.cpu:.0f} s; limit 60 s"
        say("embedded", f"light sweep of {number} known submissions", f"{cpu:.1f} s of CPU", beside)


def _memory(seen: list[float]) -> str:
    quarter, half, end = (seen[min(len(seen) - 1, int(len(seen) * part))] for part in (0.25, 0.5, 0.95))
    return f"resident {quarter:.0f}, {half:.0f}, {end:.0f} MB at a quarter, half, end, most {max(seen):.0f}"


# Size


def size(bench: Bench) -> None:
    """Start to ready, and memory idle and under load."""
    with (
        loopback.running("target", 0) as target,
        loopback.running("kobo", 100_000_000) as kobo,
        node(target=target.url, kobo=kobo.url) as here,
    ):
        begun = time.monotonic()
        with here.running("serve", "--port", "0") as silah:
            requests.get(silah.url + "/readyz", timeout=30).raise_for_status()
            say(
                "embedded",
                "start to ready, a new ledger",
                f"{time.monotonic() - begun:.2f} s",
                f"{silah.cpu:.2f} s of CPU; limit 2 s",
            )
            time.sleep(3)
            say("embedded", "resident, idle", f"{silah.resident:.0f} MB", "limit 110 MB")
            load.ring(silah.url, bench.seconds(15), CLIENTS, 1)
            say(
                "embedded",
                "resident, bells followed and delivered",
                f"{silah.resident:.0f} MB",
                f"most {silah.most_resident:.0f} MB; limit 200 MB",
            )
        begun = time.monotonic()
        with here.running("serve", "--port", "0") as silah:
            requests.get(silah.url + "/readyz", timeout=30).raise_for_status()
            say("embedded", "start to ready, again", f"{time.monotonic() - begun:.2f} s", f"{silah.cpu:.2f} s of CPU")


# Workers


def workers(bench: Bench) -> None:
    """PostgreSQL: 1, 2 and 4 `silah work`, and what a killed one had in hand."""
    if "postgres" not in bench.tiers:
        return
    first = 0.0
    for many in (1, 2, 4):
        for wait in (0, 50):
            rate, cpu = _worked(bench, many, wait)
            first = first or rate
            say(
                "postgres",
                f"drain by {many} workers, target at {wait} ms",
                f"{rate:.0f}/s",
                f"{cpu:.2f} ms of CPU each",
            )
    say("postgres", "a killed worker's work is delivered after", f"{_taken_over(bench):.1f} s", "limit 15 s")


def _worked(bench: Bench, many: int, wait: int) -> tuple[float, float]:
    number = bench.number(3000)
    with (
        loopback.running("target", wait / 1000) as target,
        node(target=target.url, database=bench.tiers["postgres"]()) as here,
        ExitStack() as stack,
    ):
        nodes = [stack.enter_context(here.running("work")) for _ in range(many)]
        time.sleep(2)  # one of them leads by then
        here.fill(number)
        rate, used = arrivals(target, nodes, number)
        return rate, 1000 * used / number


def _taken_over(bench: Bench) -> float:
    """Seconds from killing the worker that has everything in hand until the last delivery has arrived once in effect."""
    with (
        loopback.running("target", 5) as target,
        node(target=target.url, database=bench.tiers["postgres"]()) as here,
        here.running("work") as killed,
    ):
        here.fill(CLIENTS)
        while target.told()["posts"] < CLIENTS:
            time.sleep(0.05)
        with here.running("work"):
            time.sleep(1)
            killed.process.send_signal(signal.SIGKILL)
            begun = time.monotonic()
            while target.told()["posts"] < 2 * CLIENTS:
                time.sleep(0.1)
            assert target.told()["keys"] == CLIENTS
            return time.monotonic() - begun


# Growth


def growth(bench: Bench) -> None:
    """Receipts and the drain on a small ledger and on a large one."""
    for tier, database in bench.tiers.items():
        rates: dict[int, tuple[float, float]] = {}
        for rows in (bench.number(10_000), bench.number(1_000_000)):
            with _drained(bench, database(), 0, bench.number(3000), CLIENTS, grown=rows) as (rate, _, silah):
                rung = (
                    load.ring(silah.url, bench.seconds(5), CLIENTS, 50_000_000).a_second
                    if silah.url.startswith("http")
                    else 0.0
                )
                rates[rows] = (rate, rung)
                say(
                    tier,
                    f"with {rows} rows: drain, receipts",
                    f"{rate:.0f}/s, {rung:.0f}/s",
                    f"resident {silah.most_resident:.0f} MB",
                )
        small, large = rates.values()
        both = [f"{after / before:.2f}" for before, after in zip(small, large, strict=True) if before]
        say(tier, "large compared with small", ", ".join(both) + " x", "limit 0.8")


ROWS: Mapping[str, Callable[[Bench], None]] = {
    "receipts": receipts, "beside": receipts_beside_a_drain, "drain": drain, "backfill": backfill,
    "sweep": sweep, "size": size, "workers": workers, "growth": growth,
}  # fmt: skip


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(ROWS), help=f"some of: {','.join(ROWS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is the size of the table in docs/performance.md")
    parser.add_argument("--tier", choices=("embedded", "postgres"), help="one tier alone")
    asked = parser.parse_args()
    print(machine.described(), flush=True)
    with ExitStack() as stack:
        tiers: dict[str, Database] = {"embedded": lambda: None}
        if postgres.wanted() and asked.tier != "embedded":
            server = postgres.Server(durable=True)
            stack.callback(server.close)
            tiers["postgres"] = server.database
        chosen = {name: one for name, one in tiers.items() if asked.tier in {None, name}}
        bench = Bench(asked.scale, chosen)
        limits(bench)
        for name in asked.only.split(","):
            ROWS[name](bench)
    print(f"load at the end {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
