"""What a visit promises: the place of detention gets who agreed and nobody else, and needs become a draft, never a delivery."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from connector.disclosure import Approvals, Release, Stamp, Waiting, Withheld, clear
from connector.model import Answers, Audience, Recipient, Submission
from connector.transforms.family_visit import FamilyVisit
from connector.transforms.needs import ReferralDraft
from connector.transforms.registry import to_record
from forms.policy import policy
from forms.tables import load, walk

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PRISON = Audience("prison", Recipient.AUTHORITIES, "prison_service")
BOTH = Approvals(users=frozenset({"amal", "basim"}))
BASE: Answers = {
    "interview/interview_date": "2026-11-20",
    "consent/consent_opening/info_notice_given": "yes",
    "consent/consent_opening/c_collect": "yes",
    "consent/consent_opening/consent_giver": "subject",
    "visit/the_visit/visit_no": "VIS-63",
    "visit/the_visit/detainee_ref": "ICRC-004512",
    "visit/the_visit/place_code": "PD-07",
    "visit/the_visit/authority_permit_no": "P-9",
    "visit/visitors_before/risk_explained": "yes",
}
AGREED = {
    "v_relation": "mother",
    "v_permit_relation": "mother",
    "v_share_permit": "yes",
    "v_name_full_native": "Suad Kamal",
}
DECLINED = {"v_relation": "brother", "v_share_permit": "no", "v_sex": "male"}


def _record(*visitors: dict[str, str], **more: str) -> FamilyVisit:
    entries = tuple({f"visit/visitor/v_item/{name}": value for name, value in one.items()} for one in visitors)
    answers = {**BASE, **{f"visit/needs/{name}": value for name, value in more.items()}, "visit/visitor": entries}
    record = to_record(Submission("kobo", "family_visit", "r", "i", 1, None, NOW, answers))
    assert isinstance(record, FamilyVisit)
    return record


def _cleared(record: FamilyVisit, approvals: Approvals = BOTH) -> Release | Withheld | Waiting:
    stamp = Stamp("id", 1, "SA-RCA", "key", NOW)
    return clear(record, policy("family_visit"), PRISON, stamp, approvals, NOW)


def test_the_place_of_detention_gets_the_visitor_who_agreed_and_what_finds_the_permit() -> None:
    """Name and relation of the one, nothing of the other, nothing of the person who is held."""
    release = _cleared(_record(AGREED, DECLINED))
    assert isinstance(release, Release)
    assert release.fields == {
        "permit": {"no": "P-9", "place_code": "PD-07"},
        "visitors": [{"for_permit": {"name": "Suad Kamal", "relation": "mother"}}, {}],
    }


@pytest.mark.parametrize("visitors", [(DECLINED,), (AGREED, {**DECLINED, "v_name_full_native": "Omar Kamal"}), ()])
def test_without_a_yes_of_everyone_who_is_named_nothing_goes(visitors: tuple[dict[str, str], ...]) -> None:
    """One visitor's yes never opens the name of another."""
    assert Withheld("consent.not_for_authorities", withdraws=True) == _cleared(_record(*visitors))


def test_two_named_users_release_it() -> None:
    """Authorities are never reached by one person's word."""
    one = Approvals(users=frozenset({"amal"}))
    assert Waiting("release.authorities", "two_named_users") == _cleared(_record(AGREED), one)


def test_documents_are_for_the_permit_alone() -> None:
    """Not even the ICRC gets the visitors' papers."""
    assert not policy("family_visit").may_receive("v_doc_no", "icrc")
    assert policy("family_visit").may_receive("v_doc_no", "authorities")


def test_needs_become_a_draft_of_codes_when_the_family_wants_it() -> None:
    """Services and reasons in the referral's own codes; none when help was not wanted, or nothing is needed."""
    wanted = _record(family_follow_up_needs="housing money", referral_wanted="yes")
    expected = ReferralDraft(None, ("housing", "financial"), ("housing", "income"))
    assert expected == wanted.referral_draft()
    assert _record(family_follow_up_needs="housing", referral_wanted="no").referral_draft() is None
    assert _record(family_follow_up_needs="none").referral_draft() is None


def test_the_day_of_consent_is_that_of_the_conversation() -> None:
    """It runs out a year later unless a shorter time was agreed."""
    assert date(2026, 11, 20) == _record().consent.given_on


def test_five_screens_stand_before_the_first_visitor() -> None:
    """The same on the way to a visit and after it."""
    rows = [row.name for row, _ in walk(load("family_visit").rows) if row["appearance"] == "field-list"]
    assert ["interview", "consent_opening", "consent_sharing", "the_visit", "visitors_before", "v_item"] == rows[:6]
