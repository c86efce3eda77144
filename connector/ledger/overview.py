"""What the dashboard shows of the flow: what is stuck, what came in when, the steps of one case. Codes and times alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, literal_column, or_, select

from connector.ledger import audit as chain
from connector.ledger.audit import Entry
from connector.ledger.database import milliseconds, moment
from connector.ledger.deliveries import HELD, OPEN
from connector.ledger.flow import Ledger
from connector.ledger.schema import audit, deliveries, submissions, withdrawals
from connector.model import JSON

Place = tuple[int, str]  # when it was made, and its id: where a page ends


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery, or a submission that cannot be read (*target* None), as a line of a list."""

    id: str
    submission_id: int
    record_id: str
    form: str
    target: str | None
    action: str
    state: str
    error: str | None
    version: int
    since: datetime

    @property
    def place(self) -> Place:
        return milliseconds(self.since), self.id


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the audit."""

    at: datetime
    event: str
    actor: str
    target: str | None
    detail: dict[str, JSON]
    record_id: str | None


class Overview:
    """Questions to one ledger; each is one read."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._database = ledger, ledger.database

    def stuck(self, after: Place | None, limit: int) -> list[Item]:
        """Deliveries that are parked, wait for a person or are held, oldest first, from *after* on."""
        held = [
            and_(deliveries.c.state.in_(OPEN), submissions.c.presence == literal_column(f"'{away}'")) for away in HELD
        ]
        found = [self._deliveries(where, after, limit) for where in (_in("parked"), _in("waiting"), *held)]
        items = {item.id: item for items in found for item in items}.values()
        return sorted(items, key=lambda item: item.place)[:limit]

    def with_reason(self, state: str, reason: str | None, limit: int) -> list[Item]:
        """Deliveries in one state, for one reason if it is given, oldest first."""
        where = _in(state)
        return self._deliveries(and_(where, deliveries.c.error == reason) if reason else where, None, limit)

    def of_case(self, submission_id: int) -> list[Item]:
        """Every delivery of a submission that still says something, oldest first."""
        where = and_(deliveries.c.submission_id == submission_id, deliveries.c.state != "superseded")
        return self._deliveries(where, None, 200)

    def unreadable(self, limit: int) -> list[Item]:
        """Submissions whose newest version could not be read."""
        query = select(submissions).where(submissions.c.parked.isnot(None)).order_by(submissions.c.id).limit(limit)
        with self._database.reading() as connection:
            return [
                Item(f"sb_{row.id}", row.id, row.record_id, row.form_id, None, "read", "parked", row.parked,
                     row.version, moment(row.changed_at))
                for row in connection.execute(query)
            ]  # fmt: skip

    def steps(self, record_id: str) -> list[Step]:
        """What happened to one record, oldest first."""
        return self._steps(audit.c.record_id == record_id, newest_first=False, limit=500)

    def latest(self, events: Sequence[str], since: datetime | None, limit: int) -> list[Step]:
        """The newest rows of the audit, of these events (none: of all)."""
        where = audit.c.at >= (milliseconds(since) if since else 0)
        return self._steps(and_(where, audit.c.event.in_(events)) if events else where, newest_first=True, limit=limit)

    def withdrawn(self, since: datetime, limit: int) -> list[tuple[datetime, str, str]]:
        """(when, record, recipient) of consents that were taken back since then, the newest first."""
        query = (
            select(withdrawals.c.at, submissions.c.record_id, withdrawals.c.recipient)
            .join(submissions, submissions.c.id == withdrawals.c.submission_id)
            .where(withdrawals.c.at >= milliseconds(since))
            .order_by(withdrawals.c.at.desc(), submissions.c.id)
        )
        with self._database.reading() as connection:
            return [(moment(at), record, recipient) for at, record, recipient in connection.execute(query.limit(limit))]

    def note(self, entry: Entry) -> None:
        """Writes a row of the audit: somebody saw or took something."""
        self._database.write(lambda connection: chain.append(connection, self._ledger.now(), entry))

    def _steps(self, where: ColumnElement[bool], *, newest_first: bool, limit: int) -> list[Step]:
        order = audit.c.seq.desc() if newest_first else audit.c.seq
        with self._database.reading() as connection:
            rows = connection.execute(select(audit).where(where).order_by(order).limit(limit)).all()
        return [
            Step(moment(row.at), row.event, row.actor, row.target, json.loads(row.detail), row.record_id)
            for row in rows
        ]

    def _deliveries(self, where: ColumnElement[bool], after: Place | None, limit: int) -> list[Item]:
        query = (
            select(
                deliveries, submissions.c.record_id, submissions.c.form_id, submissions.c.presence,
                submissions.c.state.label("case_state"),
            )
            .join(submissions, submissions.c.id == deliveries.c.submission_id)
            .where(where)
            .order_by(deliveries.c.made_at, deliveries.c.id)
            .limit(limit)
        )  # fmt: skip
        if after is not None:
            at, last = after
            later = and_(deliveries.c.made_at == at, deliveries.c.id > last)
            query = query.where(or_(deliveries.c.made_at > at, later))
        with self._database.reading() as connection:
            return [_item(row) for row in connection.execute(query)]


def _in(state: str) -> ColumnElement[bool]:
    """Said as the index `deliveries_looked_at` says it: a bound value would not be seen to be within it."""
    return deliveries.c.state == literal_column(f"'{state}'")


def _item(row: Row[Any]) -> Item:
    held = row.presence in HELD and row.state in OPEN
    state, error = ("held", row.presence) if held else (row.state, row.error)
    return Item(
        row.id, row.submission_id, row.record_id, row.form_id, row.target, row.action, state, error, row.version,
        moment(row.made_at),
    )  # fmt: skip
