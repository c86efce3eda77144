"""Targets in the whole flow: from a filled-in form to what the other side holds, and back after a withdrawal."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyrage
import pytest
from pyrage import x25519

from connector.previews import explain
from tests.conftest import FillIn, Node
from tests.people import request
from tests.targets import stub_primero
from tests.targets.stub_primero import PrimeroStub


def rows(folder: Path) -> list[dict[str, str]]:
    return [
        row
        for file in folder.glob("*.csv")
        for row in csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines())
    ]


def test_a_form_becomes_a_row_and_a_withdrawal_blanks_it(node: Node, fill_in: FillIn) -> None:
    """Filled in by the real engine, sent by webhook, in the office's workbook; withdrawn in Silah, blank there."""
    node.targets = {"national": {"type": "workbook", "folder": "books", "language": "fa", "rewrite_every": "off"}}
    submission = node.take_in(fill_in(request()))
    [row] = rows(node.home / "books")
    case = node.flow.ledger.case(submission["meta/rootUuid"].removeprefix("uuid:"))
    assert case is not None
    node.flow.withdraw(case, None, "asked", "test")
    node.dispatch()
    [after] = rows(node.home / "books")

    assert ("كريم يوسف الحمصي", "برادر") == (row["sought[].name.full"], row["sought[].relation"])
    assert (row["record"], "") == (after["record"], after["sought[].name.full"])


def test_a_hand_over_stays_open_until_its_receipt(node: Node, fill_in: FillIn) -> None:
    """The delivery is due until the recipient gives back what was inside the file, and then delivered."""
    identity = x25519.Identity.generate()
    keys = [str(identity.to_public())]
    node.targets = {"national": {"type": "handover", "folder": "out", "public_keys": keys, "receipt_every": "1m"}}
    node.take_in(fill_in(request()))
    waiting = node.states()
    [sealed] = (node.home / "out").glob("*.age")
    plain = pyrage.decrypt(sealed.read_bytes(), [identity])
    with zipfile.ZipFile(io.BytesIO(plain)) as bundle:
        sealed.with_suffix(".receipt").write_bytes(bundle.read("receipt.txt"))
    node.clock.forward(minutes=2)
    node.dispatch()

    assert [("due", "target.no_receipt")] == waiting
    assert [("delivered", None)] == node.states()


def test_what_primero_dropped_stands_in_the_queue(node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivered to Primero through the gate: what its forms did not take is named with the delivery."""
    monkeypatch.setenv("PRIMERO_USER", stub_primero.USER)
    monkeypatch.setenv("PRIMERO_PASSWORD", stub_primero.PASSWORD)
    stub = PrimeroStub()
    with stub.serve() as server:
        table: dict[str, Any] = {
            "type": "primero", "url": server.url, "module": stub_primero.MODULE,
            "username_env": "PRIMERO_USER", "password_env": "PRIMERO_PASSWORD",
        }  # fmt: skip
        node.targets = {"national": table}
        submission = node.take_in(fill_in(request()))
        [row] = node.rows()
        case = node.flow.ledger.case(submission["meta/rootUuid"].removeprefix("uuid:"))
        assert case is not None
        told = explain(node.flow, case, "national")

    assert list(row.dropped) == told["dropped"]
    assert ("delivered", ("silah_note", "tracing_request_subform_section.silah_note")) == (row.state, row.dropped)
    assert "كريم يوسف الحمصي" in json.dumps(stub.records, ensure_ascii=False)
