"""How each user reads: language, calendar and digits of the pages."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select

from connector.ledger.database import Database
from connector.ledger.schema import preferences


@dataclass(frozen=True, slots=True)
class Preferences:
    """Codes; empty: as the language has it."""

    language: str = ""
    calendar: str = ""
    digits: str = ""


def preferences_of(database: Database, user: str) -> Preferences:
    with database.reading() as connection:
        row = connection.execute(select(preferences).where(preferences.c.name == user)).first()
    return Preferences(row.language, row.calendar, row.digits) if row else Preferences()


def prefer(database: Database, user: str, chosen: Preferences) -> None:
    """Keeps what *user* chose, in the place of what they had."""

    def job(connection: Connection) -> None:
        connection.execute(delete(preferences).where(preferences.c.name == user))
        connection.execute(insert(preferences).values(name=user, **asdict(chosen)))

    database.write(job)
