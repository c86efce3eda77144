"""Filled-in forms about synthetic people, as they come from a form server, without a form server."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid5

from connector.model import SILAH, Answer, Submission
from connector.transforms.record import Record
from connector.transforms.registry import to_record

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_AGREED: dict[str, Answer] = {
    "branch_code": "101",
    "interview_date": "2026-11-20",
    "legal_basis": "consent",
    "info_notice_given": "yes",
    "search_danger": "no",
    "c_collect": "yes",
    "consent_giver": "subject",
    "consent_confirm": "yes",
    "c_share_icrc": "yes",
    "share_wider": "yes",
}
SOUGHT: dict[str, Answer] = {
    "sought/s_name_full_native": "كريم يوسف الحمصي",
    "sought/s_relation": "son",
    "sought/s_sex": "male",
    "sought/s_dob_kind": "year",
    "sought/s_birth_year_cal": "gregorian",
    "sought/s_birth_year": "2014",
}
REQUEST: dict[str, Answer] = {
    **_AGREED,
    "case_code": "101-REQ",
    "collector_code": "V-07",
    "enq_name_full_native": "سلمى يوسف الحمصي",
    "enq_sex": "female",
    "enq_phone": "+96170123456",
    "sought": (SOUGHT,),
}
CHILD: dict[str, Answer] = {
    **_AGREED,
    "case_code": "101-CHILD",
    "collector_code": "V-09",
    "level": "quick",
    "consent_giver": "parent",
    "child_assent": "yes",
    "wants_tracing": "yes",
    "ch_name_full_native": "Karim Youssef Alhomsi",
    "ch_sex": "male",
    "ch_dob_kind": "year",
    "ch_birth_year_cal": "gregorian",
    "ch_birth_year": "2014",
    "mo_name_full_native": "Salma Yousef Homsi",
    "mo_phone": "+963944000111",
}
REFERRAL: dict[str, Answer] = {**_AGREED, "case_code": "101-REF"}


def submission(form: str, name: str, answers: dict[str, Answer], order: int = 1, version: str = "1") -> Submission:
    """The submission called *name* of *form*; an answer of "" is not given."""
    given = {question: answer for question, answer in answers.items() if answer}
    root = str(uuid5(SILAH, name))
    return Submission("kobo", form, root, f"{root}-{version}", order, None, NOW, given)


def record(form: str, answers: dict[str, Answer], **changed: Answer) -> Record:
    return to_record(submission(form, "one", {**answers, **changed}))
