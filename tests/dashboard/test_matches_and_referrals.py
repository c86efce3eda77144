"""What people do with matches and referrals on the pages: in their own name, with reasons, every look at a name noted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from connector.ledger.candidates import Candidates
from tests.dashboard.conftest import Person, people_of
from tests.dashboard.stage import Stage, staged
from tests.dashboard.test_pages import events
from tests.referrals.nodes import CANARIES, case_code, draft

NAMES = ("سلمى يوسف الحمصي", "كريم يوسف الحمصي", "Karim Youssef Alhomsi")


@pytest.fixture(name="stage", scope="module")
def _stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("week")) as stage:
        yield stage


@pytest.fixture(name="crew", scope="module")
def _crew(stage: Stage) -> dict[str, Person]:
    """Everybody, signed in."""
    crew = people_of(stage.node.flow)
    for person in crew.values():
        assert person.sign_in().status_code == 302
    return crew


def pair_of(stage: Stage, kind: str) -> str:
    return next(one.id for one in Candidates(stage.node.flow.ledger).all() if one.kind == kind)


def state_of(stage: Stage, id_: str) -> str:
    one = Candidates(stage.node.flow.ledger).one(id_)
    assert one is not None
    return one.state


def test_pairs_show_reasons_and_no_name_until_somebody_asks(stage: Stage, crew: dict[str, Person]) -> None:
    """The list and a pair's page show roles, codes and reasons. Both names, in the script of each, come after a click,
    and that look is in the audit of both records."""
    person, id_ = crew["case_worker"], pair_of(stage, "found")
    for path in ("/matches", f"/matches/{id_}"):
        page = person.client.get(path).text
        assert "the names agree" in page
        assert not [name for name in NAMES if name in page]
    shown = person.post(f"/matches/{id_}/names").text
    assert all(name in shown for name in NAMES[1:])
    pairs = Candidates(stage.node.flow.ledger)
    one = pairs.one(id_)
    assert one is not None
    for side in (one.left, one.right):
        assert ("match_seen", "case_worker") in events(stage.node, pairs.case(side.submission).record_id)


def test_two_people_confirm_and_it_is_taken_back(stage: Stage, crew: dict[str, Person]) -> None:
    """With a wrong code nothing is said; the second word is another person's; what was said can be undone."""
    id_ = pair_of(stage, "family")
    first, second = crew["case_worker"], crew["supervisor"]
    first.post(f"/matches/{id_}/confirm", code="000000")
    assert state_of(stage, id_) == "proposed"
    first.post(f"/matches/{id_}/confirm", code=first.code())
    first.post(f"/matches/{id_}/confirm", code=first.code())
    assert state_of(stage, id_) == "confirmed_by_one"
    second.post(f"/matches/{id_}/confirm", code=second.code())
    assert state_of(stage, id_) == "confirmed"
    second.post(f"/matches/{id_}/undo", code=second.code())
    assert state_of(stage, id_) == "proposed"


def test_what_is_ruled_out_leaves_the_list_and_can_be_found_again(stage: Stage, crew: dict[str, Person]) -> None:
    """It stands under "ruled out", from where it can be taken back."""
    person, id_ = crew["case_worker"], pair_of(stage, "sought_twice")
    person.post(f"/matches/{id_}/rule_out", code=person.code())
    assert id_ not in person.client.get("/matches").text
    assert id_ in person.client.get("/matches?which=ruled_out").text
    person.post(f"/matches/{id_}/undo", code=person.code())
    assert id_ in person.client.get("/matches").text


@pytest.mark.parametrize("role", ["headquarters", "admin", "dpo"])
def test_matches_are_for_those_who_work_on_cases(stage: Stage, crew: dict[str, Person], role: str) -> None:
    """Neither the list nor a name nor a word is for others."""
    person, id_ = crew[role], pair_of(stage, "found")
    answers = [person.client.get("/matches"), person.client.get(f"/matches/{id_}")]
    answers += [person.post(f"/matches/{id_}/{deed}", code=person.code()) for deed in ("confirm", "rule_out")]
    assert [403] * 4 == [answer.status_code for answer in answers]


def test_a_referral_is_answered_to_its_end(stage: Stage, crew: dict[str, Person]) -> None:
    """Accepted here, the identity arrives; it is shown to whoever asks, noted; completed with its outcome, which the
    partner sees. What is not allowed says so and changes nothing."""
    person, id_ = crew["case_worker"], stage.referrals["asked"]
    page = f"/referrals/{id_}"
    assert CANARIES["name"] not in person.client.get(page).text
    person.post(f"{page}/do/reject")
    assert "A reason is missing." in person.client.get(page).text
    person.post(f"{page}/do/accept")
    stage.carry()
    person.post(f"{page}/take-over")
    assert CANARIES["name"] in person.post(f"{page}/identity").text
    assert ("referral_identity_read", "case_worker") in events(stage.node, id_)
    person.post(f"{page}/do/complete", outcome="completed_full")
    stage.carry()
    assert stage.partner.state(id_) == "completed"
    assert id_ in person.client.get("/referrals?finished=1").text
    assert id_ not in person.client.get("/referrals").text


def test_a_referral_is_begun_on_the_page(stage: Stage, crew: dict[str, Person]) -> None:
    """What the form says is what the partner receives: codes first. A fault is told and nothing written is lost."""
    import random

    person, now = crew["supervisor"], stage.node.clock.moment
    whole = draft("shelter", now)
    consent = {name: str(whole["consent"][name])[:10] for name in ("given", "expires")}
    form = {
        **{name: whole[name] for name in ("priority", "client_sex", "age_group", "protocol_version")},
        "kind": "transfer",
    }
    form |= {"partner": "shelter", "case_code": case_code(random.Random(3)), "services_requested": ["shelter"],
             "reason_code": ["safe_place"], "safe_rule": ["no_call"], **consent, **CANARIES}  # fmt: skip
    wrong = person.post("/referrals/new", **{**form, "case_code": "12345678901"})
    assert wrong.status_code == 422
    assert CANARIES["name"] in wrong.text
    made = person.post("/referrals/new", **form)
    id_ = made.headers["Location"].rpartition("/")[2]
    stage.carry()
    shown = stage.partner.show(id_)
    assert shown.opening is not None
    assert (shown.row.state, shown.row.kind, shown.opening.services_requested) == ("received", "transfer", ("shelter",))
    assert stage.partner.exchange.referrals.disclosed(id_, "test") is None


def test_who_only_reads_referrals_cannot_act(stage: Stage, crew: dict[str, Person]) -> None:
    """Headquarters sees the clocks; every step is refused."""
    person, id_ = crew["headquarters"], stage.referrals["sent"]
    assert person.client.get(f"/referrals/{id_}").status_code == 200
    for path in ("do/cancel", "take-over", "retry", "identity"):
        assert person.post(f"/referrals/{id_}/{path}").status_code == 403
    assert person.post("/referrals/new").status_code == 403


def test_the_hand_over_list_prints_and_names_nobody(stage: Stage, crew: dict[str, Person]) -> None:
    """It carries its own style, which the policy of the page lets in by its hash alone."""
    answer = crew["headquarters"].client.get("/referrals/handover")
    policy = answer.headers["Content-Security-Policy"]
    assert re.search(r"style-src 'sha256-[^']+';", policy)
    assert "unsafe-inline" not in policy
    assert not [text for text in CANARIES.values() if text in answer.text]


def test_lists_go_on_where_they_ended(stage: Stage) -> None:
    """Page by page every referral and pair is shown once, in order."""
    from connector.ledger.referrals import ReferralLedger

    ledger = stage.node.flow.ledger
    referrals = ReferralLedger(ledger.database, ledger.master, ledger.now)
    seen, place = [], None
    while True:
        rows, place = referrals.page(place, 1, finished=False)
        seen += [row.id for row in rows]
        if place is None:
            break
    assert seen == [row.id for row in referrals.page(None, 100, finished=False)[0]]
    pairs, found, end = Candidates(ledger), [], None
    while True:
        some, end = pairs.page(("proposed",), end, 2)
        found += [one.id for one in some]
        if end is None:
            break
    assert found == [one.id for one in pairs.all() if one.state == "proposed"]


def test_each_reads_by_their_own_calendar_and_digits(stage: Stage, crew: dict[str, Person]) -> None:
    """What was chosen holds in the next session too; Persian reads Solar Hijri unless somebody chose otherwise."""
    person = crew["other"]
    person.post("/me", calendar="hijri", digits="local")
    person.post("/language", language="ar")
    person.post("/sign-out")
    person.sign_in()
    assert re.search(r"<bdi dir=\"ltr\">١٤٤\d-", person.client.get("/referrals").text)
    person.post("/me", calendar="", digits="")
    person.post("/language", language="fa")
    assert re.search(r"<bdi dir=\"ltr\">۱۴۰\d-", person.client.get("/referrals").text)
