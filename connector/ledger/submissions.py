"""Submissions and their versions as they stand: found, opened, reviewed, gone, consent taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, func, insert, or_, select, update

from connector.keys import DataKey
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import milliseconds, moment
from connector.ledger.deliveries import close_open, make_delivery, maybe_holds, wake
from connector.ledger.part import BATCH, Part, chunks
from connector.ledger.schema import data_keys, deliveries, submissions, versions, withdrawals
from connector.ledger.values import Case, Known
from connector.model import Action, Review

EVERYONE = "*"


class Submissions(Part):
    """What is known of a submission, and what a person said of it."""

    def known(self, server: str, form_id: str, after: int, until: int | None) -> list[Known]:
        """What is known with an order in (*after*, *until*]; erased ones included, ascending."""
        where = [submissions.c.server == server, submissions.c.form_id == form_id, submissions.c.ord > after]
        if until is not None:
            where.append(submissions.c.ord <= until)
        with self.database.reading() as connection:
            rows = connection.execute(select(submissions).where(*where).order_by(submissions.c.ord)).all()
        return [_known(row) for row in rows]

    def window(self, server: str, form_id: str, newest: int) -> int:
        """The order after which the *newest* so many known submissions stand; -1 when fewer are known."""
        query = select(submissions.c.ord).where(*of_form(server, form_id)).order_by(submissions.c.ord.desc())
        with self.database.reading() as connection:
            found = connection.execute(query.offset(newest).limit(1)).scalar()
        return -1 if found is None else found

    def listed_until(self, server: str, form_id: str, order: int) -> int:
        """How many stood on the server's list up to *order* when it was last compared."""
        there = (*of_form(server, form_id), submissions.c.ord <= order, submissions.c.presence == "listed")
        with self.database.reading() as connection:
            return connection.execute(select(func.count()).select_from(submissions).where(*there)).scalar_one()

    def known_by_root(self, server: str, form_id: str, roots: Sequence[str]) -> dict[str, Known]:
        found: dict[str, Known] = {}
        with self.database.reading() as connection:
            for some in chunks(roots):
                rows = connection.execute(
                    select(submissions).where(*of_form(server, form_id), submissions.c.root_id.in_(some))
                )
                found.update((row.root_id, _known(row)) for row in rows)
        return found

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
            by_record = select(submissions).where(submissions.c.record_id == root_id)
            row = connection.execute(by_record).first()
            if row is None:  # no index: only the command line names a root id
                row = connection.execute(select(submissions).where(submissions.c.root_id == root_id)).first()
        if row is None:
            return None
        return as_case(row)

    def review(self, submission_id: int, seen: Review, *, own_account: str | None) -> None:
        """Notes what a person said on the form server; a new approval lets the version that stands now go."""

        def job(connection: Connection) -> None:
            row = connection.execute(select(submissions).where(submissions.c.id == submission_id)).one()
            values = _review_values(row, seen, own_account)
            if values:
                connection.execute(update(submissions).where(submissions.c.id == submission_id).values(values))
                wake(connection, submission_id, milliseconds(self.now()))

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
                    (as_case(row), True) for row in connection.execute(select(submissions).where(empty).limit(BATCH))
                ]
                found += [
                    (as_case(row), False) for row in connection.execute(select(submissions).where(ours).limit(BATCH))
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


class _Withdrawal:
    """Consent taken back through Silah: noted, what is queued stopped, holders told."""

    def __init__(self, ledger: Part, connection: Connection, case_: Case, reason: str, actor: str) -> None:
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


def of_form(server: str, form_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return submissions.c.server == server, submissions.c.form_id == form_id


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
