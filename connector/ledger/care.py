"""What the ledger forgets, and what it can say about that: erasure, and who may still hold what was erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import milliseconds
from connector.ledger.flow import OPEN, Case, Ledger, close_open, make_delivery, maybe_holds
from connector.ledger.schema import data_keys, deliveries, submissions, versions
from connector.model import Action


@dataclass(frozen=True, slots=True)
class Holding:
    """What a target was sent of one submission, and where the word to remove it stands.

    *told* is the state of the newest withdrawal (`due`, `delivered`, `parked`, …), None when none was made because
    the target surely has nothing; *error* is its code.
    """

    target: str
    told: str | None
    error: str | None


class Care:
    """Forgetting. Every method is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def erase(self, case: Case, actor: str) -> None:
        """Destroys the data key, empties every version, gives up what was to be sent, tells whoever may hold the record.

        What stays is a tombstone: ids, states and the audit, without an answer. A second call changes nothing.
        """
        self._ledger.database.write(lambda connection: self._erase(connection, case, actor))
        self._ledger.database.settle()

    def _erase(self, connection: Connection, case: Case, actor: str) -> None:
        now = self._ledger.now()
        row = connection.execute(select(submissions).where(submissions.c.id == case.id)).one()
        if row.state == "erased":
            return
        connection.execute(delete(data_keys).where(data_keys.c.record_id == case.record_id))
        connection.execute(
            update(versions).where(versions.c.submission_id == case.id).values(raw=None, record=None, digest="")
        )
        told = self._tell(connection, row, milliseconds(now))
        values = {"state": "erased", "version": row.version + bool(told), "parked": None, "parked_at": None}
        connection.execute(
            update(submissions)
            .where(submissions.c.id == case.id)
            .values(**values, changed_at=milliseconds(now), touched=submissions.c.touched + 1)
        )
        audit.append(connection, now, Entry("erased", actor, case.record_id, detail={"told": list(told)}))

    def _tell(self, connection: Connection, row: Row[Any], at: int) -> Sequence[str]:
        """Drops what is open for each target, and makes a withdrawal for those that may hold something."""
        query = select(deliveries.c.target).where(deliveries.c.submission_id == row.id).distinct()
        told = [target for target in connection.execute(query).scalars() if maybe_holds(connection, row.id, target)]
        connection.execute(
            update(deliveries)
            .where(deliveries.c.submission_id == row.id, deliveries.c.state.in_(OPEN))
            .values(state="discarded", error="record.erased")
        )
        connection.execute(update(deliveries).where(deliveries.c.submission_id == row.id).values(dropped=None))
        for target in told:
            close_open(connection, row.id, target)
            make_delivery(connection, row.id, row.version + 1, target, Action.WITHDRAW, at)
        return told

    def holdings(self, case: Case) -> list[Holding]:
        """Every target that a submission was meant for, by name."""
        newest: dict[str, Holding] = {}
        query = select(deliveries).where(deliveries.c.submission_id == case.id)
        with self._ledger.database.reading() as connection:
            for row in connection.execute(query.order_by(deliveries.c.version, deliveries.c.made_at)):
                withdrawal = row.action == Action.WITHDRAW and row.state != "superseded"
                before = newest.get(row.target, Holding(row.target, None, None))
                newest[row.target] = Holding(row.target, row.state, row.error) if withdrawal else before
        return [newest[name] for name in sorted(newest)]
