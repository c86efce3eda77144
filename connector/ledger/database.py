"""The door to the database: one way to write, one way to read, the same on SQLite and PostgreSQL.

Every write of a process goes through one thread that commits many of them together (group commit): a write returns
only when it is durable (SQLite: WAL, synchronous=FULL; PostgreSQL: synchronous_commit). Writes of several processes
follow one another: SQLite locks its file, on PostgreSQL every group takes one advisory lock first. So a write always
sees all that was written before it, the audit is one chain, and no write has to be made twice.
"""

from __future__ import annotations

import hashlib
import queue
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, make_url, text, update
from sqlalchemy.engine.interfaces import DBAPIConnection, IsolationLevel
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from connector.errors import Misconfigured, SilahError
from connector.ledger import schema
from connector.ledger.crash_points import crash_point

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 (an item)
_GROUP = 128
_BUSY_SECONDS = 30
_WRITES = "writes"  # the row of `meta` that shows that a write works
_WRITE_LOCK = 0x51_1A_4  # the advisory lock of whoever writes to a ledger on PostgreSQL
# A machine that is gone lets go of its locks within seconds.
_POSTGRES = "-c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 -c synchronous_commit=on"


# By SQLite's primary result code (https://sqlite.org/rescode.html) and PostgreSQL's SQLSTATE (its appendix A).
_SQLITE: Mapping[int, str] = {
    sqlite3.SQLITE_FULL: "ledger.disk_full",
    sqlite3.SQLITE_IOERR: "ledger.disk_fails",
    sqlite3.SQLITE_READONLY: "ledger.read_only",
    sqlite3.SQLITE_CANTOPEN: "ledger.read_only",
    sqlite3.SQLITE_PERM: "ledger.read_only",
    sqlite3.SQLITE_CORRUPT: "ledger.damaged",
    sqlite3.SQLITE_NOTADB: "ledger.damaged",
}
_POSTGRESQL: Mapping[str, str] = {
    "53100": "ledger.disk_full",
    "58030": "ledger.disk_fails",
    "25006": "ledger.read_only",
    "XX001": "ledger.damaged",
    "XX002": "ledger.damaged",
}
_MENDED_BY: Mapping[str, str] = {
    "ledger.disk_full": "Free space on its disk; it goes on by itself, and nothing that was accepted is lost.",
    "ledger.disk_fails": "Look at the disk, its quota and the system's log; move the data to a sound one.",
    "ledger.read_only": "Let Silah's account read and write the file and its folder, and the disk be writable.",
    "ledger.damaged": "Stop Silah, keep the file, and put the newest backup in its place with `silah restore`.",
    "ledger.unavailable": "Free disk space, restore its rights, or start it.",
}


class LedgerUnavailable(SilahError):
    """The database cannot be read or written now; nothing was changed and nothing leaves."""


def unavailable(error: SQLAlchemyError | sqlite3.Error) -> LedgerUnavailable:
    """The error to show for *error*, without the statement and its values: what is wrong, and what mends it."""
    cause = getattr(error, "orig", None) or error
    known = _SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF) or _POSTGRESQL.get(getattr(cause, "sqlstate", ""))
    code = known or "ledger.unavailable"
    return LedgerUnavailable(code, f"the database ({type(cause).__name__})", _MENDED_BY[code])


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def moment(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)


@dataclass(frozen=True, slots=True)
class _Job:
    """One write that somebody waits for. Jobs with the same *many* are run together, as one call of it."""

    run: Callable[[Connection], object]
    future: Future[object]
    many: Callable[[Connection, Sequence[object]], Sequence[object]] | None = None
    item: object = None

    @property
    def name(self) -> str:
        """The method that asks for it."""
        return (self.many or self.run).__qualname__.split(".")[1]


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
        self._reading = self._sqlite("BEGIN", pool=8) if self.embedded else self._postgres(pool=8)
        self._writing = self._sqlite("BEGIN IMMEDIATE", pool=1) if self.embedded else self._postgres_writer()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting, self._closed = threading.Lock(), False
        self._crash = crash_point()
        try:
            with self._writing.begin() as connection:  # two processes may start at once
                schema.metadata.create_all(connection)
                _add_indexes(connection)
        except SQLAlchemyError as error:
            raise unavailable(error) from None

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        return make_url(self.url).render_as_string(hide_password=True)

    def _sqlite(self, begin: str, *, pool: int) -> Engine:
        engine = create_engine(
            self.url,
            pool_size=pool,
            max_overflow=8,
            connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    def _postgres(self, *, pool: int, isolation: IsolationLevel = "REPEATABLE READ") -> Engine:
        try:
            return create_engine(
                self.url,
                pool_size=pool,
                max_overflow=8,
                pool_pre_ping=True,
                isolation_level=isolation,
                connect_args={"options": _POSTGRES, "connect_timeout": _BUSY_SECONDS},
            )
        except ModuleNotFoundError as error:
            advice = "Install it: pip install 'silah[postgres]'."
            raise Misconfigured("config.no_driver", f"`database` ({error.name} is not installed)", advice) from None

    def _postgres_writer(self) -> Engine:
        """After the lock was taken each statement sees all that others committed: READ COMMITTED, not a snapshot."""
        engine = self._postgres(pool=1, isolation="READ COMMITTED")
        lock = f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(lock))
        return engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the ledger; raises `LedgerUnavailable`."""
        try:
            with self._reading.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise unavailable(error) from None

    def write(self, job: Callable[[Connection], T], within: float | None = None) -> T:
        """Runs *job* in a transaction and returns its result once it is durable.

        Whatever *job* raises undoes its own changes alone and is raised here. When it is not durable *within* so many
        seconds, `LedgerUnavailable` is raised; it may yet be written.
        """
        return _result(self.write_later(job), within)

    def write_later(self, job: Callable[[Connection], T]) -> Future[T]:
        """Like `write`, without waiting: the future is done once the write is durable, or has failed."""
        future: Future[T] = Future()
        self._put(_Job(job, cast("Future[object]", future)))
        return future

    def write_many(
        self, many: Callable[[Connection, Sequence[I]], Sequence[T]], item: I, within: float | None = None
    ) -> T:
        """Like `write`, for a write that many threads make at once: *many* gets all their items and returns their
        results in the same order. If it raises, each item is tried alone."""
        return _result(self.write_soon(many, item), within)

    def write_soon(self, many: Callable[[Connection, Sequence[I]], Sequence[T]], item: I) -> Future[T]:
        """Like `write_many`, without waiting: the future is done once the write is durable, or has failed."""

        def alone(connection: Connection) -> T:
            return many(connection, [item])[0]

        future: Future[T] = Future()
        together = cast("Callable[[Connection, Sequence[object]], Sequence[object]]", many)
        self._put(_Job(alone, cast("Future[object]", future), together, item))
        return future

    def _put(self, job: _Job) -> None:
        self._start()
        self._jobs.put(job)

    def _start(self) -> None:
        with self._starting:
            if self._closed:  # what a hanging target answers after the end; it is asked again with the same key
                raise LedgerUnavailable("ledger.unavailable", "the database (closed)", "Start Silah again.")
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
        """One transaction for the whole group, told only after the commit."""
        outcomes: list[_Outcome] = []
        self._pass_by("before", group)
        try:
            with self._writing.begin() as connection:
                for jobs in _together(group):
                    outcomes += _run(connection, jobs)
                self._pass_by("uncommitted", group)
        except SQLAlchemyError as error:
            failure = unavailable(error)
            outcomes = [(job, None, failure) for job in group]
        self._pass_by("committed", group)
        for job, result, raised in outcomes:
            if raised is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(raised)

    def _pass_by(self, moment: str, group: Sequence[_Job]) -> None:
        if self._crash is not None:
            self._crash.pass_by(moment, {job.name for job in group})

    @contextmanager
    def alone(self, name: str) -> Iterator[Callable[[], bool]]:
        """A claim on *name* that one process at a time can hold; it goes with the process, also when it is killed.

        Gives a function that takes the claim or looks whether it is still held. On SQLite there is one dispatching
        process by the lock on its data directory, and the claim is always held.
        """
        if self.embedded:
            yield lambda: True
            return
        claim = _Claim(self._reading, name)
        try:
            yield claim.held
        finally:
            claim.let_go()

    def trouble(self) -> LedgerUnavailable | None:
        """None when a read and a durable write work at this moment, else what is wrong."""
        try:
            self.write(_note_that_it_writes, within=_BUSY_SECONDS)
        except LedgerUnavailable as error:
            return error
        return None

    def settle(self) -> None:
        """Moves what the write-ahead log holds into the database file and empties the log.

        Deleted bytes are overwritten in the file (`secure_delete`), but the log keeps the pages as they were until this.
        A reader that is busy in another process may keep a part of it; the next call, or closing, gets that.
        """
        if not self.embedded:
            return
        raw = self._reading.raw_connection()
        try:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        finally:
            raw.close()

    def close(self) -> None:
        """Writes what was asked before, then lets go of the database."""
        with self._starting:
            thread, self._thread, self._closed = self._thread, None, True
        if thread is not None:
            self._jobs.put(None)
            thread.join()
        self._reading.dispose()
        self._writing.dispose()


class _Claim:
    """A session's advisory lock on PostgreSQL, on a connection of its own."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self._connection: Connection | None = None

    def held(self) -> bool:
        """Takes it when it is free; False when another holds it or the database is away (then it was lost)."""
        try:
            if self._connection is not None:
                self._connection.execute(text("SELECT 1"))
                return True
            return self._take()
        except SQLAlchemyError:
            self.let_go()
            return False

    def _take(self) -> bool:
        self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        taken = self._connection.execute(
            text("SELECT pg_try_advisory_lock(:name)"), {"name": self._number}
        ).scalar_one()
        if not taken:
            self.let_go()
        return bool(taken)

    def let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()  # the lock goes with the session, which no pool may keep
            connection.close()


def _note_that_it_writes(connection: Connection) -> None:
    """A page that is really written: a full disk takes an empty transaction."""
    number = update(schema.meta).where(schema.meta.c.key == _WRITES).values(value=secrets.token_hex(4))
    if not connection.execute(number).rowcount:
        connection.execute(insert(schema.meta).values(key=_WRITES, value="0"))


def _result(future: Future[T], within: float | None) -> T:
    try:
        return future.result(within)
    except TimeoutError:
        advice = "Nothing is wrong if it was busy; else look at the disk."
        raise LedgerUnavailable("ledger.unavailable", "the database (too slow)", advice) from None


_Outcome = tuple[_Job, object, BaseException | None]


def _together(group: Sequence[_Job]) -> Iterator[list[_Job]]:
    """Jobs that can be run as one, in the order in which the first of them came."""
    batches: dict[object, list[_Job]] = {}
    for number, job in enumerate(group):
        batches.setdefault(job.many or number, []).append(job)
    yield from batches.values()


def _run(connection: Connection, jobs: Sequence[_Job]) -> list[_Outcome]:
    """A lone job in a savepoint of its own; several as one call, and each alone if that call fails."""
    many = jobs[0].many
    if many is not None and len(jobs) > 1:
        results, raised = _in_savepoint(connection, lambda c: many(c, [job.item for job in jobs]))
        if raised is None:
            return [(job, result, None) for job, result in zip(jobs, cast("Sequence[object]", results), strict=True)]
    return [(job, *_in_savepoint(connection, job.run)) for job in jobs]


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


def _add_indexes(connection: Connection) -> None:
    """Indexes that a ledger of an older version does not have yet: tables that are there get none by themselves."""
    known = inspect(connection)
    for table in schema.metadata.sorted_tables:
        there = {index["name"] for index in known.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in there:
                index.create(connection)


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # SQLAlchemy begins, sqlite3 does not
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
