"""The service directory: our own services and those of each partner, as they were imported last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import Database, milliseconds
from connector.ledger.schema import directory
from connector.referrals.directory import Service

OWN = "own"


class Directory:
    """Who offers what. *holder* is `own` or a partner's fingerprint."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database, self._now = database, now

    def replace(self, holder: str, services: Sequence[Service], actor: str) -> None:
        """Puts *services* in the place of all that was known of *holder*."""

        def job(connection: Connection) -> None:
            connection.execute(delete(directory).where(directory.c.holder == holder))
            at = milliseconds(self._now())
            rows = [_values(one) | {"holder": holder, "imported_at": at} for one in services]
            if rows:
                connection.execute(insert(directory), rows)
            audit.append(
                connection,
                self._now(),
                Entry("directory_imported", actor, target=holder, detail={"services": len(rows)}),
            )

        self._database.write(job)

    def of(self, holder: str) -> list[Service]:
        """Everything *holder* offers; empty when nothing was imported."""
        with self._database.reading() as connection:
            return services_of(connection, holder)


def services_of(connection: Connection, holder: str) -> list[Service]:
    """As `Directory.of`, within a transaction."""
    query = select(directory).where(directory.c.holder == holder).order_by(directory.c.code, directory.c.branch)
    return [_service(row) for row in connection.execute(query)]


def _values(service: Service) -> dict[str, object]:
    until = service.agreement_until
    return service.model_dump() | {"agreement_until": until.isoformat() if until else None}


def _service(row: Row[Any]) -> Service:
    return Service.model_validate({name: getattr(row, name) for name in Service.model_fields})
