"""Named users with a second factor (TOTP, RFC 6238): whoever releases a record does it by name and with a fresh code."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pyotp
from sqlalchemy import Connection, insert, select, update

from connector.errors import Refused
from connector.keys import DataKey, MasterKey, derive
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import Database, milliseconds, moment
from connector.ledger.schema import users
from connector.ledger.vault import ledger_secret

_STEP = 30  # seconds
_ISSUER = "Silah"


@dataclass(frozen=True, slots=True)
class User:
    """One person who may work with Silah."""

    name: str
    role: str
    disabled: bool
    added_at: datetime


class Users:
    """Who may release, and the proof that it is them. The secrets are sealed with the master key."""

    def __init__(self, database: Database, master: MasterKey, now: Callable[[], datetime]) -> None:
        self._database, self._now = database, now
        self._key = DataKey(derive(ledger_secret(database, master), "second factors of users"))

    def add(self, name: str, role: str, actor: str) -> str:
        """Adds a user and returns the `otpauth://` address for their authenticator; shown once, never again."""
        secret = pyotp.random_base32()

        def job(connection: Connection) -> None:
            if connection.execute(select(users.c.name).where(users.c.name == name)).first():
                raise Refused("user.exists", f"user {name}", "Choose another name.")
            sealed = self._key.seal(secret.encode(), f"user {name}")
            at = milliseconds(self._now())
            connection.execute(
                insert(users).values(name=name, secret=sealed, role=role, disabled=False, last_step=0, added_at=at)
            )
            audit.append(connection, self._now(), Entry("user_added", actor, detail={"user": name, "role": role}))

        self._database.write(job)
        return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=_ISSUER)

    def disable(self, name: str, actor: str) -> None:
        def job(connection: Connection) -> None:
            if not connection.execute(update(users).where(users.c.name == name).values(disabled=True)).rowcount:
                raise Refused("user.unknown", f"user {name}", "`silah user list` shows who there is.")
            audit.append(connection, self._now(), Entry("user_disabled", actor, detail={"user": name}))

        self._database.write(job)

    def all(self) -> list[User]:
        with self._database.reading() as connection:
            rows = connection.execute(select(users).order_by(users.c.name)).all()
        return [User(row.name, row.role, row.disabled, moment(row.added_at)) for row in rows]

    def prove(self, name: str, code: str) -> None:
        """Raises `Refused` unless *code* is this user's and of this half minute: nothing older than the last one that
        was shown counts, so that several releases in one sitting need no waiting and none can be replayed later."""

        def job(connection: Connection) -> bool:
            row = connection.execute(select(users).where(users.c.name == name)).first()
            if row is None or row.disabled:
                return False
            totp = pyotp.TOTP(self._key.open(row.secret, f"user {name}").decode())
            step = int(time.time()) // _STEP
            for candidate in (step, step - 1, step + 1):
                if candidate >= row.last_step and totp.verify(code, for_time=candidate * _STEP):
                    connection.execute(update(users).where(users.c.name == name).values(last_step=candidate))
                    return True
            return False

        if not self._database.write(job):
            audit_entry = Entry("second_factor_refused", name)
            self._database.write(lambda connection: audit.append(connection, self._now(), audit_entry))
            raise Refused("user.not_proven", f"user {name}", "Give the code that the authenticator shows now, once.")
