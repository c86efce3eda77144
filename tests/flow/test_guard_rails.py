"""A target that is slow, dead or limited, and more load than can be taken: nobody else notices, nothing collapses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import requests

from connector.disclosure import Release
from connector.dispatch.embedded import Dispatcher
from connector.dispatch.guard import Guard
from connector.model import Receipt
from connector.serving import Web
from tests.conftest import FillIn, Node, eventually
from tests.people import request


class Hanging:
    """A target that does not answer until it is let go."""

    def __init__(self) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()

    def deliver(self, release: Release) -> Receipt:
        self.asked.set()
        self.let_go.wait(60)
        return Receipt()


def many(node: Node, fill_in: FillIn, number: int, start: int = 0) -> None:
    filled = fill_in(request())
    for index in range(start, start + number):
        node.submit(filled.replace(b"<instanceID>uuid:", b"<instanceID>uuid:%08x" % index))
    node.pull()


def test_a_dead_target_delays_no_other(node: Node, fill_in: FillIn) -> None:
    """One target hangs with all its threads; the other one receives everything meanwhile."""
    node.targets = {"national": {}, "icrc": {"recipient": "own_society"}}
    many(node, fill_in, 30)
    hanging = Hanging()
    node.flow.targets = {**node.flow.targets, "icrc": hanging}
    dispatcher = Dispatcher(node.flow)
    dispatcher.start()
    try:
        assert hanging.asked.wait(15)
        eventually(lambda: [("delivered", None)] * 30 == node.states("national"))
        assert [] == [state for state, _ in node.states("icrc") if state == "delivered"]
    finally:
        hanging.let_go.set()
        dispatcher.stop()


def test_a_dead_target_costs_another_next_to_nothing(node: Node, fill_in: FillIn) -> None:
    """The same deliveries, alone and beside a target that hangs with all its threads: the time is told and compared (the
    bound is loose, test machines are busy)."""
    took: list[float] = []
    for beside in ({}, {"icrc": {"recipient": "own_society"}}):
        node.targets = {"national": {}, **beside}
        node.close()
        hanging = Hanging()
        if beside:
            node.flow.targets = {**node.flow.targets, "icrc": hanging}
        before = len(node.received())
        many(node, fill_in, 30, start=1000 * len(took))
        dispatcher = Dispatcher(node.flow)
        begun = time.monotonic()
        dispatcher.start()
        try:
            eventually(lambda before=before: len(node.received()) == before + 30, 60)  # type: ignore[misc]
            took.append(time.monotonic() - begun)
        finally:
            hanging.let_go.set()
            dispatcher.stop()
    print(f"30 deliveries: alone {took[0]:.2f} s, beside a dead target {took[1]:.2f} s, {took[1] / took[0]:.2f} x")
    assert took[1] < 4 * took[0] + 2


def test_a_hanging_target_does_not_keep_silah_from_ending(node: Node, fill_in: FillIn) -> None:
    """A stop takes the time it was given, not the target's; the delivery stays due, with the key it was begun with."""
    many(node, fill_in, 1)
    hanging = Hanging()
    node.flow.targets = {"national": hanging}
    dispatcher = Dispatcher(node.flow)
    dispatcher.start()
    assert hanging.asked.wait(15)
    started = time.monotonic()
    dispatcher.stop(0.5)
    assert time.monotonic() - started < 5
    [due] = node.flow.ledger.due("national", 10)
    key = due.key
    hanging.let_go.set()
    node.restart()
    node.dispatch()
    assert {key} >= {one.headers["Idempotency-Key"] for one in node.attempts()}


class Seconds:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_is_kept() -> None:
    """A second's worth at once, then as many as the seconds allow, whatever was asked for."""
    seconds = Seconds()
    guard = Guard(4, seconds)
    begun = [guard.take(100)]
    for _ in range(8):
        seconds.now += 0.25
        begun.append(guard.take(100))
    assert [4, 1, 1, 1, 1, 1, 1, 1, 1] == begun


def test_what_was_not_used_of_a_rate_can_be_used() -> None:
    """Room for deliveries that were not there is not lost."""
    guard = Guard(4, Seconds())
    assert 4 == guard.take(4)
    guard.give_back(3)
    assert 3 == guard.take(100)


def test_a_target_that_is_down_is_probed_slowly() -> None:
    """After five failures in a row one delivery at a time goes, after longer and longer; a success opens the door."""
    seconds = Seconds()
    guard = Guard(None, seconds)
    for _ in range(5):
        guard.tell("due")
    probes = []
    for _ in range(1000):
        if guard.take(100):
            probes.append(seconds.now - 100)
            guard.tell("due")
        seconds.now += 0.5
    assert [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483] == probes
    guard.tell("delivered")
    assert 100 == guard.take(100)


def test_a_probe_that_found_nothing_to_send_is_free() -> None:
    """The door is tried with the next delivery that is there."""
    guard = Guard(None, Seconds())
    for _ in range(5):
        guard.tell("due")
    assert 1 == guard.take(8)
    guard.give_back(1)
    assert 1 == guard.take(8)


def test_too_many_webhooks_are_told_to_come_again() -> None:
    """Beyond what may wait the answer is 503 with `Retry-After` at once; afterwards everything is as before."""
    go, inside = threading.Event(), threading.Semaphore(0)

    def app(environ: object, start: object) -> Iterable[bytes]:
        inside.release()
        go.wait(60)
        start("201 Created", [("Content-Length", "0")])  # type: ignore[operator]
        return [b""]

    web = Web(app, "127.0.0.1", 0, threads=2, most_waiting=4)
    web.start()
    answers: list[requests.Response] = []

    def ring() -> None:
        answers.append(requests.post(f"{web.url}/webhooks/kobo/kobo", json={}, timeout=60))

    rings = [threading.Thread(target=ring) for _ in range(24)]
    for one in rings[:2]:
        one.start()
    try:
        assert inside.acquire(timeout=60)
        assert inside.acquire(timeout=60)
        for one in rings[2:]:
            one.start()
        eventually(lambda: len(web._server.task_dispatcher.queue) == 22, 60)
    finally:
        go.set()
        for one in rings[2:]:
            one.join()
        for one in rings[:2]:
            one.join()
    refused = [one for one in answers if one.status_code == 503]
    assert {201, 503} == {one.status_code for one in answers}
    # 22 wait for two threads: each leaves the line before it is looked at, so 4 or 5 are taken, or one more in between.
    assert 15 <= len(refused) <= 18
    assert {"5"} == {one.headers["Retry-After"] for one in refused}
    ring()
    assert 201 == answers[-1].status_code
    web.stop()
