"""`python -m tests.benchmarks.pages [ROWS]`: the dashboard's pages on a ledger of a million submissions, p95 in ms.

The rows are written straight into the tables: what the pages open (records, pairs, referrals) is real, the mass beside
it has no answers. `SILAH_BENCH_TIER=postgres` runs it on PostgreSQL.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Table, insert, select

from connector.ledger.database import milliseconds
from connector.ledger.schema import (
    audit,
    candidates,
    deliveries,
    derived,
    facts,
    referral_events,
    referrals,
    submissions,
    withdrawals,
)
from connector.pipeline import Pipeline
from tests.benchmarks.sample import submissions as samples
from tests.benchmarks.speed import node

_REAL = 200
_ROUNDS = 40
_CHUNK = 20_000
_HOUR = 3_600_000
_STATES = ("delivered",) * 94 + ("withheld", "withheld", "waiting", "parked", "due", "discarded")


def fill(flow: Pipeline, number: int) -> None:
    """*number* submissions with a delivery, a row of the audit, a fact and the end of a consent each; pairs, referrals."""
    begun = time.monotonic()
    flow.keep_all("kobo", list(samples(_REAL)))
    now = milliseconds(flow.ledger.now())
    _bulk(flow, submissions, (_submission(i, now) for i in range(_REAL + 1, number + 1)))
    _bulk(flow, deliveries, (_delivery(i, now) for i in range(_REAL + 1, number + 1)))
    _bulk(flow, audit, (_row_of_audit(i, now) for i in range(10_000_000, 10_000_000 + number)))
    today = flow.ledger.now().date()
    _bulk(flow, facts, (_fact(i, (today - timedelta(days=i % 3000)).isoformat()) for i in range(number)))
    until = [(today + timedelta(days=day)).isoformat() for day in range(-200, 300)]
    ends = ({"submission_id": i, "consent_until": until[i % 500]} for i in range(_REAL + 1, number + 1))
    _bulk(flow, derived, ends)
    _bulk(flow, candidates, (_pair(i, now) for i in range(max(number // 100, 1))))
    _referrals(flow, max(number // 100, 1), now)
    taken = (
        {"submission_id": i, "recipient": "*", "reason": "asked", "at": now - i * 1000} for i in range(1, number // 100)
    )
    _bulk(flow, withdrawals, taken)
    print(f"{number:,} submissions written in {time.monotonic() - begun:.0f} s", flush=True)


def _bulk(flow: Pipeline, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    while chunk := [row for _, row in zip(range(_CHUNK), rows, strict=False)]:
        flow.ledger.database.write(lambda connection, chunk=chunk: connection.execute(insert(table), chunk) and None)


def _submission(i: int, now: int) -> dict[str, Any]:
    return {
        "id": i, "record_id": f"record-{i:09d}", "server": "kobo", "form_id": "tracing_request", "root_id": f"bulk-{i:09d}",
        "ord": 10_000_000 + i, "instance_id": f"i-{i}", "version": 1, "state": "live", "presence": "listed",
        "parked": "answer.unknown_choice" if i % 5000 == 0 else None, "approved_version": 0, "touched": 0,
        "first_at": now + i, "changed_at": now + i,
    }  # fmt: skip


def _delivery(i: int, now: int) -> dict[str, Any]:
    state = _STATES[i % 100]
    error = {
        "withheld": "consent.expired" if i % 2 else "consent.none",
        "waiting": "release.review",
        "parked": "target.http_422",
    }
    return {
        "id": f"dl_{i:012d}", "submission_id": i, "version": 1, "target": "national", "action": "upsert", "revision": 0,
        "state": state, "attempts": 1, "next_at": now, "error": error.get(state), "maybe_held": False, "made_at": now + i,
        "done_at": now + i if state == "delivered" else None,
    }  # fmt: skip


def _row_of_audit(i: int, now: int) -> dict[str, Any]:
    return {"seq": i, "at": now + i % 10**6, "event": "upsert", "actor": "silah", "record_id": f"record-{i % 10**7:09d}",
            "target": "national", "detail": "{}", "hash": "0" * 64}  # fmt: skip


def _fact(i: int, day: str) -> dict[str, Any]:
    services = ("tracing_request", "family_call.video", "family_visit", "service_delivery.medical")
    return {"source": f"{i:032x}", "day": day, "branch": f"{101 + i % 15}", "service": services[i % 4], "unit": "events",
            "sex": "total", "age_group": "total", "count": 1, "person": None}  # fmt: skip


def _pair(i: int, now: int) -> dict[str, Any]:
    left, right = 1 + i % _REAL, 1 + (i + 1) % _REAL
    return {"id": f"mt_{i:012d}", "pair": f"{i}", "left_id": left, "left_role": "sought", "left_number": 1, "right_id": right,
            "right_role": "sought", "right_number": 1, "kind": "duplicate" if i % 3 else "sought_twice", "strength": i % 1000,
            "reasons": '["name.same"]', "state": "proposed", "made_at": now, "changed_at": now}  # fmt: skip


def _referrals(flow: Pipeline, number: int, now: int) -> None:
    """Rows of the inbox with their first event, from one partner."""
    from connector.referrals.exchange import exchange_of
    from connector.referrals.node import new_keys

    other = new_keys().public("https://partner.example.org")
    exchange_of(flow.config, flow.ledger).referrals.add_partner("partner", other, None, "bench")
    states = ("received", "accepted", "completed", "rejected")
    rows = (
        {"id": f"{i:036d}", "partner": other.fingerprint, "direction": "in", "kind": "referral", "priority": "normal_2w",
         "case_code": f"{i:011d}", "state": states[i % 4], "due_at": now + (i % 5000) * _HOUR // 100 - 10 * _HOUR,
         "made_at": now, "changed_at": now + i}
        for i in range(number)
    )  # fmt: skip
    _bulk(flow, referrals, rows)
    events = (
        {"referral_id": f"{i:036d}", "party": "requester", "number": 1, "id": f"ev{i}", "seen": 0, "deed": "request",
         "at": now - i * 1000, "actor": "partner:partner"}
        for i in range(number)
    )  # fmt: skip
    _bulk(flow, referral_events, events)
    came = [
        (flow.ledger.now() - timedelta(days=day), "tracing_request", f"V-{collector}")
        for day in range(7)
        for collector in range(200)
    ]
    flow.ledger.database.write(lambda connection: flow.ledger.collectors.arrived(connection, came))


@contextmanager
def signed_in(flow: Pipeline) -> Iterator[FlaskClient]:
    """A browser of somebody who may read everything but the audit, and of an admin for that."""
    from tests.dashboard.conftest import people_of

    person = people_of(flow)["supervisor"]
    person.sign_in()
    yield person.client


def measure(ask: Callable[[], int], rounds: int = _ROUNDS) -> tuple[float, float]:
    """(median, p95) in ms; the first time, which fills caches of templates and words, is not counted."""
    assert ask() == 200
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        ask()
        times.append((time.perf_counter() - begun) * 1000)
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]


def pages_of(flow: Pipeline) -> dict[str, str]:
    with flow.ledger.database.reading() as connection:
        real = connection.execute(select(submissions.c.record_id).where(submissions.c.id == 1)).scalar_one()
        late = connection.execute(
            select(deliveries.c.made_at).where(deliveries.c.state == "parked").limit(1)
        ).scalar_one()
    return {
        "flow": "/", "flow, a later page": f"/?after={late + 400_000}:x", "week": "/week", "case": f"/cases/{real}",
        "matches": "/matches", "match": "/matches/mt_000000000001", "referrals": "/referrals",
        "referrals, finished": "/referrals?finished=1", "referral new": "/referrals/new", "policy": "/policy",
        "servers": "/servers", "figures": "/figures", "figures of a year": "/figures?from=2026-01-01",
    }  # fmt: skip


def main(number: int) -> None:
    """Prints a line a page."""
    with tempfile.TemporaryDirectory() as folder:
        server = None
        url = f"sqlite:///{Path(folder) / 'pages.db'}"
        if os.environ.get("SILAH_BENCH_TIER") == "postgres":
            from tests.postgres import Server

            server = Server()
            url = server.database()
        with node(url, 0) as flow:
            fill(flow, number)
            with signed_in(flow) as client:
                for name, path in pages_of(flow).items():
                    median, late = measure(lambda path=path: client.get(path).status_code)
                    print(f"{name:<22} median {median:7.1f} ms   p95 {late:7.1f} ms", flush=True)
        if server:
            server.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
