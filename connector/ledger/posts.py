"""Where a user works: their branch, the code they write into forms, their accounts on form servers.

A user without a branch works for the whole society. An account belongs to one user; it stands as a keyed mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from connector.errors import Refused
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.flow import Ledger
from connector.ledger.schema import posts, user_accounts, users
from connector.ledger.senders import mark


@dataclass(frozen=True, slots=True)
class Post:
    """One user at work. *accounts* are marks; *servers* those where an account of theirs is known."""

    name: str
    role: str
    disabled: bool
    branch: str | None = None
    collector: str | None = None
    accounts: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()


class Posts:
    """Who works where. Every method is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._key = ledger.sender_key

    def place(
        self, name: str, actor: str, *,
        branch: str | None = None, collector: str | None = None, accounts: Sequence[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        """Changes what is given and leaves the rest; an empty *branch* is the whole society.

        Args:
            accounts: (server, account as that server's submissions name who sent them), added to those there are.
        """
        self._ledger.database.write(
            lambda connection: self._place(connection, name, actor, branch, collector, accounts)
        )

    def _place(
        self, connection: Connection, name: str, actor: str, branch: str | None, collector: str | None,
        accounts: Sequence[tuple[str, str]],
    ) -> None:  # fmt: skip
        if connection.execute(select(users.c.name).where(users.c.name == name)).first() is None:
            raise Refused("user.unknown", f"user {name}", "`silah user list` shows who there is.")
        if connection.execute(select(posts.c.name).where(posts.c.name == name)).first() is None:
            connection.execute(insert(posts).values(name=name))
        given = {"branch": branch, "collector": collector}
        values = {key: value or None for key, value in given.items() if value is not None}
        if values:
            connection.execute(update(posts).where(posts.c.name == name).values(**values))
        for server, account in accounts:
            self._add_account(connection, name, server, account)
        detail = {"user": name, "branch": branch, "accounts": len(accounts)}
        audit.append(connection, self._ledger.now(), Entry("user_placed", actor, detail=detail))

    def _add_account(self, connection: Connection, name: str, server: str, account: str) -> None:
        blind = mark(self._key, server, account)
        holder = connection.execute(select(user_accounts.c.name).where(user_accounts.c.mark == blind)).scalar()
        if holder not in {None, name}:
            advice = f"It is {holder}'s: one account is one person. Give everybody an account of their own."
            raise Refused("user.account_taken", f"an account on {server}", advice)
        if holder is None:
            connection.execute(insert(user_accounts).values(mark=blind, server=server, name=name))

    def forget_accounts(self, name: str, actor: str) -> None:
        """Takes all accounts of *name* away."""

        def job(connection: Connection) -> None:
            connection.execute(delete(user_accounts).where(user_accounts.c.name == name))
            audit.append(
                connection, self._ledger.now(), Entry("user_placed", actor, detail={"user": name, "accounts": 0})
            )

        self._ledger.database.write(job)

    def of(self, name: str) -> Post | None:
        """The user *name*, None when there is none."""
        query = select(users.c.name, users.c.role, users.c.disabled, posts.c.branch, posts.c.collector)
        with self._ledger.database.reading() as connection:
            row = connection.execute(
                query.outerjoin(posts, posts.c.name == users.c.name).where(users.c.name == name)
            ).first()
            held = connection.execute(select(user_accounts).where(user_accounts.c.name == name)).all()
        if row is None:
            return None
        marks, servers = frozenset(one.mark for one in held), frozenset(one.server for one in held)
        return Post(row.name, row.role, row.disabled, row.branch, row.collector, marks, servers)

    def roles_by_code(self) -> dict[str, str]:
        """The code that a user writes into forms → their role, also of users who left."""
        query = select(posts.c.collector, users.c.role).join(users, users.c.name == posts.c.name)
        with self._ledger.database.reading() as connection:
            rows = connection.execute(query.where(posts.c.collector.is_not(None))).all()
        return {row.collector: row.role for row in rows}

    def in_branch(self, branch: str) -> int:
        """How many users there are in *branch*, without the disabled ones."""
        query = select(func.count()).select_from(users).join(posts, posts.c.name == users.c.name)
        with self._ledger.database.reading() as connection:
            return connection.execute(query.where(posts.c.branch == branch, ~users.c.disabled)).scalar_one()

    def holder(self, server: str, account: str) -> str | None:
        """The user whose account that is."""
        blind = mark(self._key, server, account)
        with self._ledger.database.reading() as connection:
            return connection.execute(select(user_accounts.c.name).where(user_accounts.c.mark == blind)).scalar()
