"""Who may release: never one's own record, never another branch's, and a branch of one person never by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from connector import releasing
from connector.dashboard.roles import RIGHTS, Right, may
from connector.errors import Refused
from connector.ledger.schema import senders, user_accounts
from tests.care.desk import Office, office_of
from tests.conftest import OWN_ACCOUNT, FillIn, Node
from tests.flow.test_at_rest import everything_written
from tests.flow.test_flow import approve, picture
from tests.people import request

PARTNER = {"partner": {"recipient": "national_society", "society": "TR-RC"}}
ELSEWHERE = "102"
ACCOUNT = ("kobo", "owner")  # who sends everything in these tests


@pytest.fixture(name="office")
def _office(node: Node) -> Iterator[Office]:
    node.targets = PARTNER
    with office_of(node) as office:
        yield office


def refusal(node: Node, user: str) -> str | None:
    """Why *user* may not release what waits for the partner; None when it was released."""
    [row] = node.rows("partner")
    try:
        releasing.release(node.flow, row.id, user)
    except Refused as error:
        return error.code
    return None


def test_who_may_release_is_the_same_everywhere() -> None:
    """The pages and the command line let the same roles release."""
    assert {role for role in RIGHTS if may(role, Right.RELEASE)} == releasing.MAY_RELEASE


def test_a_role_that_may_not_release_does_not(office: Office, node: Node, fill_in: FillIn) -> None:
    """Who watches over the data, and who looks after the machine, release nothing; nor does whom nobody knows."""
    node.take_in(fill_in(request()))
    for role in ("dpo", "admin"):
        office.employ(role, role)
    assert ["release.role"] * 3 == [refusal(node, who) for who in ("dpo", "admin", "nobody")]
    assert [("waiting", "release.review")] == node.states("partner")


def test_nobody_releases_what_they_collected(office: Office, node: Node, fill_in: FillIn) -> None:
    """Issue part 2: whose account sent it, or whose code is in it, does not release it; another person does."""
    node.take_in(fill_in(request()))
    office.employ("by-account", "supervisor", accounts=[ACCOUNT])
    office.employ("by-code", collector="v-07", branch="101")
    office.employ("V-07")
    office.employ("owner")
    office.employ("hq", "headquarters")
    own = [refusal(node, who) for who in ("by-account", "by-code", "V-07", "owner")]
    assert ["release.own_record"] * 4 == own
    node.dispatch()
    assert [] == node.received("partner")

    assert refusal(node, "hq") is None
    node.dispatch()
    assert 1 == len(node.received("partner"))


def test_headquarters_does_not_release_its_own_either(office: Office, node: Node, fill_in: FillIn) -> None:
    """The rule has no exception by role."""
    node.take_in(fill_in(request()))
    office.employ("hq", "headquarters", accounts=[ACCOUNT])
    assert "release.own_record" == refusal(node, "hq")


def test_a_branch_of_one_is_released_by_headquarters(office: Office, node: Node, fill_in: FillIn) -> None:
    """The only person of a branch releases nothing of it; another branch neither; headquarters does."""
    node.take_in(fill_in(request()))
    office.employ("amal", branch="101")
    office.employ("other", branch=ELSEWHERE)
    office.employ("hq", "headquarters")
    assert ("release.one_person_branch", "release.other_branch") == (refusal(node, "amal"), refusal(node, "other"))
    assert refusal(node, "hq") is None


def test_a_second_person_makes_it_a_branch(office: Office, node: Node, fill_in: FillIn) -> None:
    """Two who work there may release what neither of them collected; when one leaves, the other is alone again."""
    from connector.ledger.users import Users

    node.take_in(fill_in(request()))
    office.employ("amal", branch="101")
    office.employ("basim", branch="101")
    ledger = node.flow.ledger
    Users(ledger.database, ledger.master, ledger.now).disable("basim", "test")
    assert ("release.one_person_branch", "release.role") == (refusal(node, "amal"), refusal(node, "basim"))
    office.employ("dana", branch="101")
    assert refusal(node, "amal") is None


def test_a_volunteers_record_may_be_released_in_a_branch_of_one(office: Office, node: Node, fill_in: FillIn) -> None:
    """When it is known that another account than theirs sent it, two people stand behind it."""
    node.take_in(fill_in(request()))
    office.employ("amal", branch="101", accounts=[("kobo", "amal-at-kobo")])
    assert refusal(node, "amal") is None


def test_nobody_approves_their_own_on_the_form_server(office: Office, node: Node, fill_in: FillIn) -> None:
    """An approval there by the account that sent it counts for nothing once that account is a user's; another's counts."""
    office.employ("amal", accounts=[ACCOUNT])
    submission = node.take_in(fill_in(request()))
    node.kobo.add_user("dana")
    node.kobo.grant(node.asset, "dana", "validate_submissions")
    for who, expected in (("owner", "waiting"), (OWN_ACCOUNT, "waiting"), ("dana", "delivered")):
        approve(node.kobo, node.asset, submission["_id"], who)
        node.pull()
        node.dispatch()
        assert [expected] == [state for state, _ in node.states("partner")], who


def test_an_account_is_one_persons_and_stands_in_no_clear_text(office: Office, node: Node, fill_in: FillIn) -> None:
    """Two users cannot share an account; the accounts of senders and users are marks, not names (a blind index)."""
    office.employ("amal", accounts=[("kobo", "amal.haddad-at-kobo")])
    office.employ("basim")
    status, told = office.silah("user", "place", "basim", "--account", "kobo:amal.haddad-at-kobo")
    assert (1, True) == (status, "user.account_taken" in told)
    node.take_in(fill_in(request()))
    with node.flow.ledger.database.reading() as connection:
        marks = [*connection.execute(senders.select()), *connection.execute(user_accounts.select())]
    assert 2 == len(marks)
    assert b"amal.haddad-at-kobo" not in everything_written(node)


def test_the_command_line_and_the_page_ask_the_same(office: Office, node: Node, fill_in: FillIn) -> None:
    """`silah queue release` goes the same way, with the second factor; a place is told by `user add` and `user place`."""
    node.take_in(fill_in(request()))
    office.employ("amal")
    office.employ("dana", "supervisor")
    status, told = office.silah("user", "place", "amal", "--account", "kobo:owner", "--branch", "101")
    assert (0, True) == (status, "branch 101; accounts known: 1" in told)
    [row] = node.rows("partner")
    status, told = office.silah("queue", "release", row.id, as_="amal")
    assert (1, True) == (status, "release.own_record" in told)
    assert 0 == office.silah("queue", "release", row.id, as_="dana")[0]
    status, told = office.silah("user", "add", "rami", "--branch", "101", "--account", "nowhere:rami", "--json")
    assert (1, True) == (status, "user.bad_account" in told)
    status, told = office.silah("user", "add", "rami", "--branch", "101", "--account", "kobo:rami", "--json")
    assert (0, "rami") == (status, json.loads(told)["name"])


# Publishing

ADULT = {"enq_age": "34", "c_publish_photo_online": "yes", "enq_photo": "salma.jpg"}


@pytest.fixture(name="published")
def _published(node: Node) -> Iterator[Office]:
    node.targets = {"board": {"recipient": "public"}}
    node.urls["board"] = node.urls["ngo"]
    with office_of(node) as office:
        for name in ("amal", "basim", "dana"):
            office.employ(name)
        yield office


def listed(office: Office) -> list[dict[str, Any]]:
    status, told = office.silah("publication", "list", "--json")
    assert 0 == status
    return list(json.loads(told))


def test_publication_is_proposed_and_confirmed_by_another(published: Office, node: Node, fill_in: FillIn) -> None:
    """R10: one proposes, another confirms; nobody confirms their own proposal; then the photo and the relation go."""
    node.take_in(fill_in(request(ADULT)), {"salma.jpg": picture()})
    [one] = listed(published)
    assert ("open", None) == (one["state"], one["proposed_by"])
    assert 1 == published.silah("publication", "confirm", one["id"], as_="basim")[0]

    assert 0 == published.silah("publication", "propose", one["id"], as_="amal")[0]
    node.dispatch()
    [one] = listed(published)
    assert ("proposed", "amal", []) == (one["state"], one["proposed_by"], node.received("ngo"))
    for deed in ("propose", "confirm"):
        assert 1 == published.silah("publication", deed, one["id"], as_="amal")[0]

    assert 0 == published.silah("publication", "confirm", one["id"], as_="basim")[0]
    node.dispatch()
    [body] = node.received("ngo")
    assert {"enquirer", "sought"} >= set(body["fields"])
    assert 1 == len(body["attachments"])
    [one] = listed(published)
    assert ("published", "amal", "basim") == (one["state"], one["proposed_by"], one["confirmed_by"])


def test_a_proposal_can_be_declined(published: Office, node: Node, fill_in: FillIn) -> None:
    """A proposal taken back is none: the next two words are needed anew, and the audit says who declined."""
    node.take_in(fill_in(request(ADULT)), {"salma.jpg": picture()})
    [one] = listed(published)
    published.silah("publication", "propose", one["id"], as_="amal")
    assert 0 == published.silah("publication", "decline", one["id"], "--reason", "too early", as_="dana")[0]
    assert 1 == published.silah("publication", "confirm", one["id"], as_="basim")[0]
    node.dispatch()
    assert (["open"], []) == ([one["state"] for one in listed(published)], node.received("ngo"))
    assert [("publication_declined", "dana")] == [row[:2] for row in published.events("publication_declined")]


def test_what_everybody_would_see_is_shown_and_the_look_noted(published: Office, node: Node, fill_in: FillIn) -> None:
    """R21: before deciding a person sees exactly what would go, and the audit says that they looked."""
    node.take_in(fill_in(request(ADULT)), {"salma.jpg": picture()})
    [one] = listed(published)
    status, told = published.silah("publication", "show", one["id"])
    shown = json.loads(told)
    assert (0, ["salma.jpg"]) == (status, shown["attachments"])
    assert "الحمصي" not in told
    assert 1 == len(published.events("seen"))


def test_a_publication_that_stays_up_is_late(published: Office, node: Node, fill_in: FillIn) -> None:
    """R10: taken back, it is to be down within a day; one that is not is shown as late."""
    submission = node.take_in(fill_in(request(ADULT)), {"salma.jpg": picture()})
    [one] = listed(published)
    published.silah("publication", "propose", one["id"], as_="amal")
    published.silah("publication", "confirm", one["id"], as_="basim")
    node.dispatch()
    case = node.flow.ledger.case(submission["meta/rootUuid"].removeprefix("uuid:"))
    assert case is not None
    node.receivers["ngo"].faults.next(".*", status=503, times=1)
    node.flow.withdraw(case, None, "asked", "test")
    node.dispatch(1)
    assert [False] == [row["late"] for row in listed(published) if row["state"] == "removing"]
    node.clock.forward(hours=25)
    assert [True] == [row["late"] for row in listed(published) if row["state"] == "removing"]
    node.dispatch()
    assert ["removed"] == [row["state"] for row in listed(published) if row["state"].startswith("remov")]
