"""What every part of the ledger stands on: the database, the master key, the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from connector import keys
from connector.keys import MasterKey
from connector.ledger import vault
from connector.ledger.collectors import CollectorBook
from connector.ledger.database import Database
from connector.ledger.figures import FactBook

BATCH = 500  # rows that one statement names, or one look gives


class Part:
    """The common ground of `Ledger`'s parts.

    Args:
        database: where it is kept.
        master: wraps the data keys.
        now: the clock; the only one.
    """

    def __init__(self, database: Database, master: MasterKey, now: Callable[[], datetime]) -> None:
        self.database = database
        self._master = master
        self.now = now
        self._secret = vault.ledger_secret(database, master)
        self.fact_book = FactBook(self.derive("facts of figures"))
        self.sender_key = self.derive("accounts of senders")  # of the marks in senders.py
        self.collectors = CollectorBook(self.derive("codes of collectors"))

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one *purpose* that stay the same when the master key is rotated."""
        return keys.derive(self._secret, purpose)

    @property
    def master(self) -> MasterKey:
        return self._master


def chunks(items: Sequence[int] | Sequence[str]) -> Iterable[Sequence[int] | Sequence[str]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
