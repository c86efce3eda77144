"""The table of guarantees in docs/targets.md, each cell of it tried; and that every fault ends in one record or a parked
delivery with a reason."""

from __future__ import annotations

import ctypes
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.errors import TargetError
from connector.sandbox.receiver import ReceiverApp, serve
from connector.sandbox.web import Faults
from connector.targets.rest import Rest
from tests.targets.benches import (
    Bench,
    Dhis2Bench,
    EspoBench,
    HandoverBench,
    PrimeroBench,
    WorkbookBench,
    target_config,
)
from tests.targets.releases import KARIM, release, request, root, stamp, withdrawal

PHOTO = b"\xff\xd8\xff the bytes of a picture"
COLUMNS = (
    "create", "update", "withdraw", "attachment", "time-out, then repeat", "permission missing",
    "server or folder gone",
)  # fmt: skip


class RestBench:
    """A system that takes JSON and honours the key, as contract §4 asks."""

    identities = True

    def __init__(self, home: Path, **table: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.stub = ReceiverApp()
        self.server = serve(self.stub)
        url = f"{self.server.url}/rfl"
        self.target = Rest("bench", target_config(home, **{"type": "rest", "url": url, "timeout": "2s", **table}))
        self._down = False

    def _held(self) -> dict[str, dict[str, Any]]:
        newest = {str(one.body["id"]): dict(one.body) for one in self.stub.received}
        return {key: body for key, body in newest.items() if body["action"] == "upsert"}

    def held(self, number: int) -> str | None:
        body = self._held().get(root(number))
        return json.dumps(body, ensure_ascii=False) if body else None

    def count(self) -> int:
        return len(self._held())

    def down(self) -> None:
        self.stub.faults.next("/", status=503, times=50, headers={"Retry-After": "7"})

    def refuse(self) -> None:
        self.stub.faults.next("/", status=422, times=50)

    def up(self) -> None:
        self.stub.faults.clear()

    def close(self) -> None:
        self.server.close()


BENCHES: dict[str, Callable[..., Any]] = {
    "rest": RestBench, "workbook": WorkbookBench, "handover": HandoverBench, "primero": PrimeroBench,
    "espocrm": EspoBench, "dhis2": Dhis2Bench,
}  # fmt: skip
HTTP = ("rest", "primero", "espocrm", "dhis2")

# What is seen in each cell, and the words of docs/targets.md for it.
GUARANTEES: dict[str, tuple[tuple[str, str], ...]] = {
    "rest": (("once", "once, by key"), ("replaced", "sent whole"), ("told", "told"), ("1 file", "in the body"),
             ("once", "same key and bytes"), ("parked target.http_403", "parked, `http_401/403`"), ("tried again", "tried again")),
    "workbook": (("once", "one line a person"), ("replaced", "lines replaced in place"), ("removed", "blanked, key stays"),
                 ("1 file", "photo in `files/`"), ("once", "same lines"),
                 ("tried again target.folder_not_ours", "tried again, `folder_not_ours`"), ("tried again", "tried again")),
    "handover": (("once", "one file"), ("replaced", "older file removed"), ("told", "told in a file; uncollected removed"),
                 ("1 file", "inside the file"), ("once", "same file"),
                 ("tried again target.folder_not_ours", "tried again, `folder_not_ours`"), ("tried again", "tried again")),
    "primero": (("once", "once, by our id"), ("replaced", "merged by row id"), ("disabled", "**not erased**"), ("1 file", "by hash, once"),
                ("once", "found by id"), ("parked target.http_403", "parked, `http_403`"), ("tried again", "tried again, `Retry-After`")),
    "espocrm": (("once", "once, by look-up"), ("replaced", "replaced"), ("removed", "blanked, deleted"), ("1 file", "by hash, once"),
                ("once", "found by our key"), ("parked target.http_403", "parked, `http_403`"), ("tried again", "tried again")),
    "dhis2": (("once", "totals with it"), ("replaced", "totals moved"), ("removed", "totals without it"), ("0 files", "none"),
              ("once", "same totals"), ("parked target.http_403", "parked, `http_401/403`"), ("tried again", "tried again")),
}  # fmt: skip


@contextmanager
def _bench(kind: str, home: Path, **table: Any) -> Iterator[Any]:
    made = BENCHES[kind](home, **table)
    try:
        yield made
    finally:
        made.close()


def _create(bench: Any) -> str:
    for _ in range(2):
        bench.target.deliver(release())
    return "once" if bench.count() == 1 else f"{bench.count()} times"


def _update(bench: Any) -> str:
    first = bench.target.deliver(release())
    before = bench.held(1)
    changed = request(sought=[{**KARIM, "name": {"full": "نور يوسف"}, "sex": "female"}])
    bench.target.deliver(release(changed, stamp(version=2, held_as=first.external_id)))
    after = bench.held(1)
    assert before
    assert after
    gone = "كريم" not in after and after != before
    return "replaced" if gone and bench.count() == 1 else "something stayed"


def _withdraw(bench: Any) -> str:
    first = bench.target.deliver(release())
    bench.target.deliver(withdrawal(stamp(version=2, held_as=first.external_id)))
    assert bench.held(1) is None
    return str(bench.target.removal)


def _attachment(bench: Any) -> str:
    for _ in range(2):
        bench.target.deliver(release(photo=PHOTO))
    number = _files(bench)
    return f"{number} file{'' if number == 1 else 's'}"


def _files(bench: Any) -> int:
    match bench:
        case RestBench():
            return len(json.loads(bench.held(1))["attachments"])
        case WorkbookBench():
            return len(list((bench.folder / "files").iterdir()))
        case HandoverBench():
            [record] = bench.records()
            return len(record["attachments"])
        case PrimeroBench():
            return len(bench.stub.files)
        case EspoBench():
            return len(bench.stub.attachments)
    return 0


def _faults(bench: Any) -> Faults | None:
    stub = getattr(bench, "stub", None)
    return stub.faults if stub is not None else None


def _lost_answer(bench: Any) -> str:
    """The other side has it and the answer never comes; the same delivery comes again."""
    faults = _faults(bench)
    if faults is not None:
        faults.next(".", method="POST", drop_connection=True, after=True)
        with pytest.raises(TargetError) as lost:
            bench.target.deliver(release())
        assert not lost.value.permanent
    return _create(bench)


def _forbidden(bench: Any) -> str:
    faults = _faults(bench)
    if faults is not None:
        faults.next(".", status=403)
        return _outcome(bench)
    bench.target.deliver(release(of=stamp(2)))
    with _as_nobody(bench.folder):
        return _outcome(bench)


def _gone(bench: Any) -> str:
    bench.down()
    seen = _outcome(bench).split(" target")[0]
    bench.up()
    bench.target.deliver(release())
    assert 1 == bench.count()
    return seen


def _outcome(bench: Any) -> str:
    with pytest.raises(TargetError) as failed:
        bench.target.deliver(release())
    return f"{'parked' if failed.value.permanent else 'tried again'} {failed.value.code}"


@contextmanager
def _as_nobody(folder: Path) -> Iterator[None]:
    """This thread, and those that it starts, without rights on the folder."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    set_fsuid = ctypes.CDLL(None).setfsuid
    set_fsuid(65534)
    try:
        yield
    finally:
        set_fsuid(0)


_PROOFS: tuple[Callable[[Any], str], ...] = (
    _create, _update, _withdraw, _attachment, _lost_answer, _forbidden, _gone,
)  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", sorted(GUARANTEES))
def test_a_cell_of_the_table(tmp_path: Path, kind: str, column: str) -> None:
    """What a target guarantees is seen, and stands in its cell of the table."""
    expected, words = GUARANTEES[kind][COLUMNS.index(column)]
    with _bench(kind, tmp_path / kind) as bench:
        seen = _PROOFS[COLUMNS.index(column)](bench)

    assert expected == seen
    assert words in _documented()[kind][COLUMNS.index(column)]


def test_every_type_and_column_is_tried() -> None:
    """The table has these columns, and no type is in it that is not tried; partners are tried among the referrals."""
    text = _section()
    head = next(line for line in text.splitlines() if line.startswith("| |"))

    assert list(COLUMNS) == [cell.strip() for cell in head.strip("|").split("|")[1:]]
    assert {*GUARANTEES, "partner"} == set(_documented())


def _section() -> str:
    page = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
    return page.partition("## What each guarantees")[2]


def _documented() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", _section(), re.MULTILINE)
    return {kind: cells.split(" | ") for kind, cells in rows}


# Faults: each ends in exactly one record, or is parked with a reason

FAULTS: dict[str, dict[str, Any]] = {
    "slow": {"delay_seconds": 0.6},
    "cut before it was taken": {"drop_connection": True},
    "cut after it was taken": {"drop_connection": True, "after": True},
    "a page instead of an answer, after it was taken": {"status": 200, "body": b"<html>", "after": True},
    "a page instead of an answer": {"status": 502, "body": b"<html>"},
    "asks to wait": {"status": 429, "headers": {"Retry-After": "9"}},
    "being configured": {"status": 503, "headers": {"Retry-After": "9"}},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", HTTP)
def test_a_fault_ends_in_one_record(tmp_path: Path, kind: str, fault: str) -> None:
    """Whatever happens to the writing of a record, the attempts after it leave exactly one; the wait asked for is kept."""
    with _bench(kind, tmp_path, timeout="400ms" if fault == "slow" else "2s") as bench:
        bench.stub.faults.next(".", method="POST", **FAULTS[fault])
        failed = _attempt(bench)
        for _ in range(2):
            again = _attempt(bench)

        assert again is None
        assert 1 == bench.count()
        assert failed is None or not failed.permanent
        if "headers" in FAULTS[fault]:
            assert failed is not None
            assert failed.retry_after is not None


@pytest.mark.parametrize("kind", HTTP)
def test_what_can_never_be_taken_is_parked_with_a_reason(tmp_path: Path, kind: str) -> None:
    """Refused for good: parked, with a code and what to do, and nothing is held."""
    with _bench(kind, tmp_path) as bench:
        bench.refuse()
        failed = _attempt(bench)

        assert failed is not None
        assert failed.permanent
        assert failed.code
        assert failed.next_step
        assert 0 == bench.count()


def _attempt(bench: Bench) -> TargetError | None:
    try:
        bench.target.deliver(release())
    except TargetError as error:
        return error
    return None
