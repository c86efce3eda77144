"""What breaks under Silah: a full disk, a disk that cannot be written, a damaged file, one damaged row.

Nothing that was accepted is lost, nothing else is accepted, what is wrong is said, and it goes on by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from connector import config as configuration
from connector.backup import backup, restore
from connector.dispatch.embedded import Dispatcher
from connector.doctor import examine
from connector.ledger.database import LedgerUnavailable
from tests.conftest import HOOK_SECRET, FillIn, Node, eventually
from tests.flow.test_crashes import bells
from tests.flow.test_flow import WITH_PHOTO, picture
from tests.flow.test_process import SILAH, Served, config_of, ring
from tests.people import request
from webhooks.edge import create_app

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="another process's limits and mounts are Linux's")
_MOUNTED = 'mount -t tmpfs -o size=3m,mode=0700 none var && exec "$@"'


@pytest.fixture(name="quick")
def _quick(node: Node) -> Node:
    node.server = {"reconcile_on_start": False, "reconcile_every": "off"}
    node.extra = {"matching": {"enabled": False}}
    return node


# The disk is full


class Full:
    """A served Silah whose disk the test fills and empties."""

    def __init__(self, node: Node, command: list[str], code: str) -> None:
        self.served = Served(node, command=command)
        self.code = code

    def fill(self) -> None: ...
    def empty(self) -> None: ...


class SmallDisk(Full):
    """`var` is a file system of 3 MB of its own."""

    def __init__(self, node: Node) -> None:
        (node.home / "var").mkdir()
        super().__init__(node, [*_own_mounts(), "sh", "-c", _MOUNTED, "sh", *SILAH], "ledger.disk_full")
        self._root = Path(f"/proc/{self.served.process.pid}/root") / str(node.home).lstrip("/") / "var"

    def fill(self) -> None:
        with contextlib.suppress(OSError), (self._root / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        (self._root / "filler").unlink()


class Quota(Full):
    """The write-ahead log may not grow."""

    def __init__(self, node: Node) -> None:
        super().__init__(node, SILAH, "ledger.disk_fails")
        self._files = node.home / "var"

    def fill(self) -> None:
        self._limit((self._files / "silah.db-wal").stat().st_size)

    def empty(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, most: int) -> None:
        resource.prlimit(self.served.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def _own_mounts() -> list[str]:
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


def _may_mount(folder: Path) -> bool:
    """Whether this account may mount a file system for a process of its own."""
    if shutil.which("unshare") is None:
        return False
    (folder / "var").mkdir()
    tried = subprocess.run(
        [*_own_mounts(), "sh", "-c", _MOUNTED, "sh", "true"], cwd=folder, capture_output=True, check=False, timeout=30
    )
    return tried.returncode == 0


@ON_LINUX
@pytest.mark.parametrize("kind", [SmallDisk, Quota])
def test_a_full_disk_loses_nothing_and_goes_on_by_itself(
    quick: Node,
    fill_in: FillIn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    kind: Callable[[Node], Full],
) -> None:
    """Bells are answered 503 with the reason, so is `/readyz`; with space again all that was accepted is delivered once."""
    if kind is SmallDisk and not _may_mount(tmp_path_factory.mktemp("mounts")):
        pytest.skip("this account may not mount a file system; the quota is tested")
    config_of(quick, monkeypatch)
    ids = bells(quick, fill_in, 12)
    disk = kind(quick)
    url = disk.served.url
    try:
        assert 201 == ring(quick, url, ids[0])
        eventually(lambda: len(quick.received()) == 1)
        disk.fill()
        answers = _ring_until_refused(url, ids[1:])
        assert {"error": disk.code} == answers[-1][1]
        assert (503, disk.code) == _ready(url)
        said = (quick.home / "serve.log").read_text()
        disk.empty()
        eventually(lambda: _ready(url)[0] == 200)
        accepted = [one for one, (status, _) in zip(ids[1:], answers, strict=False) if status == 201]
        late = ids[len(answers) + 1]
        assert 201 == ring(quick, url, late)
        expected = {one["meta/rootUuid"] for one in [ids[0], *accepted, late]}
        eventually(lambda: len(quick.received()) == len(expected), 30)
    finally:
        assert 0 == disk.served.stop()
    assert disk.code in said or len(accepted) == 0
    assert len((quick.home / "serve.log").read_text().splitlines()) < 60


def _ring_until_refused(url: str, ids: list[dict[str, Any]]) -> list[tuple[int, dict[str, str]]]:
    """Rings one after the other until one is answered 503: (status, body) of each."""
    answers: list[tuple[int, dict[str, str]]] = []
    for one in ids:
        told = requests.post(f"{url}/webhooks/kobo/kobo", json=one, headers={"X-Silah-Token": HOOK_SECRET}, timeout=30)
        answers.append((told.status_code, told.json()))
        if told.status_code == 503:
            return answers
    raise AssertionError("the disk took everything")


def _ready(url: str) -> tuple[int, str | None]:
    told = requests.get(f"{url}/readyz", timeout=30)
    return told.status_code, told.json().get("error")


@contextlib.contextmanager
def unwritable(node: Node) -> Iterator[None]:
    """SQLite refuses every write, as on a disk that was remounted read-only."""
    for value in ("ON", "OFF"):
        with contextlib.closing(node.flow.ledger.database._writing.raw_connection()) as connection:
            connection.cursor().execute(f"PRAGMA query_only={value}").close()
        if value == "ON":
            yield


def test_nothing_is_sent_that_could_not_be_noted(quick: Node, fill_in: FillIn) -> None:
    """While the ledger cannot be written no target is asked, the dispatcher rests between looks; afterwards all goes out."""
    bells(quick, fill_in, 3)
    quick.pull()
    with unwritable(quick):
        with pytest.raises(LedgerUnavailable, match=r"^ledger\.read_only"):
            quick.dispatch()
        dispatcher = Dispatcher(quick.flow)
        taken = _count(quick.flow.ledger, "due")
        dispatcher.start()
        eventually(lambda: taken() >= 3)
        begun = time.monotonic()
        eventually(lambda: taken() >= 6)
        assert time.monotonic() - begun > 1
        assert [] == quick.attempts()
    try:
        eventually(lambda: [("delivered", None)] * 3 == quick.states())
    finally:
        dispatcher.stop()
    assert 3 == len(quick.attempts())


def _count(thing: Any, method: str) -> Callable[[], int]:
    """Counts the calls of a method."""
    calls: list[None] = []
    before = getattr(thing, method)

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(None)
        return before(*arguments, **named)

    setattr(thing, method, counted)
    return lambda: len(calls)


def test_a_photo_that_cannot_be_kept_waits(quick: Node, fill_in: FillIn) -> None:
    """The spool's disk is full: the delivery is tried again with a code, and leaves whole afterwards."""
    spool = quick.home / "var" / "spool"
    spool.parent.mkdir(parents=True, exist_ok=True)
    spool.write_bytes(b"")  # no folder can be made there
    _take_in_a_photo(quick, fill_in)
    assert [("due", "spool.unavailable")] == quick.states()
    spool.unlink()
    quick.clock.forward(minutes=1)
    quick.dispatch()

    assert [("delivered", None)] == quick.states()
    assert 1 == len(quick.received()[0]["attachments"])


def test_a_damaged_photo_of_the_spool_is_fetched_again(quick: Node, fill_in: FillIn) -> None:
    """One byte of a spooled file flips while its target is away."""
    quick.receivers["national"].faults.next(".*", status=503, times=1)
    _take_in_a_photo(quick, fill_in)
    [file] = (quick.home / "var" / "spool").glob("*/*")
    file.write_bytes(flipped(file.read_bytes()))
    quick.clock.forward(minutes=1)
    quick.dispatch()

    assert [("delivered", None)] == quick.states()
    assert 1 == len(quick.received()[0]["attachments"])


# The disk cannot be written


def _without_rights_of_root() -> None:
    """In the child: root obeys the file's rights like everybody else."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.parametrize(("place", "command"), [("silah.db", "serve"), (".", "check")])
def test_a_database_that_cannot_be_written_is_said(
    quick: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch, place: str, command: str
) -> None:
    """The file or its folder is read-only: nothing is served, `check` says what to do; with the right again all goes on."""
    config_of(quick, monkeypatch)
    bells(quick, fill_in, 1)
    quick.pull()
    quick.close()
    locked = quick.home / "var" / place
    before = locked.stat().st_mode
    locked.chmod(before & 0o555)
    try:
        said = _fails(quick, command, _without_rights_of_root)
    finally:
        locked.chmod(before)
    assert "ledger.read_only" in said
    quick.dispatch()
    assert [("delivered", None)] == quick.states()


def _fails(node: Node, command: str, in_the_child: Callable[[], None] | None = None) -> str:
    """What a command says that has to fail."""
    done = subprocess.run(
        [*SILAH, command], cwd=node.home, capture_output=True, text=True, check=False, timeout=60,
        preexec_fn=in_the_child, env={**os.environ, "COLUMNS": "300"},
    )  # fmt: skip
    assert 1 == done.returncode, done.stdout
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


# The file or a row was damaged


def test_a_damaged_database_points_to_the_backup(quick: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever opens it says so and names `silah restore`; after a restore and a pull everything is here again."""
    config_of(quick, monkeypatch)
    bells(quick, fill_in, 1)
    quick.pull()
    copy = backup(quick.flow.config, quick.flow.ledger, quick.home / "silah.bak", "test").file
    bells(quick, fill_in, 1, start=1)
    quick.pull()
    quick.close()
    file = quick.home / "var" / "silah.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + os.urandom(len(whole) - 100))
    said = _fails(quick, "serve")
    assert "ledger.damaged" in said
    assert "silah restore" in said
    for one in (quick.home / "var").glob("silah.db*"):
        one.unlink()
    restore(configuration.parse(quick.data, quick.home / "silah.toml"), copy, None, "test")
    quick.pull()
    assert 2 == quick.flow.ledger.account("kobo", "tracing_request").here


def flipped(data: bytes, at: int = 40) -> bytes:
    """The bytes with one of them turned over."""
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def damage(node: Node, submission: dict[str, Any], column: str) -> None:
    """Turns one byte over of what is stored of a submission."""
    root = submission["meta/rootUuid"].removeprefix("uuid:")
    case = node.flow.ledger.case(root)
    assert case is not None
    table, where = ("data_keys", "record_id = ?") if column == "wrapped" else ("versions", "submission_id = ?")
    of = case.record_id if column == "wrapped" else case.id
    with contextlib.closing(sqlite3.connect(node.home / "var" / "silah.db")) as connection, connection:
        [[stored]] = connection.execute(f"SELECT {column} FROM {table} WHERE {where}", [of])
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", [flipped(stored), of])


@pytest.mark.parametrize("column", ["record", "raw", "wrapped"])
def test_one_damaged_row_is_parked_and_mends_itself(quick: Node, fill_in: FillIn, column: str) -> None:
    """Its submission alone is parked with a code, the others leave; it is read again from the form server and goes on."""
    damaged = quick.submit(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
    other = quick.submit(fill_in(request()))
    quick.pull()
    damage(quick, damaged, column)
    root = damaged["meta/rootUuid"].removeprefix("uuid:")
    outcomes = quick.dispatch()
    assert ["delivered", "parked"] == sorted(outcomes)
    assert {("parked", "record.damaged at tracing_request")} == {
        (row.state, row.error)
        for row in quick.rows(None)
        if row.target is None and row.root_id == root and row.id.startswith("sb_")
    }
    assert [other["meta/rootUuid"]] == ["uuid:" + _root_of(quick, body) for body in quick.received()]

    quick.flow.read_back()
    quick.dispatch()
    assert [("delivered", None)] * 2 == quick.states()
    assert {1} == {body["version"] for body in quick.received()}


def _root_of(node: Node, body: dict[str, Any]) -> str:
    case = node.flow.ledger.case(body["id"])
    assert case is not None
    return case.root_id


def test_a_damaged_row_that_the_form_server_lost_stays_parked(quick: Node, fill_in: FillIn) -> None:
    """It cannot be read again: it is parked and counted, pages and pulls go on, nothing of it leaves."""
    damaged, other = bells(quick, fill_in, 2)
    quick.pull()
    damage(quick, damaged, "record")
    quick.kobo.delete(quick.asset, str(damaged["_id"]))
    quick.dispatch()
    for _ in range(6):
        quick.flow.read_back()
        quick.clock.forward(hours=1)
    quick.pull()
    quick.dispatch()
    assert 1 == len(quick.received())
    assert [other["meta/rootUuid"]] == ["uuid:" + _root_of(quick, body) for body in quick.received()]
    assert 200 == create_app(quick.flow).test_client().get("/metrics").status_code
    assert all(one.ok for one in examine(quick.flow.config) if one.what.startswith("master key"))


def test_a_delivery_that_nobody_foresaw_waits_behind_the_others(quick: Node, fill_in: FillIn) -> None:
    """A fault of our own in one delivery is noted and tried later; no other one waits for it."""
    broken, other = bells(quick, fill_in, 2)
    quick.pull()
    root = broken["meta/rootUuid"].removeprefix("uuid:")
    decide = quick.flow._decide

    def faulty(delivery: Any) -> Any:
        if delivery.root_id == root:
            raise ZeroDivisionError
        return decide(delivery)

    quick.flow._decide = faulty  # type: ignore[method-assign]
    quick.dispatch()
    assert {root: "dispatch.unexpected", other["meta/rootUuid"].removeprefix("uuid:"): None} == {
        row.root_id: row.error for row in quick.rows()
    }
    quick.flow._decide = decide  # type: ignore[method-assign]
    quick.clock.forward(minutes=1)
    quick.dispatch()
    assert 2 == len(quick.received())


def _take_in_a_photo(node: Node, fill_in: FillIn) -> None:
    node.take_in(fill_in(request(sought=WITH_PHOTO)), {"karim.jpg": picture()})
