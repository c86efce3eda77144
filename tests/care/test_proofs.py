"""What can be proven later: the recovery sheet that can be read, and an audit that nobody wrote anew."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from connector.doctor import examine
from connector.keys import MASTER_PREFIX
from connector.ledger.audit import _hash
from connector.ledger.schema import audit
from tests.care.desk import Office, office_of
from tests.conftest import FillIn, Node
from tests.people import request
from webhooks.edge import create_app


@pytest.fixture(name="office")
def _office(node: Node) -> Iterator[Office]:
    with office_of(node) as office:
        yield office


def told_to_confirm(node: Node) -> list[str]:
    return [one.code for one in examine(node.flow.config) if one.code.startswith("keys.")]


def confirm(office: Office, typed: str) -> tuple[int, str]:
    from click.testing import CliRunner

    from connector.cli import main

    done = CliRunner().invoke(main, ["keys", "confirm"], input=typed)
    return done.exit_code, done.output


def test_the_recovery_sheet_is_asked_for_until_it_was_read(office: Office, node: Node) -> None:
    """Part 4: `check` and the metrics say so until somebody has typed the key from the paper; a slip is no proof."""
    assert ["keys.not_confirmed"] == told_to_confirm(node)
    key = node.flow.ledger.master.text()
    for wrong in ("", "silah", key[:-1], key.replace(key[20], "A" if key[20] != "A" else "B", 1), MASTER_PREFIX):
        status, told = confirm(office, wrong)
        assert (1, True) == (status, "keys.not_the_sheet" in told), wrong
        assert key[20:40] not in told
    client = create_app(node.flow).test_client()
    assert "silah_recovery_sheet_confirmed 0.0" in client.get("/metrics").text

    copied = " ".join(key[at : at + 4].lower() for at in range(0, len(key), 4)) + "\n"
    assert 0 == confirm(office, copied)[0]
    assert [] == told_to_confirm(node)
    assert "silah_recovery_sheet_confirmed 1.0" in client.get("/metrics").text
    assert 1 == len(office.events("recovery_confirmed"))


def test_a_new_key_needs_its_own_sheet(office: Office, node: Node) -> None:
    """The paper of the key before opens nothing that comes: after a rotation it is asked for again."""
    confirm(office, node.flow.ledger.master.text())
    assert 0 == office.silah("keys", "rotate")[0]
    node.close()
    assert ["keys.not_confirmed"] == told_to_confirm(node)


def test_the_key_is_in_no_log(office: Office, node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """What was typed is a secret, right or wrong."""
    key = node.flow.ledger.master.text()
    with caplog.at_level(logging.DEBUG):
        confirm(office, key)
        confirm(office, key[:-1])
    assert key[20:40] not in caplog.text


# Checkpoints of the audit


@pytest.fixture(name="signed")
def _signed(office: Office, node: Node, fill_in: FillIn) -> Path:
    """A file with a checkpoint, and things that happened after it."""
    node.take_in(fill_in(request()))
    file = node.home / "checkpoints.jsonl"
    assert 0 == office.silah("audit", "checkpoint", "--out", str(file))[0]
    node.take_in(fill_in(request()))
    assert 0 == office.silah("audit", "checkpoint", "--out", str(file))[0]
    return file


def verified(office: Office, file: Path) -> tuple[int, str]:
    status, told = office.silah("audit", "verify", "--checkpoint", str(file))
    return status, told.partition(":")[0].strip()


def test_a_checkpoint_says_how_the_audit_stood(office: Office, signed: Path) -> None:
    """Part 8: signed lines fit the chain as it grew; they hold nobody's data."""
    assert (0, True) == ((told := verified(office, signed))[0], told[1].endswith("2 checkpoints"))
    first, second = map(json.loads, signed.read_text().splitlines())
    assert first["seq"] < second["seq"]
    assert {
        "format",
        "society",
        "seq",
        "hash",
        "at",
        "fingerprint",
        "signing_key",
        "encryption_key",
        "signature",
    } == set(first)


def test_a_chain_that_was_written_anew_is_found(office: Office, node: Node, signed: Path) -> None:
    """Whoever can write the database can make every hash fit again: the chain alone does not show it, a checkpoint does."""

    def forge(connection: object) -> None:
        rows = connection.execute(select(audit).order_by(audit.c.seq)).mappings().all()  # type: ignore[attr-defined]
        before = "0" * 64
        for row in rows:
            values = {**row, "actor": "nobody" if row["seq"] == 1 else row["actor"]}
            values.pop("hash")
            before = _hash(before, values)
            changed = update(audit).where(audit.c.seq == row["seq"]).values(actor=values["actor"], hash=before)
            connection.execute(changed)  # type: ignore[attr-defined]

    node.flow.ledger.database.write(forge)
    assert 0 == office.silah("audit", "verify")[0]
    assert (1, "audit.rewritten") == verified(office, signed)


def test_an_end_that_was_cut_off_is_found(office: Office, node: Node, signed: Path) -> None:
    """The newest rows removed leave a whole chain behind: the checkpoint misses its row."""
    last = json.loads(signed.read_text().splitlines()[-1])["seq"]
    node.flow.ledger.database.write(lambda c: c.execute(delete(audit).where(audit.c.seq >= last)) and None)
    assert 0 == office.silah("audit", "verify")[0]
    assert (1, "audit.rewritten") == verified(office, signed)


@pytest.mark.parametrize("member", ["seq", "hash", "at", "society", "signature"])
def test_a_changed_checkpoint_is_refused(office: Office, signed: Path, member: str) -> None:
    """Its signature is over all it says."""
    one = json.loads(signed.read_text().splitlines()[0])
    changes = {"seq": 2, "hash": "a" * 64, "at": "2020-01-01T00:00:00Z", "society": "XX", "signature": "A" * 86 + "=="}
    signed.write_text(json.dumps({**one, member: changes[member]}))
    assert (1, "audit.bad_signature") == verified(office, signed)


def test_another_nodes_checkpoint_is_refused(office: Office, signed: Path) -> None:
    """A checkpoint signed with other keys proves nothing here, also when it is whole in itself."""
    from datetime import UTC, datetime

    from connector.ledger import checkpoints
    from connector.referrals.node import new_keys

    with office.node.flow.ledger.database.reading() as connection:
        made = checkpoints.make(connection, new_keys(), "SY-RC", datetime.now(UTC))
    signed.write_text(made.model_dump_json())
    assert (1, "audit.other_node") == verified(office, signed)
    signed.write_text("{}")
    assert (1, "audit.not_a_checkpoint") == verified(office, signed)
