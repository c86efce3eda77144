"""`silah backup` and `silah restore`: a whole ledger in one encrypted file, and what was taken back stays taken back."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

import pytest

from connector import config as configuration
from connector.backup import _unseal, backup, restore
from connector.erasing import erase
from connector.errors import KeyUnavailable, Refused
from connector.keys import MasterKey
from connector.ledger import audit
from connector.ledger.care import Care
from tests.care.test_erase import case_of
from tests.conftest import FillIn, Node
from tests.people import MARKS, request


def saved(node: Node, name: str = "silah.bak") -> Path:
    return backup(node.flow.config, node.flow.ledger, node.home / name, "test").file


def lost(node: Node, *, with_list: bool = True) -> configuration.Config:
    """The database is gone, with or without the data directory around it; the configuration stays."""
    node.close()
    for path in (node.home / "var").glob("silah.db*"):
        path.unlink()
    if not with_list:
        (node.home / "var" / "taken-back.txt").unlink()
    return configuration.parse(node.data, node.home / "silah.toml")


def test_everything_comes_back(node: Node, fill_in: FillIn) -> None:
    """Made beside a running flow, lost, restored: the same queue, a whole audit, and nothing is sent a second time."""
    node.take_in(fill_in(request()))
    node.receivers["national"].faults.next(".*", status=422, times=1)
    node.take_in(fill_in(request()))
    file = saved(node)
    before = node.rows()
    restored = restore(lost(node), file, None, "test")

    assert (0, 0, ()) == (restored.erased, restored.withdrawn, restored.paused)
    assert before == node.rows()
    node.pull(full=True)
    assert [] == node.dispatch()
    with node.flow.ledger.database.reading() as connection:
        assert None is audit.verify(connection)[1]
    assert 1 == len(node.received())


def test_a_backup_tells_nothing(node: Node, fill_in: FillIn) -> None:
    """R20: no name, and not even an id or a table's name, is readable in the file; nobody else may read it."""
    submission = node.take_in(fill_in(request()))
    file = saved(node)
    data = file.read_bytes()
    root = str(submission["meta/rootUuid"]).removeprefix("uuid:")
    for mark in (*MARKS, root, "SQLite format", "deliveries", "national"):
        assert mark.encode() not in data
    assert 0o600 == file.stat().st_mode & 0o777
    assert not list((node.home / "var").glob("backup-copying*"))


def test_it_is_one_moment_while_others_write(node: Node, fill_in: FillIn) -> None:
    """Bells that ring during the backup are in it or not; the copy is whole either way."""
    node.take_in(fill_in(request()))
    over = threading.Event()

    def ring() -> None:
        while not over.is_set():
            node.flow.ledger.count("bells")

    writer = threading.Thread(target=ring)
    writer.start()
    files = [saved(node, f"{number}.bak") for number in range(3)]
    over.set()
    writer.join()
    restore(lost(node), files[-1], None, "test")
    assert node.flow.ledger.counts()["bells"] > 0


def test_a_person_who_was_erased_does_not_come_back(node: Node, fill_in: FillIn) -> None:
    """R17: a backup from before the erasure is restored: its key is destroyed before anything can be read or sent."""
    submission, other = node.take_in(fill_in(request())), node.take_in(fill_in(request()))
    file = saved(node)
    case = case_of(node, submission)
    erase(node.flow, case, "test")
    node.dispatch()
    restored = restore(lost(node), file, None, "test")

    assert (1, "erased", "live") == (restored.erased, case_of(node, submission).state, case_of(node, other).state)
    assert None is node.flow.ledger.data_key(case.record_id)
    assert None is not node.flow.ledger.data_key(case_of(node, other).record_id)
    node.pull(full=True)
    node.dispatch()
    assert 1 == len([one for one in node.received() if one["id"] == case.record_id and one["action"] == "upsert"])


def test_a_withdrawal_since_the_backup_holds(node: Node, fill_in: FillIn) -> None:
    """Consent taken back after the backup was made is taken back again, for one recipient and for everyone."""
    node.targets = {"national": {}, "icrc": {"recipient": "icrc"}}
    submission, other = node.take_in(fill_in(request())), node.take_in(fill_in(request()))
    file = saved(node)
    node.flow.withdraw(case_of(node, submission), None, "asked", "test")
    node.flow.withdraw(case_of(node, other), "icrc", "asked", "test")
    restored = restore(lost(node), file, None, "test")

    assert (2, "withdrawn") == (restored.withdrawn, case_of(node, submission).state)
    assert Care(node.flow.ledger).was_withdrawn(case_of(node, other), "icrc")


def test_without_the_list_nothing_leaves(node: Node, fill_in: FillIn) -> None:
    """R32: what was taken back since is unknown: every target is paused until a person has looked. A list from elsewhere
    does as well."""
    submission = node.take_in(fill_in(request()))
    file = saved(node)
    erase(node.flow, case_of(node, submission), "test")
    elsewhere = node.home / "list-from-elsewhere.txt"
    elsewhere.write_bytes(node.flow.taken_back.file.read_bytes())
    assert ("national",) == restore(lost(node, with_list=False), file, None, "test").paused
    node.take_in(fill_in(request()))
    assert 1 == len(node.received())

    restored = restore(lost(node), file, elsewhere, "test")
    assert (1, ()) == (restored.erased, restored.paused)


def test_an_existing_ledger_is_never_written_over(node: Node, fill_in: FillIn) -> None:
    """Neither a ledger by a restore, nor a backup by a backup."""
    node.take_in(fill_in(request()))
    file = saved(node)
    for what, code in ((lambda: restore(node.flow.config, file, None, "test"), "restore.exists"),
                       (lambda: saved(node), "backup.exists")):  # fmt: skip
        with pytest.raises(Refused) as raised:
            what()
        assert code == raised.value.code
    assert 1 == len(node.rows())


@pytest.mark.parametrize("harm", ["a bit", "cut", "no end", "swapped", "head", "not one"])
def test_a_damaged_backup_is_refused(node: Node, fill_in: FillIn, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was done to the file: nothing is put in place, and no half of a database is left behind."""
    monkeypatch.setattr("connector.backup._CHUNK", 16 * 1024)
    node.take_in(fill_in(request()))
    file = saved(node)
    data = file.read_bytes()
    head = data.index(b"\n", data.index(b"\n") + 1) + 1
    size = 4 + 16 * 1024 + 28
    file.write_bytes(
        {
            "a bit": data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
            "cut": data[:-7],
            "no end": data[: head + 2 * size],
            "swapped": data[:head]
            + data[head + size : head + 2 * size]
            + data[head : head + size]
            + data[head + 2 * size :],
            "head": data.replace(b'"made_at": "20', b'"made_at": "19', 1),
            "not one": b"PK" + data,
        }[harm]
    )
    config = lost(node)
    with pytest.raises(Refused) as raised:
        restore(config, file, None, "test")
    assert ("backup.not_a_backup" if harm == "not one" else "backup.damaged") == raised.value.code
    assert [] == list((node.home / "var").glob("silah.db*"))


def test_another_master_key_does_not_open_it(node: Node, fill_in: FillIn) -> None:
    """Whoever has the file alone has nothing; the error says which key is needed and not what it is."""
    node.take_in(fill_in(request()))
    file = saved(node)
    key = node.flow.ledger.master
    config = lost(node)
    (node.home / "keys" / "master.key").write_text(MasterKey(secrets.token_bytes(32)).text())
    with pytest.raises(KeyUnavailable) as raised:
        restore(config, file, None, "test")
    assert ("backup.other_key", True) == (raised.value.code, key.key_id in str(raised.value))
    assert [] == list((node.home / "var").glob("silah.db*"))


def test_a_list_that_cannot_be_read_stops_the_restore(node: Node, fill_in: FillIn) -> None:
    """The line that is broken may be the one that matters."""
    node.take_in(fill_in(request()))
    file = saved(node)
    config = lost(node)
    (node.home / "var" / "taken-back.txt").write_text("erased\n")
    with pytest.raises(Refused) as raised:
        restore(config, file, None, "test")
    assert "restore.bad_list" == raised.value.code


def test_a_backup_is_noted(node: Node, fill_in: FillIn) -> None:
    """When the newest verified backup was begun is known (form servers are emptied only after one), and in the audit."""
    node.take_in(fill_in(request()))
    saved(node)
    at = Care(node.flow.ledger).backed_up_at()
    assert at is not None
    assert abs((at - node.clock()).total_seconds()) < 1
    with node.flow.ledger.database.reading() as connection:
        assert "backed_up" in {row["event"] for row in audit.export(connection)}


def test_postgresql_is_refused_with_advice(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's database is copied with its own tools; the error names them."""
    monkeypatch.setattr(node.flow.ledger.database, "embedded", False)
    with pytest.raises(Refused) as raised:
        saved(node)
    assert ("backup.postgresql", True) == (raised.value.code, "pg_dump" in raised.value.next_step)
    node.extra = {"database": "postgresql+psycopg://localhost/silah"}
    with pytest.raises(Refused) as raised:
        restore(configuration.parse(node.data, node.home / "silah.toml"), node.home / "x", None, "test")
    assert "restore.postgresql" == raised.value.code


def test_a_file_that_ends_too_early_is_noticed_by_itself(
    node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off exactly between two chunks: the last one says that it is not the last, before any database is looked at."""
    monkeypatch.setattr("connector.backup._CHUNK", 16 * 1024)
    node.take_in(fill_in(request()))
    file = saved(node)
    data = file.read_bytes()
    head = data.index(b"\n", data.index(b"\n") + 1) + 1
    file.write_bytes(data[: head + 2 * (4 + 16 * 1024 + 28)])
    with pytest.raises(Refused) as raised:
        _unseal(file, node.home / "out.db", node.flow.ledger.master)
    assert "backup.damaged" == raised.value.code
