"""Two nodes in two processes over loopback HTTP: losses, repetitions, a killed process, wrong clocks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.referrals.machine import Deed
from tests.referrals.nodes import CANARIES, draft
from tests.referrals.processes import NodeProcess, Relay, until


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    """A sender and a receiver, paired, not started; each is reached through a relay that is bad for every fifth request."""
    relays = [Relay(seed, lose=0.1, cut=0.1, repeat=0.3) for seed in (1, 2)]
    pair = NodeProcess(tmp_path / "police", relays[0]), NodeProcess(tmp_path / "shelter", relays[1])
    pair[0].pair(pair[1])
    pair[1].pair(pair[0])
    yield pair
    for one in pair:
        one.close()
    for relay in relays:
        relay.close()


def new(node: NodeProcess) -> str:
    return node.desk.new(draft("shelter", node.now()), "shelter", "test").row.id


def test_referrals_survive_losses_repetitions_a_kill_and_wrong_clocks(nodes: tuple[NodeProcess, NodeProcess]) -> None:
    """Twelve referrals, the receiver killed and started again with another clock: the same final states, none lost or doubled."""
    police, shelter = nodes
    police.start(skew=100)
    ids = [new(police) for _ in range(6)]
    shelter.start(skew=-120)
    ids += [new(police) for _ in range(6)]
    until(lambda: set(ids) == set(shelter.states()))
    for one in ids[:4]:
        shelter.desk.act(one, Deed.ACCEPT, "test")
    shelter.stop(signal.SIGKILL)
    police.desk.act(ids[0], Deed.WITHDRAW, "test")
    shelter.desk.act(ids[1], Deed.START, "test")
    shelter.desk.act(ids[4], Deed.REJECT, "test", "no_capacity")
    police.desk.act(ids[5], Deed.CANCEL, "test")
    shelter.start(skew=30)
    shelter.desk.act(ids[2], Deed.COMPLETE, "test", None, "completed_full")
    expected = dict.fromkeys(ids, "received") | dict(
        zip(ids, ["withdrawn", "in_progress", "completed", "accepted", "rejected", "cancelled"], strict=False)
    )
    until(lambda: expected == police.states() == shelter.states())
    until(lambda: {"told"} == {police.desk.referrals.show(one).result for one in (ids[1], ids[3])})
    told = {one: shelter.desk.referrals.disclosed(one, "test") for one in ids}

    assert {"Zahra Canary-Name"} == {one.identity.name for one in told.values() if one is not None}
    assert {ids[1], ids[3]} <= {one for one, identity in told.items() if identity is not None} <= set(ids[1:4])
    assert not any(word in node.output for node in nodes for word in CANARIES.values())


def test_a_clock_that_is_wrong_stops_messages_until_it_is_right(nodes: tuple[NodeProcess, NodeProcess]) -> None:
    """Seven minutes apart nothing is taken, the sender says why; started with the right clock everything arrives."""
    police, shelter = nodes
    shelter.start()
    police.start(skew=7 * 60)
    one = new(police)
    until(lambda: any(stuck.error == "partner.stale" for stuck in police.desk.referrals.show(one).unsent))
    before = shelter.states()
    police.stop()
    police.start()
    until(lambda: {one: "received"} == shelter.states() == police.states())

    assert {} == before


def test_a_referral_arrives_within_seconds(nodes: tuple[NodeProcess, NodeProcess]) -> None:
    """From `referral new` beside a running server to the other side's inbox, with a line that is good."""
    police, shelter = nodes
    for node in nodes:
        node.relay.lose = node.relay.cut = node.relay.repeat = 0.0
    police.start()
    shelter.start()
    started = time.monotonic()
    one = new(police)
    until(lambda: one in shelter.states())

    assert time.monotonic() - started < 5
