"""Releases as the gate makes them of synthetic records: nothing here builds one by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

from connector import disclosure
from connector.disclosure import Approvals, Release, Stamp
from connector.model import Audience, Cautions, Consent, File, Recipient, record_id
from connector.transforms.child_registration import ChildRegistration
from connector.transforms.record import Part, Photo, SaidDate, fields_of
from connector.transforms.registry import RECORDS
from connector.transforms.tracing_request import TracingRequest
from forms.policy import policy

MADE_AT = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
_ROOTS = UUID("00000000-0000-4000-8000-000000000001")
MARKS = ("سلمى", "كريم", "الحمصي", "96170123456", "عبور الحدود")
"""Words of Salma's request: where one of them turns up, an answer turned up."""

CONSENT = Consent(
    collected=True, notice_given=True, giver_named=True, given_on=date(2026, 11, 20), confirmed=True,
    shares={Recipient.ICRC: frozenset(), Recipient.NATIONAL_SOCIETY: frozenset({"TR-RC"})},
)  # fmt: skip

KARIM: Mapping[str, Any] = {
    "trace_no": "1",
    "name": {"full": "كريم يوسف الحمصي", "given": "كريم", "father": "يوسف", "family": "الحمصي", "script": "arab",
             "aliases": [{"text": "Kareem al-Homsi", "script": "latn"}]},
    "relation": "brother",
    "sex": "male",
    "birth": {"kind": "year", "calendar": "gregorian", "year": 1995, "earliest": "1995-01-01", "latest": "1995-12-31"},
    "minor": "no",
    "last_contact": {
        "date": {"kind": "exact", "calendar": "gregorian", "year": 2025, "month": 3, "day": 9,
                 "earliest": "2025-03-09", "latest": "2025-03-09", "approximate": False},
        "mode": "phone", "place": {"country": "TR", "text": "إزمير"}, "phone": "+905551112233",
    },
    "separation": {"cause": "migration", "circumstances": "انقطع الاتصال بعد عبور الحدود."},
    "believed_status": "alive_unknown_whereabouts",
    "travelling_with": [{"name": "عمر", "relation": "cousin", "age": 19}],
}  # fmt: skip

SALMA: Mapping[str, Any] = {
    "case_code": "10100000016",
    "interview": {"branch": "101", "date": "2026-11-20", "language": "ar"},
    "context": "migration",
    "urgency": "normal",
    "enquirer": {
        "role": "family_member",
        "name": {
            "full": "سلمى يوسف الحمصي",
            "given": "سلمى",
            "father": "يوسف",
            "family": "الحمصي",
            "latin": "Salma Al Homsi",
        },
        "sex": "female",
        "birth": {"kind": "age", "age": 34, "age_on": "2026-11-20", "earliest": "1991-11-21", "latest": "1992-11-20"},
        "place": {"country": "LB", "text": "بيروت"},
        "contact": {"phone": "+96170123456", "phone_safe": "yes", "channel": "call"},
        "nationality": ["SY"],
        "languages": ["ar", "en"],
    },
    "sought": [KARIM],
    "prior_steps": ["other_rc"],
    "already_open_elsewhere": "no",
    "wishes": {"search_danger": "no", "tell_who_searches": "yes", "sad_news_how": "in_person"},
    "agreement": {
        "giver": "subject",
        "medium": "verbal_witnessed",
        "share_with_family": "yes",
        "legal_basis": "consent",
    },
}


def root(number: int) -> str:
    """The record's key of the *number*-th synthetic submission."""
    return record_id("tracing_request", str(uuid5(_ROOTS, str(number))))


def request(
    changes: Mapping[str, Any] | None = None, *, sought: Sequence[Mapping[str, Any]] | None = None
) -> TracingRequest:
    """Salma's tracing request with top fields changed, and other people looked for."""
    fields = {**SALMA, **(changes or {})}
    if sought is not None:
        fields["sought"] = list(sought)
    cautions = Cautions(child=False)
    return TracingRequest.model_validate({**fields, "consent": CONSENT, "cautions": cautions, "branch": "101"})


def stamp(
    number: int = 1, version: int = 1, key: str | None = None, *, held_as: str | None = None, at: datetime = MADE_AT
) -> Stamp:
    """What a delivery says of itself; *key* differs between versions unless it is given."""
    return Stamp(root(number), version, "SY-RC", key or f"key-{number}-{version}", at, held_as)


def release(
    record: TracingRequest | None = None,
    of: Stamp | None = None,
    to: Recipient = Recipient.OWN_SOCIETY,
    photo: bytes | None = None,
    media_type: str = "image/jpeg",
) -> Release:
    """What the gate lets *to* have of *record*; with *photo* it carries one, as it was cleaned."""
    shown = record or request()
    if photo is not None:
        entries = [{**one.model_dump(exclude_defaults=True), "photo": {"name": "p.jpg"}} for one in shown.sought]
        shown = TracingRequest.model_validate({**shown.model_dump(), "sought": entries})
    audience = Audience("target", to, "TR-RC" if to is Recipient.NATIONAL_SOCIETY else None)
    made = disclosure.clear(shown, policy("tracing_request"), audience, of or stamp(), Approvals(), MADE_AT)
    assert isinstance(made, Release), made
    if photo is None:
        return made
    return made.with_files({"p.jpg": File(f"{hashlib.sha256(photo).hexdigest()}.jpg", media_type, photo)})


def withdrawal(of: Stamp) -> Release:
    """The word that what is held must be removed."""
    return disclosure.retract("tracing_request", "tracing", of)


def whole(kind: str, number: int = 1) -> Release:
    """A release of *kind* in which every field that the own society may have is filled in; nobody could have said all of it."""
    filled = _filled(RECORDS[kind])
    given = {"kind": kind, "consent": CONSENT, "cautions": Cautions(child=False), "branch": "101"}
    record = RECORDS[kind].model_validate({**filled, **given})
    made = disclosure.clear(
        record, policy(kind), Audience("target", Recipient.OWN_SOCIETY), stamp(number), Approvals(), MADE_AT
    )
    assert isinstance(made, Release), made
    return made


_A_DAY = {"kind": "exact", "calendar": "gregorian", "year": 2025, "month": 3, "day": 9, "earliest": "2025-03-09",
          "latest": "2025-03-09", "approximate": False}  # fmt: skip


def _filled(model: type[Part]) -> dict[str, Any]:
    """Every text is a day, so that it can stand wherever a day or a text is wanted."""
    made: dict[str, Any] = {}
    for one in fields_of(model):
        if one.model is not None and one.model is not Photo:
            inner = _A_DAY if one.model is SaidDate else _filled(one.model)
            made[one.name] = [inner] if one.many else inner
        elif one.model is None:
            numbers = {int: 3, float: 12.5}
            kind = next((n for n in numbers if n.__name__ in str(model.model_fields[one.name].annotation)), None)
            text = "2026-11-20T10:00:00+03:00" if one.name == "given_at" else "2026-11-20"
            made[one.name] = numbers[kind] if kind else [text] if one.many else text
    return made


YUSUF: Mapping[str, Any] = {
    "case_code": "10100000024",
    "interview": {"branch": "101", "date": "2026-11-20", "language": "ar"},
    "level": "full",
    "child": {
        "name": {"full": "يوسف كريم الحلبي", "given": "يوسف", "father": "كريم", "family": "الحلبي"},
        "sex": "male", "status": "unaccompanied", "languages": ["ar"], "marks": "ندبة صغيرة",
        "birth": {"kind": "year", "calendar": "gregorian", "year": 2016, "earliest": "2016-01-01", "latest": "2016-12-31"},
    },
    "found": {"place": {"country": "LB", "text": "طرابلس"}, "by": "a neighbour"},
    "care": {"type": "kafala", "caregiver_name": "هدى", "caregiver_relation": "aunt", "caregiver_age": 40, "since": "2026-10-01"},
    "protection": {"urgent": "no", "concerns": ["caafag"], "risk": "low"},
    "mother": {"name": {"full": "ليلى حسن"}, "alive": "unknown", "last_place": "حلب"},
    "father": {"name": {"full": "كريم الحلبي"}, "alive": "dead"},
    "siblings": [{"name": "نور", "sex": "female", "age": 6}],
    "relatives": [{"name": "سامي", "relation": "cousin", "alive": "alive", "phone": "+9613000000"}],
    "separation": {"cause": "conflict", "story": "كان يلعب"},
    "wishes": {"assent": "yes", "tracing": "yes", "persons": [{"name": "ليلى حسن", "relation": "mother", "rank": "first_choice"}]},
    "agreement": {"giver": "legal_guardian", "legal_basis": "consent"},
}  # fmt: skip


def registration(changes: Mapping[str, Any] | None = None, of: Stamp | None = None) -> Release:
    """What the own society may have of the registration of a child."""
    fields = {**YUSUF, **(changes or {}), "consent": CONSENT, "cautions": Cautions(child=True), "branch": "101"}
    record = ChildRegistration.model_validate(fields)
    audience = Audience("target", Recipient.OWN_SOCIETY)
    made = disclosure.clear(record, policy("child_registration"), audience, of or stamp(), Approvals(), MADE_AT)
    assert isinstance(made, Release), made
    return made
