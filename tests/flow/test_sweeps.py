"""What a sweep costs, what the quick one and the whole one find, and files that come when nobody waits any more."""

from __future__ import annotations

import threading

import pytest

from connector import pipeline
from connector.dispatch.chores import Chores
from connector.servers import kobo
from tests.conftest import FillIn, Node, edited
from tests.flow.test_crashes import bells
from tests.flow.test_flow import WITH_PHOTO, picture
from tests.people import request

_NUMBERED = b"<instanceID>uuid:"


@pytest.fixture(name="small", autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of three rows; the quick sweep compares four."""
    monkeypatch.setattr(kobo, "_PAGE", 3)
    monkeypatch.setattr(pipeline, "NEWEST", 4)


def asked(node: Node) -> list[str]:
    """What the form server was asked since the last time: `rights`, `page`, `read`."""
    found = [one for one in node.kobo.requests if one.method == "GET" and "/assets/" in one.path]
    del node.kobo.requests[:]
    return ["page" if "fields" in one.query else "read" if "/data/" in one.path else "rights" for one in found]


def numbered(node: Node, fill_in: FillIn, number: int) -> list[bytes]:
    """So many submissions that are here and delivered; their XML."""
    filled = fill_in(request())
    made = [filled.replace(_NUMBERED, _NUMBERED + b"%08x" % index) for index in range(number)]
    for xml in made:
        node.submit(xml)
    node.pull()
    node.dispatch()
    assert number == len(node.received())
    asked(node)
    return made


def test_a_sweep_costs_a_page_a_thousand_rows_and_what_changed(node: Node, fill_in: FillIn) -> None:
    """Nothing new: the rights and the pages, no question beyond the last. Edits: one question more for all of them."""
    made = numbered(node, fill_in, 7)
    node.pull()
    assert ["rights", "page", "page", "page"] == asked(node)
    for xml in made[:2]:
        node.submit(edited(xml, {"enq_phone": "+96170999999"}))
    asked(node)
    assert 2 == node.pull().changed
    assert ["rights", "page", "read", "page", "page"] == asked(node)


def test_a_quick_sweep_asks_for_the_newest_alone(node: Node, fill_in: FillIn) -> None:
    """Its cost does not grow with the form; what is new, edited or gone among the newest is found, and the account holds."""
    made = numbered(node, fill_in, 9)
    swept = node.pull(newest=True)
    assert ["rights", "page", "page"] == asked(node)
    assert (4, 0, 0, None) == (swept.listed, swept.changed, swept.gone, swept.stopped)

    node.submit(edited(made[-1], {"enq_phone": "+96170999999"}))
    bells(node, fill_in, 1, start=99)
    node.kobo.delete(
        node.asset, str(sorted(row.order for row in node.flow.ledger.known("kobo", "tracing_request", -1, None))[-2])
    )
    swept = node.pull(newest=True)
    assert (2, 1, None) == (swept.changed, swept.gone, swept.stopped)
    account = node.flow.ledger.account("kobo", "tracing_request")
    assert (9, 9, 0) == (account.on_server, account.here, account.missing)


def test_an_old_edit_is_found_by_the_whole_sweep(node: Node, fill_in: FillIn) -> None:
    """KoboToolbox tells nobody of an edit: behind the newest it is found when the whole list is compared."""
    made = numbered(node, fill_in, 9)
    node.submit(edited(made[0], {"enq_phone": "+96170999999"}))
    assert 0 == node.pull(newest=True).changed
    assert 1 == node.pull().changed


def test_a_stopped_sweep_is_not_forgotten_by_a_quick_one(node: Node, fill_in: FillIn) -> None:
    """Many old ones vanished: the next quick sweep looks at the whole list again, and the guard still holds."""
    node.server = {"vanish_limit": 1}
    numbered(node, fill_in, 9)
    oldest = [row.order for row in node.flow.ledger.known("kobo", "tracing_request", -1, None)][:3]
    node.kobo.delete(node.asset, *map(str, oldest))
    assert "vanish_guard" == node.pull().stopped
    assert "vanish_guard" == node.pull(newest=True).stopped
    assert 3 == node.flow.ledger.account("kobo", "tracing_request").parked


def test_the_first_sweep_is_whole_and_then_one_a_day(
    node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`reconcile_every` is the quick one, `reconcile_whole_every` the whole one, which also comes first at a start."""
    numbered(node, fill_in, 9)
    seconds = [1000.0]
    monkeypatch.setattr("connector.dispatch.chores.time.monotonic", lambda: seconds[0])
    chores = Chores(node.flow, threading.Event(), lambda: None)
    pages = []
    for passed in (0, 900, 900, 86400, 900):
        seconds[0] += passed
        chores._sweep("kobo")
        pages.append(asked(node).count("page"))
    assert [3, 2, 2, 3, 2] == pages


def test_a_photo_that_comes_after_the_wait_follows(node: Node, fill_in: FillIn) -> None:
    """The request left without it; a later sweep finds it: the same version, another key, with the photo, and no more
    questions after that."""
    xml = fill_in(request(sought=WITH_PHOTO))
    node.take_in(xml)
    node.clock.forward(minutes=11)
    node.flow.read_back()
    node.dispatch()
    assert [0] == [len(body["attachments"]) for body in node.received()]
    asked(node)
    node.pull(newest=True)
    assert ["rights", "page", "read"] == asked(node)

    node.submit(xml, {"karim.jpg": picture()})
    node.pull(newest=True)
    node.dispatch()
    assert [(1, 0), (1, 1)] == [(body["version"], len(body["attachments"])) for body in node.received()]
    assert 2 == len({one.headers["Idempotency-Key"] for one in node.attempts()})
    asked(node)
    node.pull()
    assert ["rights", "page"] == asked(node)


def test_a_photo_that_never_comes_is_looked_for_seldom_and_then_no_more(node: Node, fill_in: FillIn) -> None:
    """For a day with every sweep, for a month with the whole ones; then it costs nothing."""
    node.take_in(fill_in(request(sought=WITH_PHOTO)))
    node.clock.forward(minutes=11)
    node.flow.read_back()
    node.dispatch()
    asked(node)
    reads = []
    for days in (0, 2, 30):
        node.clock.forward(days=days)
        for newest in (True, False):
            node.pull(newest=newest)
            reads.append(asked(node).count("read"))
    assert [1, 1, 0, 1, 0, 0] == reads


def test_an_older_version_is_not_replayed_behind_a_newer_one(node: Node, fill_in: FillIn) -> None:
    """What was delivered may be sent again, but only the newest: a target would else end with the older answers."""
    [xml] = numbered(node, fill_in, 1)
    node.submit(edited(xml, {"enq_phone": "+96170999999"}))
    node.pull()
    older, newer = sorted(node.rows(), key=lambda row: row.version)
    assert not node.flow.ledger.replay(older.id, "test")
    node.dispatch()
    assert not node.flow.ledger.replay(older.id, "test")
    assert node.flow.ledger.replay(newer.id, "test")
    node.dispatch()
    assert [1, 2] == [body["version"] for body in node.received()]
