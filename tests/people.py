"""Synthetic people and what they answer. Nobody here exists; every flow test starts from one of these fills."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

TODAY = "2026-11-20"

SALMA: Mapping[str, Any] = {
    "branch_code": "101",
    "collector_code": "V-07",
    "mode": "in_person",
    "interview_date": TODAY,
    "interview_lang": "ar",
    "interpreter_used": "no",
    "enq_role": "family_member",
    "context": "conflict_or_violence",
    "legal_basis": "consent",
    "info_notice_given": "yes",
    "search_danger": "no",
    "c_collect": "yes",
    "consent_giver": "subject",
    "c_share_icrc": "yes",
    "c_share_ns_destination": "yes",
    "ns_destination": ["TR-RC"],
    "share_wider": "no",
    "enq_name_full_native": "سلمى يوسف الحمصي",
    "enq_given": "سلمى",
    "enq_father": "يوسف",
    "enq_sex": "female",
    "enq_dob_kind": "age",
    "enq_age": "34",
    "enq_country": "LB",
    "enq_phone": "+96170123456",
    "enq_phone_safe": "yes",
    "enq_channel_pref": "call",
    "sought": [
        {
            "s_name_full_native": "كريم يوسف الحمصي",
            "s_relation": "brother",
            "s_sex": "male",
            "s_dob_kind": "year",
            "s_birth_year_cal": "gregorian",
            "s_birth_year": "1995",
            "s_photo_rights": "no",
            "s_last_contact_date_kind": "year_month",
            "s_last_contact_date_cal": "gregorian",
            "s_last_contact_date_year": "2025",
            "s_last_contact_date_month_name": "g03",
            "s_last_contact_mode": "phone",
            "s_separation_cause": "migration",
            "s_separation_elsewhere": "no",
            "s_circumstances": "انقطع الاتصال بعد عبور الحدود.",
            "s_believed_status": "alive_unknown_whereabouts",
            "s_has_limits": "no",
            "s_with_others": "no",
        }
    ],
    "prior_steps": ["other_rc"],
    "already_open_elsewhere": "no",
    "has_limits": "no",
    "tell_who_searches": "yes",
    "c_share_family": "yes",
    "c_location_to_family": "after_asking_me",
    "sad_news_how": "in_person",
    "c_publish_photo_online": "no",
    "consent_confirm": "yes",
    "consent_form_lang": "ar",
    "consent_medium": "verbal_witnessed",
    "urgency": "normal",
}

# Words that stand in Salma's answers and in nothing else: where one of them turns up, an answer turned up.
MARKS = ("الحمصي", "سلمى", "كريم", "96170123456", "عبور الحدود", "V-07")


def request(changes: Mapping[str, Any] | None = None, *, sought: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Salma's tracing request with *changes* (None takes an answer out), and *sought* changed in the person looked for."""
    answers: dict[str, Any] = copy.deepcopy(dict(SALMA))
    answers["sought"][0].update(sought or {})
    answers.update(changes or {})
    answers["sought"] = [{k: v for k, v in one.items() if v is not None} for one in answers["sought"]]
    return {question: answer for question, answer in answers.items() if answer is not None}
