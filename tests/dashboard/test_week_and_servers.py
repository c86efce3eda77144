"""What must be done this week, what came in from whom, what stands on the servers, and the papers of a case."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from connector.ledger.derived import Derived
from connector.ledger.schema import arrivals, derived, facts
from connector.recounting import recount
from tests.conftest import eventually
from tests.dashboard.conftest import Person, people_of
from tests.dashboard.stage import Stage, staged
from tests.dashboard.test_pages import events


@pytest.fixture(name="stage", scope="module")
def _stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("week")) as stage:
        yield stage


@pytest.fixture(name="person", scope="module")
def _person(stage: Stage) -> Person:
    person = people_of(stage.node.flow)["supervisor"]
    person.sign_in()
    return person


_COUNTS = arrivals.select().with_only_columns(*(column for column in arrivals.c if column.name != "sealed"))


def section(page: str, heading: str) -> str:
    """The part of the page under *heading*."""
    return page.partition(f"<h2>{heading}")[2].partition("</section>")[0]


def test_the_week_tells_what_ends_what_is_double_and_what_came_back(stage: Stage, person: Person) -> None:
    """A consent that ends within thirty days stands there by its case code, one that has ended under those to renew; a
    likely duplicate; what the partner asked for. No name."""
    page = person.client.get("/week").text
    assert "101-SOON" in section(page, "Consents that end within 30 days")
    assert "101-LATE" not in section(page, "Consents that end within 30 days")
    assert "101-LATE" in section(page, "Consents to renew")
    assert "Perhaps written down twice" in section(page, "Likely duplicates")
    assert "Asked for" in section(page, "What came back from partners")
    assert "سلمى" not in page


def test_what_came_in_is_counted_by_collector_and_day(stage: Stage, person: Person) -> None:
    """Unreadable forms count as well: the telephone sent them."""
    found = Derived(stage.node.flow.ledger).arrivals(7, 100)
    assert sorted((one.collector, one.form, one.count) for one in found) == [
        ("V-07", "tracing_request", 4), ("V-08", "tracing_request", 1), ("V-09", "child_registration", 1),
        ("V-11", "tracing_request", 4),
    ]  # fmt: skip
    assert "V-08" in section(person.client.get("/").text, "Received by collector and day")


def test_an_agreement_that_ends_soon_is_marked(person: Person) -> None:
    """Thirty days before; nothing is sent after its last day."""
    assert "ends soon" in person.client.get("/policy").text


def test_a_look_at_the_servers_says_what_stands_where(stage: Stage, person: Person) -> None:
    """Nothing is asked of other machines until somebody wants to know; then the page has the doctor's findings and each
    deployed form with what is not in order."""
    assert "Nobody has looked" in person.client.get("/servers").text
    person.post("/servers/look")
    eventually(lambda: "What was examined" in person.client.get("/servers").text, 90)
    page = person.client.get("/servers").text
    assert "Registration of a child" in section(page, "Deployed forms")
    assert "not visible to our account" in page
    assert "in order" in section(page, "What was examined")


def test_papers_of_a_case_carry_their_style_and_are_noted(stage: Stage, person: Person) -> None:
    """The person's copy names classes of data alone; the case file shows what a target would receive, and who looked is
    in the audit. Both print under a policy that lets nothing else in."""
    record_id = stage.cases["twice"].record_id
    copy = person.post(f"/cases/{record_id}/copy", language="ar")
    assert ('dir="rtl"' in copy.text, "سلمى" in copy.text) == (True, False)
    file = person.post(f"/cases/{record_id}/file", target="national")
    assert "سلمى" in file.text
    assert "unsafe-inline" not in copy.headers["Content-Security-Policy"] + file.headers["Content-Security-Policy"]
    assert {("receipt", "supervisor"), ("seen", "supervisor")} <= set(events(stage.node, record_id))


def test_a_file_that_may_not_be_is_not_shown(stage: Stage, person: Person) -> None:
    """Where consent is past there is no case file, and the page says why."""
    answer = person.post(f"/cases/{stage.cases['expired'].record_id}/file", target="partner")
    assert answer.status_code == 302
    assert "past its day of review" in person.client.get(answer.headers["Location"]).text


def test_what_an_older_version_did_not_write_is_made_good(stage: Stage) -> None:
    """Facts, ends of consents and arrivals come out as they were written at intake; once."""
    ledger = stage.node.flow.ledger

    def kept() -> list[list[tuple[object, ...]]]:
        with ledger.database.reading() as connection:
            columns = [column for column in facts.c if column.name != "id"]
            return [
                sorted((tuple(row) for row in connection.execute(query)), key=str)
                for query in (facts.select().with_only_columns(*columns), derived.select(), _COUNTS)
            ]

    before = kept()
    ledger.database.write(lambda c: [c.execute(table.delete()) for table in (facts, derived, arrivals)] and None)
    assert recount(ledger) == len(stage.cases)
    assert recount(ledger) == 0
    assert kept() == before


def test_an_erased_record_leaves_the_end_of_its_consent(stage: Stage) -> None:
    """The day goes with the record; how many forms came in stays."""
    from connector.erasing import erase

    erase(stage.node.flow, stage.cases["soon"], "test")
    assert Derived(stage.node.flow.ledger).ending(timedelta(days=30), 10) == []
    assert re.search(r"V-07", str(Derived(stage.node.flow.ledger).arrivals(7, 100)))
