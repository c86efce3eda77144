"""Joint case work: one case to several parties at once, each with a view of its own; and notes with their readers.

A file for `silah referral joint` is a referral (connector/referrals/referral.py) whose `parties` say for each party what
is asked of it, why, what of the identity it may ever be told (`tell`), and the person's consent for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from connector.errors import Refused
from connector.referrals.messages import Note
from connector.referrals.referral import Code, Codes, Identity

_Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Given(_Strict):
    given: AwareDatetime
    expires: AwareDatetime


class _Party(_Strict):
    """One party's view of the case."""

    partner: _Name
    services_requested: Annotated[Codes, Field(min_length=1)]
    reason_code: Codes = ()
    tell: tuple[Literal["name", "contact", "safe_contact", "free_text"], ...] = ()
    consent: _Given
    purpose: Code | None = None
    risk_explained: bool = False


class _Joint(BaseModel):
    """The parties; all other keys are those of a referral and are read there."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    parties: Annotated[tuple[_Party, ...], Field(min_length=2, max_length=10)]
    identity: Identity = Identity()


class _NoteFile(Note):
    readers: Annotated[tuple[_Name, ...], Field(max_length=10)] = ()


def read_joint(data: Mapping[str, object]) -> list[tuple[str, dict[str, object]]]:
    """Each party's name and its own referral as JSON; raises `Refused`, which names the key and never its value."""
    try:
        joint = _Joint.model_validate(data)
    except ValidationError as error:
        raise _refused(error, "referral.bad_joint", "docs/referrals.md shows a whole one.") from None
    names = [party.partner for party in joint.parties]
    if len(set(names)) < len(names):
        raise Refused("referral.bad_joint", "`parties` of the referral", "Each party stands there once.")
    common = {key: value for key, value in data.items() if key not in {"parties", "identity"}}
    return [(party.partner, {**common, **_view(party, joint.identity)}) for party in joint.parties]


def _view(party: _Party, identity: Identity) -> dict[str, object]:
    """What one party is asked and may ever be told. A party that may be told nothing gets an empty identity."""
    said = identity.model_dump()
    consent = {"recipient": party.partner, "given": party.consent.given, "expires": party.consent.expires}
    return {
        "services_requested": party.services_requested, "reason_code": party.reason_code, "consent": consent,
        "identity": {name: said[name] for name in party.tell}, "purpose": party.purpose,
        "risk_explained": party.risk_explained,
    }  # fmt: skip


def read_note(data: Mapping[str, object]) -> tuple[Note, tuple[str, ...]]:
    """A note and the names of its readers; raises `Refused`."""
    try:
        file = _NoteFile.model_validate(data)
    except ValidationError as error:
        raise _refused(error, "note.bad_value", "It takes kind, text, present, decisions and readers.") from None
    return Note.model_validate({name: getattr(file, name) for name in Note.model_fields}), file.readers


def _refused(error: ValidationError, code: str, advice: str) -> Refused:
    fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    key = ".".join(str(part) for part in fault["loc"])
    return Refused(code, f"`{key}`" if re.fullmatch(r"[a-z_.0-9]{1,60}", key) else "the file", advice)
