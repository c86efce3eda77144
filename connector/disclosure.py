"""The only gate, and the home of `Release`: who may receive what of a Record, decided anew before every attempt.

`clear()` asks in this order: was consent given (or is there another basis), for this recipient by name, is it still
valid, does a caution or a review hold it for a person, and which questions does the form's policy let this recipient
have. Missing, blank, unknown and malformed are no. Nothing else makes a `Release`, and targets accept nothing else.

Rules: the layers of consent and the recipients they name are in docs/data-protection.md; R-numbers are those of the
rules listed there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache, reduce
from typing import Final, cast
from uuid import UUID

from connector.model import JSON, Action, Audience, CaseState, Cautions, Consent, File, Recipient, is_case_code
from connector.transforms.record import (
    INNER,
    Each,
    Field,
    Part,
    Photo,
    Record,
    SaidDate,
    Within,
    fields_of,
    questions_of,
)
from connector.transforms.referral import Identity, Referral
from forms.policy import Policy

_MAKER: Final = object()
_EARLIEST_ZONE = timezone(timedelta(hours=14))  # where a day begins first
_LATEST_ZONE = timezone(timedelta(hours=-12))
_VALID_FOR = timedelta(days=365)
_BEYOND_CONSENT = frozenset({Recipient.ICRC, Recipient.NATIONAL_SOCIETY})
_DETENTION_MAY_KNOW = frozenset({Recipient.ICRC})
_NAMED = frozenset(
    {Recipient.NATIONAL_SOCIETY, Recipient.UN_AGENCY, Recipient.NGO, Recipient.STATE_SERVICES, Recipient.AUTHORITIES}
)
_ON_PHONES = Audience("case list", Recipient.OWN_SOCIETY)
_BRANCH = re.compile(r"[0-9A-Za-z_-]{1,20}")
_TWO_USERS: Mapping[Recipient, int] = {Recipient.AUTHORITIES: 2, Recipient.PUBLIC: 2}
# What a person may ask never to be sent (`restrict_fields`), as classes of the policy.
_RESTRICTED_CLASSES: Mapping[str, frozenset[str]] = {
    "location": frozenset({"location"}),
    "health": frozenset({"health"}),
    "religion": frozenset({"religion"}),
    "name": frozenset({"identity", "family"}),
    "photo": frozenset({"photo", "published"}),
    "detention": frozenset({"detention"}),
    "contact": frozenset({"contact"}),
}


@dataclass(frozen=True, slots=True)
class Approvals:
    """Who has said that this version may go to this target, and what was taken back through Silah.

    *form_server*: a person other than our own account approved it there. *users*: named users of Silah.
    *withdrawn*: classes of recipients and targets (or `*`) for which consent was taken back.
    """

    form_server: bool = False
    users: frozenset[str] = frozenset()
    withdrawn: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Merged:
    """What holds of another record of the same person. *erased*: nobody can say any more what it agreed to."""

    consent: Consent = field(default_factory=Consent)
    cautions: Cautions = field(default_factory=Cautions)
    withdrawn: frozenset[str] = frozenset()
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Withheld:
    """It may not go. *withdraws*: consent was taken back or never given, so a recipient that has it must remove it."""

    reason: str
    withdraws: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """It may go once somebody has released it: *for_whom* is `review`, `named_user` or `two_named_users`; `undo` when
    somebody must take a merge back first."""

    reason: str
    for_whom: str


@dataclass(frozen=True, slots=True)
class Release:
    """What one recipient may receive of one version, now. Made by this module alone.

    *fields* holds exactly what policy and consent allow; *photos* the names of the submission's files in it;
    *classes* the classes of data that leave, for the audit.
    """

    record_id: str
    kind: str
    version: int
    action: Action
    purpose: str
    society: str
    key: str
    made_at: datetime
    fields: Mapping[str, JSON] = field(repr=False)
    photos: tuple[str, ...] = field(repr=False)
    classes: tuple[str, ...]
    files: tuple[File, ...] = field(default=(), repr=False)
    external_id: str | None = None
    maker: object = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.maker is not _MAKER:
            raise TypeError("a Release is made by disclosure.clear() and nobody else")

    def with_files(self, files: Mapping[str, File]) -> Release:
        """The same with its photos fetched and cleaned: each is named by the hash of its bytes from now on."""
        names = {name: file.name for name, file in files.items()}
        renamed = cast("Mapping[str, JSON]", _renamed(self.fields, names))
        unique = {file.name: file for name, file in files.items() if name in self.photos}
        return replace(self, fields=renamed, files=tuple(unique[name] for name in sorted(unique)))


@dataclass(frozen=True, slots=True)
class CaseLine:
    """All that a phone is told of a case: a number, the case code, the branch, and one of four states. No name, no
    initials, nothing of what became of anybody. Made by this module alone."""

    number: UUID
    case_code: str
    branch: str
    state: CaseState
    maker: object = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.maker is not _MAKER:
            raise TypeError("a CaseLine is made by disclosure.case_line() and nobody else")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a delivery says of itself, apart from the person's data."""

    record_id: str
    version: int
    society: str
    key: str
    made_at: datetime
    external_id: str | None = None


def clear(
    record: Record, policy: Policy, to: Audience, stamp: Stamp, approvals: Approvals, now: datetime
) -> Release | Withheld | Waiting:
    """Whether and what *to* may receive of *record* at *now*."""
    refused = _taken_back(to, approvals) or _basis(record, to, now) or _agreement(to, now)
    if refused:
        return refused
    waiting = _caution(record, to, approvals) or _review(record, to, approvals)
    if waiting:
        return waiting
    return _minimised(record, policy, to, stamp)


def clear_merged(
    record: Record,
    merged: Sequence[Merged],
    policy: Policy,
    to: Audience,
    stamp: Stamp,
    approvals: Approvals,
    now: datetime,
) -> Release | Withheld | Waiting:
    """`clear` for a record that people merged with others of the same person: the stricter consent of all holds (R28).

    It goes only if it would under the consent of every one, with the cautions of all; a no counts before a not yet.
    When one of them was erased nothing new goes, and nobody is told to remove what they have, until a person decides.
    """
    cautions = reduce(_stricter, (one.cautions for one in merged), record.cautions)
    taken_back = approvals.withdrawn.union(*(one.withdrawn for one in merged))
    said = replace(approvals, withdrawn=taken_back)
    consents = [record.consent, *(one.consent for one in merged if not one.erased)]
    strict = [record.model_copy(update={"consent": consent, "cautions": cautions}) for consent in consents]
    decisions = [clear(one, policy, to, stamp, said, now) for one in strict]
    strictest = min(decisions, key=lambda one: (isinstance(one, Release), isinstance(one, Waiting)))
    if any(one.erased for one in merged) and not isinstance(strictest, Withheld):
        return Waiting("merge.erased", "undo")
    return strictest


def _stricter(one: Cautions, other: Cautions) -> Cautions:
    return Cautions(
        danger=one.danger or other.danger,
        restricted=one.restricted or other.restricted,
        detention=one.detention or other.detention,
        supervisor=one.supervisor or other.supervisor,
        child=one.child or other.child,
        never_tell=one.never_tell | other.never_tell,
        never_send=one.never_send | other.never_send,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """Who a referral is about, for the partner that accepted it: as far as the person agreed, and until when (UTC)."""

    name: str = field(repr=False)
    contact: str = field(repr=False)
    safe_contact: str = field(repr=False)
    free_text: str = field(repr=False)
    given: datetime
    until: datetime


def tell(
    record: Referral,
    merged: Sequence[Merged],
    policy: Policy,
    to: Audience,
    stamp: Stamp,
    approvals: Approvals,
    now: datetime,
) -> Told | Withheld | Waiting:
    """The second step of a referral that a form asked for: what *to* may know once it has accepted, decided anew now.

    Everything that lets the codes go must hold still, and the person must have said yes to giving the name.
    """
    decision = clear_merged(record, merged, policy, to, stamp, approvals, now)
    if not isinstance(decision, Release):
        return decision
    if record.consent.basis != "consent" or record.consent.given_on is None:
        return Withheld("referral.not_by_consent")
    never = frozenset().union(*(_never_classes(one, to) for one in (record.cautions, *(m.cautions for m in merged))))
    if record.disclose_name != "yes" or record.identity is None or "identity" in never:
        return Withheld("referral.name_not_given")
    given = record.consent.given_on
    until = min(one.review_on or _a_year_after(given) for one in (record.consent, *(m.consent for m in merged)))
    return Told(
        **_identity(record.identity, frozenset(record.fields_disclosed), never),
        given=datetime.combine(given, time(), UTC), until=datetime.combine(until, time(23, 59, 59), UTC),
    )  # fmt: skip


def _identity(identity: Identity, chosen: frozenset[str], never: frozenset[str]) -> dict[str, str]:
    """The name, and of the rest what the person chose to give and did not forbid."""
    name, contact = identity.name, identity.contact
    roles = (name.given, name.father, name.grandfather, name.family) if name else ()
    names = ((name.full or " ".join(filter(None, roles)), name.latin, name.kunya, name.nick)) if name else ()
    reach = contact if "contact" in chosen and "contact" not in never else None
    carer = identity if "caregiver" in chosen and not never & {"family", "contact"} else None
    words = identity if "free_text" in chosen and "circumstances" not in never else None
    return {
        "name": " / ".join(filter(None, names)),
        "contact": _lines(reach, ("phone", "email", "channel")),
        "safe_contact": "\n".join(
            filter(
                None,
                (
                    _lines(reach, ("phone_safe", "phone_safe_when", "phone_shared_with", "do_not")),
                    _lines(carer, ("caregiver_name", "caregiver_relation", "caregiver_contact")),
                ),
            )
        ),
        "free_text": (words.free_text if words else None) or "",
    }


def _lines(part: Part | None, names: Sequence[str]) -> str:
    """One answer a line, each behind the name of its field."""
    said = [(name, getattr(part, name)) for name in names] if part is not None else []
    return "\n".join(f"{name}: {value}" for name, value in said if value)


def retract(kind: str, purpose: str, stamp: Stamp) -> Release:
    """The word to a recipient that it must remove what it holds: no fields, no files. Always allowed."""
    return _make(kind, purpose, stamp, Action.WITHDRAW, {}, (), ())


def _taken_back(to: Audience, approvals: Approvals) -> Withheld | None:
    if approvals.withdrawn & {"*", str(to.recipient), to.target, f"{to.recipient}:{to.who}"}:
        return Withheld("consent.withdrawn", withdraws=True)
    return None


def _agreement(to: Audience, now: datetime) -> Withheld | None:
    """R23: an agreement that has ended sends nothing new; what the recipient has it may keep."""
    over = to.agreement_until is not None and to.agreement_until < now.astimezone(_LATEST_ZONE).date()
    return Withheld("agreement.expired") if over else None


def _basis(record: Record, to: Audience, now: datetime) -> Withheld | None:
    """R1, R2, R3, R12: the basis on which anything may leave at all, and for this recipient."""
    if to.recipient is Recipient.STATISTICS:
        return None
    if record.consent.basis != "consent":
        return _other_basis(record.consent, to)
    return _consent(record.consent, record.cautions, to, now)


def _other_basis(consent: Consent, to: Audience) -> Withheld | None:
    """Best, vital and public interest: with reason and approver, for the Movement alone; ticked consents are not looked at."""
    if not consent.basis_complete:
        return Withheld("basis.incomplete")
    if to.recipient is Recipient.OWN_SOCIETY or to.recipient is Recipient.ICRC:
        return None
    if to.recipient is Recipient.NATIONAL_SOCIETY and _is_named(consent, to):
        return None
    return Withheld("basis.not_for_this_recipient", withdraws=True)


def _consent(consent: Consent, cautions: Cautions, to: Audience, now: datetime) -> Withheld | None:
    if not consent.collected:
        return Withheld("consent.none", withdraws=True)
    if not consent.notice_given:
        return Withheld("consent.no_notice", withdraws=True)
    if not consent.giver_named:
        return Withheld("consent.no_giver", withdraws=True)
    return _validity(consent, now) or (
        None if to.recipient is Recipient.OWN_SOCIETY else _sharing(consent, cautions, to)
    )


def _validity(consent: Consent, now: datetime) -> Withheld | None:
    """Future-dated is no consent; expired sends nothing new and withdraws nothing. Days are compared so that no
    time zone makes a day of today seem to lie ahead, or a consent end early."""
    if consent.given_on is None or consent.given_on > now.astimezone(_EARLIEST_ZONE).date():
        return Withheld("consent.not_yet")
    until = consent.review_on or _a_year_after(consent.given_on)
    return Withheld("consent.expired") if until < now.astimezone(_LATEST_ZONE).date() else None


def consent_until(consent: Consent) -> date | None:
    """The last day on which *consent* holds; None where none was given, or another basis holds."""
    if consent.basis != "consent" or not consent.collected or consent.given_on is None:
        return None
    return consent.review_on or _a_year_after(consent.given_on)


def _a_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:  # 29 February
        return day + _VALID_FOR


def _sharing(consent: Consent, cautions: Cautions, to: Audience) -> Withheld | None:
    """The question of this recipient, those named in it, and the reading back."""
    if consent.confirmed is False:
        return Withheld("consent.not_confirmed", withdraws=True)
    if to.recipient is Recipient.PUBLIC:
        allowed = consent.publish and not cautions.child
        return None if allowed else Withheld("consent.no_publication", withdraws=True)
    if to.recipient not in consent.shares:
        return Withheld(f"consent.not_for_{to.recipient}", withdraws=True)
    if not _is_named(consent, to):
        return Withheld("consent.not_named", withdraws=True)
    if to.recipient is Recipient.AUTHORITIES and not consent.risk_explained:
        return Withheld("consent.risk_not_explained", withdraws=True)
    if cautions.never_tell & {str(to.recipient), to.who or ""}:
        return Withheld("restriction.never_tell", withdraws=True)
    return None


def _is_named(consent: Consent, to: Audience) -> bool:
    """Only the one a form names receives; none named is none."""
    return to.recipient not in _NAMED or (
        to.who is not None and to.who in consent.shares.get(to.recipient, frozenset())
    )


def _caution(record: Record, to: Audience, approvals: Approvals) -> Waiting | None:
    """Danger, restrictions, detention, family disputes and adoption wait for a named user; so do the other bases."""
    if to.recipient in {Recipient.OWN_SOCIETY, Recipient.STATISTICS}:
        return None
    needed = _TWO_USERS.get(to.recipient, 1)
    if len(approvals.users) >= needed:
        return None
    for_whom = "two_named_users" if needed > 1 else "named_user"
    if needed > 1:
        return Waiting(f"release.{to.recipient}", for_whom)
    reason = _reason(record, to)
    return Waiting(reason, for_whom) if reason else None


def _reason(record: Record, to: Audience) -> str | None:
    cautions = record.cautions
    if cautions.danger:
        return "caution.danger"
    if cautions.restricted:
        return "caution.restricted"
    if cautions.detention and to.recipient not in _DETENTION_MAY_KNOW:
        return "caution.detention"
    return "caution.supervisor" if cautions.supervisor else None


def _review(record: Record, to: Audience, approvals: Approvals) -> Waiting | None:
    """A person's approval on the form server or in Silah, where the target asks for it or the basis is not consent."""
    other_basis = record.consent.basis != "consent" and to.recipient in _BEYOND_CONSENT
    if not (to.review or other_basis) or approvals.form_server or approvals.users:
        return None
    return Waiting("release.review", "review")


def _minimised(record: Record, policy: Policy, to: Audience, stamp: Stamp) -> Release | Withheld:
    """R5: the questions that the policy lets this recipient have, less what the person asked never to send."""
    sieve = _Sieve(policy, to.recipient, _never_classes(record.cautions, to))
    fields = sieve.part(record, "", INNER)
    if not fields:
        return Withheld("policy.nothing_allowed")
    return _make(
        record.kind, policy.purpose, stamp, Action.UPSERT, fields, tuple(sieve.photos), tuple(sorted(sieve.classes))
    )


def _never_classes(cautions: Cautions, to: Audience) -> frozenset[str]:
    if to.recipient is Recipient.OWN_SOCIETY:
        return frozenset()
    return frozenset().union(*(_RESTRICTED_CLASSES.get(code, frozenset()) for code in cautions.never_send))


def case_line(record: Record, state: CaseState, number: UUID, now: datetime) -> CaseLine | None:
    """The line of *record* on the phones of its branch; None where nothing was agreed, or its code is none.

    The code is verified: whatever somebody wrote in its place on the form server does not reach a phone.
    """
    refused = _basis(record, _ON_PHONES, now)
    code = getattr(record, "case_code", None)
    if (refused and refused.withdraws) or not (isinstance(code, str) and is_case_code(code)):
        return None
    if record.branch is None or not _BRANCH.fullmatch(record.branch):
        return None
    return CaseLine(number, code, record.branch, state, maker=_MAKER)


class _Sieve:
    """Lets through the leaves of a Record whose questions may go; remembers photos and classes that did."""

    def __init__(self, policy: Policy, recipient: Recipient, never: frozenset[str]) -> None:
        self._policy, self._recipient, self._never = policy, recipient, never
        self.photos: list[str] = []
        self.classes: set[str] = set()

    def part(self, part: Part, prefix: str, skip: frozenset[str] = frozenset()) -> dict[str, JSON]:
        kept: dict[str, JSON] = {}
        for one in _places(type(part), prefix):
            value = getattr(part, one.name)
            if value is None or value == () or one.name in skip:
                continue
            allowed = self._field(one, value)
            if allowed not in (None, {}, []):
                kept[one.name] = allowed
        return kept

    def _field(self, one: _Place, value: object) -> JSON:
        if one.inner is None:
            return self._leaf(value) if self._may_go(one.questions) else None
        if isinstance(value, tuple):
            entries = [self.part(entry, one.inner) for entry in value]
            return entries if any(entries) else None
        return self.part(cast("Part", value), one.inner)

    def _may_go(self, questions: tuple[str, ...]) -> bool:
        classes = self._policy.lets_go(questions, self._recipient, self._never)
        self.classes |= classes or frozenset()
        return classes is not None

    def _leaf(self, value: object) -> JSON:
        if isinstance(value, str):  # most of them
            return value
        if isinstance(value, Photo):
            self.photos.append(value.name)
            return _photo(value.name)
        if isinstance(value, SaidDate):
            return cast("JSON", value.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
        if isinstance(value, tuple):
            return [self._leaf(one) for one in value]
        if isinstance(value, datetime | date):
            return value.isoformat()
        return cast("JSON", value)


@dataclass(frozen=True, slots=True)
class _Place:
    """A field of a part at its place in a Record: the prefix of what is inside it, or the questions it comes from."""

    name: str
    inner: str | None
    questions: tuple[str, ...]


@cache
def _places(model: type[Part], prefix: str) -> tuple[_Place, ...]:
    return tuple(_place(one, prefix) for one in fields_of(model))


def _place(one: Field, prefix: str) -> _Place:
    inner = one.mark.prefix.replace("{p}", prefix) if isinstance(one.mark, Within | Each) else None
    return _Place(one.name, inner, questions_of(one, prefix))


def _photo(name: str) -> JSON:
    """A file stands in the fields as an object until its bytes are there and give it a name that says nothing."""
    return {"file": name}


def _renamed(value: JSON, names: Mapping[str, str]) -> JSON:
    """Photos by their new names; one that could not be had is left out."""
    if isinstance(value, Mapping):
        if set(value) == {"file"}:
            return names.get(str(value["file"]))
        inner = {key: _renamed(one, names) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one is not None}
    if isinstance(value, list):
        return [one for one in (_renamed(entry, names) for entry in value) if one is not None]
    return value


def _make(
    kind: str,
    purpose: str,
    stamp: Stamp,
    action: Action,
    fields: Mapping[str, JSON],
    photos: tuple[str, ...],
    classes: tuple[str, ...],
) -> Release:
    return Release(
        record_id=stamp.record_id, kind=kind, version=stamp.version, action=action, purpose=purpose, society=stamp.society,
        key=stamp.key, made_at=stamp.made_at.astimezone(UTC), fields=fields, photos=photos, classes=classes,
        external_id=stamp.external_id, maker=_MAKER,
    )  # fmt: skip
