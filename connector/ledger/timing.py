"""What depends on the clock, and what the gate's decisions rest on, over restarts and jumps of the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, Update, func, insert, select, update

from connector.ledger.database import milliseconds, moment
from connector.ledger.deliveries import OPEN
from connector.ledger.part import Part, chunks
from connector.ledger.schema import deliveries, meta, receipts

_RESTS_ON = "gate_rests_on"
_SEEN_AT = "seen_at"
_HELD_BACK = ("withheld", "waiting")


class Timing(Part):
    """Looking again, and the time that a dispatching process was last alive."""

    def reconsider(self, rests_on: str, *, always: bool = False) -> bool:
        """Lets the gate look once more at all that is withheld or waiting, when what it *rests_on* (a fingerprint of
        policy, targets and agreements) has changed since the last time; whether it does."""

        def job(connection: Connection) -> bool:
            if not always and _noted(connection, _RESTS_ON) == rests_on:
                return False
            _note(connection, _RESTS_ON, rests_on)
            self._make_due(update(deliveries).where(deliveries.c.state.in_(_HELD_BACK)), connection)
            return True

        return self.database.write(job)

    def look_again(self, reason: str) -> int:
        """Lets the gate look at what is withheld for *reason*; how many deliveries."""
        of_reason = (deliveries.c.state == "withheld", deliveries.c.error == reason)
        with self.database.reading() as connection:
            found = list(connection.execute(select(deliveries.c.id).where(*of_reason)).scalars())
        for some in chunks(found):
            self.database.write(
                partial(self._make_due, update(deliveries).where(deliveries.c.id.in_(some), *of_reason))
            )
        return len(found)

    def _make_due(self, which: Update, connection: Connection) -> None:
        connection.execute(which.values(state="due", next_at=milliseconds(self.now())))

    def seen_at(self) -> datetime | None:
        """When a dispatching process last said that it is alive."""
        with self.database.reading() as connection:
            noted = _noted(connection, _SEEN_AT)
        return moment(int(noted)) if noted else None

    def seen(self) -> None:
        """Says that it is."""
        self.database.write(lambda connection: _note(connection, _SEEN_AT, str(milliseconds(self.now()))))

    def time_jumped(self, gap: timedelta) -> None:
        """The clock shows *gap* more (or less) than the time that passed while anything could be tried.

        What is open has its first attempt moved along, so that a delivery is tried for as long as it should be; when the
        clock went back, the times of what waits to be tried again go back with it.
        """
        by = gap // timedelta(milliseconds=1)

        def job(connection: Connection) -> None:
            begun = update(deliveries).where(deliveries.c.state.in_(OPEN), deliveries.c.tried_at.isnot(None))
            earliest = func.min if self.database.embedded else func.least
            moved = earliest(deliveries.c.tried_at + by, milliseconds(self.now()))
            connection.execute(begun.values(tried_at=moved))
            if by < 0:
                due = update(deliveries).where(deliveries.c.state == "due")
                connection.execute(due.values(next_at=deliveries.c.next_at + by))
                new = update(receipts).where(receipts.c.state == "new")
                connection.execute(new.values(next_at=receipts.c.next_at + by))

        self.database.write(job)


def _noted(connection: Connection, key: str) -> str | None:
    return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()


def _note(connection: Connection, key: str, value: str) -> None:
    if not connection.execute(update(meta).where(meta.c.key == key).values(value=value)).rowcount:
        connection.execute(insert(meta).values(key=key, value=value))
