"""The door to the database: one way to write, one way to read, the same on SQLite and PostgreSQL.

On SQLite every write of a process goes through one thread that commits many of them together (group commit): a
write returns only when it is durable (WAL, synchronous=FULL). Other processes (the command line beside a running
server) write to the same file; SQLite's own lock orders them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from connector.errors import SilahError
from connector.ledger import schema

T = TypeVar("T")
_Job = tuple[Callable[[Connection], object], "Future[object]"]
_GROUP = 128
_BUSY_SECONDS = 30


class LedgerUnavailable(SilahError):
    """The database cannot be read or written now; nothing was changed and nothing leaves."""


def unavailable(error: SQLAlchemyError) -> LedgerUnavailable:
    """The error to show for *error*, without the statement and its values."""
    reason = type(getattr(error, "orig", None) or error).__name__
    return LedgerUnavailable(
        "ledger.unavailable", f"the database ({reason})", "Free disk space, restore its rights, or start it."
    )


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def moment(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)


class Database:
    """Runs functions of a `Connection` in transactions; opens or makes the tables.

    Args:
        url: `sqlite:////path/silah.db` or `postgresql+psycopg://…`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.embedded = url.startswith("sqlite")
        if self.embedded:
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._reading = self._engine("BEGIN", pool=8)
        self._writing = self._engine("BEGIN IMMEDIATE", pool=1) if self.embedded else self._reading
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        try:
            schema.metadata.create_all(self._writing)
        except SQLAlchemyError as error:
            raise unavailable(error) from None

    def _engine(self, begin: str, *, pool: int) -> Engine:
        if not self.embedded:
            return create_engine(self.url, pool_size=16, max_overflow=16, pool_pre_ping=True)
        engine = create_engine(
            self.url,
            pool_size=pool,
            max_overflow=8,
            connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the ledger; raises `LedgerUnavailable`."""
        try:
            with self._reading.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise unavailable(error) from None

    def write(self, job: Callable[[Connection], T]) -> T:
        """Runs *job* in a transaction and returns its result once it is durable.

        Whatever *job* raises undoes its own changes alone and is raised here.
        """
        if not self.embedded:
            try:
                with self._writing.begin() as connection:
                    return job(connection)
            except SQLAlchemyError as error:
                raise unavailable(error) from None
        future: Future[T] = Future()
        self._start()
        self._jobs.put((job, future))  # type: ignore[arg-type] # the future of this job has this job's type
        return future.result()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_for_ever, name="ledger-writer", daemon=True)
                self._thread.start()

    def _write_for_ever(self) -> None:
        while (first := self._jobs.get()) is not None:
            group, last = self._group(first)
            self._commit(group)
            if last:
                return

    def _group(self, first: _Job) -> tuple[list[_Job], bool]:
        group = [first]
        while len(group) < _GROUP:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, False
            if job is None:
                return group, True
            group.append(job)
        return group, False

    def _commit(self, group: list[_Job]) -> None:
        """One transaction for the whole group; each job in a savepoint of its own, told only after the commit."""
        outcomes: list[tuple[Future[object], object, BaseException | None]] = []
        try:
            with self._writing.begin() as connection:
                for job, future in group:
                    outcomes.append((future, *_in_savepoint(connection, job)))
        except SQLAlchemyError as error:
            failure = unavailable(error)
            outcomes = [(future, None, failure) for _, future in group]
        for future, result, raised in outcomes:
            if raised is None:
                future.set_result(result)
            else:
                future.set_exception(raised)

    def healthy(self) -> bool:
        """Whether a read and a durable write work at this moment."""
        try:
            self.write(lambda connection: connection.execute(text("SELECT 1")).scalar_one())
        except (LedgerUnavailable, OperationalError):
            return False
        return True

    def close(self) -> None:
        """Writes what was asked before, then lets go of the database."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join()
        self._reading.dispose()
        self._writing.dispose()


def _in_savepoint(connection: Connection, job: Callable[[Connection], object]) -> tuple[object, BaseException | None]:
    savepoint = connection.begin_nested()
    try:
        result = job(connection)
    except SQLAlchemyError as error:
        savepoint.rollback()
        return None, unavailable(error)
    except Exception as error:  # noqa: BLE001 (handed to the caller that asked for the write)
        savepoint.rollback()
        return None, error
    savepoint.commit()
    return result, None


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # SQLAlchemy begins, sqlite3 does not
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
