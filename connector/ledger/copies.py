"""Whole copies of an SQLite ledger: taken while others write, and looked through before they are trusted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from connector.errors import Refused
from connector.ledger import audit
from connector.ledger.database import Database, unavailable


@contextmanager
def copy_of(database: Database, folder: Path) -> Iterator[Path]:
    """A copy of one moment of *database* as a single file in *folder*; it is removed at the end.

    Writers are not held up: the copy is one read of the write-ahead log's snapshot.
    """
    place = database.url.removeprefix("sqlite:///")
    path = folder / "backup-copying.db"
    _remove(path)
    try:
        with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as source:
            path.touch(mode=0o600)
            with closing(sqlite3.connect(path)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
        check(path)
        yield path
    except sqlite3.Error as error:
        raise unavailable(error) from None
    finally:
        _remove(path)


def check(path: Path) -> None:
    """Raises `Refused` unless the file is a whole ledger whose audit fits its chain."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            found = connection.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.DatabaseError:
            found = []
    if found != [("ok",)]:
        raise Refused("backup.damaged", path.name, "The database itself is damaged: use an older backup.")
    database = Database(f"sqlite:///{path}")
    try:
        with database.reading() as connection_:
            _, bad = audit.verify(connection_)
    finally:
        database.close()
    if bad is not None:
        raise Refused(
            "audit.broken", f"row {bad} of the audit", "Compare with an older backup before you trust this one."
        )


def _remove(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        name.unlink(missing_ok=True)
