"""How many forms each collector sent on which day. Who that was stands there sealed, under a keyed hash: a code may lead
to a volunteer.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, update

from connector.errors import Damaged
from connector.figures.facts import NOT_RECORDED
from connector.keys import DataKey
from connector.ledger.schema import arrivals

_LONGEST_CODE = 40
Arrived = tuple[datetime, str, str | None]  # when, form, collector


@dataclass(frozen=True, slots=True)
class CollectorBook:
    """Counts arrivals. *key*: 32 bytes that stay the same when the master key is rotated."""

    key: bytes

    def arrived(self, connection: Connection, found: Iterable[Arrived]) -> None:
        """Adds submissions to the count of their day (UTC)."""
        counts = Counter(
            (at.date().isoformat(), form, (code or NOT_RECORDED)[:_LONGEST_CODE]) for at, form, code in found
        )
        for (day, form, code), number in counts.items():
            hashed = hmac.new(self.key, code.encode(), hashlib.sha256).hexdigest()[:32]
            place = (arrivals.c.day == day, arrivals.c.form_id == form, arrivals.c.collector == hashed)
            more = update(arrivals).where(*place).values(count=arrivals.c["count"] + number)
            if not connection.execute(more).rowcount:
                row = {
                    "day": day,
                    "form_id": form,
                    "collector": hashed,
                    "sealed": self._sealing.seal(code.encode(), hashed),
                }
                connection.execute(insert(arrivals).values(count=number, **row))

    def opened(self, hashed: str, sealed: bytes) -> str:
        """The code; `not_recorded` where nobody gave one."""
        try:
            return self._sealing.open(sealed, hashed).decode()
        except Damaged:  # the count stands all the same
            return NOT_RECORDED

    @property
    def _sealing(self) -> DataKey:
        return DataKey(self.key)
