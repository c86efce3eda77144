"""Facts for figures: what every record counts as, without identity, kept when the record itself is long erased.

A record's facts are those of its newest version that could be read. Which record they came from, and which facts are
of one person, is a keyed hash: with it the next version finds what to replace, and people are counted once.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, Connection, Select, case, delete, func, insert, select

from connector.figures.facts import NOT_RECORDED, RECEIVED, SENT, TOTAL, Fact
from connector.figures.report import Table
from connector.figures.suppression import Cell
from connector.ledger.database import Database, milliseconds
from connector.ledger.schema import facts, referrals

Sum = tuple[Table, Cell, int]
_BATCH = 500
_BRANCH_DIGITS = 3  # a case code begins with those of its branch


@dataclass(frozen=True, slots=True)
class FactBook:
    """Keeps facts under keyed hashes. *key*: 32 bytes that stay the same when the master key is rotated."""

    key: bytes

    def keep(self, connection: Connection, batch: Sequence[tuple[str, Sequence[Fact]]]) -> None:
        """Puts the facts of each record (by its id) in the place of those it had."""
        sources = [self._hashed(record_id) for record_id, _ in batch]
        for begin in range(0, len(sources), _BATCH):
            connection.execute(delete(facts).where(facts.c.source.in_(sources[begin : begin + _BATCH])))
        rows = [self._row(source, fact) for source, (_, of_one) in zip(sources, batch, strict=True) for fact in of_one]
        if rows:
            connection.execute(insert(facts), rows)

    def _row(self, source: str, fact: Fact) -> dict[str, str | int | None]:
        return {
            "source": source, "day": fact.day.isoformat(), "branch": fact.branch, "service": fact.service,
            "unit": fact.unit, "sex": fact.sex, "age_group": fact.age_group, "count": fact.count,
            "person": self.person(fact.case_code) if fact.case_code else None,
        }  # fmt: skip

    def person(self, case_code: str) -> str:
        return self._hashed(f"person {case_code}")

    def _hashed(self, text: str) -> str:
        return hmac.digest(self.key, text.encode(), "sha256").hex()[:32]


def counted(database: Database, book: FactBook, start: date, end: date) -> list[Sum]:
    """What was done from *start* to *end*, both included: (table, cell, number), each person once in a table."""
    with database.reading() as connection:
        sent = {book.person(code) for code in connection.execute(_codes_sent()).scalars()}
        return [
            *_amounts(connection, start, end),
            *_people(connection, start, end),
            *_referrals(connection, start, end, sent),
        ]


def _within(start: date, end: date) -> ColumnElement[bool]:
    return facts.c.day.between(start.isoformat(), end.isoformat())


def _amounts(connection: Connection, start: date, end: date) -> Iterator[Sum]:
    """Events and participations, summed."""
    key = (facts.c.branch, facts.c.service, facts.c.unit, facts.c.sex, facts.c.age_group)
    query = select(*key, func.sum(facts.c.count).label("number")).group_by(*key)
    for row in connection.execute(query.where(_within(start, end), facts.c.unit != "people", facts.c.service != SENT)):
        yield (row.branch, row.service, row.unit), (row.sex, row.age_group), int(row.number)


def _people(connection: Connection, start: date, end: date) -> Iterator[Sum]:
    """Each person once in a branch and service: with the sex and the age group that were recorded, if ever."""
    one = (facts.c.branch, facts.c.service, facts.c.person)
    each = (
        select(*one, _known(facts.c.sex).label("sex"), _known(facts.c.age_group).label("age_group"))
        .where(_within(start, end), facts.c.unit == "people", facts.c.person.isnot(None))
        .group_by(*one)
        .subquery()
    )
    key = (each.c.branch, each.c.service, each.c.sex, each.c.age_group)
    for row in connection.execute(select(*key, func.count().label("number")).group_by(*key)):
        yield (row.branch, row.service, "people"), (row.sex, row.age_group), int(row.number)


def _known(column: ColumnElement[str]) -> ColumnElement[str]:
    return func.coalesce(func.max(case((column != NOT_RECORDED, column))), NOT_RECORDED)


def _referrals(connection: Connection, start: date, end: date, sent: set[str]) -> Iterator[Sum]:
    """Referrals of the inbox and outbox; one that was only written on a form counts when the outbox does not know its case."""
    whole = (TOTAL, TOTAL)
    for row in connection.execute(_exchanged(start, end)):
        out = row.direction == "out"
        branch = row.case_code[:_BRANCH_DIGITS] if out else NOT_RECORDED  # a partner's branches are not ours
        yield (branch, SENT if out else RECEIVED, "events"), whole, 1
    on_forms = select(facts.c.branch, facts.c.person).where(_within(start, end), facts.c.service == SENT)
    for form in connection.execute(on_forms):
        if form.person not in sent:
            yield (form.branch, SENT, "events"), whole, 1


def _codes_sent() -> Select[str]:
    return select(referrals.c.case_code).where(referrals.c.direction == "out", referrals.c.state != "draft").distinct()


def _exchanged(start: date, end: date) -> Select[str, str]:
    first, after = (milliseconds(datetime.combine(day, time(), UTC)) for day in (start, end + timedelta(days=1)))
    return select(referrals.c.direction, referrals.c.case_code).where(
        referrals.c.made_at >= first, referrals.c.made_at < after,
        referrals.c.state != "draft", referrals.c.kind.isnot(None),
    )  # fmt: skip
