"""Pairs of people who may be one: proposed by matching, confirmed by two people, ruled out for good, undone.

A pair holds ids, roles and codes of reasons, never a name. Nothing is linked or sent by it. A confirmed pair of
duplicates makes the gate hold each record to the consent of both (R28) until somebody undoes it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
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
from connector.ledger.deliveries import wake
from connector.ledger.flow import Case, Ledger
from connector.ledger.schema import candidates, meta, submissions, withdrawals
from connector.ledger.submissions import as_case
from connector.ledger.values import DUPLICATE
from connector.model import JSON

Paged = tuple[int, str] | None
_CURSOR = "matched_until"
_BATCH = 200
_SIDES = (candidates.c.left_id, candidates.c.right_id)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person stands: submission, role, number among those of that role."""

    submission: int
    role: str
    number: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """What matching found: two places in the order of their submissions, what that would mean, how likely, and why."""

    left: Place
    right: Place
    kind: str
    strength: int  # thousandths; orders a list, is never shown or sent
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair as it stands. *state*: `proposed`, `confirmed_by_one`, `confirmed`, `ruled_out`."""

    id: str
    left: Place
    right: Place
    kind: str
    reasons: tuple[str, ...]
    state: str
    first_user: str | None
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """A submission whose people may have changed; *live* is False when nobody of it may be compared any more."""

    case: Case
    live: bool
    at: int  # UTC milliseconds


class Candidates:
    """The pairs of one ledger. Every method is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    # What matching reads and writes

    def changes(self, after: tuple[int, int]) -> list[Change]:
        """The next submissions in the order in which they last changed, after (milliseconds, id of a submission)."""
        at, last = after
        later = or_(submissions.c.changed_at > at, and_(submissions.c.changed_at == at, submissions.c.id > last))
        query = select(submissions).where(later).order_by(submissions.c.changed_at, submissions.c.id).limit(_BATCH)
        with self._ledger.database.reading() as connection:
            rows = connection.execute(query).all()
        return [Change(as_case(row), row.state == "live", row.changed_at) for row in rows]

    def matched_until(self) -> tuple[int, int]:
        """Up to where candidates were looked for, as `changes` takes it."""
        with self._ledger.database.reading() as connection:
            kept = connection.execute(select(meta.c.value).where(meta.c.key == _CURSOR)).scalar()
        at, _, last = (kept or "-1:0").partition(":")
        return int(at), int(last)

    def behind(self) -> bool:
        """Whether something changed since candidates were looked for."""
        return bool(self.changes(self.matched_until()))

    def propose(self, submission: int, found: Sequence[Proposal]) -> None:
        """Puts what was found for a submission in the place of what was proposed for it.

        Whatever a person has spoken on stays as it is: what was ruled out is not offered again.
        """
        with self._ledger.database.reading() as connection:
            known = connection.execute(select(candidates.c.id).where(_tells_of(submission)).limit(1)).first()
        if found or known:
            self._ledger.database.write(lambda connection: self._propose(connection, submission, found))

    def _propose(self, connection: Connection, submission: int, found: Sequence[Proposal]) -> None:
        before = _pairs(connection, submission, "proposed")
        spoken = _pairs(connection, submission, "confirmed_by_one", "confirmed", "ruled_out")
        fresh = {_pair(one): one for one in found}
        connection.execute(delete(candidates).where(candidates.c.pair.in_(before - fresh.keys())))
        new = [self._row(key, one) for key, one in fresh.items() if key not in before | spoken]
        if new:
            connection.execute(insert(candidates), new)

    def reached(self, until: tuple[int, int]) -> None:
        """Notes up to where candidates were looked for."""
        self._ledger.database.write(lambda connection: _note_cursor(connection, until))

    def _row(self, pair: str, one: Proposal) -> dict[str, object]:
        at = milliseconds(self._ledger.now())
        return {
            "id": f"mt_{secrets.token_hex(8)}", "pair": pair, "kind": one.kind, "strength": one.strength,
            "reasons": json.dumps(one.reasons), "state": "proposed", "made_at": at, "changed_at": at,
            "left_id": one.left.submission, "left_role": one.left.role, "left_number": one.left.number,
            "right_id": one.right.submission, "right_role": one.right.role, "right_number": one.right.number,
        }  # fmt: skip

    # What people see and say

    def all(self, submission: int | None = None) -> list[Candidate]:
        """The pairs that a person may still look at, the likeliest first; without those ruled out or of a record that
        was erased or withdrawn."""
        query = select(candidates).where(candidates.c.state != "ruled_out", *_both_live())
        if submission is not None:
            query = query.where(_tells_of(submission))
        with self._ledger.database.reading() as connection:
            rows = connection.execute(query.order_by(candidates.c.strength.desc(), candidates.c.id)).all()
        return [_candidate(row) for row in rows]

    def page(
        self, states: Sequence[str], after: tuple[int, str] | None, limit: int, kind: str | None = None
    ) -> tuple[list[Candidate], Paged]:
        """Pairs in these states, the likeliest first, from the place *after* on; and the place where the next page
        begins, None at the end. Without those of a record that was erased or withdrawn."""
        query = select(candidates).where(candidates.c.state.in_(states), *_both_live())
        if kind is not None:
            query = query.where(candidates.c.kind == kind)
        if after is not None:
            strength, last = after
            level = and_(candidates.c.strength == strength, candidates.c.id > last)
            query = query.where(or_(candidates.c.strength < strength, level))
        query = query.order_by(candidates.c.strength.desc(), candidates.c.id).limit(limit + 1)
        with self._ledger.database.reading() as connection:
            rows = connection.execute(query).all()
        end = (rows[limit - 1].strength, rows[limit - 1].id) if len(rows) > limit else None
        return [_candidate(row) for row in rows[:limit]], end

    def merges_left(self, submission: int | None = None) -> list[Candidate]:
        """Merges of which one record was erased: the other one waits until a person takes the merge back."""
        where = (candidates.c.kind == DUPLICATE, candidates.c.state == "confirmed")
        one_erased = or_(*(side.in_(_in_state("erased")) for side in _SIDES))
        not_both = or_(*(side.in_(_in_state("live")) for side in _SIDES))
        query = select(candidates).where(*where, one_erased, not_both).order_by(candidates.c.id)
        if submission is not None:
            query = query.where(_tells_of(submission))
        with self._ledger.database.reading() as connection:
            return [_candidate(row) for row in connection.execute(query)]

    def one(self, id_: str) -> Candidate | None:
        with self._ledger.database.reading() as connection:
            row = connection.execute(select(candidates).where(candidates.c.id == id_)).first()
        return _candidate(row) if row is not None else None

    def case(self, submission: int) -> Case:
        with self._ledger.database.reading() as connection:
            return as_case(connection.execute(select(submissions).where(submissions.c.id == submission)).one())

    def looked_at(self, seen: Sequence[Candidate], actor: str) -> None:
        """Notes that somebody looked at candidates: which, and of which records; not whom."""

        def job(connection: Connection) -> None:
            entries = [
                Entry("match_seen", actor, record, detail={"match": one.id})
                for one in seen
                for record in _records(connection, one)
            ]
            audit.append_all(connection, self._ledger.now(), entries)

        if seen:
            self._ledger.database.write(job)

    def confirm(self, id_: str, user: str) -> str | None:
        """The first or the second person confirms; None, or why not: `unknown`, `same_user`, `not_open`."""

        def job(connection: Connection) -> str | None:
            row = connection.execute(select(candidates).where(candidates.c.id == id_, *_both_live())).first()
            if row is None:
                return "unknown"
            if row.state == "confirmed_by_one" and row.first_user == user:
                return "same_user"
            after = {"proposed": "confirmed_by_one", "confirmed_by_one": "confirmed"}.get(row.state)
            if after is None:
                return "not_open"
            by = {"second_user": user} if after == "confirmed" else {"first_user": user}
            self._say(connection, row, after, user, by)
            return None

        return self._ledger.database.write(job)

    def rule_out(self, id_: str, user: str) -> str | None:
        """They are two people: never offered again. None, or why not: `unknown`, `not_open` (a confirmed pair is undone first)."""
        return self._turn(id_, user, ("proposed", "confirmed_by_one"), "ruled_out")

    def undo(self, id_: str, user: str) -> str | None:
        """Takes back whatever was said of a pair; None, or why not: `unknown`, `not_open` (nothing was said)."""
        return self._turn(id_, user, ("confirmed_by_one", "confirmed", "ruled_out"), "proposed")

    def _turn(self, id_: str, user: str, from_: Sequence[str], to: str) -> str | None:
        def job(connection: Connection) -> str | None:
            row = connection.execute(select(candidates).where(candidates.c.id == id_)).first()
            if row is None:
                return "unknown"
            if row.state not in from_:
                return "not_open"
            self._say(connection, row, to, user, {"first_user": None, "second_user": None})
            return None

        return self._ledger.database.write(job)

    def _say(self, connection: Connection, row: Row[Any], state: str, user: str, by: Mapping[str, str | None]) -> None:
        at = milliseconds(self._ledger.now())
        change = update(candidates).where(candidates.c.id == row.id)
        connection.execute(change.values(state=state, changed_at=at, **by))
        detail: dict[str, JSON] = {"match": row.id, "kind": row.kind, "before": row.state}
        entries = [
            Entry(f"match_{state}", user, record, detail=detail) for record in _records(connection, _candidate(row))
        ]
        audit.append_all(connection, self._ledger.now(), entries)
        if row.kind == DUPLICATE and "confirmed" in {row.state, state}:
            for submission in (row.left_id, row.right_id):
                wake(connection, submission, at)


def has_likely_duplicate(ledger: Ledger, submission: int) -> bool:
    """Whether a pair of duplicates with this submission waits for somebody's word."""
    where = (candidates.c.kind == DUPLICATE, candidates.c.state.in_(("proposed", "confirmed_by_one")), *_both_live())
    with ledger.database.reading() as connection:
        query = select(func.count()).select_from(candidates).where(_tells_of(submission), *where)
        return bool(connection.execute(query).scalar_one())


def merged_with(ledger: Ledger, submission: int) -> list[Case]:
    """The submissions that two people confirmed to be duplicates of this one, also those erased since."""
    where = (candidates.c.kind == DUPLICATE, candidates.c.state == "confirmed", _tells_of(submission))
    query = select(candidates.c.left_id, candidates.c.right_id).where(*where)
    with ledger.database.reading() as connection:
        ids = {side for pair in connection.execute(query) for side in pair} - {submission}
        rows = connection.execute(select(submissions).where(submissions.c.id.in_(ids))).all() if ids else []
    return [as_case(row) for row in rows]


def taken_back(ledger: Ledger, submission: int) -> frozenset[str]:
    """The recipients for whom consent was taken back."""
    query = select(withdrawals.c.recipient).where(withdrawals.c.submission_id == submission)
    with ledger.database.reading() as connection:
        return frozenset(connection.execute(query).scalars())


def forget_pairs(connection: Connection, submission: int) -> None:
    """An erased submission is in no pair any more; that two records were merged stays, and holds the other one back."""
    merged = and_(candidates.c.kind == DUPLICATE, candidates.c.state == "confirmed")
    connection.execute(delete(candidates).where(_tells_of(submission), ~merged))


def _tells_of(submission: int) -> ColumnElement[bool]:
    return or_(candidates.c.left_id == submission, candidates.c.right_id == submission)


def _both_live() -> Iterator[ColumnElement[bool]]:
    for side in _SIDES:
        yield exists().where(
            submissions.c.id == side, submissions.c.state == "live"
        )  # one look-up a row, not a list of all


def _in_state(state: str) -> Select[tuple[int]]:
    return select(submissions.c.id).where(submissions.c.state == state)


def _pairs(connection: Connection, submission: int, *states: str) -> set[str]:
    query = select(candidates.c.pair).where(_tells_of(submission), candidates.c.state.in_(states))
    return set(connection.execute(query).scalars())


def _records(connection: Connection, one: Candidate) -> list[str]:
    ids = {one.left.submission, one.right.submission}
    query = select(submissions.c.record_id).where(submissions.c.id.in_(ids)).order_by(submissions.c.id)
    return list(connection.execute(query).scalars())


def _pair(one: Proposal) -> str:
    return "|".join(f"{side.submission}:{side.role}:{side.number}" for side in (one.left, one.right))


def _note_cursor(connection: Connection, until: tuple[int, int]) -> None:
    value = f"{until[0]}:{until[1]}"
    if not connection.execute(update(meta).where(meta.c.key == _CURSOR).values(value=value)).rowcount:
        connection.execute(insert(meta).values(key=_CURSOR, value=value))


def _candidate(row: Row[Any]) -> Candidate:
    return Candidate(
        row.id, Place(row.left_id, row.left_role, row.left_number), Place(row.right_id, row.right_role, row.right_number),
        row.kind, tuple(json.loads(row.reasons)), row.state, row.first_user, moment(row.made_at),
    )  # fmt: skip
