"""A referral as JSON (contract §8), and what of it goes in which step.

The first step (`Opening`) is codes alone: nothing of it names a person, and no field takes words. The second step
(`Identity`) exists as a value of its own, so that neither can carry the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from connector.errors import Refused
from connector.model import luhn_valid
from connector.referrals.machine import Kind, Priority

MOST_TEXT = 32 * 1024  # bytes of UTF-8 in one text of the identity
_MOST_CODES = 40
_CASE_CODE_DIGITS = 11
# A shelter's address, a child's or a survivor's reasons: for these services the reasons wait for the second step.
SENSITIVE_SERVICES = frozenset({"safehouse_service", "shelter", "child_protection_service", "police_other_service"})


def _case_code(value: str) -> str:
    if not re.fullmatch(rf"[0-9]{{{_CASE_CODE_DIGITS}}}", value) or not luhn_valid(value):
        raise ValueError("a case code is 11 digits, the last of which checks the others")
    return value


def _bounded_text(value: str) -> str:
    if len(value.encode()) > MOST_TEXT:
        raise ValueError("a text is at most 32 kB long")
    return value


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Codes = Annotated[tuple[Code, ...], Field(max_length=_MOST_CODES)]
CaseCode = Annotated[str, AfterValidator(_case_code), Field(json_schema_extra={"pattern": "^[0-9]{11}$"})]
AgeGroup = Annotated[str, Field(pattern=r"^([0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}\+|[a-z][a-z_]{1,15})$")]
ProtocolVersion = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,31}$")]
Words = Annotated[str, AfterValidator(_bounded_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Opening(_Strict):
    """What the first message tells: codes that name nobody."""

    kind: Kind
    priority: Priority
    case_code: CaseCode
    client_sex: Code = "nr"
    age_group: AgeGroup = "nr"
    services_requested: Annotated[Codes, Field(min_length=1)]
    reason_code: Codes = ()
    safe_rule: Codes = ()
    protocol_version: ProtocolVersion = "1"

    @property
    def sensitive(self) -> bool:
        return bool(SENSITIVE_SERVICES & set(self.services_requested))

    def first_step(self) -> Opening:
        """What leaves at once: for sensitive services the reasons stay here until acceptance."""
        return self.model_copy(update={"reason_code": ()}) if self.sensitive else self


class Identity(_Strict):
    """Who it is, how to reach them safely, and words: only ever the second step."""

    name: Words = ""
    contact: Words = ""
    safe_contact: Words = ""
    free_text: Words = ""

    @property
    def empty(self) -> bool:
        return not (self.name or self.contact or self.safe_contact or self.free_text)


class PartnerConsent(_Strict):
    """The person's yes to one receiver: given when, good until when."""

    recipient: Annotated[str, Field(min_length=1, max_length=100)]
    given: AwareDatetime
    expires: AwareDatetime


class _File(Opening):
    """The whole file: codes, consent, and what waits."""

    consent: PartnerConsent
    identity: Identity = Identity()
    purpose: Code | None = None
    risk_explained: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A referral as somebody wrote it, its two steps apart."""

    opening: Opening
    identity: Identity
    consent: PartnerConsent
    purpose: str | None = None
    risk_explained: bool = False


def read_draft(data: Mapping[str, object]) -> Draft:
    """Reads a referral's JSON; raises `Refused`, which names the key and never its value."""
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in fault["loc"] if isinstance(part, str)) or "the file"
        code = {"extra_forbidden": "referral.unknown_key", "missing": "referral.missing_key"}.get(
            fault["type"], "referral.bad_value"
        )
        raise Refused(code, f"`{_own_key(key)}` of the referral", _advice(fault["type"])) from None
    opening = Opening.model_validate({name: getattr(file, name) for name in Opening.model_fields})
    return Draft(opening, file.identity, file.consent, file.purpose, file.risk_explained)


def _own_key(key: str) -> str:
    """The key as it may be shown: what looks like one of a form is named, anything else might hold words."""
    return key if re.fullmatch(r"[a-z_.]{1,60}|the file", key) else "a key"


def _advice(kind: str) -> str:
    if kind == "extra_forbidden":
        return "Remove the key: only the keys of docs/referrals.md are taken, so that nothing leaves by accident."
    if kind == "missing":
        return "Add it; docs/referrals.md shows a whole referral."
    return "Give a code, a date with its time zone, or a text of at most 32 kB, as docs/referrals.md shows."
