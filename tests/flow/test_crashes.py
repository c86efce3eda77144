"""kill -9 at every write, and at random moments under load: nothing that was accepted is lost or has its effect twice.

The children are forked from a process that has read the product already. `SILAH_TEST_ROUNDS` sets the random rounds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.conftest import FillIn, Node, eventually
from tests.people import request

ROUNDS = int(os.environ.get("SILAH_TEST_ROUNDS", "20"))
_KILLED = 137
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["connector.app", "connector.dispatch.embedded", "connector.serving"])


def live(data: Mapping[str, Any], home: str, ids: list[dict[str, Any]], crash_at: str, *, wait: bool) -> None:
    """A process of the node: it keeps the bells, follows them and delivers, until it is killed or all is done.

    A bell whose 201 the form server would have got is written into `accepted`.
    """
    os.environ["SILAH_TEST_CRASH_AT"] = crash_at
    from connector import config
    from connector.app import assemble
    from connector.dispatch.embedded import Dispatcher

    flow = assemble(config.parse(data, Path(home) / "silah.toml"))
    dispatcher = Dispatcher(flow)
    dispatcher.start()
    for one in ids:
        flow.receive("kobo", one)
        with (Path(home) / "accepted").open("a") as file:
            file.write(one["meta/rootUuid"].removeprefix("uuid:") + "\n")
        dispatcher.ring()
    until = time.monotonic() + 30
    while wait and time.monotonic() < until and not done(home):
        time.sleep(0.02)
    dispatcher.stop()
    flow.ledger.database.close()


def done(home: str) -> bool:
    """Nothing is to be read or sent any more."""
    with sqlite3.connect(f"file:{home}/var/silah.db?mode=ro", uri=True, timeout=30) as connection:
        new = connection.execute("SELECT count(*) FROM receipts WHERE state = 'new'").fetchone()[0]
        due = connection.execute("SELECT count(*) FROM deliveries WHERE state = 'due'").fetchone()[0]
    connection.close()
    return bool(new == 0 and due == 0)


def child(node: Node, ids: list[dict[str, Any]], crash_at: str = "", *, wait: bool = True) -> Any:
    data = json.loads(json.dumps(node.data))
    process = _forks.Process(target=live, args=(data, str(node.home), ids, crash_at), kwargs={"wait": wait})
    process.start()
    return process


def bells(node: Node, fill_in: FillIn, number: int, start: int = 0) -> list[dict[str, Any]]:
    filled = fill_in(request())
    submitted = [
        node.submit(filled.replace(b"<instanceID>uuid:", b"<instanceID>uuid:%08x" % index))
        for index in range(start, start + number)
    ]
    keys = ("_id", "_uuid", "meta/rootUuid", "_xform_id_string")
    return [{key: one[key] for key in keys} for one in submitted]


def check(node: Node, roots: set[str]) -> None:
    """Every one of *roots* arrived, once in effect, under one key; the audit and the file are whole."""
    ids = [body["id"] for body in node.received()]
    assert len(ids) == len(set(ids))
    assert len(ids) >= len(roots)
    states = {row.root_id: row.state for row in node.rows()}
    assert {"delivered"} == {states[root] for root in roots}
    keys: dict[str, set[str]] = {}
    for one in node.attempts():
        keys.setdefault(one.body["id"], set()).add(one.headers["Idempotency-Key"])
    assert {1} == {len(each) for each in keys.values()}
    with sqlite3.connect(node.home / "var" / "silah.db") as connection:
        assert "ok" == connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    from connector.ledger.audit import verify

    with node.flow.ledger.database.reading() as connection:
        assert verify(connection)[1] is None


def settle(node: Node, ids: list[dict[str, Any]]) -> None:
    """A process that nobody kills finishes the work; the form server rings again for what it got no answer for."""
    last = child(node, ids)
    last.join(60)
    assert 0 == last.exitcode


@pytest.fixture(name="quick")
def _quick(node: Node) -> Node:
    node.server = {"reconcile_on_start": False, "reconcile_every": "off"}
    node.extra = {"dispatch": {"retry_first": "1s", "retry_max": "1s", "retry_for": "3d"}}
    return node


@pytest.mark.parametrize("write", ["_keep_many", "store_soon", "_begin_many", "_delivered_many"])
@pytest.mark.parametrize("moment", ["before", "uncommitted", "committed"])
def test_killed_at_a_write(quick: Node, fill_in: FillIn, moment: str, write: str) -> None:
    """At each moment of each write on the way of a submission."""
    ids = bells(quick, fill_in, 2)
    crashed = child(quick, ids, f"{moment}:{write}")
    crashed.join(60)
    assert _KILLED == crashed.exitcode
    settle(quick, ids)
    check(quick, {one["meta/rootUuid"].removeprefix("uuid:") for one in ids})


def test_killed_at_random_moments_under_load(quick: Node, fill_in: FillIn) -> None:
    """Round after round: bells come in, the process is killed, the next one goes on. Only what was answered is rung once."""
    chance = random.Random(4)
    begun = time.monotonic()
    again: list[float] = []
    accepted = quick.home / "accepted"
    for number in range(ROUNDS):
        ids = bells(quick, fill_in, 4, start=4 * number)
        before = len(accepted.read_text().split()) if accepted.exists() else 0
        started = time.monotonic()
        process = child(quick, ids)
        eventually(lambda before=before: accepted.exists() and len(accepted.read_text().split()) > before, 60)  # type: ignore[misc]
        again.append(time.monotonic() - started)
        process.join(chance.uniform(0, 0.3))
        process.kill()
        process.join(30)
    roots = set(accepted.read_text().split())
    settled = time.monotonic()
    settle(quick, [])
    recovered = time.monotonic() - settled
    check(quick, roots)
    attempts, effects = len(quick.attempts()), len(quick.received())
    print(
        f"{ROUNDS} rounds in {settled - begun:.0f} s: accepted {len(roots)}, lost 0, repeated in effect 0, "
        f"attempts {attempts} for {effects} effects, accepting again after {median(again):.2f} s (at most {max(again):.2f} s), "
        f"all delivered {recovered:.1f} s after the last start"
    )
