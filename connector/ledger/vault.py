"""What is wrapped by the master key: data keys, and the ledger's own secret; their rotation, and their end.

The ledger's secret keys the hashes and blind names that must stay the same for years; it is random, made once, and
kept wrapped. Rotating the master key wraps everything anew and changes no data key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, Table, delete, insert, select, update

from connector.keys import DataKey, MasterKey
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import Database
from connector.ledger.schema import data_keys, meta, metadata

_SECRET = "ledger_secret"  # noqa: S105 (the name of a row)
_CONFIRMED = "recovery_sheet_confirmed"
_BATCH = 500


def ledger_secret(database: Database, master: MasterKey) -> bytes:
    """The ledger's own secret; made on the first call."""
    with database.reading() as connection:
        kept = connection.execute(select(meta.c.value).where(meta.c.key == _SECRET)).scalar()
    if kept is None:
        kept = database.write(lambda connection: _make_secret(connection, master))
    return master.unwrap(base64.b64decode(kept), _SECRET).secret


def _make_secret(connection: Connection, master: MasterKey) -> str:
    kept = connection.execute(select(meta.c.value).where(meta.c.key == _SECRET)).scalar()
    if kept is None:
        kept = base64.b64encode(master.wrap(master.new_data_key(), _SECRET)).decode()
        connection.execute(insert(meta).values(key=_SECRET, value=kept))
    return str(kept)


def rewrap(database: Database, master: MasterKey, now: Callable[[], datetime], actor: str) -> int:
    """Wraps everything that an older key wrapped with the newest one; how many keys that were. May be run again."""
    done = sum(_rewrap_table(database, master, table) for table in _wrapped_tables())
    done += database.write(lambda connection: _rewrap_secret(connection, master))
    entry = Entry("keys_rotated", actor, detail={"key_id": master.key_id, "keys": done})
    database.write(lambda connection: audit.append(connection, now(), entry))
    return done


def _wrapped_tables() -> list[Table]:
    """Every table that holds wrapped keys: a column `wrapped`, and the name it is bound to as its primary key."""
    return [table for table in metadata.sorted_tables if "wrapped" in table.c and "key_id" in table.c]


def _rewrap_table(database: Database, master: MasterKey, table: Table) -> int:
    done = 0
    while True:
        changed = database.write(lambda connection: _rewrap_some(connection, master, table))
        done += changed
        if changed < _BATCH:
            return done


def _rewrap_some(connection: Connection, master: MasterKey, table: Table) -> int:
    [name] = table.primary_key.columns
    rows = connection.execute(
        select(name.label("name"), table.c.wrapped).where(table.c.key_id != master.key_id).limit(_BATCH)
    ).all()
    for row in rows:
        bound_to = row.name if table is data_keys or table.name.startswith("referral") else "node"
        key: DataKey = master.unwrap(row.wrapped, bound_to)
        values = {"wrapped": master.wrap(key, bound_to), "key_id": master.key_id}
        connection.execute(update(table).where(name == row.name).values(values))
    return len(rows)


def _rewrap_secret(connection: Connection, master: MasterKey) -> int:
    kept = base64.b64decode(connection.execute(select(meta.c.value).where(meta.c.key == _SECRET)).scalar_one())
    if master.wrapped_here(kept):
        return 0
    anew = base64.b64encode(master.wrap(master.unwrap(kept, _SECRET), _SECRET)).decode()
    connection.execute(update(meta).where(meta.c.key == _SECRET).values(value=anew))
    return 1


def recovery_confirmed(database: Database, master: MasterKey) -> bool:
    """Whether somebody has typed the key in use from its recovery sheet."""
    with database.reading() as connection:
        kept = connection.execute(select(meta.c.value).where(meta.c.key == _CONFIRMED)).scalar()
    return bool(kept == master.key_id)


def confirm_recovery(database: Database, master: MasterKey, now: Callable[[], datetime], actor: str) -> None:
    """Notes that the recovery sheet of the key in use was read from paper."""

    def job(connection: Connection) -> None:
        connection.execute(delete(meta).where(meta.c.key == _CONFIRMED))
        connection.execute(insert(meta).values(key=_CONFIRMED, value=master.key_id))
        audit.append(connection, now(), Entry("recovery_confirmed", actor, detail={"key_id": master.key_id}))

    database.write(job)
