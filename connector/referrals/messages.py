"""What travels inside the encryption: one deed of one side, with what belongs to it and nothing else."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from connector.errors import NotASubmission
from connector.referrals.machine import RULES, Deed, Event
from connector.referrals.referral import Code, Codes, Identity, Opening, PartnerConsent, Words

FORMAT: Final = "silah-referral/1"
_MOST_EVENTS = 1_000_000
NOTES = frozenset({Deed.SHARE, Deed.REPORT})
Fingerprint = Annotated[str, Field(pattern=r"^[0-9]{5}(-[0-9]{5}){7}$")]
Number = Annotated[int, Field(ge=1, le=_MOST_EVENTS)]


class Disclosed(BaseModel):
    """The second step: who it is, the consent that allows it, and the reasons that waited. Made by the gate alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    identity: Identity
    consent: PartnerConsent
    reason_code: Codes = ()


class Decision(BaseModel):
    """What a case conference decided, who sees to it (a role, never a private number) and until when."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    decision: Words
    owner: Annotated[str, Field(min_length=1, max_length=100)]
    due: date | None = None


class Note(BaseModel):
    """A note on a case, as one party lets the other read it. *origin*: its own, or another party's that was there."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["note", "conference"] = "note"
    text: Words = ""
    present: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=40)] = ()
    decisions: Annotated[tuple[Decision, ...], Field(max_length=40)] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Note:
        if not (self.text or self.decisions):
            raise ValueError("a note has a text or decisions")
        return self


class Message(BaseModel):
    """One deed on its way to the other side.

    Args:
        number: counts the sender's deeds on this referral from 1; `withdraw` is taken out of turn, all others in order.
        seen: how many of the receiver's deeds the sender knew.
        note: with `share` and `report`, absent when *reason* says why not.
        opening: with `request` alone. disclosed: with `disclose` alone, absent when *reason* says why not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    format: Literal["silah-referral/1"] = FORMAT
    id: UUID
    sender: Fingerprint
    recipient: Fingerprint
    referral: UUID
    number: Number
    seen: Annotated[int, Field(ge=0, le=_MOST_EVENTS)]
    deed: Deed
    at: AwareDatetime
    reason: Code | None = None
    outcome: Code | None = None
    opening: Opening | None = None
    disclosed: Disclosed | None = None
    note: Note | None = None

    @model_validator(mode="after")
    def _belongs(self) -> Message:
        if (self.opening is not None) != (self.deed is Deed.REQUEST):
            raise ValueError("the opening goes with `request` and with nothing else")
        if self.deed is Deed.RECEIVE:
            raise ValueError("the answer to a request says that it was received")
        told = self.disclosed is not None
        if told and self.deed is not Deed.DISCLOSE:
            raise ValueError("an identity goes with `disclose` and with nothing else")
        if self.deed is Deed.DISCLOSE and told == (self.reason is not None):
            raise ValueError("`disclose` tells who it is, or why that is not told")
        noted = self.note is not None
        if noted and self.deed not in NOTES:
            raise ValueError("a note goes with `share` or `report` and with nothing else")
        if self.deed in NOTES and noted == (self.reason is not None):
            raise ValueError("`share` and `report` carry a note, or why it is not told")
        return self

    @property
    def event(self) -> Event:
        """The deed as the state machine sees it; only the party whose deed it is may have sent it."""
        return Event(RULES[self.deed].by, self.number, self.seen, self.deed, self.at, self.reason, self.outcome)

    def as_bytes(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


def read_message(plaintext: bytes) -> Message:
    """Reads what was inside the encryption; raises `NotASubmission`, which tells nothing of it."""
    try:
        return Message.model_validate_json(plaintext)
    except ValidationError:
        advice = "Look at docs/partners/: the partner's message does not fit the published schema."
        raise NotASubmission("partner.not_a_message", "a partner's message", advice) from None
