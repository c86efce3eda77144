"""The index: the likely ones are among the candidates, the removed never, and it does not depend on the order."""

from __future__ import annotations

import random
from datetime import date

from connector.matching import Interval, PersonFacts
from connector.matching.index import Index
from tests.benchmarks.matching import names, person, retold


def _born(year: int, *called: str, sex: str | None = None) -> PersonFacts:
    return PersonFacts(names=called, birth=Interval(date(year, 1, 1), date(year, 12, 31)), sex=sex)


def test_the_same_person_in_another_script_is_found() -> None:
    """One of several hundred, written in Latin letters, asked for in Arabic ones, a year off."""
    dice = random.Random(3)
    index, pool = Index(), names(dice, 500)
    for _ in range(300):
        index.add(person(dice, pool)[1])
    wanted = index.add(_born(1995, "Karim Youssef Alhomsi", sex="male"))
    found = index.search(_born(1996, "كريم يوسف الحمصي", sex="male"), 0.5)
    assert wanted == found[0].person
    assert "name.different" not in {reason.code for reason in found[0].score.reasons}


def test_most_of_the_people_are_found_again() -> None:
    """Of people retold by another clerk most are candidates; the list holds nobody below the least score."""
    dice = random.Random(4)
    index, pool = Index(), names(dice, 2000)
    asked = []
    for _ in range(400):
        chosen, facts = person(dice, pool)
        asked.append((index.add(facts), retold(dice, chosen, facts)))
    results = [(number, index.search(facts, 0.5)) for number, facts in asked[:60]]
    assert sum(number in {one.person for one in found} for number, found in results) >= 48
    assert all(one.score.value >= 0.5 for _, found in results for one in found)


def test_who_was_removed_is_nowhere() -> None:
    """After removal nothing of the person is in the buffer, in a bucket or in an answer; the others stay."""
    index = Index()
    gone, stays = index.add(_born(1995, "Karim Homsi")), index.add(_born(1995, "Karim Homsi"))
    index.remove(gone)
    assert [stays] == [one.person for one in index.search(_born(1995, "Karim Homsi"), 0.1)]
    assert (None, 1) == (index.facts(gone), len(index))
    index.remove(stays)
    assert b"Homsi" not in bytes(index._text)
    index.remove(stays)
    assert 0 == len(index)


def test_facts_come_back_as_they_went_in() -> None:
    """What is packed is unpacked the same: names in any script, open intervals, places."""
    index = Index()
    facts = PersonFacts(
        names=("كريم", "Karim\u0000"),
        birth=Interval(date(1995, 3, 1), date(1996, 2, 1)),
        sex="female",
        places=(("SY", "SY02"), ("LB",)),
        father="يوسف",
        separation=Interval(date(2020, 1, 1), date(2020, 2, 1)),
    )
    assert facts == index.facts(index.add(facts))
    assert PersonFacts(names=("X",)) == index.facts(index.add(PersonFacts(names=("X",))))


def test_nothing_to_ask_finds_nobody() -> None:
    """No name, or one without a letter, finds nobody and raises nothing."""
    index = Index()
    index.add(_born(1995, "Karim Homsi"))
    assert [] == index.search(PersonFacts(), 0.1)
    assert [] == index.search(PersonFacts(names=("🙂", "123")), 0.1)
