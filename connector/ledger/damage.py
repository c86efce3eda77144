"""A submission of which something stored does not open any more: it alone waits, and is read again."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from connector.errors import Damaged
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import milliseconds
from connector.ledger.flow import Ledger
from connector.ledger.receipts import read_anew
from connector.ledger.schema import data_keys, submissions

CODE = "record.damaged"


def park_damaged(ledger: Ledger, submission_id: int) -> None:
    """Parks a submission until it was read again from its form server, and asks for that.

    The reading replaces what was damaged, in the same version; its deliveries are made anew.
    """
    ledger.database.write(lambda connection: _park(ledger, connection, submission_id))


def _park(ledger: Ledger, connection: Connection, submission_id: int) -> None:
    row = connection.execute(select(submissions).where(submissions.c.id == submission_id)).one()
    if row.parked is not None:
        return
    values = {"parked": CODE, "parked_at": row.form_id, "touched": row.touched + 1}
    connection.execute(update(submissions).where(submissions.c.id == submission_id).values(values))
    entry = Entry("parked", record_id=row.record_id, detail={"reason": CODE, "version": row.version})
    audit.append(connection, ledger.now(), entry)
    _give_a_key(ledger, connection, row.record_id)
    read_anew(connection, submission_id, milliseconds(ledger.now()))


def _give_a_key(ledger: Ledger, connection: Connection, record_id: str) -> None:
    """A new data key where the old one is what was damaged: nothing that it sealed can be opened any more."""
    mine = data_keys.c.record_id == record_id
    wrapped = connection.execute(select(data_keys.c.wrapped).where(mine)).scalar_one()
    try:
        ledger.master.unwrap(wrapped, record_id)
    except Damaged:
        anew = ledger.master.wrap(ledger.master.new_data_key(), record_id)
        connection.execute(update(data_keys).where(mine).values(wrapped=anew, key_id=ledger.master.key_id))
