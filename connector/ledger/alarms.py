"""What needs a person, as codes and counts, and what was told of it when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from connector.ledger.database import milliseconds
from connector.ledger.part import Part
from connector.ledger.schema import deliveries, meta, partners, referrals, submissions
from connector.referrals.machine import UNANSWERED

_TOLD = "told_of"


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that needs a person: no id and nothing of anybody.

    *kind*: `parked`, `unread`, `overdue`, `sweep_stopped`, `sweep_late` or `ledger`; *where*: a target, a server and
    form, or a partner as it is called here.
    """

    kind: str
    where: str
    code: str
    number: int = 1

    @property
    def name(self) -> str:
        """The same as long as it is the same matter."""
        return f"{self.kind}:{self.where}:{self.code}"


class Alarms(Part):
    """Counts of what is stuck, and the memory of who was told."""

    def stuck(self) -> list[Matter]:
        """Parked deliveries by target and code, submissions that cannot be read, referrals that are overdue."""
        parked = select(deliveries.c.target, deliveries.c.error, func.count()).where(deliveries.c.state == "parked")
        unread = select(submissions.c.server, submissions.c.form_id, submissions.c.parked, func.count())
        late = (
            select(partners.c.name, func.count())
            .join(partners, partners.c.fingerprint == referrals.c.partner)
            .where(
                referrals.c.state.in_([str(state) for state in UNANSWERED]),
                referrals.c.due_at <= milliseconds(self.now()),
            )
        )
        with self.database.reading() as connection:
            found = [
                Matter("parked", target, code or "", number)
                for target, code, number in connection.execute(parked.group_by(deliveries.c.target, deliveries.c.error))
            ]
            found += [
                Matter("unread", f"{server} {form}", code, number)
                for server, form, code, number in connection.execute(
                    unread.where(submissions.c.parked.isnot(None)).group_by(
                        submissions.c.server, submissions.c.form_id, submissions.c.parked
                    )
                )
            ]
            rows = connection.execute(late.group_by(partners.c.name))
            return found + [Matter("overdue", name, "referral.overdue", number) for name, number in rows]

    def told(self) -> Mapping[str, tuple[int, int]]:
        """The name of a matter -> (when it was told, in milliseconds; how many there were then)."""
        with self.database.reading() as connection:
            kept = connection.execute(select(meta.c.value).where(meta.c.key == _TOLD)).scalar()
        return {name: (at, number) for name, at, number in json.loads(kept or "[]")}

    def tell_of(self, told: Mapping[str, tuple[int, int]]) -> None:
        """Keeps what was told."""
        value = json.dumps([[name, at, number] for name, (at, number) in told.items()])

        def job(connection: Connection) -> None:
            connection.execute(delete(meta).where(meta.c.key == _TOLD))
            connection.execute(insert(meta).values(key=_TOLD, value=value))

        self.database.write(job)
