"""What the ledger forgets, and what it can say about that: erasure, keeping times, and who may still hold what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, exists, func, or_, select, update
from sqlalchemy import Table as SqlTable

from connector.ledger import audit, derived
from connector.ledger.audit import Entry
from connector.ledger.candidates import forget_pairs
from connector.ledger.database import milliseconds, moment
from connector.ledger.deliveries import OPEN, close_open, make_delivery, maybe_holds
from connector.ledger.drawers import forget_people
from connector.ledger.flow import Case, Ledger
from connector.ledger.part import chunks
from connector.ledger.schema import attempts, data_keys, deliveries, meta, receipts, submissions, versions, withdrawals
from connector.ledger.schema import audit as audit_rows
from connector.ledger.submissions import EVERYONE, as_case
from connector.model import JSON, Action

_UNSETTLED = ("due", "waiting", "parked")
_ENDED = ("delivered", "superseded", "discarded", "withheld")
_BACKED_UP = "backed_up_at"
_Work = Callable[[Sequence[Any], Connection], None]


@dataclass(frozen=True, slots=True)
class Holding:
    """What a target was sent of one submission, and where the word to remove it stands.

    *told* is the state of the newest withdrawal (`due`, `delivered`, `parked`, …), None when none was made because
    the target surely has nothing; *error* is its code.
    """

    target: str
    told: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Deed:
    """One delivery that a target confirmed, as the audit has it."""

    at: datetime
    purpose: str
    classes: tuple[str, ...]
    recipient: str | None
    who: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """What one target received of a submission; no *deeds* when something was sent and never confirmed.

    *removing*: the word to remove it is on its way; *removed_at*: when the target confirmed that word.
    """

    target: str
    deeds: tuple[Deed, ...]
    removing: bool
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Told:
    """Everything about one submission that somebody was or was not told. *refused*: (target, the code of why);
    *events*: `taken_back` and `erased`, with when."""

    sent: tuple[Sent, ...]
    refused: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, datetime], ...]


class Care:
    """Forgetting. Every method is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def erase(self, case: Case, actor: str) -> None:
        """Destroys the data key, empties every version, gives up what was to be sent, tells whoever may hold the record.

        What stays is a tombstone: ids, states and the audit, without an answer. A second call changes nothing.
        """
        self._ledger.database.write(lambda connection: self._erase(connection, case, actor))
        self._ledger.database.settle()

    def _erase(self, connection: Connection, case: Case, actor: str) -> None:
        now = self._ledger.now()
        row = connection.execute(select(submissions).where(submissions.c.id == case.id)).one()
        if row.state == "erased":
            return
        connection.execute(delete(data_keys).where(data_keys.c.record_id == case.record_id))
        connection.execute(
            update(versions).where(versions.c.submission_id == case.id).values(raw=None, record=None, digest="")
        )
        forget_pairs(connection, case.id)
        forget_people(connection, case.id)
        derived.keep(connection, {case.id: None})
        told = self._tell(connection, row, milliseconds(now))
        values = {"state": "erased", "version": row.version + bool(told), "parked": None, "parked_at": None}
        connection.execute(
            update(submissions)
            .where(submissions.c.id == case.id)
            .values(**values, changed_at=milliseconds(now), touched=submissions.c.touched + 1)
        )
        audit.append(connection, now, Entry("erased", actor, case.record_id, detail={"told": list(told)}))

    def _tell(self, connection: Connection, row: Row[Any], at: int) -> Sequence[str]:
        """Drops what is open for each target, and makes a withdrawal for those that may hold something."""
        query = select(deliveries.c.target).where(deliveries.c.submission_id == row.id).distinct()
        told = [target for target in connection.execute(query).scalars() if maybe_holds(connection, row.id, target)]
        connection.execute(
            update(deliveries)
            .where(deliveries.c.submission_id == row.id, deliveries.c.state.in_(OPEN))
            .values(state="discarded", error="record.erased")
        )
        connection.execute(update(deliveries).where(deliveries.c.submission_id == row.id).values(dropped=None))
        for target in told:
            close_open(connection, row.id, target)
            make_delivery(connection, row.id, row.version + 1, target, Action.WITHDRAW, at)
        return told

    def holdings(self, case: Case) -> list[Holding]:
        """Every target that a submission was meant for, by name."""
        newest: dict[str, Holding] = {}
        query = select(deliveries).where(deliveries.c.submission_id == case.id)
        with self._ledger.database.reading() as connection:
            for row in connection.execute(query.order_by(deliveries.c.version, deliveries.c.made_at)):
                withdrawal = row.action == Action.WITHDRAW and row.state != "superseded"
                before = newest.get(row.target, Holding(row.target, None, None))
                newest[row.target] = Holding(row.target, row.state, row.error) if withdrawal else before
        return [newest[name] for name in sorted(newest)]

    def was_withdrawn(self, case: Case, recipient: str) -> bool:
        """Whether consent for *recipient* (`*`: everyone) was taken back in these words."""
        where = (withdrawals.c.submission_id == case.id, withdrawals.c.recipient == recipient)
        with self._ledger.database.reading() as connection:
            return bool(connection.execute(select(exists().where(*where))).scalar_one())

    def told_of(self, case: Case) -> Told:
        """Who was told what of a submission, out of the audit; the deliveries add what was sent and not confirmed."""
        of_case = select(audit_rows).where(audit_rows.c.record_id == case.record_id).order_by(audit_rows.c.seq)
        deliveries_of = select(deliveries).where(
            deliveries.c.submission_id == case.id, deliveries.c.state != "superseded"
        )
        with self._ledger.database.reading() as connection:
            rows = connection.execute(of_case).all()
            open_or_done = connection.execute(deliveries_of.order_by(deliveries.c.version, deliveries.c.made_at)).all()
            targets = [row.target for row in rows if row.event in tuple(Action)]
            targets += [row.target for row in open_or_done if maybe_holds(connection, case.id, row.target)]
        newest = {row.target: row for row in open_or_done}
        sent = tuple(_sent(target, rows, newest.get(target)) for target in dict.fromkeys(targets))
        refused = tuple((target, row.error or "") for target, row in newest.items() if target not in targets)
        return Told(sent, refused, tuple(_events(rows)))

    # Keeping times

    def empty_answers(self, before: datetime, *, dry_run: bool) -> int:
        """Empties the answers as they were read, and the records of older versions, of submissions that were settled
        *before*; how many submissions. The newest record stays: for resending, review and matching."""
        query = _long_settled(milliseconds(before)).where(_has_more_than_its_record())
        return self._in_batches(query, _empty_all_but_the_record, dry_run=dry_run)

    def live_of(self, form_id: str) -> Iterator[tuple[Case, datetime]]:
        """Submissions of a form that can be read, and when each first came."""
        where = (submissions.c.form_id == form_id, submissions.c.state != "erased")
        with self._ledger.database.reading() as connection:
            rows = connection.execute(select(submissions).where(*where).order_by(submissions.c.id)).all()
        yield from ((as_case(row), moment(row.first_at)) for row in rows)

    def shorten(self, case: Case, record: bytes, classes: Sequence[str]) -> None:
        """Puts *record* in the place of the newest one and empties all else that was read; the audit names the classes."""

        def job(connection: Connection) -> None:
            newest = select(func.max(versions.c.version)).where(
                versions.c.submission_id == case.id, versions.c.record.isnot(None)
            )
            version = connection.execute(newest).scalar()
            wrapped = connection.execute(
                select(data_keys.c.wrapped).where(data_keys.c.record_id == case.record_id)
            ).scalar()
            if version is None or wrapped is None:
                return
            key = self._ledger.master.unwrap(wrapped, case.record_id)
            mine = versions.c.submission_id == case.id
            connection.execute(update(versions).where(mine).values(raw=None))
            connection.execute(update(versions).where(mine, versions.c.version < version).values(record=None))
            sealed = key.seal(record, f"{case.record_id}:{version}:record")
            connection.execute(update(versions).where(mine, versions.c.version == version).values(record=sealed))
            connection.execute(
                update(submissions).where(submissions.c.id == case.id).values(touched=submissions.c.touched + 1)
            )
            entry = Entry("shortened", "silah", case.record_id, detail={"classes": list(classes)})
            audit.append(connection, self._ledger.now(), entry)

        self._ledger.database.write(job)

    def withdrawn_before(self, before: datetime) -> list[Case]:
        """Submissions whose consent was taken back, and whose holders have all taken the word, *before*."""
        where = (submissions.c.state == "withdrawn", submissions.c.changed_at <= milliseconds(before), _settled())
        with self._ledger.database.reading() as connection:
            return [as_case(row) for row in connection.execute(select(submissions).where(*where))]

    def forget_attempts(self, before: datetime, *, dry_run: bool) -> int:
        """Removes attempts *before* of deliveries that have ended; how many."""
        ended = select(deliveries.c.id).where(deliveries.c.state.in_(_ENDED))
        where = and_(attempts.c.at <= milliseconds(before), attempts.c.delivery_id.in_(ended))
        return self._remove(attempts, where, dry_run=dry_run)

    def forget_receipts(self, before: datetime, *, dry_run: bool) -> int:
        """Removes the receipts of bells that were followed and kept *before*; how many."""
        where = and_(receipts.c.state.in_(("read", "void")), receipts.c.kept_at <= milliseconds(before))
        return self._remove(receipts, where, dry_run=dry_run)

    def in_use(self) -> list[str]:
        """Record ids of submissions of which something is still to be sent: their files in the spool stay."""
        query = select(submissions.c.record_id).where(~_settled(), submissions.c.state != "erased")
        with self._ledger.database.reading() as connection:
            return list(connection.execute(query).scalars())

    def done_with(self, server: str, form_id: str, before: datetime) -> list[Case]:
        """Submissions that the form server need not keep: listed, live, delivered to all that may have them, last touched
        *before*, and in a backup since. A backup from the future was made by a wrong clock: nobody knows what is in it."""
        backed_up = self.backed_up_at()
        if backed_up is None or backed_up > self._ledger.now():
            return []
        delivered = exists().where(deliveries.c.submission_id == submissions.c.id, deliveries.c.state == "delivered")
        query = _long_settled(milliseconds(before)).where(
            submissions.c.server == server, submissions.c.form_id == form_id, submissions.c.presence == "listed",
            submissions.c.state == "live", submissions.c.changed_at < milliseconds(backed_up), delivered,
        )  # fmt: skip
        with self._ledger.database.reading() as connection:
            ids = select(submissions).where(submissions.c.id.in_(query))
            return [as_case(row) for row in connection.execute(ids.order_by(submissions.c.ord))]

    def backed_up_at(self) -> datetime | None:
        """When the newest verified backup was begun."""
        with self._ledger.database.reading() as connection:
            value = connection.execute(select(meta.c.value).where(meta.c.key == _BACKED_UP)).scalar()
        return moment(int(value)) if value else None

    def backed_up(self, at: datetime) -> None:
        """Notes that a backup begun *at* was verified."""

        def job(connection: Connection) -> None:
            connection.execute(delete(meta).where(meta.c.key == _BACKED_UP))
            connection.execute(meta.insert().values(key=_BACKED_UP, value=str(milliseconds(at))))

        self._ledger.database.write(job)

    def note(
        self,
        event: str,
        actor: str,
        detail: Mapping[str, JSON],
        record_id: str | None = None,
        target: str | None = None,
    ) -> None:
        """One row of the audit."""
        entry = Entry(event, actor, record_id, target, detail)
        self._ledger.database.write(lambda connection: audit.append(connection, self._ledger.now(), entry))

    def _remove(self, table: SqlTable, where: ColumnElement[bool], *, dry_run: bool) -> int:
        [key] = table.primary_key.columns

        def remove(ids: Sequence[Any], connection: Connection) -> None:
            connection.execute(delete(table).where(key.in_(ids)))

        return self._in_batches(select(key).where(where), remove, dry_run=dry_run)

    def _in_batches(self, query: Select[Any], work: _Work, *, dry_run: bool) -> int:
        """Short transactions, so that nothing waits for a long one; how many rows *query* found."""
        with self._ledger.database.reading() as connection:
            found = list(connection.execute(query).scalars())
        for some in [] if dry_run else chunks(found):
            self._ledger.database.write(partial(work, some))
        return len(found)


def _sent(target: str, rows: Sequence[Row[Any]], newest: Row[Any] | None) -> Sent:
    """*rows* are the audit's, *newest* is the target's last delivery."""
    mine = [row for row in rows if row.target == target and row.event in tuple(Action)]
    deeds = tuple(_deed(row) for row in mine if row.event == Action.UPSERT)
    removed = moment(mine[-1].at) if mine and mine[-1].event == Action.WITHDRAW else None
    removing = newest is not None and newest.action == Action.WITHDRAW and newest.state in OPEN
    return Sent(target, deeds, removing, None if removing else removed)


def _deed(row: Row[Any]) -> Deed:
    told = json.loads(row.detail)
    return Deed(moment(row.at), told["purpose"], tuple(told["classes"]), told.get("recipient"), told.get("who"))


def _events(rows: Sequence[Row[Any]]) -> Iterator[tuple[str, datetime]]:
    for row in rows:
        if row.event == "erased":
            yield "erased", moment(row.at)
        elif row.event == "withdrawn" and json.loads(row.detail).get("recipient") == EVERYONE:
            yield "taken_back", moment(row.at)


def _settled() -> ColumnElement[bool]:
    """Nothing of the submission is still to be sent or decided on."""
    here = deliveries.c.submission_id == submissions.c.id
    return and_(submissions.c.parked.is_(None), ~exists().where(here, deliveries.c.state.in_(_UNSETTLED)))


def _long_settled(before: int) -> Select[Any]:
    """Ids of submissions whose last delivery ended *before*; without any, that were last changed before."""
    ended = func.max(func.coalesce(deliveries.c.done_at, deliveries.c.made_at))
    last = select(ended).where(deliveries.c.submission_id == submissions.c.id).scalar_subquery()
    return select(submissions.c.id).where(_settled(), func.coalesce(last, submissions.c.changed_at) <= before)


def _has_more_than_its_record() -> ColumnElement[bool]:
    here = versions.c.submission_id == submissions.c.id
    return exists().where(here, or_(versions.c.raw.isnot(None), and_(versions.c.record.isnot(None), _outdated())))


def _outdated() -> ColumnElement[bool]:
    """A version with a newer one that has a record."""
    newer = versions.alias("newer")
    return exists().where(
        newer.c.submission_id == versions.c.submission_id,
        newer.c.version > versions.c.version,
        newer.c.record.isnot(None),
    )


def _empty_all_but_the_record(ids: Sequence[int], connection: Connection) -> None:
    mine = versions.c.submission_id.in_(ids)
    connection.execute(update(versions).where(mine, versions.c.raw.isnot(None)).values(raw=None))
    outdated = select(versions.c.submission_id, versions.c.version).where(
        mine, versions.c.record.isnot(None), _outdated()
    )
    for submission, version in connection.execute(outdated).all():
        place = (versions.c.submission_id == submission, versions.c.version == version)
        connection.execute(update(versions).where(*place).values(record=None))
