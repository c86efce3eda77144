"""The door for what was read: new and changed versions, sealed, with their deliveries and the audit, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from connector.keys import DataKey
from connector.ledger import audit, derived, senders
from connector.ledger.audit import Entry
from connector.ledger.database import milliseconds
from connector.ledger.deliveries import close_open, make_delivery, new_delivery
from connector.ledger.part import Part, chunks
from connector.ledger.schema import data_keys, deliveries, late_files, receipts, submissions, versions
from connector.ledger.values import Prepared, Routes
from connector.model import JSON, Action, Submission


class Intake(Part):
    """Keeps what was read back."""

    def store(self, batch: Sequence[Prepared], routes: Routes, receipts_done: Iterable[str] = ()) -> int:
        """Keeps what was read, in one transaction: new and changed versions with their deliveries; how many changed."""
        return self.store_soon(batch, routes, receipts_done).result()

    def store_soon(self, batch: Sequence[Prepared], routes: Routes, receipts_done: Iterable[str] = ()) -> Future[int]:
        """Like `store`, without waiting: done once it is durable."""
        done = list(receipts_done)

        def job(connection: Connection) -> int:
            changed = _Batch(self, connection, routes).store(batch)
            senders.keep(connection, self._sent(batch))
            for some in chunks(done):
                connection.execute(update(receipts).where(receipts.c.id.in_(some)).values(state="read", error=None))
            return changed

        return self.database.write_later(job)

    def _sent(self, batch: Sequence[Prepared]) -> dict[str, str]:
        """Record id -> the mark of the account that sent it, where the server tells one."""
        sent = [one.submission for one in batch if one.submission.sender]
        return {one.record_id: senders.mark(self.sender_key, one.server, one.sender or "") for one in sent}


class _Batch:
    """Keeps one batch of submissions that were read."""

    def __init__(self, ledger: Part, connection: Connection, routes: Routes) -> None:
        self._connection = connection
        self._routes = routes
        self._master = ledger.master
        self._fact_book = ledger.fact_book
        self._collectors = ledger.collectors
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
            new_delivery(ids[one.submission.record_id], 1, target, Action.UPSERT, self._at)
            for one in fresh
            if one.fault is None
            for target in self._routes(one.submission.form_id)
        ]
        if rows:
            self._connection.execute(insert(deliveries), rows)
        self._count(fresh)
        derived.keep(self._connection, {ids[one.submission.record_id]: one.consent_until for one in fresh})
        self._collectors.arrived(
            self._connection, ((self._now, one.submission.form_id, one.collector) for one in fresh)
        )
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
        self._connection.execute(delete(late_files).where(late_files.c.submission_id == row.id))
        values = {"version": version, "touched": submissions.c.touched + 1, **self._standing(one)}
        if same and one.approved:
            values |= {"approved_version": version, "approved_by": one.submission.review.by}
        self._connection.execute(update(submissions).where(submissions.c.id == row.id).values(values))
        self._replace_version(row, version, one)
        self._count([one])
        if one.fault is None:
            derived.keep(self._connection, {row.id: one.consent_until})
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


def _place(submission: Submission) -> tuple[str, str, str]:
    return submission.server, submission.form_id, submission.root_id


def _last_of_each(batch: Sequence[Prepared]) -> list[Prepared]:
    """A batch may hold one submission twice (two bells): the last reading counts."""
    return list({_place(one.submission): one for one in batch}.values())
