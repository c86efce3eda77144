"""How cases go on at the targets, and what devices were told of it. States and ids, never an answer.

A hint of a target (its webhook) or a poll only says which of its records changed: that is kept durably as a question,
and the target is asked. What it says is one of four states; the highest over all targets is what a device may show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    delete,
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
from connector.ledger.flow import Ledger
from connector.ledger.part import chunks
from connector.ledger.schema import audit as audit_rows
from connector.ledger.schema import case_lines, case_progress, deliveries, meta, submissions
from connector.model import Action, CaseState, Progress

GONE = "gone"
_MOST = 500
_SHOWN_WHEN_CLOSED = timedelta(days=90)
_RANKS = {state: rank for rank, state in enumerate(CaseState, 1)}


@dataclass(frozen=True, slots=True)
class Question:
    """What a target has to be asked about one record. *asked_at* tells this question from a later one."""

    submission_id: int
    record_id: str
    kind: str
    target: str
    external_id: str
    mark: str | None
    attempts: int
    asked_at: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A case as devices have to have it. *stands*: one of `CaseState`, or `gone`; *shown*: they have a line of it now."""

    submission_id: int
    record_id: str
    kind: str
    version: int
    stands: str
    shown: bool


class CaseBook:
    """The states of cases in one ledger. Every method is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._database = ledger, ledger.database

    # Questions

    def ask(self, target: str, external_ids: Iterable[str], marks: Sequence[str | None] = ()) -> int:
        """Keeps that these records changed at *target*, durably; how many questions that made.

        Records that are not ours, that wait for an answer already, or whose *marks* (where given, one for each) are
        those of the last answer make none.
        """
        wanted = list(external_ids)
        told = dict(zip(wanted, marks, strict=False))
        return self._database.write(lambda connection: self._ask(connection, target, wanted, told))

    def _ask(self, connection: Connection, target: str, wanted: Sequence[str], told: dict[str, str | None]) -> int:
        at, asked = milliseconds(self._ledger.now()), 0
        for some in chunks(wanted):
            for row in connection.execute(_held(target, some)).all():
                mark = told.get(row.external_id)
                if row.ask_at is not None or (mark is not None and mark == row.mark):
                    continue
                asked += 1
                self._question(connection, row, target, at)
        return asked

    def _question(self, connection: Connection, row: Row[Any], target: str, at: int) -> None:
        where = _place(row.submission_id, target)
        values = {"external_id": row.external_id, "ask_at": at, "attempts": 0}
        if not connection.execute(update(case_progress).where(*where).values(values)).rowcount:
            connection.execute(insert(case_progress).values(submission_id=row.submission_id, target=target, **values))

    def ask_again(self, target: str, unseen_since: datetime) -> None:
        """Asks about cases that are not closed and were not looked at since: some changes no list and no webhook tells."""
        late = (
            select(case_progress.c.submission_id)
            .where(
                case_progress.c.target == target, case_progress.c.ask_at.is_(None),
                case_progress.c.seen_at < milliseconds(unseen_since),
                or_(case_progress.c.state.is_(None), case_progress.c.state != CaseState.CLOSED),
            )
            .order_by(case_progress.c.seen_at)
            .limit(_MOST)
        )  # fmt: skip
        where = (case_progress.c.target == target, case_progress.c.submission_id.in_(late))
        change = update(case_progress).where(*where).values(ask_at=milliseconds(self._ledger.now()))
        self._database.write(lambda connection: connection.execute(change) and None)

    def questions(self, target: str) -> list[Question]:
        """What *target* has to be asked now."""
        query = (
            select(case_progress, submissions.c.record_id, submissions.c.form_id)
            .join(submissions, submissions.c.id == case_progress.c.submission_id)
            .where(case_progress.c.target == target, case_progress.c.ask_at <= milliseconds(self._ledger.now()))
            .order_by(case_progress.c.ask_at)
            .limit(_MOST)
        )
        with self._database.reading() as connection:
            return [
                Question(
                    row.submission_id, row.record_id, row.form_id, target, row.external_id, row.mark, row.attempts,
                    row.ask_at,
                )
                for row in connection.execute(query)
            ]  # fmt: skip

    def answered(self, question: Question, progress: Progress) -> None:
        """Notes what the target said; a question that came meanwhile stays."""

        def job(connection: Connection) -> None:
            where = _place(question.submission_id, question.target)
            before = connection.execute(select(case_progress.c.state).where(*where)).scalar()
            still = case((case_progress.c.ask_at == question.asked_at, None), else_=case_progress.c.ask_at)
            state = str(progress.state) if progress.state else None
            values = {"state": state, "mark": progress.mark, "attempts": 0, "seen_at": milliseconds(self._ledger.now())}
            connection.execute(update(case_progress).where(*where).values(ask_at=still, **values))
            if state != before:
                detail = {"state": state, "gone": progress.gone}
                entry = Entry("case_state", record_id=question.record_id, target=question.target, detail=detail)
                audit.append(connection, self._ledger.now(), entry)

        self._database.write(job)

    def ask_later(self, question: Question, delay: timedelta) -> None:
        """The target did not answer: ask again after *delay*."""
        at = milliseconds(self._ledger.now() + delay)
        where = (*_place(question.submission_id, question.target), case_progress.c.ask_at == question.asked_at)
        change = update(case_progress).where(*where).values(ask_at=at, attempts=question.attempts + 1)
        self._database.write(lambda connection: connection.execute(change) and None)

    def held_at(self, target: str) -> list[tuple[str, int, str]]:
        """(record, version, the target's own number) of the newest delivery that *target* acknowledged of each record."""
        newest = (
            select(deliveries.c.submission_id, func.max(deliveries.c.version).label("version"))
            .where(deliveries.c.target == target, deliveries.c.state == "delivered")
            .group_by(deliveries.c.submission_id)
            .subquery()
        )
        same = and_(
            deliveries.c.submission_id == newest.c.submission_id, deliveries.c.version == newest.c.version,
            deliveries.c.target == target, deliveries.c.state == "delivered", deliveries.c.external_id.isnot(None),
        )  # fmt: skip
        query = (
            select(submissions.c.record_id, deliveries.c.version, deliveries.c.external_id)
            .join(newest, same)
            .join(submissions, submissions.c.id == deliveries.c.submission_id)
            .order_by(deliveries.c.done_at, deliveries.c.id)
        )
        with self._database.reading() as connection:
            return [(row.record_id, row.version, row.external_id) for row in connection.execute(query)]

    def since(self, what: str) -> datetime | None:
        """When *what* (a poll, a list) was last done."""
        with self._database.reading() as connection:
            value = connection.execute(select(meta.c.value).where(meta.c.key == what)).scalar()
        return moment(int(value)) if value else None

    def done(self, what: str, at: datetime) -> None:
        """*what* was done at that time."""

        def job(connection: Connection) -> None:
            value = str(milliseconds(at))
            if not connection.execute(update(meta).where(meta.c.key == what).values(value=value)).rowcount:
                connection.execute(insert(meta).values(key=what, value=value))

        self._database.write(job)

    # What devices have to know

    def pulse(self) -> tuple[int | None, ...]:
        """Another one as soon as a submission came, anything of the flow was noted, or a target said something."""
        newest = (func.max(submissions.c.id), func.max(audit_rows.c.seq))  # a target's word is audited too
        with self._database.reading() as connection:
            return tuple(connection.execute(select(one)).scalar() for one in newest)

    def to_write(self, server: str, forms: Sequence[str], most: int = _MOST) -> list[Standing]:
        """Cases of these forms whose line on the devices is not what it has to be, oldest first."""
        stands = _stands(self._horizon())
        never = case_lines.c.submission_id.is_(None)
        moved = or_(never, case_lines.c.state != stands, case_lines.c.version != submissions.c.version)
        due = case((stands == GONE, case_lines.c.shown), else_=moved)
        query = _standings(server, forms, stands).where(due).order_by(submissions.c.id).limit(most)
        return self._read(query)

    def all_lines(self, server: str, forms: Sequence[str]) -> list[Standing]:
        """Every case of these forms that devices may have a line of."""
        stands = _stands(self._horizon())
        return self._read(_standings(server, forms, stands).where(stands != GONE).order_by(submissions.c.id))

    def _horizon(self) -> int:
        return milliseconds(self._ledger.now() - _SHOWN_WHEN_CLOSED)

    def _read(self, query: Select[Any]) -> list[Standing]:
        with self._database.reading() as connection:
            return [
                Standing(row.id, row.record_id, row.form_id, row.version, row.stands, bool(row.shown))
                for row in connection.execute(query)
            ]

    def written(self, standings: Iterable[Standing], shown: Iterable[int]) -> None:
        """Devices have lines of those in *shown*, and none of the others. These are not looked at again before they change."""
        at, there = milliseconds(self._ledger.now()), set(shown)
        looked = list(standings)

        def job(connection: Connection) -> None:
            for some in chunks([one.submission_id for one in looked]):
                connection.execute(delete(case_lines).where(case_lines.c.submission_id.in_(some)))
            if looked:
                connection.execute(insert(case_lines), [_line(one, one.submission_id in there, at) for one in looked])

        self._database.write(job)


def _held(target: str, external_ids: Sequence[int] | Sequence[str]) -> Select[Any]:
    """The submissions that *target* holds under these numbers, with what is known of them."""
    known = and_(case_progress.c.submission_id == deliveries.c.submission_id, case_progress.c.target == target)
    return (
        select(
            deliveries.c.submission_id, func.max(deliveries.c.external_id).label("external_id"),
            func.max(case_progress.c.ask_at).label("ask_at"), func.max(case_progress.c.mark).label("mark"),
        )
        .outerjoin(case_progress, known)
        .where(
            deliveries.c.target == target, deliveries.c.external_id.in_(external_ids),
            deliveries.c.action == Action.UPSERT, deliveries.c.maybe_held,
        )
        .group_by(deliveries.c.submission_id)
    )  # fmt: skip


def _stands(horizon: int) -> ColumnElement[str]:
    """The state that devices have to show: the highest of what targets say and of what is stuck here; else open.

    What was closed before *horizon* leaves the phones."""
    here = submissions.c.id
    stuck = or_(
        submissions.c.parked.isnot(None),
        exists().where(deliveries.c.submission_id == here, deliveries.c.state == "parked"),
    )
    ranked = case({str(state): rank for state, rank in _RANKS.items()}, value=case_progress.c.state, else_=0)
    told = (
        select(func.coalesce(func.max(ranked), 0))
        .where(case_progress.c.submission_id == here)
        .correlate(submissions)
        .scalar_subquery()
    )
    seen = (
        select(func.max(case_progress.c.seen_at))
        .where(case_progress.c.submission_id == here)
        .correlate(submissions)
        .scalar_subquery()
    )
    return case(
        (submissions.c.state != "live", GONE),
        (and_(told == _RANKS[CaseState.CLOSED], seen < horizon), GONE),
        (told == _RANKS[CaseState.CALL_OFFICE], str(CaseState.CALL_OFFICE)),
        (stuck, str(CaseState.ACTION_NEEDED)),
        (told == _RANKS[CaseState.ACTION_NEEDED], str(CaseState.ACTION_NEEDED)),
        (told == _RANKS[CaseState.CLOSED], str(CaseState.CLOSED)),
        else_=str(CaseState.OPEN),
    )


def _standings(server: str, forms: Sequence[str], stands: ColumnElement[str]) -> Select[Any]:
    of_case = (submissions.c.id, submissions.c.record_id, submissions.c.form_id, submissions.c.version)
    return (
        select(*of_case, stands.label("stands"), case_lines.c.shown)
        .outerjoin(case_lines, case_lines.c.submission_id == submissions.c.id)
        .where(submissions.c.server == server, submissions.c.form_id.in_(forms))
    )


def _place(submission_id: int, target: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return case_progress.c.submission_id == submission_id, case_progress.c.target == target


def _line(one: Standing, shown: bool, at: int) -> dict[str, object]:
    place = {"submission_id": one.submission_id, "version": one.version}
    return {**place, "state": one.stands, "shown": shown, "written_at": at}
