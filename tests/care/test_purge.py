"""Keeping times: what has been kept long enough goes, at its time and not before; the form server only where asked."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from connector.dispatch.embedded import Dispatcher
from connector.ledger.care import Care
from connector.ledger.schema import attempts, receipts, versions
from connector.purging import Purged, purge
from tests.care.test_erase import case_of
from tests.conftest import OWN_ACCOUNT, FillIn, Node, edited, eventually
from tests.flow.test_at_rest import everything_written
from tests.flow.test_flow import WITH_PHOTO, picture
from tests.people import request


def kept(node: Node) -> list[tuple[bool, bool]]:
    """(answers as read, record) of each version: whether they are there."""
    with node.flow.ledger.database.reading() as connection:
        rows = connection.execute(select(versions.c.raw, versions.c.record).order_by(versions.c.version))
        return [(row.raw is not None, row.record is not None) for row in rows]


def rows_of(node: Node, table: object) -> int:
    with node.flow.ledger.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def test_answers_as_read_go_after_seven_days(node: Node, fill_in: FillIn) -> None:
    """R16: they stay until the 7th day after the last delivery; then they are overwritten, and the record stays."""
    node.take_in(fill_in(request()))
    with node.flow.ledger.database.reading() as connection:
        raw = bytes(connection.execute(select(versions.c.raw)).scalar_one())
    node.clock.forward(days=6, hours=23)
    assert (0, [(True, True)]) == (purge(node.flow, "test").answers, kept(node))
    node.clock.forward(hours=2)
    assert (1, [(False, True)]) == (purge(node.flow, "test").answers, kept(node))
    assert not any(raw[at : at + 32] in everything_written(node) for at in range(0, len(raw), 32))
    assert Purged() == purge(node.flow, "test")


def test_older_versions_go_with_them(node: Node, fill_in: FillIn) -> None:
    """Of several versions the newest record alone is kept."""
    xml = fill_in(request())
    node.take_in(xml)
    node.submit(edited(xml, {"enq_phone": "+96170999999"}))
    node.pull()
    node.dispatch()
    node.clock.forward(days=8)
    purge(node.flow, "test")
    assert [(False, False), (False, True)] == kept(node)


@pytest.mark.parametrize("why", ["due", "waiting", "parked"])
def test_what_is_still_to_be_sent_is_kept(node: Node, fill_in: FillIn, why: str) -> None:
    """A delivery that is tried, waits for a person or is parked keeps its answers however long it takes."""
    if why == "waiting":
        node.targets = {"partner": {"recipient": "national_society", "society": "TR-RC"}}
    else:
        node.receivers["national"].faults.next(".*", status=503 if why == "due" else 422, times=1)
    node.take_in(fill_in(request()))
    node.clock.forward(days=60)
    assert (0, [(True, True)]) == (purge(node.flow, "test").answers, kept(node))


def test_a_replay_after_that_reads_the_photos_again(node: Node, fill_in: FillIn) -> None:
    """Sent again after its answers went: the submission is read once more, and the photo is in it."""
    node.take_in(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    node.clock.forward(days=8)
    purge(node.flow, "test")
    node.flow.ledger.replay(node.rows()[0].id, "test")
    node.dispatch()
    node.flow.read_back()
    node.clock.forward(minutes=2)
    node.dispatch()

    assert [1, 1] == [len(one.body["attachments"]) for one in node.attempts()]
    assert 1 == len({one.headers["Idempotency-Key"] for one in node.attempts()})


def test_withdrawn_is_erased_in_the_end(node: Node, fill_in: FillIn) -> None:
    """Consent was taken back and everybody has the word: 30 days later nothing but a tombstone is left."""
    submission = node.take_in(fill_in(request()))
    node.flow.withdraw(case_of(node, submission), None, "asked", "test")
    node.clock.forward(days=31)
    assert 0 == purge(node.flow, "test").withdrawn
    node.dispatch()
    assert 1 == purge(node.flow, "test").withdrawn
    assert ("erased", [(False, False)]) == (case_of(node, submission).state, kept(node))
    node.dispatch()
    assert ["upsert", "withdraw"] == [body["action"] for body in node.received()]


def test_attempts_and_receipts_have_their_times(node: Node, fill_in: FillIn) -> None:
    """Attempts of ended deliveries go after 90 days, receipts of followed webhooks after 30; what is open stays."""
    node.receivers["national"].faults.next(".*", status=500, times=1)
    node.take_in(fill_in(request()))
    node.clock.forward(days=31)
    first = purge(node.flow, "test")
    assert (0, 1, 1, 0) == (first.attempts, first.receipts, rows_of(node, attempts), rows_of(node, receipts))
    node.dispatch()
    node.clock.forward(days=91)
    second = purge(node.flow, "test")
    assert (2, 0) == (second.attempts, rows_of(node, attempts))


def test_files_left_in_the_spool_go(node: Node, fill_in: FillIn) -> None:
    """A process was stopped before it tidied up: its files go after a day; those of what is to be sent stay."""
    node.receivers["national"].faults.next(".*", status=503, times=1)
    node.take_in(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    left = node.home / "var" / "spool" / ("0" * 32) / "left"
    left.parent.mkdir()
    left.write_bytes(b"sealed")
    old = (node.clock() - timedelta(days=2)).timestamp()
    for path in (node.home / "var" / "spool").rglob("*"):
        os.utime(path, (old, old))
    purged = purge(node.flow, "test")
    assert (1, False) == (purged.spool, left.exists())
    assert 1 == len([path for path in (node.home / "var" / "spool").rglob("*") if path.is_file()])


def test_a_dry_run_changes_nothing(node: Node, fill_in: FillIn) -> None:
    """It counts what would go, and it is all there afterwards."""
    node.take_in(fill_in(request()))
    node.clock.forward(days=100)
    before = everything_written(node)
    counted = purge(node.flow, "test", dry_run=True)
    assert (1, 1, 1) == (counted.answers, counted.attempts, counted.receipts)
    assert before == everything_written(node)
    assert counted == purge(node.flow, "test")


def empties(node: Node, *rights: str) -> None:
    node.server = {"empty_after": "14d"}
    node.kobo.grant(node.asset, OWN_ACCOUNT, *rights)


def test_the_form_server_is_emptied_after_delivery_and_backup(node: Node, fill_in: FillIn) -> None:
    """Delivered, old enough and in a backup: deleted there; no sweep takes that for vanished, and nothing is withdrawn."""
    empties(node, "delete_submissions")
    node.take_in(fill_in(request()))
    node.clock.forward(days=15)
    assert (0, 1) == (purge(node.flow, "test").on_server, len(node.kobo.submissions(node.asset)))
    Care(node.flow.ledger).backed_up(node.clock())
    assert (1, []) == (purge(node.flow, "test").on_server, node.kobo.submissions(node.asset))

    swept = node.pull()
    node.dispatch()
    assert (0, None, ["upsert"]) == (swept.gone, swept.stopped, [body["action"] for body in node.received()])
    assert 0 == node.flow.ledger.account("kobo", "tracing_request").missing


def test_a_backup_from_before_does_not_count(node: Node, fill_in: FillIn) -> None:
    """What came after the newest backup is on the form server and here alone: it stays there."""
    empties(node, "delete_submissions")
    Care(node.flow.ledger).backed_up(node.clock())
    node.clock.forward(minutes=1)
    node.take_in(fill_in(request()))
    node.clock.forward(days=15)
    assert (0, 1) == (purge(node.flow, "test").on_server, len(node.kobo.submissions(node.asset)))


def test_a_backup_from_the_future_does_not_count(node: Node, fill_in: FillIn) -> None:
    """It was made while the clock was ahead: what came later may not be in it, and stays on the form server."""
    empties(node, "delete_submissions")
    Care(node.flow.ledger).backed_up(node.clock() + timedelta(days=365))
    node.take_in(fill_in(request()))
    node.clock.forward(days=15)
    assert (0, 1) == (purge(node.flow, "test").on_server, len(node.kobo.submissions(node.asset)))


def test_only_what_arrived_everywhere_is_deleted(node: Node, fill_in: FillIn) -> None:
    """What waits for a person, is parked, younger, changed since the backup, or edited meanwhile, stays on the server."""
    empties(node, "delete_submissions")
    node.targets = {"national": {}, "partner": {"recipient": "national_society", "society": "TR-RC"}}
    node.take_in(fill_in(request()))  # waits at the partner
    node.targets = {"national": {}}
    node.restart()
    node.receivers["national"].faults.next(".*", status=422, times=1)
    node.take_in(fill_in(request()))  # parked
    edited_later = fill_in(request())
    node.take_in(edited_later)
    node.clock.forward(days=10)
    node.take_in(fill_in(request()))  # younger
    node.clock.forward(days=5)
    Care(node.flow.ledger).backed_up(node.clock())
    node.submit(edited(edited_later, {"enq_phone": "+96170999999"}))
    assert (0, 4) == (purge(node.flow, "test").on_server, len(node.kobo.submissions(node.asset)))


def test_without_the_right_nothing_is_lost(node: Node, fill_in: FillIn) -> None:
    """The server refuses to delete: told in the log, and the next sweep finds everything as it was."""
    empties(node)
    node.take_in(fill_in(request()))
    node.clock.forward(days=15)
    Care(node.flow.ledger).backed_up(node.clock())
    assert 0 == purge(node.flow, "test").on_server
    node.pull()
    assert 1 == node.flow.ledger.account("kobo", "tracing_request").delivered


def test_emptying_is_off_by_default(node: Node, fill_in: FillIn) -> None:
    """Nothing is deleted on a form server unless somebody wrote so."""
    node.take_in(fill_in(request()))
    node.clock.forward(days=1000)
    Care(node.flow.ledger).backed_up(node.clock())
    assert (0, 1) == (purge(node.flow, "test").on_server, len(node.kobo.submissions(node.asset)))


def test_the_dispatcher_purges_on_its_timer(node: Node, fill_in: FillIn) -> None:
    """`serve` does it without anybody asking."""
    node.extra = {"retention": {"purge_every": "50ms"}}
    node.take_in(fill_in(request()))
    node.clock.forward(days=8)
    dispatcher = Dispatcher(node.flow)
    dispatcher.start()
    eventually(lambda: [(False, True)] == kept(node))
    dispatcher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "purge"]
