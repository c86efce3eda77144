"""What the store of referrals promises, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connector.errors import Refused
from connector.keys import MasterKey
from connector.ledger.database import Database
from connector.ledger.moving import move
from connector.ledger.referral_sources import Source
from connector.ledger.referrals import ReferralLedger, Terms
from connector.ledger.vault import rewrap
from connector.referrals.machine import Deed
from connector.referrals.referral import Opening
from connector.referrals.reports import CountRow
from tests.conftest import TIERS
from tests.referrals.nodes import Pair, draft

pytestmark = pytest.mark.parametrize("tier", TIERS)


@pytest.fixture
def pair(tmp_path: Path, tier: str, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Two nodes, both on *tier*."""
    stores = None
    if tier == "postgres":
        server = request.getfixturevalue("postgres")
        stores = (server.database(), server.database())
    both = Pair(tmp_path, databases=stores)
    yield both
    both.close()


def test_the_whole_loop(pair: Pair) -> None:
    """Asked, received, accepted, told, begun, held, done: the same events and state on both sides."""
    id_ = pair.delivered()
    for deed in ("accept", "start", "hold", "start", "complete"):
        pair.receiver.do(id_, deed, **({"outcome": "completed_full"} if deed == "complete" else {}))
        pair.settle()
    assert ("completed", "completed") == pair.states(id_)
    assert [(one.event.deed, one.event.number) for one in pair.sender.show(id_).events] == [
        (one.event.deed, one.event.number) for one in pair.receiver.show(id_).events
    ]
    assert pair.receiver.exchange.referrals.disclosed(id_, "test") is not None
    assert 0 == pair.sender.exchange.referrals.unsent()


def test_two_people_answering_at_once(pair: Pair) -> None:
    """Of many acceptances and refusals at the same moment one counts, the others are refused, and both sides see the one."""
    id_ = pair.delivered()

    def act(number: int) -> str:
        try:
            if number % 2:
                return str(pair.receiver.exchange.act(id_, Deed.REJECT, f"user{number}", "no_capacity"))
            return str(pair.receiver.exchange.act(id_, Deed.ACCEPT, f"user{number}"))
        except Refused as refused:
            return refused.code

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(act, range(8)))
    pair.settle()
    assert 7 == came.count("referral.not_allowed")
    assert {*came} - {"referral.not_allowed"} == {pair.states(id_)[0]}
    assert len({*pair.states(id_)}) == 1


def test_a_form_is_kept_once(pair: Pair) -> None:
    """The same form from many threads makes one referral; edited codes replace those that did not leave."""
    ledger, partner = pair.sender.exchange.referrals, pair.sender.exchange.referrals.partner("shelter")
    written = draft("shelter", pair.sender.now())
    opening = Opening.model_validate({name: written[name] for name in Opening.model_fields})
    source = Source("record", "aman")
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: ledger.put(opening, partner, source, "form"), range(8)))
    assert {ledger.of_form(source)} == ids
    ledger.put(opening.model_copy(update={"age_group": "60+"}), partner, source, "form")
    kept = ledger.contents(ids.pop()).opening
    assert kept is not None
    assert "60+" == kept.age_group
    ledger.take_back(source, "form")
    assert ledger.of_form(source) is None


def test_late_is_raised_once_for_each_time(pair: Pair) -> None:
    """Overdue on both sides; confirmed, it has a new time and can be late again."""
    id_ = pair.delivered()
    pair.clock.forward(hours=73)
    alarms = [len(one.exchange.referrals.newly_overdue()) for one in (pair.sender, pair.receiver) for _ in range(2)]
    assert [1, 0, 1, 0] == alarms
    pair.sender.do(id_, "confirm")
    pair.settle()
    pair.clock.forward(hours=73)
    assert 1 == len(pair.receiver.exchange.referrals.newly_overdue())


def test_withdrawn_is_gone_on_both_sides(pair: Pair) -> None:
    """The keys go, the tombstone stays, and a message of before is refused."""
    id_ = pair.delivered()
    pair.receiver.do(id_, "accept")
    pair.settle()
    pair.sender.do(id_, "withdraw")
    pair.settle()
    assert ("withdrawn", "withdrawn") == pair.states(id_)
    assert [None, None] == [one.show(id_).opening for one in (pair.sender, pair.receiver)]


def test_notes_links_releases_and_counts(pair: Pair) -> None:
    """What stands beside a referral: notes to a party, a link and its code, two releases, a month's counts."""
    id_ = pair.delivered()
    pair.receiver.do(id_, "accept")
    pair.settle()
    code = pair.sender.show(id_).row.case_code
    pair.sender.exchange.note(code, {"text": "words", "readers": ["shelter"]}, "test")
    pair.settle()
    assert ["words"] == [one.note.text for one in pair.receiver.exchange.notes.of(code, "test")]

    desk = pair.sender.exchange
    desk.referrals.add_by_hand("aman", Terms("authorities", ("age1",), "out"), None, "test")
    written = draft("aman", pair.sender.now(), purpose="protection_order", risk_explained=True)
    other = desk.new(written, "aman", "test").row.id
    assert ["draft", "requested"] == [desk.referrals.release(other, name) for name in ("amal", "yusuf")]
    link = desk.link(other)
    handle = link.url.rpartition("/")[2]
    assert "accepted" == desk.links.answer(handle, link.code, Deed.ACCEPT, None, None)
    with pytest.raises(Refused, match=r"link\.not_valid"):
        desk.links.answer(handle, link.code, Deed.REJECT, "other", None)
    row = CountRow(branch="101", service="referral.sent", unit="events", sex="total", age_group="total", count=12)
    desk.report("shelter", "2026-10", [row], "test")
    assert [(row,)] == [one.rows for one in desk.reports.all("2026-10")]
    assert 1 == len(desk.reports.due(desk.referrals.partner("shelter"), 5))


def test_it_moves_with_its_keys(pair: Pair, tmp_path: Path) -> None:
    """`migrate` and `keys rotate`: bodies, notes and node keys open in the new database under the new master key."""
    id_ = pair.delivered()
    pair.receiver.do(id_, "accept")
    pair.settle()
    code = pair.receiver.show(id_).row.case_code
    pair.receiver.exchange.note(code, {"text": "ours alone"}, "test")
    source = pair.receiver.flow.ledger
    to = Database(f"sqlite:///{tmp_path / 'moved.db'}")
    move(source.database, to)
    newer = MasterKey(b"n" * 32, [source.master])
    assert rewrap(to, newer, source.now, "test") > 0
    moved = ReferralLedger(to, MasterKey(b"n" * 32), source.now)
    told = moved.disclosed(id_, "test")
    assert told is not None
    assert pair.receiver.exchange.keys.fingerprint == moved.keys().fingerprint
    to.close()
