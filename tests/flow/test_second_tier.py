"""PostgreSQL with Procrastinate: any number of processes, and nothing that is lost with a job or a worker."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
import pytest

from connector.dispatch.procrastinate import Worker
from connector.errors import Refused
from connector.ledger.database import Database
from connector.ledger.moving import move
from tests import postgres as postgres_server
from tests.conftest import TIERS, FillIn, Node, eventually
from tests.flow.test_process import SILAH, Served, config_of, ring, silah, write_config
from tests.people import request

ON_POSTGRES = pytest.mark.parametrize("tier", [one for one in TIERS if one != "embedded"])


@contextmanager
def working(node: Node) -> Iterator[Worker]:
    """A worker in this process."""
    worker = Worker(node.flow, nullcontext)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


class Working:
    """A running `silah work`."""

    def __init__(self, node: Node) -> None:
        self._log = (node.home / "work.log").open("ab")
        self.process = subprocess.Popen([*SILAH, "work"], cwd=node.home, stdout=subprocess.PIPE, stderr=self._log)
        assert self.process.stdout is not None
        assert b"Silah works" in self.process.stdout.readline(), (node.home / "work.log").read_text()

    def end(self, *, kill: bool) -> int:
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        status = self.process.wait(15)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return status


def many(node: Node, fill_in: FillIn, number: int) -> None:
    """*number* submissions that are here and due."""
    filled = fill_in(request())
    for index in range(number):
        node.submit(filled.replace(b"<instanceID>uuid:", b"<instanceID>uuid:%08x" % index))
    node.pull()


def jobs(node: Node, do: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(node.database.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(do)  # type: ignore[call-overload]
        return list(cursor.fetchall()) if cursor.description else []


def delivered_once(node: Node, number: int) -> None:
    """All arrived, each under one key, and the audit fits its chain."""
    eventually(lambda: [("delivered", None)] * number == node.states(), 40)
    assert number == len({body["id"] for body in node.received()}) == len(node.received())


@ON_POSTGRES
def test_jobs_that_are_deleted_lose_nothing(node: Node, fill_in: FillIn) -> None:
    """All jobs are deleted in mid-run: what the ledger says is due is put into the queue again."""
    node.receivers["national"].faults.next(".*", delay_seconds=0.1, times=12)
    node.targets = {"national": {"concurrency": 2}}
    many(node, fill_in, 12)
    with working(node):
        eventually(lambda: len(node.received()) >= 3)
        jobs(node, "DELETE FROM procrastinate_jobs")
        delivered_once(node, 12)
    assert {("delivery",)} >= set(jobs(node, "SELECT DISTINCT jsonb_object_keys(args) FROM procrastinate_jobs"))


@ON_POSTGRES
def test_a_killed_workers_deliveries_are_taken_over(
    node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 of the worker that leads and holds a delivery: another one leads, and delivers it within 15 seconds."""
    config_of(node, monkeypatch)
    many(node, fill_in, 1)
    node.receivers["national"].faults.next(".*", delay_seconds=3.0, times=1)
    first = Working(node)
    eventually(lambda: len(node.attempts()) == 1, 30)
    first.end(kill=True)
    killed = time.monotonic()
    second = Working(node)
    try:
        eventually(lambda: len(node.attempts()) == 2, 40)
        taken_over = time.monotonic() - killed
        eventually(lambda: [("delivered", None)] == node.states())
    finally:
        assert 0 == second.end(kill=False)
    print(f"taken over after {taken_over:.1f} s")
    assert 1 == len({one.headers["Idempotency-Key"] for one in node.attempts()})
    assert taken_over < 15 + 5  # the start of the second one included


@ON_POSTGRES
def test_serving_and_working_are_separate_processes(
    node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two `silah serve` keep bells and follow them, each bell once; `silah work` delivers."""
    config_of(node, monkeypatch)
    serving = [Served(node), Served(node)]
    worker = Working(node)
    try:
        filled = fill_in(request())
        for index in range(6):
            one = node.submit(filled.replace(b"<instanceID>uuid:", b"<instanceID>uuid:%08x" % index))
            assert 201 == ring(node, serving[index % 2].url, one)
            assert 200 == ring(node, serving[1 - index % 2].url, one)
        delivered_once(node, 6)
        assert "fit their chain" in silah(node, "audit", "verify")
    finally:
        worker.end(kill=False)
        statuses = [one.stop() for one in serving]
    assert [0, 0] == statuses


@ON_POSTGRES
def test_two_workers_lead_one_at_a_time(node: Node, fill_in: FillIn) -> None:
    """The claim to lead is one process's; when it lets go the other one has it."""
    database = node.flow.ledger.database
    with database.alone("lead") as first, database.alone("lead") as second:
        assert [True, False, True] == [first(), second(), first()]
    with database.alone("lead") as third:
        assert third()


def test_work_is_refused_on_sqlite(node: Node) -> None:
    """A worker needs PostgreSQL, and says so."""
    with pytest.raises(Refused) as refused:
        Worker(node.flow, nullcontext)
    assert "dispatch.embedded" == refused.value.code
    assert "postgresql" in refused.value.next_step


@pytest.mark.parametrize("to", [one for one in TIERS if one != "embedded"])
def test_the_ledger_moves_to_postgres(
    node: Node, fill_in: FillIn, to: str, postgres: postgres_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`silah migrate`: every row, wrapped keys as they are; the node goes on where it was, and nothing is sent again."""
    config_of(node, monkeypatch)
    submission = node.take_in(fill_in(request()))
    node.close()
    url = postgres.database()
    assert "1 deliveries" in " ".join(silah(node, "migrate", "--to", url).split())
    assert "migrate.not_empty" in refused(node, "migrate", "--to", url)

    node.database = url
    write_config(node)
    node.flow.reconsider(always=True)
    node.take_in(fill_in(request({"paper_form_no": None})))
    assert [("delivered", None), ("delivered", None)] == node.states()
    assert 2 == len(node.received())
    told = json.loads(silah(node, "preview", submission["meta/rootUuid"], "--target", "national", "--json"))
    assert "كريم يوسف الحمصي" == told["fields"]["sought"][0]["name"]["full"]
    assert "fit their chain" in silah(node, "audit", "verify")


def refused(node: Node, *arguments: str) -> str:
    done = subprocess.run([*SILAH, *arguments], cwd=node.home, capture_output=True, text=True, check=False, timeout=60)
    assert 1 == done.returncode, (done.stdout, done.stderr)
    return done.stderr


def test_a_move_is_refused_while_a_dispatcher_runs(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written meanwhile would stay behind."""
    config_of(node, monkeypatch)
    served = Served(node)
    try:
        assert "dispatch.already_running" in refused(node, "migrate", "--to", "sqlite:///other.db")
    finally:
        served.stop()


def test_a_move_that_fails_leaves_nothing(node: Node, fill_in: FillIn) -> None:
    """An audit that does not fit its chain stops the move, and the new database stays empty."""
    from sqlalchemy import text

    node.take_in(fill_in(request()))
    database = node.flow.ledger.database
    database.write(lambda connection: connection.execute(text("UPDATE audit SET actor='x' WHERE seq=1")) and None)
    to = Database(f"sqlite:///{node.home}/other.db")
    with pytest.raises(Refused) as broken:
        move(database, to)
    assert "audit.broken" == broken.value.code
    with to.reading() as connection:
        assert 0 == connection.execute(text("SELECT count(*) FROM submissions")).scalar_one()
    to.close()
