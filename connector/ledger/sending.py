"""Deliveries on their way: what is due, the attempt that begins, and how it ended. The hot path of the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import milliseconds, moment
from connector.ledger.deliveries import OPEN, close_open, make_delivery, may_go, maybe_holds
from connector.ledger.part import Part
from connector.ledger.schema import (
    attempts,
    candidates,
    data_keys,
    deliveries,
    pauses,
    releases,
    submissions,
    versions,
    withdrawals,
)
from connector.ledger.senders import is_own_word
from connector.ledger.values import DUPLICATE, Approval, Due
from connector.model import JSON, Action


class Sending(Part):
    """What the dispatcher asks and tells."""

    def due(self, target: str, limit: int, busy: Iterable[int] = ()) -> list[Due]:
        """The deliveries of *target* whose time has come, oldest first, without the submissions in *busy*."""
        values = {"target": target, "now": milliseconds(self.now()), "most": limit, "busy": list(busy)}
        with self.database.reading() as connection:
            return [_due(row) for row in connection.execute(_DUE, values)]

    def due_ids(self, target: str, limit: int, busy: Iterable[int]) -> list[tuple[str, int]]:
        """Like `due`, of each only (delivery, submission)."""
        values = {"target": target, "now": milliseconds(self.now()), "most": limit, "busy": list(busy)}
        with self.database.reading() as connection:
            return [(row.id, row.submission_id) for row in connection.execute(_DUE_IDS, values)]

    def due_one(self, target: str, delivery_id: str) -> Due | None:
        """One delivery of *target*, when its time has come."""
        values = {"target": target, "now": milliseconds(self.now()), "one": delivery_id}
        with self.database.reading() as connection:
            row = connection.execute(_DUE_ONE, values).first()
        return _due(row) if row is not None else None

    def next_due_at(self) -> datetime | None:
        """When the earliest waiting attempt falls due."""
        with self.database.reading() as connection:
            value = connection.execute(
                select(func.min(deliveries.c.next_at)).where(deliveries.c.state == "due")
            ).scalar()
        return moment(value) if value is not None else None

    def opened(self, delivery: Due) -> bytes | None:
        """The Record that a due delivery carries; None when it was erased."""
        if delivery.sealed is None or delivery.wrapped is None:
            return None
        key = self._master.unwrap(delivery.wrapped, delivery.record_id)
        return key.open(delivery.sealed, f"{delivery.record_id}:{delivery.version}:record")

    def approval(self, delivery: Due) -> Approval:
        """Who said that a due delivery may go, and what was taken back."""
        if not delivery.spoken_of and not delivery.approved:
            return Approval(form_server=False, users=frozenset(), withdrawn=frozenset())
        return self.approvals(delivery.submission_id, delivery.version, delivery.target)

    def approvals(self, submission_id: int, version: int, target: str) -> Approval:
        """The same for any version and target."""
        with self.database.reading() as connection:
            given = _approval(connection, submission_id, version, target)
            own_word = given.form_server and is_own_word(connection, self.sender_key, submission_id)
        return replace(given, form_server=False) if own_word else given

    def has_open(self, submission_id: int) -> bool:
        """Whether anything of this submission is still to be sent."""
        with self.database.reading() as connection:
            where = (deliveries.c.submission_id == submission_id, deliveries.c.state.in_(OPEN))
            return bool(connection.execute(select(exists().where(*where))).scalar_one())

    def maybe_holds(self, submission_id: int, target: str) -> bool:
        """Whether *target* may hold the record: something was sent and no withdrawal was acknowledged since."""
        with self.database.reading() as connection:
            return maybe_holds(connection, submission_id, target)

    def begin(self, delivery: Due, content: str) -> Future[bool]:
        """Pins what the key stands for and counts the attempt; done when that is durable. Before that nothing is sent.

        False when the delivery is no longer due, when what the gate decided on was touched since, or when what may go
        has changed since the last attempt: then a new delivery with a new key was made and this one is superseded.
        """
        return self.database.write_soon(self._begin_many, (delivery, content))

    def _begin_many(self, connection: Connection, items: Sequence[tuple[Due, str]]) -> list[bool]:
        going = _still_going(connection, [delivery for delivery, _ in items])
        at = milliseconds(self.now())
        begun: list[bool] = []
        rows: list[dict[str, object]] = []
        for delivery, content in items:
            changed = delivery.content is not None and delivery.content != content
            if delivery.id in going and changed:
                _remake(connection, delivery, at)
            begun.append(delivery.id in going and not changed)
            if begun[-1]:
                rows.append({"of": delivery.id, "pinned": content, "now": at})
        if rows:
            connection.execute(_BEGIN, rows)
        return begun

    def delivered(
        self, delivery: Due, external_id: str | None, dropped: Sequence[str], detail: Mapping[str, JSON]
    ) -> Future[None]:
        """The target holds it. Done when that is durable; a crash before means one more attempt with the same key."""
        arrival = _Arrival(delivery, external_id, tuple(dropped), detail)
        return self.database.write_soon(self._delivered_many, arrival)

    def _delivered_many(self, connection: Connection, arrivals: Sequence[_Arrival]) -> list[None]:
        at = milliseconds(self.now())
        connection.execute(_ATTEMPT, [_tried(one.delivery, at, "delivered", None) for one in arrivals])
        connection.execute(_DELIVERED, [one.row(at) for one in arrivals])
        for one in arrivals:
            if one.delivery.action is Action.WITHDRAW:
                _no_longer_held(connection, one.delivery)
        audit.append_all(connection, self.now(), [one.entry() for one in arrivals])
        return [None] * len(arrivals)

    def later(
        self, delivery: Due, code: str, status: int | None, delay: timedelta, *, sent: bool, begun: bool = True
    ) -> None:
        """It did not arrive: try again after *delay*. *sent* is False when the target surely has nothing of it,
        *begun* when `begin` did not count the attempt."""
        values: dict[str, object] = {"next_at": milliseconds(self.now() + delay), "error": code, "status": status}
        if not begun:
            values["attempts"] = deliveries.c.attempts + 1
            values["tried_at"] = func.coalesce(deliveries.c.tried_at, milliseconds(self.now()))
        self._finish(delivery, code, status, values, sent=sent)

    def park(self, delivery: Due, code: str, status: int | None, *, sent: bool) -> None:
        """It needs a person."""
        values = {"state": "parked", "error": code, "status": status}
        self._finish(delivery, code, status, values, sent=sent, event="parked")

    def hold_back(self, delivery: Due, state: str, reason: str, *, withdraw: bool) -> None:
        """The gate said no (`withheld`) or not yet (`waiting`). *withdraw* tells a target that may hold the record.

        When somebody released, reviewed or changed the submission meanwhile it stays due, and the gate looks again.
        """
        self.database.write_many(self._hold_many, (delivery, state, reason, withdraw))

    def _hold_many(self, connection: Connection, items: Sequence[tuple[Due, str, str, bool]]) -> list[None]:
        going = _still_going(connection, [delivery for delivery, *_ in items])
        held = [item for item in items if item[0].id in going]
        if held:
            connection.execute(_HOLD, [{"of": one.id, "to": state, "why": reason} for one, state, reason, _ in held])
        entries = [
            Entry(state, record_id=one.record_id, target=one.target, detail={"reason": reason})
            for one, state, reason, _ in held
        ]
        audit.append_all(connection, self.now(), entries)
        for one, _, _, withdraw in held:
            if withdraw and maybe_holds(connection, one.submission_id, one.target):
                close_open(connection, one.submission_id, one.target)
                made = milliseconds(self.now())
                make_delivery(connection, one.submission_id, one.version, one.target, Action.WITHDRAW, made)
        return [None] * len(items)

    def _finish(
        self,
        delivery: Due,
        code: str,
        status: int | None,
        values: Mapping[str, object],
        *,
        sent: bool,
        event: str | None = None,
    ) -> None:
        def job(connection: Connection) -> None:
            connection.execute(_ATTEMPT, [_tried(delivery, milliseconds(self.now()), code, status)])
            surely_not_held = {} if sent or delivery.content is not None else {"maybe_held": False}
            change = update(deliveries).where(deliveries.c.id == delivery.id, deliveries.c.state == "due")
            connection.execute(change.values({**values, **surely_not_held}))
            if event:
                detail: dict[str, JSON] = {"reason": code, "version": delivery.version}
                entry = Entry(event, record_id=delivery.record_id, target=delivery.target, detail=detail)
                audit.append(connection, self.now(), entry)

        self.database.write(job)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A delivery that its target took."""

    delivery: Due
    external_id: str | None
    dropped: tuple[str, ...]
    detail: Mapping[str, JSON]

    def row(self, at: int) -> dict[str, object]:
        dropped = json.dumps(self.dropped) if self.dropped else None
        return {"of": self.delivery.id, "now": at, "theirs": self.external_id, "lost": dropped}

    def entry(self) -> Entry:
        one = self.delivery
        return Entry(str(one.action), record_id=one.record_id, target=one.target, detail=self.detail)


def _due_query(*columns: Any) -> Select[Any]:
    """Deliveries of a target whose time has come and that may go."""
    return (
        select(*columns)
        .join(submissions, submissions.c.id == deliveries.c.submission_id)
        .where(
            deliveries.c.target == bindparam("target"),
            deliveries.c.state == "due",
            deliveries.c.next_at <= bindparam("now"),
            or_(may_go(), deliveries.c.action == Action.WITHDRAW),
            ~exists().where(pauses.c.target == bindparam("target")),
        )
    )


def _whole_due_query() -> Select[Any]:
    """With all that the gate needs."""
    here = deliveries.c.submission_id
    released = exists().where(releases.c.submission_id == here, releases.c.target == bindparam("target"))
    taken_back = exists().where(withdrawals.c.submission_id == here)
    confirmed = and_(candidates.c.kind == DUPLICATE, candidates.c.state == "confirmed")
    merged = exists().where(or_(candidates.c.left_id == here, candidates.c.right_id == here), confirmed)
    of_version = and_(versions.c.submission_id == here, versions.c.version == deliveries.c.version)
    query = _due_query(
        deliveries, submissions.c.record_id, submissions.c.root_id, submissions.c.server, submissions.c.form_id,
        submissions.c.touched, (submissions.c.approved_version == deliveries.c.version).label("approved"),
        or_(released, taken_back).label("spoken_of"), merged.label("merged"), versions.c.record.label("sealed"), data_keys.c.wrapped,
    )  # fmt: skip
    keyed = data_keys.c.record_id == submissions.c.record_id
    return query.outerjoin(versions, of_version).outerjoin(data_keys, keyed)


def _oldest_first(query: Select[Any]) -> Select[Any]:
    here = deliveries.c.submission_id
    free = here.notin_(bindparam("busy", expanding=True))
    return query.where(free).order_by(deliveries.c.next_at, here).limit(bindparam("most"))


_BEGIN = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("of"))
    .values(
        content=bindparam("pinned"), attempts=deliveries.c.attempts + 1, maybe_held=True,
        tried_at=func.coalesce(deliveries.c.tried_at, bindparam("now")),
    )
)  # fmt: skip
_DELIVERED = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("of"))
    .values(
        state="delivered", error=None, status=None, done_at=bindparam("now"),
        external_id=bindparam("theirs"), dropped=bindparam("lost"),
    )
)  # fmt: skip
_HOLD = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("of"), deliveries.c.state == "due")
    .values(state=bindparam("to"), error=bindparam("why"))
)
_ATTEMPT = insert(attempts)


def _tried(delivery: Due, at: int, outcome: str, status: int | None) -> dict[str, object]:
    return {"delivery_id": delivery.id, "at": at, "outcome": outcome, "status": status}


def _still_going(connection: Connection, due: Sequence[Due]) -> set[str]:
    """Those that are due still, not held, and whose submission nobody touched since they were taken."""
    rows = connection.execute(_STILL_GOING, {"ids": [one.id for one in due]})
    touched = {row.id: row.touched for row in rows if row.may_go}
    return {one.id for one in due if touched.get(one.id) == one.touched}


def _no_longer_held(connection: Connection, withdrawn: Due) -> None:
    """The target removed what it had."""
    connection.execute(
        update(deliveries)
        .where(*_of(withdrawn), deliveries.c.id != withdrawn.id, deliveries.c.version <= withdrawn.version)
        .values(maybe_held=False)
    )


def _approval(connection: Connection, submission_id: int, version: int, target: str) -> Approval:
    row = connection.execute(
        select(submissions.c.approved_version, submissions.c.approved_by).where(submissions.c.id == submission_id)
    ).one()
    users = connection.execute(
        select(releases.c.user).where(
            releases.c.submission_id == submission_id, releases.c.version == version, releases.c.target == target
        )
    ).scalars()
    withdrawn = connection.execute(
        select(withdrawals.c.recipient).where(withdrawals.c.submission_id == submission_id)
    ).scalars()
    return Approval(row.approved_version == version, frozenset(users), frozenset(withdrawn))


def _remake(connection: Connection, delivery: Due, at: int) -> None:
    connection.execute(
        update(deliveries).where(deliveries.c.id == delivery.id).values(state="superseded", error="content.changed")
    )
    make_delivery(connection, delivery.submission_id, delivery.version, delivery.target, delivery.action, at)


def _of(delivery: Due) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return deliveries.c.submission_id == delivery.submission_id, deliveries.c.target == delivery.target


def _due(row: Row[Any]) -> Due:
    return Due(
        row.id, row.submission_id, row.record_id, row.root_id, row.server, row.form_id, row.version, row.target,
        Action(row.action), row.revision, row.attempts, row.content, moment(row.made_at),
        moment(row.tried_at) if row.tried_at is not None else None, row.external_id,
        row.touched, bool(row.approved), bool(row.spoken_of), bool(row.merged), row.sealed, row.wrapped,
    )  # fmt: skip


# Built once: making a statement takes longer than running it.
_DUE = _oldest_first(_whole_due_query())
_DUE_IDS = _oldest_first(_due_query(deliveries.c.id, deliveries.c.submission_id))
_DUE_ONE = _whole_due_query().where(deliveries.c.id == bindparam("one"))
_STILL_GOING = (
    select(
        deliveries.c.id, submissions.c.touched, or_(may_go(), deliveries.c.action == Action.WITHDRAW).label("may_go")
    )
    .join(submissions, submissions.c.id == deliveries.c.submission_id)
    .where(deliveries.c.id.in_(bindparam("ids", expanding=True)), deliveries.c.state == "due")
)
