"""The power goes: only what was synced is there. What was answered 201 is, and whatever was sent was noted before."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
from pathlib import Path

import pytest

from connector.dispatch.embedded import Dispatcher
from connector.ledger import database
from tests.conftest import FillIn, Node, eventually
from tests.flow.test_crashes import bells
from tests.power import watched

_CUTS, _WRITERS, _EACH = 12, 3, 40


def cut_while_it_works(node: Node, fill_in: FillIn) -> list[tuple[Path, set[str], set[str]]]:
    """Cuts the power again and again while bells are kept and deliveries leave: (what is left, the receipts that were
    answered until then, the keys that a target had seen until then)."""
    node.server = {"reconcile_on_start": False, "reconcile_every": "off"}
    chance, left = random.Random(4), []
    with watched(node.home / "var") as disk:
        flow = node.flow
        ids = bells(node, fill_in, 30)
        answered: list[str] = []

        def ring(number: int) -> None:
            for one in range(_EACH):
                bell = {"_id": 10**9 + number * _EACH + one, "_xform_id_string": node.asset}
                answered.append(flow.receive("kobo", bell).receipt)

        writers = [threading.Thread(target=ring, args=(number,)) for number in range(_WRITERS)]
        dispatcher = Dispatcher(flow)
        dispatcher.start()
        answered.extend(flow.receive("kobo", one).receipt for one in ids)
        dispatcher.ring()
        for one in writers:
            one.start()
        for number in range(_CUTS):
            before = disk.syncs
            eventually(lambda before=before: disk.syncs > before + 2 or len(answered) == len(ids) + _WRITERS * _EACH)  # type: ignore[misc]
            place = node.home / f"cut-{number}"
            with disk.lock:
                receipts, keys = set(answered), {one.headers["Idempotency-Key"] for one in node.attempts()}
                disk.cut(place, chance)
            left.append((place, receipts, keys))
        for one in writers:
            one.join()
        eventually(lambda: len(node.received()) == 30, 40)
        dispatcher.stop()
        node.close()
    return left


def held(place: Path) -> tuple[str, set[str], int]:
    """What SQLite makes of the files after a cut: whether they are whole, the receipts, the deliveries that were begun."""
    with contextlib.closing(sqlite3.connect(place / "silah.db")) as connection:
        whole = connection.execute("PRAGMA integrity_check").fetchone()[0]
        receipts = {row[0] for row in connection.execute("SELECT id FROM receipts")}
        [[begun]] = connection.execute("SELECT count(*) FROM deliveries WHERE content IS NOT NULL").fetchall()
    return whole, receipts, begun


def test_a_power_cut_loses_nothing_that_was_answered_or_sent(node: Node, fill_in: FillIn) -> None:
    """At any moment: the file is whole, every answered receipt is in it, and every delivery that a target saw is noted."""
    cuts = cut_while_it_works(node, fill_in)
    for place, receipts, keys in cuts:
        whole, kept, begun = held(place)
        assert "ok" == whole
        assert set() == receipts - kept
        assert begun >= len(keys)
    print(f"{len(cuts)} power cuts: receipts answered {len(cuts[0][1])} to {len(cuts[-1][1])}, lost 0")


def test_the_model_of_a_power_cut_sees_what_is_not_synced(
    node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without SQLite's syncs the same cuts lose receipts: the test above could fail."""
    prepare = database._prepare_sqlite

    def careless(connection: sqlite3.Connection, record: object) -> None:
        prepare(connection, record)  # type: ignore[arg-type]
        connection.execute("PRAGMA synchronous=OFF")

    monkeypatch.setattr(database, "_prepare_sqlite", careless)
    node.server = {"reconcile_on_start": False, "reconcile_every": "off"}
    with watched(node.home / "var") as disk:
        answered = {
            node.flow.receive("kobo", {"_id": 10**9 + number, "_xform_id_string": node.asset}).receipt
            for number in range(20)
        }
        disk.cut(node.home / "cut", random.Random(4))
        node.close()
    try:
        kept = held(node.home / "cut")[1]
    except sqlite3.DatabaseError:
        kept = set()
    assert answered - kept
