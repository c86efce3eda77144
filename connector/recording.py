"""Counts what was done before or elsewhere into the figures, in batches, however long the list is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from connector.figures.delivered import Delivered, read_delivered
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.flow import Ledger

_BATCH = 500


def record_delivered(
    ledger: Ledger, file: Path, source: str, actor: str, tick: Callable[[int], None] = lambda _: None
) -> int:
    """Counts every row of *file*; how many. The whole file is read before anything is counted, and a row that was counted
    before under the same *source* is replaced: to import again after a mistake or an interruption is safe.

    Raises `Refused`, which names the row and the column; then nothing was counted.
    """
    for _ in read_delivered(file):
        pass
    counted = 0
    for batch in _batches(read_delivered(file)):
        ledger.database.write(partial(_keep, ledger, source, batch))
        counted += len(batch)
        tick(len(batch))
    entry = Entry("services_recorded", actor, detail={"rows": counted, "source": source})
    ledger.database.write(lambda connection: audit.append(connection, ledger.now(), entry))
    return counted


def _keep(ledger: Ledger, source: str, batch: Sequence[Delivered], connection: Connection) -> None:
    facts = [(f"delivered {source} {one.id}", one.facts()) for one in batch]
    ledger.fact_book.keep(connection, facts)


def _batches(rows: Iterable[Delivered]) -> Iterator[list[Delivered]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
