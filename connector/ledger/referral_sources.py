"""Which filled-in form a referral came from. Who it is about stays in that form's record until the second step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from connector.ledger.schema import referral_sources, referrals
from connector.referrals.machine import State


@dataclass(frozen=True, slots=True)
class Source:
    """One filled-in form (its record's id) on its way to one target."""

    record_id: str
    target: str


def source_of(connection: Connection, referral_id: str) -> Source | None:
    """The form behind a referral; None when it was written here."""
    query = select(referral_sources).where(referral_sources.c.referral_id == referral_id)
    row = connection.execute(query).first()
    return Source(row.record_id, row.target) if row else None


def note_source(connection: Connection, referral_id: str, source: Source) -> None:
    """Keeps where a new referral came from."""
    values = {"referral_id": referral_id, "record_id": source.record_id, "target": source.target}
    connection.execute(insert(referral_sources).values(values))


def referral_of(connection: Connection, source: Source) -> Row[Any] | None:
    """The referral that this form asked for; a withdrawn one is over, and a new yes makes a new one."""
    return connection.execute(
        select(referrals)
        .join(referral_sources, referral_sources.c.referral_id == referrals.c.id)
        .where(
            referral_sources.c.record_id == source.record_id,
            referral_sources.c.target == source.target,
            referrals.c.state != State.WITHDRAWN,
        )
        .with_for_update()
    ).first()
