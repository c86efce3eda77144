"""What people have released, seen from the delivery: whose word a waiting delivery has, and what is to be published.

Publishing is a proposal that another person confirms: the first release of a delivery for the public proposes it, a
second one of another user confirms it. Both are words for one version: an edit voids them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import moment
from connector.ledger.flow import Case, Ledger
from connector.ledger.schema import deliveries, releases, submissions
from connector.ledger.submissions import as_case
from connector.model import Action

TAKE_DOWN_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ForRelease:
    """A delivery that somebody is about to release."""

    case: Case
    target: str
    version: int


@dataclass(frozen=True, slots=True)
class Publication:
    """One record at one target that publishes.

    *state*: `open` (nobody has proposed it), `proposed`, `confirmed` (two people want it, it is on its way), `published`,
    `removing`, `removed`, `withheld`, `parked`, `discarded`. *late*: it should have been taken down and is not.
    """

    id: str
    record_id: str
    root_id: str
    form: str
    target: str
    version: int
    state: str
    reason: str | None
    proposed_by: str | None
    proposed_at: datetime | None
    confirmed_by: str | None
    late: bool


def for_release(ledger: Ledger, delivery_id: str) -> ForRelease | None:
    """The delivery that can be released by this id."""
    wanted = (deliveries.c.id == delivery_id, deliveries.c.state.in_(("due", "waiting")))
    query = select(submissions, deliveries.c.target, deliveries.c.version.label("of_version")).join(
        submissions, submissions.c.id == deliveries.c.submission_id
    )
    with ledger.database.reading() as connection:
        row = connection.execute(query.where(*wanted)).first()
    return ForRelease(as_case(row), row.target, row.of_version) if row else None


def publications(ledger: Ledger, targets: Sequence[str], *, withheld: bool = True) -> list[Publication]:
    """Everything at *targets* (those that publish), newest last; *withheld*: also what nobody may propose, which is most
    of a large ledger."""
    without = ("superseded",) if withheld else ("superseded", "withheld")
    query = (
        select(deliveries, submissions.c.record_id, submissions.c.root_id, submissions.c.form_id)
        .join(submissions, submissions.c.id == deliveries.c.submission_id)
        .where(deliveries.c.target.in_(targets), deliveries.c.state.not_in(without))
        .order_by(deliveries.c.made_at, deliveries.c.id)
    )
    now = ledger.now()
    with ledger.database.reading() as connection:
        standing = _standing(connection.execute(query).all())
        return [_publication(row, _words(connection, row), now) for row in standing]


def _standing(rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Without what was published before a record was to be taken down again: the taking down tells how that stands."""
    taken_down = {(row.submission_id, row.target): at for at, row in enumerate(rows) if row.action == Action.WITHDRAW}
    return [row for at, row in enumerate(rows) if at >= taken_down.get((row.submission_id, row.target), 0)]


def decline(ledger: Ledger, delivery_id: str, user: str, reason: str) -> bool:
    """Takes a proposal back: nobody has released it any more; False when there is none."""

    def job(connection: Connection) -> bool:
        row = connection.execute(
            select(deliveries, submissions.c.record_id)
            .join(submissions, submissions.c.id == deliveries.c.submission_id)
            .where(deliveries.c.id == delivery_id, deliveries.c.state.in_(("due", "waiting")))
        ).first()
        if row is None or not connection.execute(delete(releases).where(*_of(row))).rowcount:
            return False
        connection.execute(
            update(submissions).where(submissions.c.id == row.submission_id).values(touched=submissions.c.touched + 1)
        )
        detail = {"version": row.version, "reason": reason}
        audit.append(connection, ledger.now(), Entry("publication_declined", user, row.record_id, row.target, detail))
        return True

    return ledger.database.write(job)


def _of(row: Row[Any]) -> tuple[Any, ...]:
    return (
        releases.c.submission_id == row.submission_id, releases.c.version == row.version, releases.c.target == row.target,
    )  # fmt: skip


def _words(connection: Connection, row: Row[Any]) -> list[tuple[str, datetime]]:
    """(user, when) of the releases of one delivery, the first one first."""
    query = select(releases.c.user, releases.c.at).where(*_of(row)).order_by(releases.c.at, releases.c.user)
    return [(user, moment(at)) for user, at in connection.execute(query)]


def _publication(row: Row[Any], words: Sequence[tuple[str, datetime]], now: datetime) -> Publication:
    state = _state(row, len(words))
    late = state in {"removing", "parked"} and row.action == Action.WITHDRAW
    first, second = (*words, None, None)[:2]
    return Publication(
        row.id, row.record_id, row.root_id, row.form_id, row.target, row.version, state, row.error,
        first[0] if first else None, first[1] if first else None, second[0] if second else None,
        late=late and now - moment(row.made_at) > TAKE_DOWN_WITHIN,
    )  # fmt: skip


def _state(row: Row[Any], words: int) -> str:
    if row.action == Action.WITHDRAW:
        return {"delivered": "removed", "due": "removing"}.get(str(row.state), str(row.state))
    if row.state in {"waiting", "due"}:
        return ("open", "proposed", "confirmed")[min(words, 2)]
    return "published" if row.state == "delivered" else str(row.state)
