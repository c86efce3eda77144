"""The audit: an append-only chain of who released what class of data to whom, when and why. No personal data.

Each row's hash covers the row and the hash before it, so an edited, removed or reordered row shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from connector.ledger.database import milliseconds
from connector.ledger.schema import audit
from connector.model import JSON

_START = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: *event* (`delivered`, `withheld`, …), *actor* (a user, `silah`), what it is about, coded detail."""

    event: str
    actor: str = "silah"
    record_id: str | None = None
    target: str | None = None
    detail: Mapping[str, JSON] | None = None


def append(connection: Connection, at: datetime, entry: Entry) -> None:
    """Adds *entry* to the chain, in the caller's transaction."""
    append_all(connection, at, [entry])


def append_all(connection: Connection, at: datetime, entries: list[Entry]) -> None:
    if not entries:
        return
    last = connection.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    seq, before = (last.seq, last.hash) if last else (0, _START)
    rows = []
    for entry in entries:
        seq += 1
        row = _row(seq, milliseconds(at), entry)
        before = row["hash"] = _hash(before, row)
        rows.append(row)
    connection.execute(insert(audit), rows)


def verify(connection: Connection) -> tuple[int, int | None]:
    """(rows looked at, the place of the first row that does not fit its chain or None)."""
    before, expected = _START, 1
    for row in _walk(connection):
        values = dict(row)
        stored = values.pop("hash")
        if values["seq"] != expected or _hash(before, values) != stored:
            return expected - 1, expected
        before, expected = stored, expected + 1
    return expected - 1, None


def export(connection: Connection) -> Iterator[Mapping[str, JSON]]:
    """Every row in order, detail as an object."""
    for row in _walk(connection):
        yield {**row, "detail": json.loads(str(row["detail"]))}


def _walk(connection: Connection) -> Iterator[dict[str, str | int | None]]:
    rows = connection.execute(select(audit).order_by(audit.c.seq), execution_options={"yield_per": 1000})
    for row in rows.mappings():
        yield dict(row)


def _row(seq: int, at: int, entry: Entry) -> dict[str, str | int | None]:
    detail = json.dumps(entry.detail or {}, sort_keys=True, separators=(",", ":"))
    return {
        "seq": seq, "at": at, "event": entry.event, "actor": entry.actor,
        "record_id": entry.record_id, "target": entry.target, "detail": detail,
    }  # fmt: skip


def _hash(before: str, row: Mapping[str, str | int | None]) -> str:
    text = json.dumps([row[key] for key in ("seq", "at", "event", "actor", "record_id", "target", "detail")])
    return hashlib.sha256((before + text).encode()).hexdigest()
