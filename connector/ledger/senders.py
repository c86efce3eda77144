"""Which account sent which submission. Accounts name people of ours: they are kept as keyed marks, a blind index.

The mark is HMAC-SHA-256 over server and account under a key of the ledger's own, so that "what came from this
telephone" can be asked, and the file alone tells nobody's account. The key stays the same when the master key rotates.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, select

from connector.ledger.database import moment
from connector.ledger.schema import senders, submissions, user_accounts

if TYPE_CHECKING:
    from connector.ledger.flow import Ledger

_BATCH = 500


@dataclass(frozen=True, slots=True)
class SentItem:
    """One submission of an account: ids and codes alone."""

    submission_id: int
    record_id: str
    root_id: str
    form_id: str
    version: int
    state: str
    first_at: datetime


def mark(key: bytes, server: str, account: str) -> str:
    """The blind name of *account* on *server* under *key* (`Ledger.sender_key`)."""
    return hmac.new(key, f"{server}\n{account}".encode(), "sha256").hexdigest()


def keep(connection: Connection, marks: Mapping[str, str]) -> None:
    """Notes who sent what (record id -> mark), in the caller's transaction; who sent a record first is its sender."""
    records = list(marks)
    for start in range(0, len(records), _BATCH):
        some = records[start : start + _BATCH]
        known = set(connection.execute(select(senders.c.record_id).where(senders.c.record_id.in_(some))).scalars())
        fresh = [{"record_id": one, "mark": marks[one]} for one in some if one not in known]
        if fresh:
            connection.execute(insert(senders), fresh)


def sender_of(connection: Connection, record_id: str) -> str | None:
    """The mark of who sent it; None when the server told nobody, as of a public form."""
    return connection.execute(select(senders.c.mark).where(senders.c.record_id == record_id)).scalar()


def is_own_word(connection: Connection, key: bytes, submission_id: int) -> bool:
    """Whether a submission was approved on the form server by the account that sent it, when that is a user's of Silah.

    Of an account that nobody here is known by it cannot be said that one person alone stands behind both.
    """
    row = connection.execute(select(submissions).where(submissions.c.id == submission_id)).one()
    if row.approved_by is None:
        return False
    blind = mark(key, row.server, row.approved_by)
    of_a_user = select(user_accounts.c.name).where(user_accounts.c.mark == blind)
    return sender_of(connection, row.record_id) == blind and connection.execute(of_a_user).first() is not None


def sent_by(ledger: Ledger, server: str, accounts: Sequence[str]) -> list[SentItem]:
    """Everything that these accounts of *server* sent and that is known here, oldest first."""
    key = ledger.sender_key
    marks = [mark(key, server, account) for account in accounts]
    query = select(submissions).join(senders, senders.c.record_id == submissions.c.record_id)
    with ledger.database.reading() as connection:
        rows = connection.execute(query.where(senders.c.mark.in_(marks)).order_by(submissions.c.id)).all()
    return [
        SentItem(row.id, row.record_id, row.root_id, row.form_id, row.version, row.state, moment(row.first_at))
        for row in rows
    ]
