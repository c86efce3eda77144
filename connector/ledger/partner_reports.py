"""Monthly counts from and for partners. They hold no identity and are kept in clear, like all figures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid5

from sqlalchemy import Connection, Row, insert, or_, select, update

from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import milliseconds, moment
from connector.ledger.referrals import LONGEST_WAIT, Partner, ReferralLedger, Taken
from connector.ledger.schema import partner_reports, partners
from connector.model import JSON, SILAH
from connector.referrals.reports import CountRow, ReportMessage

_OUT, _IN = "out", "in"


@dataclass(frozen=True, slots=True)
class DueReport:
    """A report whose turn has come."""

    id: str
    body: str
    attempts: int


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A month's counts as they stand here; *direction* is `out` or `in`."""

    partner: str
    direction: str
    period: str
    state: str
    error: str | None
    at: datetime
    rows: tuple[CountRow, ...]


class PartnerReports:
    """The reports of one node; every method is one transaction."""

    def __init__(self, referrals_: ReferralLedger) -> None:
        self._database, self._now = referrals_.database, referrals_.now

    def queue(self, partner: Partner, report: ReportMessage, actor: str) -> None:
        """Keeps a report and makes it due."""
        self._database.write(lambda connection: self._keep(connection, partner, report, _OUT, actor))

    def take(self, partner: Partner, report: ReportMessage) -> Taken:
        """Keeps a partner's report, durably; a repeated id changes nothing."""
        receipt = uuid5(SILAH, f"receipt of {report.id}").hex

        def job(connection: Connection) -> Taken:
            known = select(partner_reports.c.id).where(partner_reports.c.id == str(report.id))
            if connection.execute(known).first() is not None:
                return Taken(receipt, new=False)
            self._keep(connection, partner, report, _IN, f"partner:{partner.name}")
            return Taken(receipt, new=True)

        return self._database.write(job)

    def _keep(
        self, connection: Connection, partner: Partner, report: ReportMessage, direction: str, actor: str
    ) -> None:
        at = milliseconds(self._now())
        connection.execute(
            insert(partner_reports).values(
                id=str(report.id), partner=partner.fingerprint, direction=direction, period=report.period,
                body=report.model_dump_json(), state="due" if direction == _OUT else "received", attempts=0, next_at=at,
                made_at=at,
            )
        )  # fmt: skip
        detail: dict[str, JSON] = {"period": report.period, "rows": len(report.rows)}
        event = "counts_queued" if direction == _OUT else "counts_received"
        audit.append(connection, self._now(), Entry(event, actor, target=partner.name, detail=detail))

    def due(self, partner: Partner, limit: int) -> list[DueReport]:
        """What may go to *partner* now, the oldest first."""
        now, at = self._now(), partner_reports.c.next_at
        soon = or_(at <= milliseconds(now), at > milliseconds(now + 2 * LONGEST_WAIT))
        mine = (partner_reports.c.partner == partner.fingerprint, partner_reports.c.state == "due", soon)
        query = select(partner_reports).where(*mine).order_by(partner_reports.c.made_at).limit(limit)
        with self._database.reading() as connection:
            return [DueReport(row.id, row.body, row.attempts) for row in connection.execute(query)]

    def sent(self, due: DueReport, partner: Partner) -> str:
        """The partner acknowledged it."""

        def job(connection: Connection) -> None:
            mine = update(partner_reports).where(partner_reports.c.id == due.id)
            connection.execute(mine.values(state="sent", error=None))
            period = json.loads(due.body)["period"]
            audit.append(
                connection, self._now(), Entry("counts_sent", "silah", target=partner.name, detail={"period": period})
            )

        self._database.write(job)
        return "sent"

    def later(self, due: DueReport, code: str, delay: timedelta) -> str:
        """An attempt failed: try again after *delay*."""
        self._set(due, {"error": code, "next_at": milliseconds(self._now() + delay), "attempts": due.attempts + 1})
        return "due"

    def park(self, due: DueReport, code: str) -> str:
        """The partner refused it for good."""
        self._set(due, {"error": code, "state": "parked", "attempts": due.attempts + 1})
        return "parked"

    def _set(self, due: DueReport, values: dict[str, object]) -> None:
        change = update(partner_reports).where(partner_reports.c.id == due.id)
        self._database.write(lambda connection: connection.execute(change.values(values)) and None)

    def all(self, period: str | None = None) -> list[KeptReport]:
        """What was sent and received, the newest month first; of one period when it is given."""
        query = select(partner_reports, partners.c.name).join(
            partners, partners.c.fingerprint == partner_reports.c.partner
        )
        if period is not None:
            query = query.where(partner_reports.c.period == period)
        order = query.order_by(partner_reports.c.period.desc(), partners.c.name, partner_reports.c.made_at)
        with self._database.reading() as connection:
            return [_kept(row) for row in connection.execute(order)]


def _kept(row: Row[Any]) -> KeptReport:
    report = ReportMessage.model_validate_json(row.body)
    return KeptReport(row.name, row.direction, row.period, row.state, row.error, moment(row.made_at), report.rows)
