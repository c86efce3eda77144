"""What is on the disk: nothing of anybody in clear, and an audit that shows where it was touched."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, select, update

from connector.errors import KeyUnavailable
from connector.keys import MasterKey, parse_master
from connector.ledger import audit
from connector.ledger.schema import audit as audit_rows
from connector.ledger.schema import data_keys, deliveries, versions
from connector.model import record_id
from tests.conftest import FillIn, Node
from tests.flow.test_flow import WITH_PHOTO, picture
from tests.people import MARKS, request


def everything_written(node: Node) -> bytes:
    return b"".join(path.read_bytes() for path in node.home.rglob("*") if path.is_file() and "keys" not in path.parts)


def test_no_answer_is_in_clear_anywhere(node: Node, fill_in: FillIn) -> None:
    """R20: a request that waits with its photo leaves no name, phone or word in the database, its log or the spool."""
    node.receivers["national"].faults.next(".*", status=503, times=1)
    node.take_in(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    assert any((node.home / "var" / "spool").rglob("*"))

    written = everything_written(node)
    for mark in (*MARKS, "HIDDEN-PLACE", "karim.jpg"):
        assert mark.encode() not in written
    assert b"\xff\xd8\xff" not in written


def test_a_version_opens_with_its_own_key_alone(node: Node, fill_in: FillIn) -> None:
    """A sealed record moved to another submission, or read with another master key, does not open; nothing leaves."""
    node.take_in(fill_in(request()))
    second = submission_record(node, node.take_in(fill_in(request())))
    with node.flow.ledger.database.reading() as connection:
        first = connection.execute(select(versions.c.record).where(versions.c.submission_id == 1)).scalar_one()
    node.flow.ledger.database.write(
        lambda c: c.execute(update(versions).where(versions.c.submission_id == 2).values(record=first)) and None
    )
    [row] = [one for one in node.rows() if record_id("tracing_request", one.root_id) == second]
    node.flow.ledger.replay(row.id, "test")
    before = len(node.attempts())
    node.dispatch(rounds=1)

    assert before == len(node.attempts())
    assert [("held", "parked")] == [(one.state, one.error) for one in node.rows() if one.id == row.id]


def test_a_wrong_master_key_is_told_without_the_key(tmp_path: object) -> None:
    """A slip in the recovery sheet is noticed by its checksum; the message does not repeat it."""
    good = MasterKey(b"k" * 32).text()
    assert b"k" * 32 == parse_master(good, "here").secret
    for bad in (good[:-1], good.replace("A", "B", 1) + "x", "", "silah-master-1:AAAA-0000"):
        with pytest.raises(KeyUnavailable) as raised:
            parse_master(bad, "here")
        assert not bad or bad not in str(raised.value)


@pytest.mark.parametrize("harm", ["edited", "removed", "moved"])
def test_the_audit_shows_where_it_was_touched(node: Node, fill_in: FillIn, harm: str) -> None:
    """R21: an edited, removed or moved row breaks the chain at its place."""
    node.take_in(fill_in(request()))
    node.take_in(fill_in(request()))
    database = node.flow.ledger.database

    def tamper(connection: object) -> None:
        execute = connection.execute  # type: ignore[attr-defined]
        if harm == "edited":
            execute(update(audit_rows).where(audit_rows.c.seq == 2).values(target="somebody"))
        elif harm == "removed":
            execute(delete(audit_rows).where(audit_rows.c.seq == 2))
        else:
            rows = execute(select(audit_rows).where(audit_rows.c.seq.in_((2, 3)))).mappings().all()
            execute(delete(audit_rows).where(audit_rows.c.seq.in_((2, 3))))
            execute(insert(audit_rows), [{**rows[0], "seq": 3}, {**rows[1], "seq": 2}])

    with database.reading() as connection:
        assert None is audit.verify(connection)[1]
    database.write(tamper)
    with database.reading() as connection:
        assert 2 == audit.verify(connection)[1]


def test_the_audit_tells_who_received_which_classes_and_no_name(node: Node, fill_in: FillIn) -> None:
    """Every release is a row: to whom, which classes of data, which version; never an answer."""
    node.take_in(fill_in(request()))
    with node.flow.ledger.database.reading() as connection:
        rows = list(audit.export(connection))

    [sent] = [row for row in rows if row["event"] == "upsert"]
    assert "national" == sent["target"]
    assert {"version", "purpose", "classes", "key", "recipient", "who"} == set(sent["detail"])  # type: ignore[arg-type]
    text = str(rows)
    for mark in MARKS:
        assert mark not in text


def test_an_unreadable_key_lets_nothing_out(node: Node, fill_in: FillIn) -> None:
    """R32: when keys fail the delivery waits and says why; it goes when they are back."""
    node.receivers["national"].faults.next(".*", status=503, times=1)
    node.take_in(fill_in(request()))
    [row] = node.rows()
    real = node.flow.ledger._master
    node.flow.ledger._master = MasterKey(b"x" * 32)
    node.clock.forward(hours=2)
    node.dispatch(rounds=1)
    assert ("due", "keys.does_not_open") == (node.rows()[0].state, node.rows()[0].error)

    node.flow.ledger._master = real
    node.clock.forward(hours=2)
    node.dispatch()
    with node.flow.ledger.database.reading() as connection:
        assert (
            "delivered" == connection.execute(select(deliveries.c.state).where(deliveries.c.id == row.id)).scalar_one()
        )


def test_the_master_key_is_rotated_beside_a_running_node(node: Node, fill_in: FillIn) -> None:
    """Everything is wrapped anew, the old key opens nothing, a node that runs goes on, and nothing counts as changed."""
    from connector import config as configuration
    from connector.app import assemble
    from connector.keys import parse_master as parse
    from connector.setup import rotate_key

    submission = node.take_in(fill_in(request()))
    running = node.flow
    file = node.home / "keys" / "master.key"
    old = parse(file.read_text(), "old")
    admin = assemble(configuration.parse(node.data, node.home / "silah.toml"), node.clock)
    told = list(rotate_key(admin.config, admin.ledger, "test"))
    assert any("RECOVERY SHEET" in line for line in told)
    admin.ledger.database.close()

    assert old.text() not in file.read_text()
    key = running.ledger.data_key(submission_record(node, submission))
    assert key is not None
    record = submission_record(node, submission)
    with running.ledger.database.reading() as connection:
        wrapped = connection.execute(select(data_keys.c.wrapped)).scalar_one()
    with pytest.raises(KeyUnavailable):
        old.unwrap(wrapped, record)
    node.pull(full=True)
    assert [] == node.dispatch()
    assert [1] == [body["version"] for body in node.restart() and node.received()]


def submission_record(node: Node, submission: dict[str, object]) -> str:
    case = node.flow.ledger.case(str(submission["meta/rootUuid"]).removeprefix("uuid:"))
    assert case is not None
    return case.record_id
