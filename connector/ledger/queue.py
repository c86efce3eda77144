"""The queue as people see and mend it: listed, replayed, released, given up, paused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, insert, or_, select, update

from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import milliseconds, moment
from connector.ledger.deliveries import HELD, OPEN, wake
from connector.ledger.part import Part
from connector.ledger.receipts import read_anew
from connector.ledger.schema import attempts, deliveries, pauses, receipts, releases, submissions
from connector.ledger.values import QueueRow
from connector.model import Action


class Queue(Part):
    """What a person does with a delivery."""

    def queue(self, states: Sequence[str] = (), target: str | None = None) -> list[QueueRow]:
        """Deliveries (and submissions that could not be read), newest last."""
        case_ = (submissions.c.root_id, submissions.c.form_id, submissions.c.presence, submissions.c.parked)
        query = select(deliveries, submissions.c.state.label("case_state"), *case_).join(
            submissions, submissions.c.id == deliveries.c.submission_id
        )
        query = query.where(deliveries.c.state != "superseded").order_by(deliveries.c.made_at, deliveries.c.id)
        if target:
            query = query.where(deliveries.c.target == target)
        with self.database.reading() as connection:
            rows = [_queue_row(row) for row in connection.execute(query)]
            if target is None:
                stuck = connection.execute(select(submissions).where(submissions.c.parked.isnot(None)))
                rows += [_parked_row(row) for row in stuck]
                unread = connection.execute(select(receipts).where(receipts.c.state == "new"))
                rows += [_receipt_row(row) for row in unread]
        return [row for row in rows if not states or row.state in states]

    def history(self, delivery_id: str) -> list[tuple[datetime, str, int | None]]:
        """(when, outcome, status) of every attempt."""
        with self.database.reading() as connection:
            rows = connection.execute(
                select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.id)
            )
            return [(moment(row.at), row.outcome, row.status) for row in rows]

    def replay(self, row_id: str, actor: str) -> bool:
        """Makes a parked, withheld, waiting, discarded or delivered delivery due again with its own key; False if unknown,
        or if a newer one was made for the same submission and target: an older version never follows a newer one.

        A submission that could not be read is read again from its server.
        """

        def job(connection: Connection) -> bool:
            at = milliseconds(self.now())
            if row_id.startswith("sb_"):
                audit.append(connection, self.now(), Entry("replayed", actor, detail={"submission": row_id}))
                return read_anew(connection, int(row_id.removeprefix("sb_")), at)
            row = connection.execute(
                select(deliveries, submissions.c.record_id)
                .join(submissions, submissions.c.id == deliveries.c.submission_id)
                .where(deliveries.c.id == row_id, deliveries.c.state != "superseded")
            ).first()
            if row is None or connection.execute(_newer_than(row)).first() is not None:
                return False
            connection.execute(
                update(deliveries)
                .where(deliveries.c.id == row_id)
                .values(state="due", next_at=at, tried_at=None, error=None)
            )
            audit.append(connection, self.now(), Entry("replayed", actor, row.record_id, row.target))
            return True

        return self.database.write(job)

    def discard(self, delivery_id: str, reason: str, actor: str) -> bool:
        """Gives a delivery up, with a reason that goes into the audit; False if it is unknown or done."""

        def job(connection: Connection) -> bool:
            row = connection.execute(
                select(deliveries.c.target, submissions.c.record_id)
                .join(submissions, submissions.c.id == deliveries.c.submission_id)
                .where(deliveries.c.id == delivery_id, deliveries.c.state.in_(OPEN))
            ).first()
            if row is None:
                return False
            connection.execute(
                update(deliveries).where(deliveries.c.id == delivery_id).values(state="discarded", error=reason)
            )
            audit.append(
                connection, self.now(), Entry("discarded", actor, row.record_id, row.target, {"reason": reason})
            )
            return True

        return self.database.write(job)

    def release(self, delivery_id: str, user: str) -> str | None:
        """Notes that *user* releases this version to this target; None, or why that cannot be: `unknown`, `same_user`."""

        def job(connection: Connection) -> str | None:
            row = connection.execute(
                select(deliveries, submissions.c.record_id)
                .join(submissions, submissions.c.id == deliveries.c.submission_id)
                .where(deliveries.c.id == delivery_id, deliveries.c.state.in_(("due", "waiting")))
            ).first()
            if row is None:
                return "unknown"
            mine = {"submission_id": row.submission_id, "version": row.version, "target": row.target, "user": user}
            if connection.execute(
                select(releases).where(*(releases.c[key] == value for key, value in mine.items()))
            ).first():
                return "same_user"
            connection.execute(insert(releases).values(**mine, at=milliseconds(self.now())))
            audit.append(
                connection, self.now(), Entry("released", user, row.record_id, row.target, {"version": row.version})
            )
            wake(connection, row.submission_id, milliseconds(self.now()))
            return None

        return self.database.write(job)

    def pause(self, target: str, reason: str, actor: str, *, paused: bool) -> None:
        """Stops or resumes what goes to *target*; nothing is lost."""

        def job(connection: Connection) -> None:
            connection.execute(delete(pauses).where(pauses.c.target == target))
            if paused:
                connection.execute(insert(pauses).values(target=target, reason=reason, at=milliseconds(self.now())))
            audit.append(
                connection,
                self.now(),
                Entry("paused" if paused else "resumed", actor, target=target, detail={"reason": reason}),
            )

        self.database.write(job)

    def paused(self) -> dict[str, str]:
        with self.database.reading() as connection:
            return {row.target: row.reason or "" for row in connection.execute(select(pauses))}


def _newer_than(row: Row[Any]) -> Select[Any]:
    """What was made for the same submission and target after *row* and still stands."""
    again = and_(deliveries.c.action == row.action, deliveries.c.revision > row.revision)
    later = or_(again, and_(deliveries.c.action != row.action, deliveries.c.made_at > row.made_at))
    newer = or_(deliveries.c.version > row.version, and_(deliveries.c.version == row.version, later))
    same = (deliveries.c.submission_id == row.submission_id, deliveries.c.target == row.target)
    return select(deliveries.c.id).where(*same, deliveries.c.id != row.id, deliveries.c.state != "superseded", newer)


def _queue_row(row: Row[Any]) -> QueueRow:
    reason = (
        row.case_state
        if row.case_state != "live"
        else row.presence
        if row.presence in HELD
        else "parked"
        if row.parked
        else None
    )
    held = reason and row.state in OPEN and row.action == Action.UPSERT
    state, error = ("held", reason) if held else (row.state, row.error)
    next_at = moment(row.next_at) if state == "due" else None
    dropped = tuple(json.loads(row.dropped)) if row.dropped else ()
    return QueueRow(
        row.id,
        row.root_id,
        row.form_id,
        row.target,
        row.action,
        state,
        row.attempts,
        error,
        next_at,
        row.version,
        row.status,
        dropped,
    )


def _parked_row(row: Row[Any]) -> QueueRow:
    error = f"{row.parked} at {row.parked_at}"
    return QueueRow(f"sb_{row.id}", row.root_id, row.form_id, None, "read", "parked", 0, error, None, row.version, None)


def _receipt_row(row: Row[Any]) -> QueueRow:
    return QueueRow(
        row.id, row.root_id, row.form_id, None, "read", "due", row.attempts, row.error, moment(row.next_at), 0, None
    )
