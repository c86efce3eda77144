"""The score of two people."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from connector.matching import Interval, PersonFacts, score_people
from connector.matching.people import A_CHILD, LEVELS


def year(number: int) -> Interval:
    """A birth known by its year."""
    return Interval(date(number, 1, 1), date(number, 12, 31))


SOUGHT = PersonFacts(
    names=("Mohammad Karimi",),
    birth=year(2009),
    sex="male",
    places=(("AF", "AF21", "AF2105"),),
    relation="son",
    father="Ghulam Sakhi",
    mother="Shukria",
    separation=Interval(date(2021, 8, 1), date(2021, 9, 30)),
)
FOUND = replace(SOUGHT, names=("محمد کریمی",), father="غلام سخی", mother="شکریه")


def codes(one: PersonFacts, other: PersonFacts) -> set[str]:
    """The codes of the reasons."""
    return {reason.code for reason in score_people(one, other).reasons}


def test_agreeing_facts_raise_the_score_and_all_are_told() -> None:
    """Each fact that agrees is a reason for, and together they are near certainty."""
    score = score_people(SOUGHT, FOUND)
    assert score.value > 0.99
    expected = {"birth", "sex", "place", "relation", "father", "mother", "separation", "name"}
    assert expected == {reason.code.partition(".")[0] for reason in score.reasons}
    assert all(reason.weight > 0 for reason in score.reasons)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"birth": year(1990)}, "birth.apart"),
        ({"sex": "female"}, "sex.differs"),
        ({"places": (("IQ", "IQG01"),)}, "place.apart"),
        ({"relation": "brother"}, "relation.differs"),
        ({"father": "Abdul Wali"}, "father.differs"),
        ({"mother": "Zarmina"}, "mother.differs"),
        ({"separation": year(2012)}, "separation.apart"),
        ({"names": ("احمد کریمی",)}, "name.different"),
    ],
)
def test_a_fact_that_differs_lowers_the_score(change: dict[str, object], code: str) -> None:
    """A difference is a reason against; what is unknown says nothing."""
    changed = replace(FOUND, **change)  # type: ignore[arg-type]
    unknown = replace(FOUND, **{fact: () if fact in {"names", "places"} else None for fact in change})  # type: ignore[arg-type]
    assert code in codes(SOUGHT, changed)
    assert score_people(SOUGHT, changed).value < score_people(SOUGHT, FOUND).value
    assert code not in codes(SOUGHT, unknown)


@pytest.mark.parametrize(
    ("relation", "expected"),
    [("son", "fits"), ("cousin", "fits"), ("husband", "apart"), ("grandparent", "apart"), ("other_family", None)],
)
def test_a_registered_child_is_hardly_a_husband(relation: str, expected: str | None) -> None:
    """Who is sought as a son may be the child that was registered, who is sought as a husband hardly."""
    told = codes(replace(SOUGHT, relation=relation), replace(FOUND, relation=A_CHILD))
    assert ({f"relation.{expected}"} if expected else set()) == {code for code in told if code.startswith("relation")}


def test_a_parent_told_of_in_short_is_the_same_parent() -> None:
    """The given name of the father alone agrees with his full name, and another one differs."""
    short = replace(FOUND, father="غلام سخی")
    assert "father.agrees" in codes(replace(SOUGHT, father="Ghulam Sakhi Karimi Herati"), short)
    assert "father.differs" in codes(replace(SOUGHT, father="Abdul Wali Karimi Herati"), short)


def test_the_nearer_the_places_the_higher() -> None:
    """District, province, country, elsewhere: agreement falls with the levels of p-codes in common."""
    places = [("AF", "AF21", "AF2105"), ("AF", "AF21", "AF2101"), ("AF", "AF01", "AF0101"), ("IR", "IR23", "IR2301")]
    values = [score_people(SOUGHT, replace(FOUND, places=(place,))).value for place in places]
    assert sorted(values, reverse=True) == values
    assert 4 == len(set(values))


def test_a_narrow_interval_says_more_than_a_wide_one() -> None:
    """Agreement by chance is likelier the wider the intervals are."""
    wide = replace(FOUND, birth=Interval(date(2000, 1, 1), date(2019, 12, 31)))
    assert score_people(SOUGHT, wide).value < score_people(SOUGHT, FOUND).value


def test_two_years_off_is_not_yet_against() -> None:
    """Ages are told from memory: a gap up to two years speaks at most softly against."""
    near = replace(FOUND, birth=year(2012))
    assert "birth.near" in codes(SOUGHT, near)
    assert score_people(SOUGHT, near).value > 0.9


def test_the_best_of_several_names_counts() -> None:
    """Who is known by two names is found by either."""
    two = replace(FOUND, names=("Gul Agha", "محمد کریمی"))
    assert score_people(SOUGHT, FOUND).value == score_people(SOUGHT, two).value


def test_it_is_symmetric() -> None:
    """The order of the two people does not matter."""
    assert score_people(SOUGHT, FOUND) == score_people(FOUND, SOUGHT)


def test_nothing_known_scores_zero() -> None:
    """Without anything to compare the score is 0 and the reason says so."""
    score = score_people(PersonFacts(names=("🙂",)), SOUGHT)
    assert (0.0, ["name.nothing"]) == (score_people(PersonFacts(), SOUGHT).value, [score.reasons[0].code])


def test_other_sexes_say_nothing() -> None:
    """Only male and female are compared."""
    assert "sex.differs" not in codes(replace(SOUGHT, sex="other"), FOUND)


def test_the_table_holds_probabilities() -> None:
    """m of all levels of a fact add up to 1: every record of one person is at one of them."""
    totals = {fact: round(sum(level.m for level in levels), 6) for fact, levels in LEVELS.items()}
    assert dict.fromkeys(LEVELS, 1.0) == totals


def test_the_page_shows_the_whole_table() -> None:
    """docs/matching.md has every level with its m, its u and its weight."""
    page = (Path(__file__).parents[2] / "docs" / "matching.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    shown = [(row[0], float(row[2]), float(row[3]), row[4]) for row in rows if row[0] in LEVELS and len(row) == 5]
    levels = [(fact, one.m, one.u, f"{one.weight:+.1f}") for fact, told in LEVELS.items() for one in told]
    assert levels == shown
