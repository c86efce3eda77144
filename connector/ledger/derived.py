"""What is worked out of each record as it comes in, so that no page has to open records: until when consent holds, and
how many forms each collector sent on which day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, Select, delete, exists, insert, select

from connector.figures.facts import Fact
from connector.ledger.database import moment
from connector.ledger.part import Part
from connector.ledger.schema import arrivals, derived, submissions
from connector.ledger.submissions import as_case
from connector.ledger.values import Case

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How many submissions of a form first came in from one collector on one day (UTC)."""

    day: date
    form: str
    collector: str
    count: int


def keep(connection: Connection, until: Mapping[int, date | None]) -> None:
    """Submission → the last day of its consent, in the place of what was known."""
    if not until:
        return
    ids = list(until)
    for begin in range(0, len(ids), 500):
        connection.execute(delete(derived).where(derived.c.submission_id.in_(ids[begin : begin + 500])))
    rows = [{"submission_id": id_, "consent_until": day.isoformat() if day else None} for id_, day in until.items()]
    connection.execute(insert(derived), rows)


@dataclass(frozen=True, slots=True)
class Renewal:
    """A case whose consent ends, and the last day on which it holds."""

    case: Case
    until: date


@dataclass(frozen=True, slots=True)
class Counted:
    """What one submission counts as, worked out anew."""

    case: Case
    facts: Sequence[Fact]
    consent_until: date | None
    collector: str | None


class Derived:
    """Questions to what is worked out, and the making good of what an older version of Silah did not write."""

    def __init__(self, ledger: Part) -> None:
        self._ledger = ledger

    def ending(self, within: timedelta, limit: int) -> list[Renewal]:
        """Cases whose consent ends from today on *within* that time, the one that ends first on top."""
        today = self._ledger.now().date()
        days = derived.c.consent_until.between(today.isoformat(), (today + within).isoformat())
        query = _joined().where(days, submissions.c.state == "live").order_by(derived.c.consent_until, submissions.c.id)
        with self._ledger.database.reading() as connection:
            rows = connection.execute(query.limit(limit)).all()
        return [Renewal(as_case(row), date.fromisoformat(row.consent_until)) for row in rows]

    def arrivals(self, days: int, limit: int) -> list[Arrivals]:
        """What came in on the last *days* (UTC), the newest day first, by form and collector."""
        first = self._ledger.now().date() - timedelta(days=days - 1)
        query = select(arrivals).where(arrivals.c.day >= first.isoformat()).order_by(arrivals.c.day.desc())
        with self._ledger.database.reading() as connection:
            rows = connection.execute(query.limit(limit)).mappings().all()
        found = [
            Arrivals(
                date.fromisoformat(row["day"]), row["form_id"],
                self._ledger.collectors.opened(row["collector"], row["sealed"]), row["count"],
            )
            for row in rows
        ]  # fmt: skip
        return sorted(found, key=lambda one: (-one.day.toordinal(), one.collector, one.form))

    def uncounted(self, after: int) -> list[tuple[Case, datetime]]:
        """The next submissions, by id, of which nothing was worked out yet and something could be; when each came in."""
        known = exists().where(derived.c.submission_id == submissions.c.id)
        where = (submissions.c.id > after, submissions.c.state != "erased", ~known)
        with self._ledger.database.reading() as connection:
            query = select(submissions).where(*where).order_by(submissions.c.id).limit(_BATCH)
            return [(as_case(row), moment(row.first_at)) for row in connection.execute(query)]

    def count(self, batch: Sequence[Counted]) -> None:
        """Keeps what was worked out, in one transaction; a submission that was counted meanwhile is left alone."""

        def job(connection: Connection) -> None:
            ids = [one.case.id for one in batch]
            done = set(
                connection.execute(select(derived.c.submission_id).where(derived.c.submission_id.in_(ids))).scalars()
            )
            todo = [one for one in batch if one.case.id not in done]
            query = select(submissions.c.id, submissions.c.first_at).where(submissions.c.id.in_(ids))
            first = {row.id: moment(row.first_at) for row in connection.execute(query)}
            keep(connection, {one.case.id: one.consent_until for one in todo})
            self._ledger.collectors.arrived(
                connection, ((first[one.case.id], one.case.form_id, one.collector) for one in todo)
            )
            self._ledger.fact_book.keep(connection, [(one.case.record_id, one.facts) for one in todo])

        self._ledger.database.write(job)


def _joined() -> Select[tuple[object, ...]]:
    return select(submissions, derived.c.consent_until).join(derived, derived.c.submission_id == submissions.c.id)
