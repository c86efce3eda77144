"""Notes on a case that several parties work on: kept here, and passed on to those named as readers and to nobody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, select

from connector.errors import Refused
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.case_notes import OWN, keep_note
from connector.ledger.database import moment
from connector.ledger.referrals import ReferralLedger
from connector.ledger.schema import partners, referral_note_shares, referral_notes, referrals
from connector.referrals.machine import UNDER_WAY
from connector.referrals.messages import Note


@dataclass(frozen=True, slots=True)
class NewNote:
    """A note that was kept, and to how many referrals of the case it goes."""

    id: str
    passed_on: int


@dataclass(frozen=True, slots=True)
class KeptNote:
    """A note as it stands here. *origin*: `own`, or the name of the partner that shared it; *readers*: partners' names."""

    id: str
    origin: str
    actor: str
    at: datetime
    readers: tuple[str, ...]
    note: Note = field(repr=False)


class Notes:
    """The notes of one node; every method is one transaction."""

    def __init__(self, referrals_: ReferralLedger) -> None:
        self._referrals = referrals_

    def add(self, case_code: str, note: Note, readers: frozenset[str], actor: str) -> NewNote:
        """Keeps *note* and passes it on to *readers* (fingerprints); each must have a referral of the case under way.

        Raises `Refused` for a case that nobody referred and for a reader that does not work on it; then nothing was kept.
        """

        def job(connection: Connection) -> NewNote:
            rows = connection.execute(select(referrals).where(referrals.c.case_code == case_code)).all()
            if not rows:
                raise Refused("referral.unknown", "the case code", "`silah referral list` shows them.")
            to = [row for row in rows if row.partner in readers and row.state in UNDER_WAY]
            if {row.partner for row in to} != readers:
                advice = "A party reads notes on a case while a referral of it is under way there."
                raise Refused("note.not_a_party", "`readers` of the note", advice)
            note_id = str(uuid4())
            keep_note(connection, self._referrals.master, note_id, case_code, note, OWN, actor, self._referrals.now())
            entry = Entry("note_kept", actor, detail={"note": note_id, "kind": note.kind, "readers": len(to)})
            audit.append(connection, self._referrals.now(), entry)
            for row in to:
                self._referrals.pass_note(connection, row, note_id, actor)
            return NewNote(note_id, len(to))

        return self._referrals.database.write(job)

    def carried(self, message_id: str) -> Note | None:
        """The note that a message carries, for the reader it was queued for; None when it was destroyed."""
        query = (
            select(referral_notes)
            .join(referral_note_shares, referral_note_shares.c.note_id == referral_notes.c.id)
            .where(referral_note_shares.c.message_id == message_id)
        )
        with self._referrals.database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else self._opened(row)

    def of(self, case_code: str, actor: str) -> list[KeptNote]:
        """Every note on a case that is here, the oldest first; the look is audited."""

        def job(connection: Connection) -> list[KeptNote]:
            rows = connection.execute(
                select(referral_notes).where(referral_notes.c.case_code == case_code).order_by(referral_notes.c.made_at)
            ).all()
            names = {row.fingerprint: row.name for row in connection.execute(select(partners))}
            if rows:
                entry = Entry("notes_read", actor, detail={"notes": len(rows)})
                audit.append(connection, self._referrals.now(), entry)
            return [
                KeptNote(
                    row.id, names.get(row.origin, row.origin), row.actor, moment(row.made_at),
                    self._readers(connection, row.id), self._opened(row),
                )
                for row in rows
            ]  # fmt: skip

        return self._referrals.database.write(job)

    def readers_of(self, case_code: str) -> list[tuple[str, ...]]:
        """Of each of our own notes on a case the names of its readers; the notes stay closed."""
        query = select(referral_notes.c.id).where(
            referral_notes.c.case_code == case_code, referral_notes.c.origin == OWN
        )
        with self._referrals.database.reading() as connection:
            return [self._readers(connection, id_) for id_ in connection.execute(query).scalars()]

    def _readers(self, connection: Connection, note_id: str) -> tuple[str, ...]:
        query = (
            select(partners.c.name)
            .join(referrals, referrals.c.partner == partners.c.fingerprint)
            .join(referral_note_shares, referral_note_shares.c.referral_id == referrals.c.id)
            .where(referral_note_shares.c.note_id == note_id)
        )
        return tuple(sorted(connection.execute(query).scalars()))

    def _opened(self, row: Row[Any]) -> Note:
        key = self._referrals.master.unwrap(row.wrapped, row.id)
        return Note.model_validate_json(key.open(row.sealed, f"{row.id} note"))
