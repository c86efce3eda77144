"""Links by which a partner without a system answers a referral. The address alone opens nothing: it needs a code that
came in the encrypted file or by telephone. Only a keyed hash of the code is kept; one answer uses the link up.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from connector.errors import Refused
from connector.keys import derive
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.database import milliseconds, moment
from connector.ledger.referrals import ReferralLedger
from connector.ledger.schema import answer_links
from connector.ledger.vault import ledger_secret
from connector.referrals.machine import UNANSWERED, UNDER_WAY, Deed, State

ANSWER, FEEDBACK = "answer", "feedback"
MOST_TRIES = 5
_DIGITS = 10
_FEEDBACK_FOR = timedelta(days=90)
_MOST_TYPED = 40
ACTOR = "link"
# What either step may do, and whether it uses the link up: work that has begun still ends in one of the others.
MAY: dict[str, dict[Deed, bool]] = {
    ANSWER: {Deed.ACCEPT: True, Deed.REJECT: True},
    FEEDBACK: {Deed.START: False, Deed.COMPLETE: True, Deed.FAIL: True},
}
_ADVICE = "Ask the sender for a new link."


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link that was just made; the code is shown now and never again."""

    handle: str
    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link whose code was right: what it is for."""

    referral_id: str
    step: str


class AnswerLinks:
    """Links to one node's referrals; every method is one transaction."""

    def __init__(self, referrals_: ReferralLedger) -> None:
        self._referrals = referrals_
        self._database, self._now = referrals_.database, referrals_.now

    def make(self, referral_id: str, step: str | None, actor: str) -> NewLink:
        """A new link; the older ones of that referral end. An answer is awaited until `due_at`, feedback for 90 days.

        Raises `Refused` when the referral is over, or is not one that is answered on paper.
        """
        key = self._key()

        def job(connection: Connection) -> NewLink:
            row = self._answered_on_paper(connection, referral_id)
            wanted = step or (ANSWER if State(row.state) in UNANSWERED else FEEDBACK)
            until = moment(row.due_at) if wanted == ANSWER and row.due_at else self._now() + _FEEDBACK_FOR
            made = NewLink(secrets.token_urlsafe(12), f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}d}", until)
            connection.execute(delete(answer_links).where(answer_links.c.referral_id == referral_id))
            connection.execute(
                insert(answer_links).values(
                    handle=made.handle, referral_id=referral_id, step=wanted, code_hash=_hashed(key, made.handle, made.code),
                    tries=0, expires_at=milliseconds(until), made_at=milliseconds(self._now()),
                )
            )  # fmt: skip
            audit.append(
                connection, self._now(), Entry("answer_link_made", actor, referral_id, detail={"step": wanted})
            )
            return made

        return self._database.write(job)

    def _answered_on_paper(self, connection: Connection, referral_id: str) -> Row[Any]:
        row = self._referrals.paper_row(connection, referral_id)
        if State(row.state) not in UNANSWERED | UNDER_WAY:
            raise Refused("link.referral_over", f"referral {referral_id}", "It is closed; there is nothing to answer.")
        return row

    def open(self, handle: str, code: str) -> OpenLink:
        """What the link is for; raises `Refused`: `link.wrong_code` (counted), `link.not_valid` for everything else."""
        key = self._key()
        found = self._database.write(lambda connection: self._open(connection, key, handle, code))
        if isinstance(found, str):
            raise Refused(found, "a link", _ADVICE)
        return found

    def _open(self, connection: Connection, key: bytes, handle: str, code: str) -> OpenLink | str:
        """A refusal is a value here, so that the try it counts is kept."""
        row = connection.execute(select(answer_links).where(answer_links.c.handle == handle)).first()
        now = milliseconds(self._now())
        if row is None or row.used_at is not None or row.expires_at <= now or row.tries >= MOST_TRIES:
            return "link.not_valid"
        if not hmac.compare_digest(_hashed(key, handle, typed(code)), row.code_hash):
            tried = update(answer_links).where(answer_links.c.handle == handle)
            connection.execute(tried.values(tries=row.tries + 1))
            if row.tries + 1 == MOST_TRIES:
                audit.append(connection, self._now(), Entry("answer_link_locked", ACTOR, row.referral_id))
            return "link.wrong_code"
        return OpenLink(row.referral_id, row.step)

    def answer(self, handle: str, code: str, deed: Deed, reason: str | None, outcome: str | None) -> State:
        """Opens the link, does *deed* and uses the link up, in one transaction: of two answers at once one counts.

        Raises `Refused` as `open` does, and when the referral does not allow the deed; then the link still holds.
        """
        key = self._key()

        def job(connection: Connection) -> State | str:
            found = self._open(connection, key, handle, code)
            if isinstance(found, str):
                return found
            if deed not in MAY[found.step]:
                raise Refused("referral.not_allowed", f"referral {found.referral_id}", _ADVICE)
            state = self._referrals.answer_within(connection, found.referral_id, deed, ACTOR, reason, outcome)
            if MAY[found.step][deed]:
                mine = update(answer_links).where(answer_links.c.handle == handle)
                connection.execute(mine.values(used_at=milliseconds(self._now())))
            return state

        done = self._database.write(job)
        if not isinstance(done, State):
            raise Refused(done, "a link", _ADVICE)
        return done

    def forget(self, before: datetime, *, dry_run: bool) -> int:
        """Removes links that ended before then; how many."""
        ended = answer_links.c.expires_at < milliseconds(before)
        with self._database.reading() as connection:
            count = connection.execute(select(func.count()).select_from(answer_links).where(ended)).scalar_one()
        if count and not dry_run:
            self._database.write(lambda connection: connection.execute(delete(answer_links).where(ended)) and None)
        return count

    def _key(self) -> bytes:
        return derive(ledger_secret(self._database, self._referrals.master), "codes of answer links")


def typed(code: str) -> str:
    """The digits of what somebody typed, in any script."""
    return "".join(
        str(unicodedata.decimal(sign)) for sign in code[:_MOST_TYPED] if unicodedata.decimal(sign, None) is not None
    )


def _hashed(key: bytes, handle: str, code: str) -> str:
    return hmac.new(key, f"{handle} {code}".encode(), hashlib.sha256).hexdigest()
