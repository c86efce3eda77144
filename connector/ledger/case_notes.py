"""Notes on a case as rows: sealed with a key of their own, shared by message, gone with the last consent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from connector.keys import MasterKey
from connector.ledger.database import milliseconds
from connector.ledger.schema import referral_note_shares, referral_notes, referrals
from connector.referrals.machine import State
from connector.referrals.messages import Note

OWN = "own"


def keep_note(
    connection: Connection,
    master: MasterKey,
    note_id: str,
    case_code: str,
    note: Note,
    origin: str,
    actor: str,
    at: datetime,
) -> None:
    """Seals and keeps a note; *origin* is `own` or the partner that shared it."""
    key = master.new_data_key()
    connection.execute(
        insert(referral_notes).values(
            id=note_id, case_code=case_code, origin=origin, kind=note.kind, wrapped=master.wrap(key, note_id),
            key_id=master.key_id, sealed=key.seal(note.model_dump_json().encode(), f"{note_id} note"), actor=actor,
            made_at=milliseconds(at),
        )
    )  # fmt: skip


def share_note(connection: Connection, message_id: str, note_id: str, referral_id: str) -> None:
    """Says which message carries which note."""
    values = {"message_id": message_id, "note_id": note_id, "referral_id": referral_id}
    connection.execute(insert(referral_note_shares).values(values))


def forget_notes(connection: Connection, case_code: str) -> None:
    """Destroys the notes on a case once no referral of it is left that the person did not withdraw."""
    going_on = select(referrals.c.id).where(referrals.c.case_code == case_code, referrals.c.state != State.WITHDRAWN)
    if not case_code or connection.execute(going_on).first() is not None:
        return
    drop_notes(connection, case_code)


def drop_notes(connection: Connection, case_code: str) -> None:
    """Destroys the notes on a case and their keys."""
    mine = select(referral_notes.c.id).where(referral_notes.c.case_code == case_code)
    connection.execute(delete(referral_note_shares).where(referral_note_shares.c.note_id.in_(mine)))
    connection.execute(delete(referral_notes).where(referral_notes.c.case_code == case_code))
