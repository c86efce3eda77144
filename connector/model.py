"""The values that travel: frozen, without I/O. Wire names of servers and targets do not appear here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID, uuid5

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"
Answer: TypeAlias = "str | tuple[Mapping[str, Answer], ...]"
Answers: TypeAlias = Mapping[str, Answer]

# The namespace of every identifier Silah makes; it never changes, so that a ledger that was lost and pulled anew
# gives the same ids and no target sees a record twice.
SILAH = UUID("6d9a0c1e-5f0b-5c55-9d0e-51a4b0c7e001")

_CASE_CODE = re.compile(r"[0-9]{11}")


class Recipient(StrEnum):
    """The classes of those who may receive (contract §2)."""

    OWN_SOCIETY = "own_society"
    NATIONAL_SOCIETY = "national_society"
    ICRC = "icrc"
    UN_AGENCY = "un_agency"
    NGO = "ngo"
    STATE_SERVICES = "state_services"
    AUTHORITIES = "authorities"
    PUBLIC = "public"
    STATISTICS = "statistics"


class Action(StrEnum):
    """What a delivery asks of a target: keep this, or remove what you hold."""

    UPSERT = "upsert"
    WITHDRAW = "withdraw"


class CaseState(StrEnum):
    """All that a phone ever shows of how a case goes on; never what became of anybody. Ordered: the last one counts."""

    CLOSED = "closed"
    OPEN = "open"
    ACTION_NEEDED = "action_needed"
    CALL_OFFICE = "call_office"


@dataclass(frozen=True, slots=True)
class Progress:
    """How a target says that a record goes on. *mark* is the same as long as nothing changed there.

    *state* is None where its word has no meaning for us; *gone* says that the target no longer has the record.
    """

    state: CaseState | None
    mark: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Audience:
    """One recipient: its class, who exactly (society or agency code) and whether a person stands before it.

    *agreement_until* is the last day on which the agreement with it holds; None without an end.
    """

    target: str
    recipient: Recipient
    who: str | None = None
    country: str | None = None
    review: bool = False
    agreement_until: date | None = None


@dataclass(frozen=True, slots=True)
class AttachmentRef:
    """A file of a submission as its form server names it; *name* is the answer that refers to it."""

    name: str
    ref: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said of a submission on the form server: `approved`, `not_approved`, `on_hold`, or nothing."""

    state: str | None = None
    by: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a form server's list: enough to see what is new, edited, reviewed or gone.

    *order* is the server's own ascending number of the submission. A server's list need not say who reviewed: then
    *review* has a state and no `by`, and reading the submission tells.
    """

    root_id: str
    instance_id: str
    order: int
    review: Review


@dataclass(frozen=True, slots=True)
class Bell:
    """What a webhook told: ids alone. *instance_id* is empty when the sender named no version.

    *form_id* is empty when the sender named no form; *root_id* is then looked for in every form of the server.
    """

    form_id: str
    root_id: str
    instance_id: str
    order: int | None


@dataclass(frozen=True, slots=True)
class Submission:
    """One version of one filled-in form, as read back from its server.

    *root_id* (a bare uuid, never changed by an edit) names the submission; *instance_id* names the version.
    *answers* are keyed by the question's full path; a repeat is a tuple of such mappings. *encrypted* says that the
    answers are those of an envelope (its XML is *envelope*) and not of a person; *fault* is the code of why the answers
    may not be used although they were read. *sender* is the account that sent it first, as its server names accounts;
    None when it tells none (a public form).
    """

    server: str
    form_id: str
    root_id: str
    instance_id: str
    order: int
    form_version: str | None
    submitted_at: datetime
    answers: Answers
    attachments: tuple[AttachmentRef, ...] = ()
    review: Review = field(default_factory=Review)
    encrypted: bool = False
    envelope: bytes | None = field(default=None, repr=False)
    fault: str | None = None
    sender: str | None = None

    @property
    def record_id(self) -> str:
        return record_id(self.form_id, self.root_id)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A target's word that it holds a delivery. *external_id* is the target's own name for the record, if it has one.

    *dropped* names the fields that the target did not keep.
    """

    external_id: str | None = None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """An attachment ready to be sent: cleaned, named by the hash of its bytes."""

    name: str
    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a delivery is tried: *first* doubling to *most*, for *total*, then parked."""

    first: timedelta = timedelta(seconds=2)
    most: timedelta = timedelta(hours=1)
    total: timedelta = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Consent:
    """What the person (or whoever spoke for them) agreed to. Whatever was not asked or not answered is no.

    *shares* holds, for each class of recipient with a yes, the codes of those named; the ICRC needs none.
    *confirmed* is None where the form does not read back. *approved_by* is the code of who agreed to another basis.
    """

    collected: bool = False
    notice_given: bool = False
    giver_named: bool = False
    given_on: date | None = None
    review_on: date | None = None
    shares: Mapping[Recipient, frozenset[str]] = field(default_factory=dict)
    confirmed: bool | None = None
    risk_explained: bool = False
    publish: bool = False
    basis: str = "consent"
    basis_complete: bool = False
    approved_by: str | None = None


@dataclass(frozen=True, slots=True)
class Cautions:
    """What makes a record wait for a named user before it goes beyond the own society."""

    danger: bool = False
    restricted: bool = False
    detention: bool = False
    supervisor: bool = False
    child: bool = True
    never_tell: frozenset[str] = frozenset()
    never_send: frozenset[str] = frozenset()


def record_id(form_id: str, root_id: str) -> str:
    """The record's key: stable over versions, targets and reinstallations (contract §4)."""
    return str(uuid5(SILAH, f"{form_id}:{root_id}"))


def bare_uuid(text: str) -> str:
    """`uuid:1234` and `1234` name the same submission."""
    return text.removeprefix("uuid:")


def luhn_valid(code: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, Luhn)."""
    total = 0
    for place, digit in enumerate(reversed([int(one) for one in code])):
        doubled = digit * (place % 2 + 1)
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004 (the two digits of a number above 9 are added)
    return total % 10 == 0


def is_case_code(text: str) -> bool:
    """Eleven digits, the last of which checks the others (contract §6)."""
    return bool(_CASE_CODE.fullmatch(text)) and luhn_valid(text)
