"""The one truth about every submission: receipts, versions, deliveries, attempts.

States of a delivery: `due` (is sent at its time), `waiting` (for a person's release), `withheld` (consent or policy
say no), `delivered`, `parked` (needs a person), `superseded` (a newer version took its place), `discarded`.
A submission that is parked, withdrawn, or gone from its server holds its deliveries back without changing their
state; a `withdraw` goes out all the same. For one submission and target at most one delivery is open: a newer one
supersedes it. A submission's presence is `listed`, `gone` (a person decides), `vanished` (the vanish guard stopped
the sweep that missed it; counts as parked) or `kept` (gone, and the admin said that this means nothing).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid5

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from connector import keys
from connector.figures.facts import Fact
from connector.keys import DataKey, MasterKey
from connector.ledger import audit, vault
from connector.ledger.audit import Entry
from connector.ledger.database import Database, milliseconds, moment
from connector.ledger.figures import FactBook
from connector.ledger.schema import (
    attempts,
    counters,
    data_keys,
    deliveries,
    pauses,
    receipts,
    releases,
    submissions,
    sweeps,
    versions,
    withdrawals,
)
from connector.model import JSON, SILAH, Action, Bell, Review, Submission

OPEN = ("due", "waiting", "withheld", "parked")
HELD = ("gone", "vanished")
EVERYONE = "*"
_BATCH = 500
_KEEP_WITHIN = 10.0  # seconds; whoever rings waits no longer than some more
_CLAIM = timedelta(seconds=12)  # a receipt that another process follows is left alone for so long


@dataclass(frozen=True, slots=True)
class Kept:
    """A receipt: its opaque id, and whether this version was new."""

    receipt: str
    new: bool


@dataclass(frozen=True, slots=True)
class DueReceipt:
    """A bell that has to be followed by a read-back."""

    id: str
    server: str
    bell: Bell
    attempts: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of a submission while the server's list is compared with it."""

    id: int
    root_id: str
    instance_id: str
    order: int
    presence: str
    parked: bool
    review: Review


@dataclass(frozen=True, slots=True)
class Prepared:
    """A submission that was read: its answers and its Record as JSON, or the fault that parks it.

    *digest* is the same as long as the answers and the files that have arrived are the same. *approved* is whether a
    person approved it on the form server.
    """

    submission: Submission
    digest: str
    approved: bool
    raw: bytes
    record: bytes | None
    fault: tuple[str, str] | None = None
    facts: tuple[Fact, ...] = ()  # what it counts as in the figures


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose time has come, with all that the gate needs to decide on it."""

    id: str
    submission_id: int
    record_id: str
    root_id: str
    server: str
    form_id: str
    version: int
    target: str
    action: Action
    revision: int
    attempts: int
    content: str | None
    made_at: datetime
    tried_at: datetime | None
    external_id: str | None
    touched: int
    approved: bool
    spoken_of: bool  # somebody released it by name, or took consent back
    sealed: bytes | None = field(repr=False)
    wrapped: bytes | None = field(repr=False)

    @property
    def key(self) -> str:
        """The delivery's key: the same over all attempts, another one when what may go changed."""
        return delivery_key(self.record_id, self.version, self.target, self.action, self.revision)


@dataclass(frozen=True, slots=True)
class Approval:
    """Who said that a version may go: on the form server, or by name in Silah."""

    form_server: bool
    users: frozenset[str]
    withdrawn: frozenset[str]


@dataclass(frozen=True, slots=True)
class Case:
    """One submission as the command line shows it."""

    id: int
    record_id: str
    server: str
    form_id: str
    root_id: str
    order: int
    version: int
    state: str
    presence: str
    parked: str | None
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One line of `silah queue list`."""

    id: str
    root_id: str
    form: str
    target: str | None
    action: str
    state: str
    attempts: int
    error: str | None
    next_at: datetime | None
    version: int
    status: int | None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """Where the submissions of one form are; each counts once (contract §5)."""

    server: str
    form: str
    on_server: int
    delivered: int = 0
    withheld: int = 0
    waiting: int = 0
    parked: int = 0
    stopped: str | None = None

    @property
    def here(self) -> int:
        return self.delivered + self.withheld + self.waiting + self.parked

    @property
    def missing(self) -> int:
        return self.on_server - self.here


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts for the metrics. *sweeps*: (server, form) -> (when the last one ended in ms, whether it was stopped)."""

    receipts: Mapping[str, int]
    attempts: int
    unreadable: int
    sweeps: Mapping[tuple[str, str], tuple[int, bool]]


Routes = Callable[[str], Sequence[str]]


def delivery_key(record_id: str, version: int, target: str, action: str, revision: int) -> str:
    return str(uuid5(SILAH, f"{record_id}:{version}:{target}:{action}:{revision}"))


class Ledger:
    """Receipts, versions, deliveries and their audit. Every method is one transaction.

    Args:
        database: where it is kept.
        master: wraps the data keys.
        now: the clock; the only one.
    """

    def __init__(self, database: Database, master: MasterKey, now: Callable[[], datetime]) -> None:
        self.database = database
        self._master = master
        self.now = now
        self._secret = vault.ledger_secret(database, master)
        self.fact_book = FactBook(self.derive("facts of figures"))

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one *purpose* that stay the same when the master key is rotated."""
        return keys.derive(self._secret, purpose)

    # Receipts

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
        return Kept(self._add_receipt(connection, server, bell), new=True)

    def _add_receipt(self, connection: Connection, server: str, bell: Bell) -> str:
        at = milliseconds(self.now())
        receipt = secrets.token_hex(16)
        connection.execute(
            insert(receipts).values(
                id=receipt, server=server, form_id=bell.form_id, root_id=bell.root_id, instance_id=bell.instance_id,
                ord=bell.order, state="new", attempts=0, next_at=at, kept_at=at,
            )
        )  # fmt: skip
        return receipt

    def _ring_again(self, connection: Connection, receipt: str) -> None:
        """A bell without a version may stand for an edit, a voided one for a submission that has come since: read it."""
        values = {"state": "new", "next_at": milliseconds(self.now()), "attempts": 0}
        connection.execute(update(receipts).where(receipts.c.id == receipt).values(values))

    def read_again(self, delivery: Due) -> None:
        """Asks for another reading of a delivery's submission: something of it had not arrived."""
        self.database.write(lambda connection: self._reread(connection, delivery.submission_id))

    def due_receipts(self, limit: int = _BATCH) -> list[DueReceipt]:
        with self.database.reading() as connection:
            rows = connection.execute(self._due_receipts(limit)).all()
        return [DueReceipt(row.id, row.server, _bell(row), row.attempts) for row in rows]

    def _due_receipts(self, limit: int) -> Select[Any]:
        at = milliseconds(self.now())
        due = select(receipts).where(receipts.c.state == "new", receipts.c.next_at <= at)
        return due.order_by(receipts.c.next_at).limit(limit)

    def claim_receipts(self, limit: int = _BATCH) -> list[DueReceipt]:
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

    def count(self, name: str) -> None:
        """Adds one to a counter: all that is kept of a refused request."""

        def add(connection: Connection) -> None:
            if not connection.execute(
                update(counters).where(counters.c.name == name).values(value=counters.c.value + 1)
            ).rowcount:
                connection.execute(insert(counters).values(name=name, value=1))

        self.database.write(add)

    def counts(self) -> dict[str, float]:
        with self.database.reading() as connection:
            return {row.name: row.value for row in connection.execute(select(counters))}

    # Versions

    def known(self, server: str, form_id: str, after: int, until: int | None) -> list[Known]:
        """What is known with an order in (*after*, *until*]; erased ones included, ascending."""
        where = [submissions.c.server == server, submissions.c.form_id == form_id, submissions.c.ord > after]
        if until is not None:
            where.append(submissions.c.ord <= until)
        with self.database.reading() as connection:
            rows = connection.execute(select(submissions).where(*where).order_by(submissions.c.ord)).all()
        return [_known(row) for row in rows]

    def known_by_root(self, server: str, form_id: str, roots: Sequence[str]) -> dict[str, Known]:
        found: dict[str, Known] = {}
        with self.database.reading() as connection:
            for some in chunks(roots):
                rows = connection.execute(
                    select(submissions).where(*_case(server, form_id), submissions.c.root_id.in_(some))
                )
                found.update((row.root_id, _known(row)) for row in rows)
        return found

    def store(self, batch: Sequence[Prepared], routes: Routes, receipts_done: Iterable[str] = ()) -> int:
        """Keeps what was read, in one transaction: new and changed versions with their deliveries; how many changed."""
        done = list(receipts_done)

        def job(connection: Connection) -> int:
            changed = _Intake(self, connection, routes).store(batch)
            for some in chunks(done):
                connection.execute(update(receipts).where(receipts.c.id.in_(some)).values(state="read", error=None))
            return changed

        return self.database.write(job)

    def record(self, submission_id: int, version: int) -> bytes | None:
        """The Record of the newest version up to *version* that has one, opened; None when it was erased or parked."""
        return self._opened(submission_id, version, "record")

    def raw(self, submission_id: int, version: int) -> bytes | None:
        """The newest version up to *version* as it was read (answers, files, order), opened."""
        return self._opened(submission_id, version, "raw")

    def _opened(self, submission_id: int, version: int, column: str) -> bytes | None:
        sealed = versions.c[column]
        query = (
            select(sealed.label("sealed"), versions.c.version, submissions.c.record_id, data_keys.c.wrapped)
            .join(submissions, submissions.c.id == versions.c.submission_id)
            .join(data_keys, data_keys.c.record_id == submissions.c.record_id)
            .where(versions.c.submission_id == submission_id, versions.c.version <= version, sealed.isnot(None))
            .order_by(versions.c.version.desc())
            .limit(1)
        )
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        key = self._master.unwrap(row.wrapped, row.record_id)
        return key.open(row.sealed, f"{row.record_id}:{row.version}:{column}")

    def data_key(self, record_id: str) -> DataKey | None:
        with self.database.reading() as connection:
            wrapped = connection.execute(select(data_keys.c.wrapped).where(data_keys.c.record_id == record_id)).scalar()
        return self._master.unwrap(wrapped, record_id) if wrapped is not None else None

    def case(self, root_id: str) -> Case | None:
        """The submission that *root_id* (or its record id) names."""
        with self.database.reading() as connection:
            row = connection.execute(
                select(submissions).where(or_(submissions.c.root_id == root_id, submissions.c.record_id == root_id))
            ).first()
        if row is None:
            return None
        return as_case(row)

    # Reviews, vanishing, withdrawal

    def review(self, submission_id: int, seen: Review, *, own_account: str | None) -> None:
        """Notes what a person said on the form server; a new approval lets the version that stands now go."""

        def job(connection: Connection) -> None:
            row = connection.execute(select(submissions).where(submissions.c.id == submission_id)).one()
            values = _review_values(row, seen, own_account)
            if values:
                connection.execute(update(submissions).where(submissions.c.id == submission_id).values(values))
                _wake(connection, submission_id, milliseconds(self.now()))

        self.database.write(job)

    def to_report(self, own_accounts: Mapping[str, str | None]) -> list[tuple[Case, bool]]:
        """(submission, whether to put it on hold) where the form server does not say yet that something needs a person,
        or still says it. Only where nobody has spoken, or we were the last to."""
        stuck = or_(
            submissions.c.parked.isnot(None),
            exists().where(deliveries.c.submission_id == submissions.c.id, deliveries.c.state == "parked"),
        )
        found: list[tuple[Case, bool]] = []
        with self.database.reading() as connection:
            for server, own in own_accounts.items():
                here = and_(submissions.c.server == server, submissions.c.presence == "listed")
                empty = and_(here, submissions.c.review_state.is_(None), stuck)
                ours = and_(here, submissions.c.review_state == "on_hold", submissions.c.review_by == own, ~stuck)
                found += [
                    (as_case(row), True) for row in connection.execute(select(submissions).where(empty).limit(_BATCH))
                ]
                found += [
                    (as_case(row), False) for row in connection.execute(select(submissions).where(ours).limit(_BATCH))
                ]
        return found

    def reported(self, submission_id: int, review: Review) -> None:
        """Notes what the form server says of a submission after we looked or wrote; it releases nothing."""
        at = milliseconds(review.at) if review.at else None
        values = {"review_state": review.state, "review_by": review.by, "review_at": at}
        self.database.write(
            lambda c: c.execute(update(submissions).where(submissions.c.id == submission_id).values(values)) and None
        )

    def set_presence(self, ids: Sequence[int], presence: str) -> None:
        """Marks submissions as `gone`, `vanished`, `kept` or `listed`: their queue is held or goes on, nothing is sent by this."""

        def job(connection: Connection) -> None:
            for some in chunks(ids):
                where = (submissions.c.id.in_(some), submissions.c.presence != presence)
                changed = connection.execute(select(submissions.c.record_id).where(*where)).scalars().all()
                audit.append_all(connection, self.now(), [Entry(presence, record_id=record) for record in changed])
                connection.execute(
                    update(submissions).where(*where).values(presence=presence, touched=submissions.c.touched + 1)
                )

        self.database.write(job)

    def withdraw(
        self, case_: Case, recipient: str | None, reason: str, actor: str, reached: Callable[[str], bool]
    ) -> list[str]:
        """Takes consent back: what is queued stops, and whoever may hold the record is told. Returns those targets.

        Args:
            recipient: a class of recipients or a target; None for everyone.
            reached: whether a target's name falls under *recipient*.
        """

        def job(connection: Connection) -> list[str]:
            return _Withdrawal(self, connection, case_, reason, actor).run(recipient, reached)

        return self.database.write(job)

    # Deliveries

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
        if not delivery.spoken_of:
            return Approval(delivery.approved, frozenset(), frozenset())
        with self.database.reading() as connection:
            return _approval(connection, delivery.submission_id, delivery.version, delivery.target)

    def has_open(self, submission_id: int) -> bool:
        """Whether anything of this submission is still to be sent."""
        with self.database.reading() as connection:
            where = (deliveries.c.submission_id == submission_id, deliveries.c.state.in_(OPEN))
            return bool(connection.execute(select(exists().where(*where))).scalar_one())

    def maybe_holds(self, submission_id: int, target: str) -> bool:
        """Whether *target* may hold the record: something was sent and no withdrawal was acknowledged since."""
        with self.database.reading() as connection:
            return maybe_holds(connection, submission_id, target)

    def begin(self, delivery: Due, content: str) -> bool:
        """Pins what the key stands for and counts the attempt, durably, before anything is sent.

        False when the delivery is no longer due, when what the gate decided on was touched since, or when what may go
        has changed since the last attempt: then a new delivery with a new key was made and this one is superseded.
        """
        return self.database.write_many(self._begin_many, (delivery, content))

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

    # Sweeps and the account

    def swept(
        self, server: str, form_id: str, listed: int | None, vanished: int, stopped: str | None, rights: str | None
    ) -> None:
        """Notes how the comparison with the server's whole list ended."""

        def job(connection: Connection) -> None:
            at = milliseconds(self.now())
            values = {"vanished": vanished, "stopped": stopped, "finished_at": at}
            if listed is not None:
                values["listed"] = listed
            if rights is not None:
                values["rights"] = rights
            where = (sweeps.c.server == server, sweeps.c.form_id == form_id)
            if not connection.execute(update(sweeps).where(*where).values(values)).rowcount:
                connection.execute(insert(sweeps).values(server=server, form_id=form_id, **values))

        self.database.write(job)

    def last_rights(self, server: str, form_id: str) -> str | None:
        with self.database.reading() as connection:
            where = (sweeps.c.server == server, sweeps.c.form_id == form_id)
            return connection.execute(select(sweeps.c.rights).where(*where)).scalar()

    def account(self, server: str, form_id: str) -> Account:
        """Where the submissions that the server listed last are. A stopped sweep counts what it holds back as parked."""
        with self.database.reading() as connection:
            sweep = connection.execute(
                select(sweeps).where(sweeps.c.server == server, sweeps.c.form_id == form_id)
            ).first()
            counted = dict(connection.execute(_account_query(server, form_id)).all())
        listed = sweep.listed or 0 if sweep else 0
        stopped = sweep.stopped if sweep else None
        return Account(
            server, form_id, listed, counted.get("delivered", 0), counted.get("withheld", 0),
            counted.get("waiting", 0), counted.get("parked", 0), stopped,
        )  # fmt: skip

    # The queue, as people see and mend it

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
        """Makes a parked, withheld, waiting, discarded or delivered delivery due again with its own key; False if unknown.

        A submission that could not be read is read again from its server.
        """

        def job(connection: Connection) -> bool:
            at = milliseconds(self.now())
            if row_id.startswith("sb_"):
                audit.append(connection, self.now(), Entry("replayed", actor, detail={"submission": row_id}))
                return self._reread(connection, int(row_id.removeprefix("sb_")))
            row = connection.execute(
                select(deliveries, submissions.c.record_id)
                .join(submissions, submissions.c.id == deliveries.c.submission_id)
                .where(deliveries.c.id == row_id, deliveries.c.state != "superseded")
            ).first()
            if row is None:
                return False
            connection.execute(
                update(deliveries)
                .where(deliveries.c.id == row_id)
                .values(state="due", next_at=at, tried_at=None, error=None)
            )
            audit.append(connection, self.now(), Entry("replayed", actor, row.record_id, row.target))
            return True

        return self.database.write(job)

    def _reread(self, connection: Connection, submission_id: int) -> bool:
        row = connection.execute(select(submissions).where(submissions.c.id == submission_id)).first()
        if row is None:
            return False
        same = (receipts.c.server == row.server, receipts.c.form_id == row.form_id, receipts.c.root_id == row.root_id)
        if connection.execute(select(receipts.c.id).where(*same, receipts.c.state == "new")).first() is None:
            self._add_receipt(connection, row.server, Bell(row.form_id, row.root_id, row.instance_id, row.ord))
        return True

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
            _wake(connection, row.submission_id, milliseconds(self.now()))
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

    def reconsider(self) -> None:
        """Looks at everything withheld or waiting once more: policy, agreements or the clock may have changed."""
        at = milliseconds(self.now())
        self.database.write(
            lambda c: (
                c.execute(
                    update(deliveries)
                    .where(deliveries.c.state.in_(("withheld", "waiting")))
                    .values(state="due", next_at=at)
                )
                and None
            )
        )

    def gauges(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(target, state) -> (how many, when the oldest was made), for the metrics."""
        query = select(deliveries.c.target, deliveries.c.state, func.count(), func.min(deliveries.c.made_at))
        with self.database.reading() as connection:
            rows = connection.execute(query.group_by(deliveries.c.target, deliveries.c.state)).all()
        return {(target, state): (count, oldest) for target, state, count, oldest in rows}

    def totals(self) -> Totals:
        """How much came in, was tried and was last swept when, for the metrics."""
        with self.database.reading() as connection:
            by_state = connection.execute(select(receipts.c.state, func.count()).group_by(receipts.c.state)).all()
            tried = connection.execute(select(func.count()).select_from(attempts)).scalar_one()
            unread = connection.execute(
                select(func.count()).select_from(submissions).where(submissions.c.parked.isnot(None))
            ).scalar_one()
            swept = connection.execute(
                select(sweeps.c.server, sweeps.c.form_id, sweeps.c.finished_at, sweeps.c.stopped)
            ).all()
        ages = {(server, form): (at, stopped is not None) for server, form, at, stopped in swept}
        return Totals(dict(by_state), tried, unread, ages)

    @property
    def master(self) -> MasterKey:
        return self._master


class _Intake:
    """Keeps one batch of submissions that were read."""

    def __init__(self, ledger: Ledger, connection: Connection, routes: Routes) -> None:
        self._connection = connection
        self._routes = routes
        self._master = ledger.master
        self._fact_book = ledger.fact_book
        self._now = ledger.now()
        self._at = milliseconds(self._now)

    def store(self, batch: Sequence[Prepared]) -> int:
        existing = self._existing(batch)
        fresh = [one for one in _last_of_each(batch) if _place(one.submission) not in existing]
        changed = len(fresh)
        self._insert(fresh)
        for one in _last_of_each(batch):
            row = existing.get(_place(one.submission))
            if row is not None:
                changed += self._update(row, one)
        return changed

    def _existing(self, batch: Sequence[Prepared]) -> dict[tuple[str, str, str], Row[Any]]:
        ids = [one.submission.record_id for one in batch]
        found = {}
        for some in chunks(ids):
            for row in self._connection.execute(select(submissions).where(submissions.c.record_id.in_(some))):
                found[(row.server, row.form_id, row.root_id)] = row
        return found

    def _insert(self, fresh: Sequence[Prepared]) -> None:
        if not fresh:
            return
        keys = {one.submission.record_id: self._master.new_data_key() for one in fresh}
        self._connection.execute(insert(submissions), [self._row(one) for one in fresh])
        ids: dict[str, int] = {}
        for some in chunks(list(keys)):
            query = select(submissions.c.record_id, submissions.c.id).where(submissions.c.record_id.in_(some))
            ids.update(self._connection.execute(query).all())
        self._connection.execute(insert(data_keys), [self._wrapped(record, key) for record, key in keys.items()])
        made = [self._version(ids[one.submission.record_id], 1, one, keys[one.submission.record_id]) for one in fresh]
        self._connection.execute(insert(versions), made)
        rows = [
            _delivery(ids[one.submission.record_id], 1, target, Action.UPSERT, self._at)
            for one in fresh
            if one.fault is None
            for target in self._routes(one.submission.form_id)
        ]
        if rows:
            self._connection.execute(insert(deliveries), rows)
        self._count(fresh)
        audit.append_all(self._connection, self._now, [self._entry(one, 1) for one in fresh])

    def _count(self, readable: Sequence[Prepared]) -> None:
        """A version that cannot be read leaves the facts of the one before it."""
        counted = [(one.submission.record_id, one.facts) for one in readable if one.fault is None]
        self._fact_book.keep(self._connection, counted)

    def _row(self, one: Prepared) -> dict[str, object]:
        submission = one.submission
        return {
            "record_id": submission.record_id, "server": submission.server, "form_id": submission.form_id,
            "root_id": submission.root_id, "state": "live", "presence": "listed", "version": 1, "first_at": self._at,
            "approved_version": 1 if one.approved else 0, "approved_by": submission.review.by if one.approved else None,
            **self._standing(one),
        }  # fmt: skip

    def _standing(self, one: Prepared) -> dict[str, object]:
        submission, review = one.submission, one.submission.review
        return {
            "ord": submission.order, "instance_id": submission.instance_id, "changed_at": self._at,
            "parked": one.fault[0] if one.fault else None, "parked_at": one.fault[1] if one.fault else None,
            "review_state": review.state, "review_by": review.by,
            "review_at": milliseconds(review.at) if review.at else None,
        }  # fmt: skip

    def _update(self, row: Row[Any], one: Prepared) -> bool:
        """A submission that is known: an edit (the next version), or the same version read again.

        The same version changes only by what had not arrived or could not be read before; it keeps its number.
        """
        self._back(row)
        same = row.instance_id == one.submission.instance_id
        if row.state == "erased" or (same and row.parked is None and self._digest(row) == one.digest):
            self._refresh(row, one)
            return False
        version = row.version if same else row.version + 1
        values = {"version": version, "touched": submissions.c.touched + 1, **self._standing(one)}
        if same and one.approved:
            values |= {"approved_version": version, "approved_by": one.submission.review.by}
        self._connection.execute(update(submissions).where(submissions.c.id == row.id).values(values))
        self._replace_version(row, version, one)
        self._count([one])
        if row.state == "live" and one.fault is None:
            for target in self._routes(one.submission.form_id):
                close_open(self._connection, row.id, target)
                make_delivery(self._connection, row.id, version, target, Action.UPSERT, self._at)
        audit.append(self._connection, self._now, self._entry(one, version))
        return True

    def _refresh(self, row: Row[Any], one: Prepared) -> None:
        """Nothing new but perhaps its place on the server (deleted and sent again): files are fetched from there.

        Of an erased one the ids alone are kept, so that it is not read again at every sweep. What was read of a version
        and emptied since (its time to be kept was over) is kept anew.
        """
        place = {"ord": one.submission.order, "instance_id": one.submission.instance_id}
        if (row.ord, row.instance_id) == tuple(place.values()) and not self._emptied(row):
            return
        self._connection.execute(update(submissions).where(submissions.c.id == row.id).values(place))
        if row.state != "erased":
            self._replace_version(row, row.version, one)

    def _emptied(self, row: Row[Any]) -> bool:
        where = (versions.c.submission_id == row.id, versions.c.version == row.version, versions.c.raw.is_(None))
        return (
            row.state != "erased"
            and self._connection.execute(select(versions.c.version).where(*where)).first() is not None
        )

    def _back(self, row: Row[Any]) -> None:
        if row.presence != "listed":
            self._connection.execute(update(submissions).where(submissions.c.id == row.id).values(presence="listed"))
            audit.append(self._connection, self._now, Entry("listed", record_id=row.record_id))

    def _digest(self, row: Row[Any]) -> str | None:
        query = select(versions.c.digest).where(versions.c.submission_id == row.id).order_by(versions.c.version.desc())
        return self._connection.execute(query.limit(1)).scalar()

    def _replace_version(self, row: Row[Any], version: int, one: Prepared) -> None:
        wrapped = self._connection.execute(
            select(data_keys.c.wrapped).where(data_keys.c.record_id == row.record_id)
        ).scalar_one()
        key = self._master.unwrap(wrapped, row.record_id)
        place = (versions.c.submission_id == row.id, versions.c.version == version)
        self._connection.execute(delete(versions).where(*place))
        self._connection.execute(insert(versions).values(self._version(row.id, version, one, key)))

    def _version(self, submission_id: int, version: int, one: Prepared, key: DataKey) -> dict[str, object]:
        record = one.submission.record_id
        return {
            "submission_id": submission_id, "version": version, "instance_id": one.submission.instance_id,
            "form_version": one.submission.form_version, "read_at": self._at, "digest": one.digest,
            "raw": key.seal(one.raw, f"{record}:{version}:raw"),
            "record": key.seal(one.record, f"{record}:{version}:record") if one.record is not None else None,
        }  # fmt: skip

    def _wrapped(self, record: str, key: DataKey) -> dict[str, object]:
        return {"record_id": record, "wrapped": self._master.wrap(key, record), "key_id": self._master.key_id}

    def _entry(self, one: Prepared, version: int) -> Entry:
        detail: dict[str, JSON] = {"version": version, "form": one.submission.form_id}
        if one.fault:
            detail |= {"reason": one.fault[0], "where": one.fault[1]}
        return Entry("parked" if one.fault else "read", record_id=one.submission.record_id, detail=detail)


class _Withdrawal:
    """Consent taken back through Silah: noted, what is queued stopped, holders told."""

    def __init__(self, ledger: Ledger, connection: Connection, case_: Case, reason: str, actor: str) -> None:
        self._connection, self._case, self._reason, self._actor = connection, case_, reason, actor
        self._now = ledger.now()
        self._at = milliseconds(self._now)

    def run(self, recipient: str | None, reached: Callable[[str], bool]) -> list[str]:
        self._note(recipient or EVERYONE)
        query = select(deliveries.c.target).where(deliveries.c.submission_id == self._case.id).distinct()
        targets = [target for target in self._connection.execute(query).scalars() if reached(target)]
        told = [target for target in targets if maybe_holds(self._connection, self._case.id, target)]
        version = self._case.version + 1 if told else self._case.version
        values: dict[str, object] = {"version": version, "changed_at": self._at, "touched": submissions.c.touched + 1}
        if recipient is None and self._case.state != "erased":
            values["state"] = "withdrawn"
        self._connection.execute(update(submissions).where(submissions.c.id == self._case.id).values(values))
        for target in targets:
            close_open(self._connection, self._case.id, target)
            if target in told:
                make_delivery(self._connection, self._case.id, version, target, Action.WITHDRAW, self._at)
        detail = {"reason": self._reason, "recipient": recipient or EVERYONE}
        audit.append(self._connection, self._now, Entry("withdrawn", self._actor, self._case.record_id, detail=detail))
        return told

    def _note(self, recipient: str) -> None:
        place = {"submission_id": self._case.id, "recipient": recipient}
        self._connection.execute(
            delete(withdrawals).where(*(withdrawals.c[key] == value for key, value in place.items()))
        )
        self._connection.execute(insert(withdrawals).values(**place, reason=self._reason, at=self._at))


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
            or_(_may_go(), deliveries.c.action == Action.WITHDRAW),
            ~exists().where(pauses.c.target == bindparam("target")),
        )
    )


def _whole_due_query() -> Select[Any]:
    """With all that the gate needs."""
    here = deliveries.c.submission_id
    released = exists().where(releases.c.submission_id == here, releases.c.target == bindparam("target"))
    taken_back = exists().where(withdrawals.c.submission_id == here)
    of_version = and_(versions.c.submission_id == here, versions.c.version == deliveries.c.version)
    query = _due_query(
        deliveries, submissions.c.record_id, submissions.c.root_id, submissions.c.server, submissions.c.form_id,
        submissions.c.touched, (submissions.c.approved_version == deliveries.c.version).label("approved"),
        or_(released, taken_back).label("spoken_of"), versions.c.record.label("sealed"), data_keys.c.wrapped,
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


def _review_values(row: Row[Any], seen: Review, own_account: str | None) -> dict[str, object]:
    """What to note of *seen*: its state, and the approval of the version that stands now when it is a new one."""
    seen_at = milliseconds(seen.at) if seen.at else None
    if (row.review_state, row.review_by, row.review_at) == (seen.state, seen.by, seen_at):
        return {}
    values: dict[str, object] = {"review_state": seen.state, "review_by": seen.by, "review_at": seen_at}
    if seen.state == "approved" and seen.by != own_account:
        values |= {"approved_version": row.version, "approved_by": seen.by}
    elif seen.state != "approved":
        values |= {"approved_version": 0, "approved_by": None}
    return values


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


def maybe_holds(connection: Connection, submission_id: int, target: str) -> bool:
    return bool(
        connection.execute(
            select(
                exists().where(
                    deliveries.c.submission_id == submission_id,
                    deliveries.c.target == target,
                    deliveries.c.action == Action.UPSERT,
                    deliveries.c.maybe_held,
                )
            )
        ).scalar_one()
    )


def _remake(connection: Connection, delivery: Due, at: int) -> None:
    connection.execute(
        update(deliveries).where(deliveries.c.id == delivery.id).values(state="superseded", error="content.changed")
    )
    make_delivery(connection, delivery.submission_id, delivery.version, delivery.target, delivery.action, at)


def close_open(connection: Connection, submission_id: int, target: str) -> None:
    """A newer delivery takes the place of whatever is open for this submission and target."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.submission_id == submission_id, deliveries.c.target == target, deliveries.c.state.in_(OPEN))
        .values(state="superseded")
    )


def make_delivery(
    connection: Connection, submission_id: int, version: int, target: str, action: Action, at: int
) -> None:
    revision = connection.execute(
        select(func.count())
        .select_from(deliveries)
        .where(
            deliveries.c.submission_id == submission_id, deliveries.c.target == target,
            deliveries.c.version == version, deliveries.c.action == action,
        )
    ).scalar_one()  # fmt: skip
    connection.execute(insert(deliveries).values(_delivery(submission_id, version, target, action, at, revision)))


def _delivery(
    submission_id: int, version: int, target: str, action: Action, at: int, revision: int = 0
) -> dict[str, object]:
    return {
        "id": f"dl_{secrets.token_hex(12)}", "submission_id": submission_id, "version": version, "target": target,
        "action": str(action), "revision": revision, "state": "due", "attempts": 0, "next_at": at, "made_at": at,
        "maybe_held": False,
    }  # fmt: skip


def _wake(connection: Connection, submission_id: int, at: int) -> None:
    """Lets the gate look again at what waits or is withheld, and at what is on its way to a decision."""
    connection.execute(
        update(submissions).where(submissions.c.id == submission_id).values(touched=submissions.c.touched + 1)
    )
    connection.execute(
        update(deliveries)
        .where(deliveries.c.submission_id == submission_id, deliveries.c.state.in_(("waiting", "withheld")))
        .values(state="due", next_at=at)
    )


def _may_go() -> ColumnElement[bool]:
    """A submission whose deliveries are not held."""
    held = submissions.c.presence.in_(HELD)
    return and_(submissions.c.state == "live", submissions.c.parked.is_(None), ~held)


# Built once: making a statement takes longer than running it.
_DUE = _oldest_first(_whole_due_query())
_DUE_IDS = _oldest_first(_due_query(deliveries.c.id, deliveries.c.submission_id))
_DUE_ONE = _whole_due_query().where(deliveries.c.id == bindparam("one"))
_STILL_GOING = (
    select(
        deliveries.c.id, submissions.c.touched, or_(_may_go(), deliveries.c.action == Action.WITHDRAW).label("may_go")
    )
    .join(submissions, submissions.c.id == deliveries.c.submission_id)
    .where(deliveries.c.id.in_(bindparam("ids", expanding=True)), deliveries.c.state == "due")
)


def _account_query(server: str, form_id: str) -> Select[str, int]:
    """(kind, how many) of the submissions that the server lists or that a stopped sweep missed."""
    state = deliveries.c.state
    parked = or_(submissions.c.parked.isnot(None), submissions.c.presence == "vanished")
    each = (
        select(
            submissions.c.id,
            case(
                (or_(parked, func.sum(case((state == "parked", 1), else_=0)) > 0), "parked"),
                (func.sum(case((state.in_(("due", "waiting")), 1), else_=0)) > 0, "waiting"),
                (func.sum(case((state == "delivered", 1), else_=0)) > 0, "delivered"),
                else_="withheld",
            ).label("kind"),
        )
        .outerjoin(deliveries, deliveries.c.submission_id == submissions.c.id)
        .where(*_case(server, form_id), submissions.c.presence.in_(("listed", "vanished")))
        .group_by(submissions.c.id, submissions.c.parked, submissions.c.presence)
        .subquery()
    )
    return select(each.c.kind, func.count()).group_by(each.c.kind)


def _case(server: str, form_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return submissions.c.server == server, submissions.c.form_id == form_id


def _of(delivery: Due) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return deliveries.c.submission_id == delivery.submission_id, deliveries.c.target == delivery.target


def _place(submission: Submission) -> tuple[str, str, str]:
    return submission.server, submission.form_id, submission.root_id


def _last_of_each(batch: Sequence[Prepared]) -> list[Prepared]:
    """A batch may hold one submission twice (two bells): the last reading counts."""
    return list({_place(one.submission): one for one in batch}.values())


def _bell(row: Row[Any]) -> Bell:
    return Bell(row.form_id, row.root_id, row.instance_id, row.ord)


def as_case(row: Row[Any]) -> Case:
    return Case(
        row.id,
        row.record_id,
        row.server,
        row.form_id,
        row.root_id,
        row.ord,
        row.version,
        row.state,
        row.presence,
        row.parked,
        row.instance_id,
    )


def _known(row: Row[Any]) -> Known:
    seen = Review(row.review_state, row.review_by, moment(row.review_at) if row.review_at is not None else None)
    return Known(row.id, row.root_id, row.instance_id, row.ord, row.presence, row.parked is not None, seen)


def _due(row: Row[Any]) -> Due:
    return Due(
        row.id, row.submission_id, row.record_id, row.root_id, row.server, row.form_id, row.version, row.target,
        Action(row.action), row.revision, row.attempts, row.content, moment(row.made_at),
        moment(row.tried_at) if row.tried_at is not None else None, row.external_id,
        row.touched, bool(row.approved), bool(row.spoken_of), row.sealed, row.wrapped,
    )  # fmt: skip


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


def chunks(items: Sequence[int] | Sequence[str]) -> Iterable[Sequence[int] | Sequence[str]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
