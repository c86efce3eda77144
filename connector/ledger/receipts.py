"""Receipts: the ids of a bell, kept before it is answered, until it was followed by a read-back."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update

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
        return self.database.write_many(self._keep_many, (server, bell), within=_KEEP_WITHIN)

    def _keep_many(self, connection: Connection, items: Sequence[tuple[str, Bell]]) -> list[Kept]:
        at = milliseconds(self.now())
        here = _kept_before(connection, items)
        fresh: list[dict[str, object]] = []
        kept = []
        for server, bell in items:
            found = here.get(_same(server, bell)) if bell.root_id else _of_order(connection, server, bell)
            if found is None:
                row = _receipt(server, bell, at)
                found = here[_same(server, bell)] = _Found(str(row["id"]), "new")
                if bell.root_id:
                    fresh.append(row)
                else:  # the next of its kind is looked for in the table
                    connection.execute(_ADD, [row])
                kept.append(Kept(found.id, new=True))
                continue
            if found.state == "void" or not bell.instance_id:
                connection.execute(_RING_AGAIN, {"of": found.id, "now": at})
            kept.append(Kept(found.id, new=False))
        if fresh:
            connection.execute(_ADD, fresh)
        return kept

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


_Same = tuple[str, str, str, str]


class _Found(NamedTuple):
    """A receipt that stands for the same version."""

    id: str
    state: str


def _same(server: str, bell: Bell) -> _Same:
    """What two bells of one version of one submission share."""
    return server, bell.form_id, bell.root_id, bell.instance_id


def _kept_before(connection: Connection, items: Sequence[tuple[str, Bell]]) -> dict[_Same, _Found]:
    """The receipts that stand for the same versions as those of *items* that name a submission."""
    asked: dict[tuple[str, str], set[str]] = {}
    for server, bell in items:
        if bell.root_id:
            asked.setdefault((server, bell.form_id), set()).add(bell.root_id)
    found: dict[_Same, _Found] = {}
    for (server, form), roots in asked.items():
        for row in connection.execute(_OF_ROOTS, {"server": server, "form": form, "roots": [*roots]}):
            found.setdefault(_same(server, _bell(row)), _Found(row.id, row.state))
    return found


def _of_order(connection: Connection, server: str, bell: Bell) -> _Found | None:
    """The receipt of a bell that names the submission by the server's number alone."""
    values = {"server": server, "form": bell.form_id, "order": bell.order, "version": bell.instance_id}
    row = connection.execute(_OF_ORDER, values).first()
    return _Found(row.id, row.state) if row is not None else None


def add_receipt(connection: Connection, server: str, bell: Bell, at: int) -> None:
    connection.execute(_ADD, [_receipt(server, bell, at)])


def _receipt(server: str, bell: Bell, at: int) -> dict[str, object]:
    return {
        "id": secrets.token_hex(16), "server": server, "form_id": bell.form_id, "root_id": bell.root_id,
        "instance_id": bell.instance_id, "ord": bell.order, "state": "new", "attempts": 0, "next_at": at, "kept_at": at,
    }  # fmt: skip


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


# Built once: making a statement takes longer than running it.
_OF_FORM = (receipts.c.server == bindparam("server"), receipts.c.form_id == bindparam("form"))
_OF_ROOTS = select(receipts).where(*_OF_FORM, receipts.c.root_id.in_(bindparam("roots", expanding=True)))
_OF_ORDER = select(receipts).where(
    *_OF_FORM, receipts.c.ord == bindparam("order"), receipts.c.instance_id == bindparam("version")
)
_ADD = insert(receipts)
# A bell without a version may stand for an edit, a voided one for a submission that has come since: it is read.
_RING_AGAIN = (
    update(receipts).where(receipts.c.id == bindparam("of")).values(state="new", next_at=bindparam("now"), attempts=0)
)
