"""What a referral promises: one receiver named, codes first, and identity never before acceptance."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.disclosure import Approvals, Merged, Release, Stamp, Told, Waiting, Withheld, clear, tell
from connector.model import Audience, Cautions, Recipient, Submission
from connector.transforms.referral import Referral
from connector.transforms.registry import to_record
from forms.policy import policy
from forms.tables import load, walk

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STAMP = Stamp("r", 1, "AE-RC", "k", NOW)
SECRETS = ("Layla", "Kindi", "+971500000111", "two rooms", "Salem")
ANSWERS = {
    "branch_code": "401",
    "interview_date": "2026-11-20",
    "legal_basis": "consent",
    "info_notice_given": "yes",
    "c_collect": "yes",
    "consent_giver": "subject",
    "consent_confirm": "yes",
    "case_code": "40100047113",
    "kind": "referral",
    "priority": "urgent_72h",
    "services_requested": "shelter psychosocial_service",
    "reason_code": "safe_place",
    "share_wider": "yes",
    "to_kind": "ngo",
    "to_org": "aman",
    "c_share_ngo": "yes",
    "protocol_version": "2026-11",
    "disclose_name": "yes",
    "fields_disclosed": "contact free_text caregiver",
    "client_name_full_native": "Layla Kindi",
    "client_sex": "female",
    "age_group": "18-59",
    "safe_rule": "no_voicemail mornings",
    "client_phone": "+971500000111",
    "caregiver_name": "Salem",
    "free_text": "She needs two rooms.",
}


def _record(**changed: str) -> Referral:
    answers = {name: value for name, value in {**ANSWERS, **changed}.items() if value}
    record = to_record(Submission("kobo", "referral", "r", "i", 1, None, NOW, answers))
    assert isinstance(record, Referral)
    return record


def _clear(record: Referral, recipient: Recipient, who: str | None = None) -> object:
    users = Approvals(users=frozenset({"one", "two"}))
    return clear(record, policy("referral"), Audience("t", recipient, who), STAMP, users, NOW)


def test_the_first_message_holds_codes_alone() -> None:
    """The receiver named gets the case code, what is asked, how soon and the rules of safety, and not a byte of identity."""
    release = _clear(_record(), Recipient.NGO, "aman")
    assert isinstance(release, Release)
    assert {
        "kind": "referral",
        "priority": "urgent_72h",
        "services_requested": ["shelter", "psychosocial_service"],
        "reason_code": ["safe_place"],
        "client_sex": "female",
        "age_group": "18-59",
        "safe_rule": ["no_voicemail", "mornings"],
        "protocol_version": "2026-11",
    } == release.fields["codes"]
    assert [secret for secret in SECRETS if secret in repr(dict(release.fields))] == []
    assert set(release.classes) <= {"case", "count"}


def test_identity_goes_home_alone() -> None:
    """No policy line lets a name, a number, a caregiver or free words go to anybody but the own society."""
    rules = policy("referral")
    named = [
        name for name in rules.class_of if rules.class_of[name] in {"identity", "contact", "family", "circumstances"}
    ]
    assert len(named) > 20
    assert {"own_society"} == set().union(*(rules.recipients_of[rules.line_of[name]] for name in named))


def test_the_own_society_receives_what_it_must_pass_on_later() -> None:
    """Name, contact and words stand in `identity`, ready for the message after acceptance."""
    release = _clear(_record(), Recipient.OWN_SOCIETY)
    assert isinstance(release, Release)
    assert [secret for secret in SECRETS if secret not in repr(release.fields["identity"])] == []


@pytest.mark.parametrize(
    ("recipient", "who"), [(Recipient.NGO, "dfwac"), (Recipient.ICRC, None), (Recipient.UN_AGENCY, "aman")]
)
def test_only_the_receiver_named_is_asked(recipient: Recipient, who: str | None) -> None:
    """Another organisation, and another kind of organisation with the same code, hear nothing."""
    assert isinstance(_clear(_record(), recipient, who), Withheld)


def test_a_yes_for_another_kind_than_the_receivers_is_no_consent() -> None:
    """An edit that leaves `c_share_ngo` behind while the receiver is the police shares with neither."""
    record = _record(to_kind="authorities", to_org="police")
    assert {} == dict(record.consent.shares)


def test_without_share_wider_nobody_outside_the_movement_is_asked() -> None:
    """A yes to an aid organisation counts only after a yes to asking outside."""
    assert {} == dict(_record(share_wider="").consent.shares)


def test_another_basis_than_consent_names_a_society_alone() -> None:
    """Best interests reach the society that is the receiver, never an aid organisation that is."""
    other = {"legal_basis": "best_interests", "basis_reason": "Nobody can consent.", "basis_approved_by": "S-01"}
    society = _record(**other, to_kind="national_society", to_org="TR-RC")
    assert isinstance(_clear(society, Recipient.NATIONAL_SOCIETY, "TR-RC"), Release)
    assert isinstance(_clear(_record(**other), Recipient.NGO, "aman"), Withheld)


def test_the_name_is_asked_after_five_screens() -> None:
    """Interview, urgency, consent, help and receiver; then the name, and only when it may be given."""
    rows = list(walk(load("referral").rows))
    place = next(n for n, (row, _) in enumerate(rows) if row.name == "client_name_full_native")
    screens = [row.name for row, _ in rows[:place] if row["appearance"] == "field-list"]
    assert ["interview", "urgency_first", "consent_opening", "help", "receiver", "client_name"] == screens


def _tell(record: Referral, merged: tuple[Merged, ...] = (), users: int = 2) -> Told | Withheld | Waiting:
    approvals = Approvals(users=frozenset(["one", "two"][:users]))
    return tell(record, merged, policy("referral"), Audience("t", Recipient.NGO, "aman"), STAMP, approvals, NOW)


def test_what_was_never_to_be_sent_stays_in_the_second_step() -> None:
    """A restriction of another record of the same person holds here too: no telephone, or no name at all."""
    agreed = _record().consent
    no_call = _tell(_record(), (Merged(agreed, Cautions(never_send=frozenset({"contact"}))),))
    assert isinstance(no_call, Told)
    assert ("Layla Kindi", "", "") == (no_call.name, no_call.contact, no_call.safe_contact)
    no_name = _tell(_record(), (Merged(agreed, Cautions(never_send=frozenset({"name"}))),))
    assert Withheld("referral.name_not_given") == no_name


def test_the_second_step_asks_the_whole_gate_again() -> None:
    """What would not let the codes go now does not let the name go either; another basis than consent never does."""
    assert isinstance(_tell(_record(c_share_ngo="no")), Withheld)
    assert isinstance(_tell(_record(), (Merged(_record().consent, Cautions(danger=True)),), users=0), Waiting)
    other = _record(legal_basis="best_interests", basis_reason="Nobody can consent.", basis_approved_by="S-01")
    assert isinstance(_tell(other), Withheld)
