"""Where people are filed: the same on both tiers; on PostgreSQL blind, sealed, and gone with what is erased."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import select

from connector.comparing import Comparing, Watch
from connector.erasing import erase
from connector.filing import Filing, filing_of
from connector.ledger.flow import Case
from connector.ledger.schema import drawers, filed_people
from connector.matching import Interval, PersonFacts
from tests.conftest import TIERS, Node
from tests.matching.records import NOW, REQUEST, submission

KARIM = PersonFacts(
    names=("Karim Youssef Alhomsi",),
    birth=Interval(date(2014, 1, 1), date(2014, 12, 31)),
    sex="male",
    places=(("SY", "SY02"),),
    relation="son",
    mother="Salma Homsi",
)
ASKED = PersonFacts(names=("كريم يوسف الحمصي",), birth=Interval(date(2015, 1, 1), date(2015, 12, 31)))
second_tier = pytest.mark.parametrize("tier", TIERS[1:])


@pytest.fixture(params=TIERS)
def tier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="cases")
def _cases(node: Node) -> list[Case]:
    """Three submissions, of which nobody is filed yet."""
    node.clock.moment = NOW
    made = [submission("tracing_request", name, REQUEST, number) for number, name in enumerate("abc", 1)]
    node.flow.keep_all("kobo", made)
    return [case for one in made if (case := node.flow.ledger.case(one.root_id))]


@pytest.fixture(name="filing")
def _filing(node: Node) -> Filing:
    return filing_of(node.flow.ledger)


def found(filing: Filing) -> list[tuple[int, str, int]]:
    return [(place.submission, place.role, place.number) for place, _ in filing.search(ASKED, 0.5, 10)]


def test_a_person_is_found_at_their_place_with_reasons(filing: Filing, cases: list[Case]) -> None:
    """In another script, a year off; others of the same submission keep their places; the reasons come along."""
    filing.file(cases[0].id, [("enquirer", 1, PersonFacts(names=("Dilovan Barzani",))), ("sought", 2, KARIM)])
    assert [(cases[0].id, "sought", 2)] == found(filing)
    [(_, score)] = filing.search(ASKED, 0.5, 10)
    assert {"birth.near"} <= {reason.code for reason in score.reasons}


def test_the_best_come_first_and_no_more_than_asked_for(filing: Filing, cases: list[Case]) -> None:
    """The one whose birth agrees before the one ten years older; `most` and `least` are kept."""
    older = replace(KARIM, birth=Interval(date(2004, 1, 1), date(2004, 12, 31)))
    for case, facts in zip(cases, (older, replace(KARIM, birth=ASKED.birth), older), strict=True):
        filing.file(case.id, [("child", 1, facts)])
    assert cases[1].id == found(filing)[0][0]
    assert 1 == len(filing.search(ASKED, 0.0, 1))
    assert [] == filing.search(ASKED, 1.0, 10)


def test_filing_again_takes_the_place_of_what_was_filed(filing: Filing, cases: list[Case]) -> None:
    """A new version of a submission tells of other people, or of nobody."""
    filing.file(cases[0].id, [("sought", 1, KARIM)])
    filing.file(cases[0].id, [("sought", 1, KARIM)])
    assert 1 == len(found(filing))
    filing.file(cases[0].id, [("sought", 1, replace(KARIM, names=("Dilovan Barzani",), mother=None))])
    assert [] == found(filing)
    filing.file(cases[0].id, [])
    assert [] == filing.search(replace(KARIM, names=("Dilovan Barzani",)), 0.0, 10)


@pytest.mark.parametrize("names", [(), ("🙂", "123")])
def test_nothing_to_ask_finds_nobody(filing: Filing, cases: list[Case], names: tuple[str, ...]) -> None:
    """No name, or one without a letter, can be filed and asked for, and is never found."""
    nobody = PersonFacts(names=names)
    filing.file(cases[0].id, [("sought", 1, nobody)])
    assert [] == filing.search(nobody, 0.0, 10)


@second_tier
def test_nothing_of_a_name_is_in_the_database(node: Node, filing: Filing, cases: list[Case]) -> None:
    """Drawers are keyed hashes that say nothing without the ledger's key, and facts are sealed."""
    filing.file(cases[0].id, [("sought", 1, KARIM)])
    with node.flow.ledger.database.reading() as connection:
        [row] = connection.execute(select(filed_people)).all()
        rows = connection.execute(select(drawers)).all()
    assert {one.drawer.to_bytes(8, "little", signed=True) for one in rows} == {
        row.drawers[at : at + 8] for at in range(0, len(row.drawers), 8)
    }
    for word in (b"Karim", b"Homsi", b"SY02", b"2014", b"male", b"son", "كريم".encode()):
        assert word not in row.sealed + row.drawers
    other = filing_of(node.flow.ledger)
    other._key = b"another ledger"  # type: ignore[attr-defined]
    assert [] == other.search(KARIM, 0.0, 10)


@second_tier
def test_who_is_erased_leaves_the_drawers_at_once(node: Node, filing: Filing, cases: list[Case]) -> None:
    """No row is left, also when somebody files the same submission a moment later."""
    for case in cases[:2]:
        filing.file(case.id, [("sought", 1, KARIM)])
    erase(node.flow, cases[0], "test")
    filing.file(cases[0].id, [("sought", 1, KARIM)])
    assert [(cases[1].id, "sought", 1)] == found(filing)
    erase(node.flow, cases[1], "test")
    with node.flow.ledger.database.reading() as connection:
        assert ([], []) == (connection.execute(select(filed_people)).all(), connection.execute(select(drawers)).all())


@second_tier
def test_what_is_filed_outlives_a_restart(node: Node, cases: list[Case]) -> None:
    """Another process finds what one filed; only a ledger that was moved here has something to build, and says so."""
    Comparing(node.flow).catch_up()
    flow = node.restart()
    assert 3 == len(found(filing_of(flow.ledger)))
    assert () == Watch(flow, enabled=True, here=False).reasons()
    filing_of(flow.ledger).reached((-1, 0))
    told = Watch(flow, enabled=True, here=False)
    assert ("matching.building",) == told.reasons()
    assert () == Watch(flow, enabled=False).reasons()
    assert 3 == Comparing(flow).build()
    assert () == told.reasons()
