"""Moves a whole ledger into another, empty database: row by row as it is, wrapped keys and sealed bodies included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Integer, Table, func, insert, select, text

from connector.errors import Refused
from connector.ledger import audit
from connector.ledger.database import Database
from connector.ledger.schema import metadata

_BATCH = 1000


def move(source: Database, to: Database, tick: Callable[[int], None] = lambda _: None) -> Mapping[str, int]:
    """Copies every table in one transaction of *to* and compares the counts; rows by table.

    Raises `Refused` when *to* is not empty, when a count differs, or when the audit does not fit its chain there: then
    nothing was kept in *to*. *source* is only read.
    """

    def job(connection: Connection) -> Mapping[str, int]:
        _must_be_empty(connection, to)
        with source.reading() as reading:
            counts = {table.name: _copy(reading, connection, table, tick) for table in metadata.sorted_tables}
        _compare(connection, counts, to)
        _, bad = audit.verify(connection)
        if bad is not None:
            raise Refused("audit.broken", f"row {bad} of the audit", "Compare with a backup or an exported checkpoint.")
        return counts

    return to.write(job)


def _must_be_empty(connection: Connection, to: Database) -> None:
    filled = [table.name for table in metadata.sorted_tables if connection.execute(select(table).limit(1)).first()]
    if filled:
        where = f"{to.place} (rows in {', '.join(filled)})"
        raise Refused("migrate.not_empty", where, "Give an empty database.")


def _copy(reading: Connection, writing: Connection, table: Table, tick: Callable[[int], None]) -> int:
    copied = 0
    for rows in _pages(reading, table):
        writing.execute(insert(table), rows)
        copied += len(rows)
        tick(len(rows))
    if writing.dialect.name == "postgresql":
        _continue_numbers(writing, table)
    return copied


def _pages(reading: Connection, table: Table) -> Iterator[Sequence[dict[str, Any]]]:
    in_order = select(table).order_by(*table.primary_key.columns)
    rows = reading.execute(in_order, execution_options={"yield_per": _BATCH})
    for page in rows.mappings().partitions(_BATCH):
        yield [dict(row) for row in page]


def _continue_numbers(connection: Connection, table: Table) -> None:
    """Numbers that the database gives go on after those that came along."""
    column = table.autoincrement_column
    if column is None or not isinstance(column.type, Integer):
        return
    last = connection.execute(select(func.max(column))).scalar()
    if last is not None:
        sequence = text("SELECT setval(pg_get_serial_sequence(:of, :at), :last)")
        connection.execute(sequence, {"of": table.name, "at": column.name, "last": last})


def _compare(connection: Connection, counts: Mapping[str, int], to: Database) -> None:
    for table in metadata.sorted_tables:
        there = connection.execute(select(func.count()).select_from(table)).scalar_one()
        if there != counts[table.name]:
            where = f"{table.name} in {to.place}: {there} of {counts[table.name]} rows"
            raise Refused("migrate.counts_differ", where, "Nothing was kept there; look at the database's log.")
