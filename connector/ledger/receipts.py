"""Receipts: the ids of a bell, kept before it is answered, until it was followed by a read-back."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from connector.ledger.database import milliseconds
from connector.ledger.part import BATCH, Part
from connector.ledger.schema import counters, late_files, receipts, submissions
from connector.ledger.values import Due, DueReceipt, Kept
from connector.model import Bell

_KEEP_WITHIN = 10.0  # seconds; whoever rings waits no longer than some more
_LATE_FOR, _LATE_OFTEN = timedelta(days=30), timedelta(days=1)
_CLAIM = timedelta(seconds=12)  # a receipt that another process follows is left alone for so long


class Receipts(Part):
    """Bells, and what is counted of refused ones."""

    def keep(self, server: str, bell: Bell) -> Kept:
        """Keeps the ids of a bell, durably; the same submission in the same version is kept once."""
        return self.database.write(lambda connection: self._keep(connection, server, bell), within=_KEEP_WITHIN)

    def _keep(self, connection: Connection, server: str, bell: Bell) -> Kept:
        same = [receipts.c.server == server, receipts.c.form_id == bell.form_id]
        same.append(receipts.c.root_id == bell.root_id if bell.root_id else receipts.c.ord == bell.order)
        found = connection.execute(
            select(receipts.c.id, receipts.c.state).where(*same, receipts.c.instance_id == bell.instance_id)
        ).first()
        if found:
            if found.state == "void" or not bell.instance_id:
                self._ring_again(connection, found.id)
            return Kept(found.id, new=False)
        return Kept(add_receipt(connection, server, bell, milliseconds(self.now())), new=True)

    def _ring_again(self, connection: Connection, receipt: str) -> None:
        """A bell without a version may stand for an edit, a voided one for a submission that has come since: read it."""
        values = {"state": "new", "next_at": milliseconds(self.now()), "attempts": 0}
        connection.execute(update(receipts).where(receipts.c.id == receipt).values(values))

    def read_again(self, delivery: Due) -> None:
        """Asks for another reading of a delivery's submission: something of it had not arrived."""
        self.database.write(lambda connection: read_anew(connection, delivery.submission_id, milliseconds(self.now())))

    def went_without(self, delivery: Due) -> None:
        """Notes that a delivery leaves without a file that has not arrived; it is looked for in later sweeps."""
        self.database.write(lambda connection: _note_late(connection, delivery.submission_id, milliseconds(self.now())))

    def late(self, server: str, form_id: str, *, whole: bool) -> frozenset[str]:
        """Root ids of submissions of which a file may still come: a sweep of the *whole* list looks for a month, every
        other one for a day."""
        earliest = milliseconds(self.now() - (_LATE_FOR if whole else _LATE_OFTEN))
        query = (
            select(submissions.c.root_id)
            .join(late_files, late_files.c.submission_id == submissions.c.id)
            .where(submissions.c.server == server, submissions.c.form_id == form_id, late_files.c.since >= earliest)
        )
        with self.database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def due_receipts(self, limit: int = BATCH) -> list[DueReceipt]:
        with self.database.reading() as connection:
            rows = connection.execute(self._due_receipts(limit)).all()
        return [DueReceipt(row.id, row.server, _bell(row), row.attempts) for row in rows]

    def _due_receipts(self, limit: int) -> Select[Any]:
        at = milliseconds(self.now())
        due = select(receipts).where(receipts.c.state == "new", receipts.c.next_at <= at)
        return due.order_by(receipts.c.next_at).limit(limit)

    def claim_receipts(self, limit: int = BATCH) -> list[DueReceipt]:
        """Like `due_receipts`; where several processes follow bells, each receipt is given to one of them.

        A claim is a moment's lead: what is not followed within it (its process was killed) is given out again.
        """
        if self.database.embedded:
            return self.due_receipts(limit)
        return self.database.write(lambda connection: self._claim(connection, limit))

    def _claim(self, connection: Connection, limit: int) -> list[DueReceipt]:
        rows = connection.execute(self._due_receipts(limit).with_for_update(skip_locked=True)).all()
        lead = milliseconds(self.now() + _CLAIM)
        taken = [row.id for row in rows]
        connection.execute(update(receipts).where(receipts.c.id.in_(taken)).values(next_at=lead))
        return [DueReceipt(row.id, row.server, _bell(row), row.attempts) for row in rows]

    def receipts_read(self, ids: Iterable[str], *, found: bool = True) -> None:
        """These were read back; *found* is False when the server does not have them (the pull has the last word)."""
        values = {"state": "read" if found else "void", "error": None if found else "kobo.not_found"}
        wanted = list(ids)
        self.database.write(
            lambda c: c.execute(update(receipts).where(receipts.c.id.in_(wanted)).values(values)) and None
        )

    def receipts_later(self, ids: Iterable[str], code: str, delay: timedelta) -> None:
        """Reading them back failed: try again after *delay*."""
        next_at = milliseconds(self.now() + delay)
        change = update(receipts).where(receipts.c.id.in_(list(ids)))
        self.database.write(
            lambda c: c.execute(change.values(attempts=receipts.c.attempts + 1, error=code, next_at=next_at)) and None
        )

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter: all that is kept of a refused request."""

        def add(connection: Connection) -> None:
            if not connection.execute(
                update(counters).where(counters.c.name == name).values(value=counters.c.value + by)
            ).rowcount:
                connection.execute(insert(counters).values(name=name, value=by))

        self.database.write(add)

    def counts(self) -> dict[str, float]:
        with self.database.reading() as connection:
            return {row.name: row.value for row in connection.execute(select(counters))}


def add_receipt(connection: Connection, server: str, bell: Bell, at: int) -> str:
    receipt = secrets.token_hex(16)
    connection.execute(
        insert(receipts).values(
            id=receipt, server=server, form_id=bell.form_id, root_id=bell.root_id, instance_id=bell.instance_id,
            ord=bell.order, state="new", attempts=0, next_at=at, kept_at=at,
        )
    )  # fmt: skip
    return receipt


def _note_late(connection: Connection, submission_id: int, at: int) -> None:
    noted = select(late_files.c.since).where(late_files.c.submission_id == submission_id)
    if connection.execute(noted).first() is None:
        connection.execute(insert(late_files).values(submission_id=submission_id, since=at))


def read_anew(connection: Connection, submission_id: int, at: int) -> bool:
    """Asks for another reading of a submission; False when it is unknown."""
    row = connection.execute(select(submissions).where(submissions.c.id == submission_id)).first()
    if row is None:
        return False
    same = (receipts.c.server == row.server, receipts.c.form_id == row.form_id, receipts.c.root_id == row.root_id)
    if connection.execute(select(receipts.c.id).where(*same, receipts.c.state == "new")).first() is None:
        add_receipt(connection, row.server, Bell(row.form_id, row.root_id, row.instance_id, row.ord), at)
    return True


def _bell(row: Row[Any]) -> Bell:
    return Bell(row.form_id, row.root_id, row.instance_id, row.ord)
