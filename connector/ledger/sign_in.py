"""Signing in: a password and the second factor together, and a pause after wrong attempts.

The password is kept as scrypt makes it; wrong attempts are counted for the name, whether it exists is never told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Connection, insert, select, update
from werkzeug.security import check_password_hash, generate_password_hash

from connector.errors import Refused
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import Database, milliseconds
from connector.ledger.schema import sign_ins, users
from connector.ledger.users import Users

SHORTEST_PASSWORD = 12
_MOST_FAILED = 5
_PAUSE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who works with the dashboard now. *epoch* ends a session when it no longer is the user's."""

    name: str
    role: str
    epoch: int


class SignIn:
    """The door of the dashboard."""

    def __init__(self, database: Database, proofs: Users, now: Callable[[], datetime]) -> None:
        self._database, self._users, self._now = database, proofs, now

    def set_password(self, name: str, password: str, actor: str) -> None:
        """Sets a user's password and ends their sessions; raises `Refused` for one that is too short or nobody's."""
        if len(password) < SHORTEST_PASSWORD:
            raise Refused("user.short_password", f"user {name}", f"Use at least {SHORTEST_PASSWORD} characters.")
        hashed = generate_password_hash(password)

        def job(connection: Connection) -> None:
            if connection.execute(select(users.c.name).where(users.c.name == name)).first() is None:
                raise Refused("user.unknown", f"user {name}", "`silah user list` shows who there is.")
            _row(connection, name)
            values = {"password": hashed, "failed": 0, "locked_until": 0, "epoch": sign_ins.c.epoch + 1}
            connection.execute(update(sign_ins).where(sign_ins.c.name == name).values(values))
            audit.append(connection, self._now(), Entry("password_set", actor, detail={"user": name}))

        self._database.write(job)

    def enter(self, name: str, password: str, code: str) -> SignedIn:
        """The user whose password and fresh code these are; raises `Refused` (`user.locked`, `user.not_proven`)."""
        self._not_locked(name)
        with self._database.reading() as connection:
            hashed = connection.execute(select(sign_ins.c.password).where(sign_ins.c.name == name)).scalar()
        fits = check_password_hash(hashed or _nobody(), password) and hashed is not None
        if not fits:
            self._failed(name)
            raise Refused("user.not_proven", "sign-in", "Give name, password and code again.")
        self.prove(name, code)
        found = self.known(name)
        if found is None:
            raise Refused("user.not_proven", "sign-in", "Give name, password and code again.")
        self._database.write(lambda c: audit.append(c, self._now(), Entry("signed_in", name)))
        return found

    def prove(self, name: str, code: str) -> None:
        """The second factor, as `Users.prove`, with the same pause after wrong attempts."""
        self._not_locked(name)
        try:
            self._users.prove(name, code)
        except Refused:
            self._failed(name)
            raise
        self._database.write(
            lambda c: c.execute(update(sign_ins).where(sign_ins.c.name == name).values(failed=0)) and None
        )

    def known(self, name: str) -> SignedIn | None:
        """The user *name* as they are now; None when there is no such user or they were disabled."""
        query = select(users.c.name, users.c.role, sign_ins.c.epoch).join(sign_ins, sign_ins.c.name == users.c.name)
        with self._database.reading() as connection:
            row = connection.execute(query.where(users.c.name == name, ~users.c.disabled)).first()
        return SignedIn(row.name, row.role, row.epoch) if row else None

    def _not_locked(self, name: str) -> None:
        with self._database.reading() as connection:
            until = connection.execute(select(sign_ins.c.locked_until).where(sign_ins.c.name == name)).scalar()
        if until and until > milliseconds(self._now()):
            raise Refused("user.locked", "sign-in", "Wait fifteen minutes.")

    def _failed(self, name: str) -> None:
        def job(connection: Connection) -> None:
            if connection.execute(select(users.c.name).where(users.c.name == name)).first() is None:
                return
            failed = _row(connection, name) + 1
            locked = milliseconds(self._now() + _PAUSE) if failed >= _MOST_FAILED else 0
            values = {"failed": 0 if locked else failed, "locked_until": locked}
            connection.execute(update(sign_ins).where(sign_ins.c.name == name).values(values))
            audit.append(connection, self._now(), Entry("sign_in_locked" if locked else "sign_in_refused", name))

        self._database.write(job)


@cache
def _nobody() -> str:
    """Compared with when there is no such user, so that it takes as long."""
    return generate_password_hash("nobody")


def _row(connection: Connection, name: str) -> int:
    """Makes the user's row if there is none; the wrong attempts so far."""
    failed = connection.execute(select(sign_ins.c.failed).where(sign_ins.c.name == name)).scalar()
    if failed is None:
        connection.execute(insert(sign_ins).values(name=name, failed=0, locked_until=0, epoch=0))
    return failed or 0
