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


def many(node: Node, fill_in: FillIn, number: int) -> None:
    filled = fill_in(request())
    for index in range(number):
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
    """Beyond what may wait the answer is 503 at once; afterwards everything is as before."""
    go = threading.Event()

    def app(environ: object, start: object) -> Iterable[bytes]:
        go.wait(30)
        start("201 Created", [("Content-Length", "0")])  # type: ignore[operator]
        return [b""]

    web = Web(app, "127.0.0.1", 0, threads=2, most_waiting=4)
    web.start()
    answers: list[int] = []

    def ring() -> None:
        answers.append(requests.post(f"{web.url}/webhooks/kobo/kobo", json={}, timeout=30).status_code)

    rings = [threading.Thread(target=ring) for _ in range(24)]
    for one in rings:
        one.start()
    try:
        eventually(lambda: len(web._server.task_dispatcher.queue) >= 6)
    finally:
        go.set()
        for one in rings:
            one.join()
    assert {201, 503} == set(answers)
    ring()
    assert 201 == answers[-1]
    web.stop()
