"""`silah erase`: nothing of the person is left here, whoever may hold the record is told, and nothing brings it back."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from connector.erasing import Standing, erase
from connector.errors import SilahError
from connector.ledger import audit
from connector.ledger.flow import Case
from connector.ledger.schema import data_keys, versions
from tests.conftest import FillIn, Node, edited
from tests.flow.test_at_rest import everything_written
from tests.flow.test_flow import WITH_PHOTO, picture
from tests.people import MARKS, request


def case_of(node: Node, submission: dict[str, object]) -> Case:
    case = node.flow.ledger.case(str(submission["meta/rootUuid"]).removeprefix("uuid:"))
    assert case is not None
    return case


def states(standings: list[Standing]) -> dict[str, str]:
    return {one.holder: one.state for one in standings}


def test_nothing_of_the_person_is_left(node: Node, fill_in: FillIn) -> None:
    """R17: after `erase` no byte of the data directory holds a name, the sealed record, its key or a file; ids stay."""
    node.receivers["national"].faults.next(".*", status=503, times=1)
    submission = node.take_in(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    case = case_of(node, submission)
    with node.flow.ledger.database.reading() as connection:
        sealed = [bytes(one) for one in connection.execute(select(versions.c.raw, versions.c.record)).one()]
        key = bytes(connection.execute(select(data_keys.c.wrapped)).scalar_one())
    pieces = [one[at : at + 32] for one in sealed for at in range(0, len(one), 32)]
    assert key in everything_written(node)
    assert sum(one in everything_written(node) for one in pieces) > 0.9 * len(pieces)  # some lie across two pages
    assert any(path.is_file() for path in (node.home / "var" / "spool").rglob("*"))
    erase(node.flow, case, "test")

    written = everything_written(node)
    for mark in (*(one.encode() for one in MARKS), b"karim.jpg", b"HIDDEN-PLACE", *pieces, key):
        assert mark not in written
    assert [] == [path for path in (node.home / "var" / "spool").rglob("*") if path.is_file()]
    assert case.record_id.encode() in written


def test_whoever_may_hold_it_is_told_and_the_report_is_honest(node: Node, fill_in: FillIn) -> None:
    """A target that has it gets `withdraw` with nothing in it; one that never had it gets nothing; the report says so."""
    node.targets = {
        "national": {},
        "partner": {"recipient": "national_society", "society": "TR-RC"},
    }
    submission = node.take_in(fill_in(request()))
    first = states(erase(node.flow, case_of(node, submission), "test"))
    assert ("waiting", "never_sent", "erased", "there") == (
        first["national"], first["partner"], first["silah"], first["form server kobo"],
    )  # fmt: skip
    node.dispatch()

    assert [("upsert", 1), ("withdraw", 2)] == [(body["action"], body["version"]) for body in node.received()]
    assert ({}, []) == (node.received()[1]["fields"], node.received()[1]["attachments"])
    assert [] == node.received("partner")
    assert "told" == states(erase(node.flow, case_of(node, submission), "test"))["national"]


def test_a_target_that_refuses_the_word_is_named(node: Node, fill_in: FillIn) -> None:
    """The report does not say that something was removed when the target did not take the word."""
    submission = node.take_in(fill_in(request()))
    node.receivers["national"].faults.next(".*", status=422, times=1)
    erase(node.flow, case_of(node, submission), "test")
    node.dispatch()
    assert "refused" == states(erase(node.flow, case_of(node, submission), "test"))["national"]


def test_what_was_queued_never_leaves(node: Node, fill_in: FillIn) -> None:
    """A delivery that waited for its next attempt is dropped; the target, which may have it, gets the withdrawal alone."""
    node.receivers["national"].faults.next(".*", status=500, times=1)
    submission = node.take_in(fill_in(request()))
    erase(node.flow, case_of(node, submission), "test")
    node.clock.forward(hours=2)
    node.dispatch()
    assert ["withdraw"] == [body["action"] for body in node.received()]


def test_no_sweep_bell_or_edit_brings_it_back(node: Node, fill_in: FillIn) -> None:
    """It is still on the form server and is even edited there: nothing of it is kept or sent again."""
    xml = fill_in(request())
    submission = node.take_in(xml)
    erase(node.flow, case_of(node, submission), "test")
    node.ring(submission)
    node.flow.read_back()
    node.submit(edited(xml, {"enq_phone": "+96170999999"}))
    assert [0, 0] == [node.pull(full=full).changed for full in (False, True)]
    node.dispatch()

    assert ["upsert", "withdraw"] == [body["action"] for body in node.received()]
    with node.flow.ledger.database.reading() as connection:
        assert [] == connection.execute(select(data_keys)).all()
        assert [(None, None)] == [tuple(row) for row in connection.execute(select(versions.c.raw, versions.c.record))]


@pytest.mark.parametrize("before", ["gone", "withdrawn", "parked"])
def test_it_works_in_every_state(node: Node, fill_in: FillIn, before: str) -> None:
    """What is gone from the server, was withdrawn, or could not be read is erased as well, and its holders are told."""
    xml = fill_in(request())
    submission = node.take_in(xml)
    if before == "gone":
        node.kobo.delete(node.asset, str(submission["_id"]))
        node.pull()
    elif before == "withdrawn":
        node.flow.withdraw(case_of(node, submission), None, "asked", "test")
    else:
        node.submit(edited(xml, {"enq_sex": "nonsense"}))
        node.pull()
        assert case_of(node, submission).parked
    erase(node.flow, case_of(node, submission), "test")
    node.dispatch()

    assert ["upsert", "withdraw"] == [body["action"] for body in node.received()]
    case = case_of(node, submission)
    assert ("erased", None) == (case.state, case.parked)
    assert not any(mark.encode() in everything_written(node) for mark in MARKS)


def test_erased_stays_erased(node: Node, fill_in: FillIn) -> None:
    """A second erasure, a withdrawal and a replay change nothing; it cannot be looked at; its id is on the list."""
    submission = node.take_in(fill_in(request()))
    case = case_of(node, submission)
    erase(node.flow, case, "test")
    erase(node.flow, case_of(node, submission), "test")
    node.flow.withdraw(case_of(node, submission), None, "asked", "test")
    for row in node.rows(None):
        node.flow.ledger.replay(row.id, "test")
    node.dispatch()

    assert "erased" == case_of(node, submission).state
    assert {"upsert", "withdraw"} == {body["action"] for body in node.received()}
    assert 1 == len([body for body in node.received() if body["action"] == "upsert"])
    with pytest.raises(SilahError):
        node.flow.preview(case, "national")
    assert ["erased", "withdrawn"] == [one.deed for one in node.flow.taken_back.read()]


def test_it_is_in_the_audit(node: Node, fill_in: FillIn) -> None:
    """One row says who erased and which targets were told; the chain holds."""
    submission = node.take_in(fill_in(request()))
    erase(node.flow, case_of(node, submission), "officer")
    with node.flow.ledger.database.reading() as connection:
        rows = [row for row in audit.export(connection) if row["event"] == "erased"]
        _, bad = audit.verify(connection)
    assert ([("officer", {"told": ["national"]})], None) == ([(row["actor"], row["detail"]) for row in rows], bad)
