"""The pages: who gets in, who sees what, what is noted."""

from __future__ import annotations

import json
import re

import pytest

from connector.dashboard.roles import RIGHTS, Right
from connector.words import LANGUAGES
from tests.conftest import FillIn, Node
from tests.dashboard.conftest import PASSWORD, Person
from tests.people import MARKS, request

PAGES = {
    "/": Right.FLOW,
    "/week": Right.CASE,
    "/matches": Right.MATCH,
    "/referrals": Right.REFERRALS,
    "/referrals/new": Right.REFER,
    "/referrals/handover": Right.REFERRALS,
    "/publications": Right.RELEASE,
    "/me": Right.FLOW,
    "/servers": Right.SERVERS,
    "/policy": Right.POLICY,
    "/figures": Right.FIGURES,
    "/figures?as=csv": Right.EXPORT,
    "/audit": Right.AUDIT,
}
_MOST_BYTES = 100_000


def case_of(node: Node, root: str) -> str:
    found = node.flow.ledger.case(root.removeprefix("uuid:"))
    assert found is not None
    return found.record_id


def events(node: Node, record_id: str | None = None) -> list[tuple[str, str]]:
    from connector.ledger.audit import export

    with node.flow.ledger.database.reading() as connection:
        return [
            (str(row["event"]), str(row["actor"]))
            for row in export(connection)
            if record_id is None or row["record_id"] == record_id
        ]


def test_nobody_sees_a_page_without_signing_in(people: dict[str, Person]) -> None:
    """Every page leads to the door."""
    for page in PAGES:
        answer = people["admin"].client.get(page)
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, "/sign-in")


@pytest.mark.parametrize("role", RIGHTS)
def test_every_role_sees_its_pages_and_no_other(people: dict[str, Person], role: str) -> None:
    """Every page × every role; to see figures is one right, to take them away another."""
    person = people[role]
    assert person.sign_in().status_code == 302
    seen = {page: person.client.get(page).status_code for page in PAGES}
    both = RIGHTS[role] >= {Right.FIGURES, Right.EXPORT}
    expected = {page: 200 if right in RIGHTS[role] else 403 for page, right in PAGES.items()}
    assert seen == {**expected, "/figures?as=csv": 200 if both else 403}


@pytest.mark.parametrize(("password", "code"), [("wrong password", None), (PASSWORD, "000000")])
def test_password_and_code_are_both_needed(people: dict[str, Person], password: str, code: str | None) -> None:
    """One of them alone opens nothing, and the page does not tell which was wrong."""
    answer = people["dpo"].sign_in(password, code)
    assert answer.status_code == 403
    assert people["dpo"].client.get("/audit").status_code == 302


def test_after_five_wrong_attempts_the_door_stays_shut_for_a_while(node: Node, people: dict[str, Person]) -> None:
    """Then even the right password does not open it, until a quarter of an hour has passed."""
    person = people["dpo"]
    for _ in range(5):
        person.sign_in("wrong password")
    assert person.sign_in().status_code == 403
    node.clock.forward(minutes=16)
    assert person.sign_in().status_code == 302


def test_a_form_that_no_page_of_ours_sent_is_refused(people: dict[str, Person]) -> None:
    """Without the session's token nothing is done."""
    person = people["supervisor"]
    person.sign_in()
    for form in ({}, {"token": ""}, {"token": "made up"}):
        assert person.client.post("/targets/national/pause", data={"reason": "x", **form}).status_code == 400


def test_a_user_who_was_disabled_is_out_at_once(node: Node, people: dict[str, Person]) -> None:
    """The session they have is worth nothing any more."""
    from connector.ledger.users import Users

    person, ledger = people["admin"], node.flow.ledger
    person.sign_in()
    Users(ledger.database, ledger.master, ledger.now).disable("admin", "test")
    assert person.client.get("/").status_code == 302


def test_nothing_of_a_page_is_kept_and_nothing_comes_from_elsewhere(people: dict[str, Person]) -> None:
    """No cache, a strict policy, cookies that no script reads."""
    person = people["supervisor"]
    cookie = person.sign_in().headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
    page = person.client.get("/")
    assert page.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text)


def test_no_page_names_anybody_until_somebody_asks(node: Node, people: dict[str, Person], fill_in: FillIn) -> None:
    """Lists and the case show codes. The preview shows what a target would receive, and that look is in the audit."""
    record_id = case_of(node, str(node.take_in(fill_in(request()))["meta/rootUuid"]))
    person = people["case_worker"]
    person.sign_in()
    for page in ("/", "/week", f"/cases/{record_id}"):
        text = person.client.get(page).text
        assert [mark for mark in MARKS if mark in text] == (["V-07"] if page == "/" else [])  # arrivals by collector
    shown = person.post(f"/cases/{record_id}/preview", target="national").text
    assert "سلمى يوسف الحمصي" in shown
    assert ("seen", "case_worker") in events(node, record_id)


@pytest.mark.parametrize("role", ["headquarters", "admin"])
def test_identity_is_not_for_every_role(node: Node, people: dict[str, Person], fill_in: FillIn, role: str) -> None:
    """Who mends the flow or reads figures sees no person."""
    record_id = case_of(node, str(node.take_in(fill_in(request()))["meta/rootUuid"]))
    people[role].sign_in()
    assert people[role].post(f"/cases/{record_id}/preview", target="national").status_code == 403
    assert "seen" not in {event for event, _ in events(node, record_id)}


def test_a_release_needs_a_fresh_code_and_then_goes_out(node: Node, people: dict[str, Person], fill_in: FillIn) -> None:
    """With a wrong code nothing moves; with the right one the partner receives it, in that person's name."""
    record_id = case_of(node, str(node.take_in(fill_in(request()))["meta/rootUuid"]))
    waiting = next(row.id for row in node.rows("partner") if row.state == "waiting")
    person = people["case_worker"]
    person.sign_in()
    person.post(f"/cases/{record_id}/release/{waiting}", code="000000")
    node.dispatch()
    assert node.received("partner") == []
    person.post(f"/cases/{record_id}/release/{waiting}", code=person.code())
    node.dispatch()
    assert len(node.received("partner")) == 1
    assert ("released", "case_worker") in events(node, record_id)


def test_what_is_stuck_says_why_and_is_mended_with_a_reason(
    node: Node, people: dict[str, Person], fill_in: FillIn
) -> None:
    """Without a reason nothing is given up; with one it is, and the reason is in the audit."""
    node.take_in(fill_in(request()))
    waiting = next(row.id for row in node.rows("partner") if row.state == "waiting")
    person = people["supervisor"]
    person.sign_in()
    assert "A person has to look at it before it goes." in person.client.get("/").text
    person.post(f"/do/discard/{waiting}", reason=" ")
    assert node.states("partner") == [("waiting", "release.review")]
    person.post(f"/do/discard/{waiting}", reason="asked for by the family")
    assert node.states("partner") == [("discarded", "asked for by the family")]
    assert people["supervisor"].post("/targets/partner/pause", reason="line is down").status_code == 302
    assert node.flow.ledger.paused() == {"partner": "line is down"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_speaks_the_language_and_stays_light(
    node: Node, people: dict[str, Person], fill_in: FillIn, language: str
) -> None:
    """The page says its language and direction, no key of the catalogue shows, and it is under 100 kB with its style."""
    record_id = case_of(node, str(node.take_in(fill_in(request()))["meta/rootUuid"]))
    person = people["supervisor"]
    person.sign_in()
    person.post("/language", language=language)
    style = ("silah.css", "live.js", "icon.svg")
    parts = sum(len(person.client.get(f"/static/{name}", buffered=True).data) for name in style)
    for page in ("/", "/week", "/policy", "/figures", "/referrals", "/publications", f"/cases/{record_id}"):
        text = person.client.get(page).text
        direction = "rtl" if language in {"ar", "fa"} else "ltr"
        assert f'<html lang="{language}" dir="{direction}">' in text
        assert not re.findall(
            r">\s*(?:page|flow|act|case|week|state|event|figures|policy|why|do|publish|publication):\w+", text
        )
        assert len(text.encode()) + parts < _MOST_BYTES
        assert "missing" not in text


def test_a_machine_gets_no_page(people: dict[str, Person]) -> None:
    """What the webhooks answer stays JSON or plain, whatever went wrong."""
    answer = people["admin"].client.post("/webhooks/kobo/kobo", data=json.dumps({}))
    assert (answer.status_code, answer.json) == (401, {"error": "not_authentic"})
