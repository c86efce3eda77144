"""A clock that jumps, stands still or falls back: nothing is parked, delayed or let go by it alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.dispatch.timekeeper import Timekeeper
from connector.ledger.schema import audit
from tests.conftest import TIERS, FillIn, Node
from tests.flow.test_crashes import bells
from tests.people import request

pytestmark = pytest.mark.parametrize("tier", TIERS)


class Seconds:
    """Seconds that pass whatever the clock shows."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="passed")
def _passed() -> Seconds:
    return Seconds()


@pytest.fixture(name="keeper")
def _keeper(node: Node, passed: Seconds) -> Timekeeper:
    node.extra = {"dispatch": {"retry_first": "2s", "retry_max": "1m", "retry_for": "1h"}}
    keeper = Timekeeper(node.flow, passed)
    keeper.look()
    return keeper


def failing(node: Node, fill_in: FillIn, times: int = 1) -> None:
    """A delivery that was tried once in vain."""
    node.receivers["national"].faults.next(".*", status=503, times=times)
    node.take_in(fill_in(request()))
    assert ["due"] == [state for state, _ in node.states()]


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400)])
def test_a_jump_neither_delays_nor_parks(
    node: Node, fill_in: FillIn, keeper: Timekeeper, passed: Seconds, jump: timedelta
) -> None:
    """A delivery that waits for its next attempt is neither a year late nor out of time; with the clock it goes on."""
    failing(node, fill_in, times=2)
    node.clock.moment += jump
    passed.now += 30
    keeper.look()
    node.clock.forward(seconds=30)
    node.dispatch()
    assert [("withheld", "consent.not_yet" if jump < timedelta(0) else "consent.expired")] == node.states()

    node.clock.moment -= jump
    passed.now += 30
    assert abs(keeper.look() + jump) < timedelta(minutes=2)
    for _ in range(2):  # the target fails once more
        node.clock.forward(seconds=90)
        node.dispatch()
    assert [("delivered", None)] == node.states()
    assert 3 == len(node.attempts())


def test_a_machine_that_was_off_for_days_gives_its_targets_time(
    node: Node, fill_in: FillIn, keeper: Timekeeper
) -> None:
    """Days without power are not days of trying: a target that fails at the next start is tried for `retry_for` still."""
    failing(node, fill_in, times=2)
    keeper.look()
    node.clock.forward(days=5)
    node.restart()
    Timekeeper(node.flow).look()
    node.dispatch(rounds=1)
    assert ["due"] == [state for state, _ in node.states()]
    node.clock.forward(minutes=5)
    node.dispatch()
    assert [("delivered", None)] == node.states()


def test_a_bell_that_waits_is_not_lost_to_a_jump(
    node: Node, fill_in: FillIn, keeper: Timekeeper, passed: Seconds
) -> None:
    """A receipt whose read-back failed while the clock was a year ahead is followed when the clock is right again."""
    node.clock.forward(days=365)
    passed.now += 1
    keeper.look()
    node.kobo.faults.next(".*/data/.*", status=500, times=1)
    node.ring(node.submit(fill_in(request())))
    node.flow.read_back()
    node.clock.forward(days=-365)
    passed.now += 30
    keeper.look()
    node.clock.forward(seconds=30)
    assert 1 == node.flow.read_back()


def test_a_consent_that_begins_tomorrow_is_looked_at_again(
    node: Node, fill_in: FillIn, keeper: Timekeeper, passed: Seconds
) -> None:
    """A date of consent in the future is no consent; when its day has come the request leaves by itself."""
    node.clock.forward(days=-3)
    node.take_in(fill_in(request()))
    assert [("withheld", "consent.not_yet")] == node.states()
    for _ in range(4):
        node.clock.forward(days=1)
        passed.now += 86400
        keeper.look()
        node.dispatch()
    assert [("delivered", None)] == node.states()


def test_a_start_looks_again_only_when_something_changed(node: Node, fill_in: FillIn) -> None:
    """Nothing that waits is touched by a restart, and nothing written into the audit, until policy, targets or agreements
    are others; then all of it is looked at once."""
    node.targets = {"icrc": {"recipient": "icrc", "release": "review"}}
    bells(node, fill_in, 2)
    node.pull()
    node.restart()
    node.dispatch()
    assert ["waiting", "waiting"] == [state for state, _ in node.states("icrc")]
    rows = audited(node)
    for _ in range(2):
        node.restart()
        assert [] == node.dispatch()
    assert rows == audited(node)

    node.targets = {"icrc": {"recipient": "icrc", "release": "auto"}}
    node.restart()
    node.dispatch()
    assert ["delivered", "delivered"] == [state for state, _ in node.states("icrc")]


def audited(node: Node) -> int:
    with node.flow.ledger.database.reading() as connection:
        return len(connection.execute(audit.select()).all())
