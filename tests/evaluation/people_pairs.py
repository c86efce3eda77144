"""Names with a birth interval and a place beside them: synthetic facts around pairs of names.

A person's two records tell a birth year up to two years off, as intervals of a year, and the same
district in eight of ten cases, the same province in one, another province in one. Two people are born in any of
sixty years, in any of 20 provinces with 10 districts each.
"""

from __future__ import annotations

import random
from datetime import date

from connector.matching import Interval, PersonFacts, score_people
from tests.evaluation.names_pairs import Pair


def _year(year: int) -> Interval:
    return Interval(date(year, 1, 1), date(year, 12, 31))


def _place(dice: random.Random) -> tuple[str, str, str]:
    province, district = dice.randrange(20), dice.randrange(10)
    return ("AF", f"AF{province:02}", f"AF{province:02}{district:02}")


def _place_near(place: tuple[str, str, str], dice: random.Random) -> tuple[str, str, str]:
    chance = dice.random()
    if chance < 0.8:
        return place
    return (*place[:2], place[1] + "99") if chance < 0.9 else _place(dice)


def _same(names: Pair, dice: random.Random) -> float:
    year, place = dice.randrange(1960, 2020), _place(dice)
    one = PersonFacts(names=(names[0],), birth=_year(year), places=(place,))
    told = _year(year + dice.randint(-2, 2))
    return score_people(one, PersonFacts(names=(names[1],), birth=told, places=(_place_near(place, dice),))).value


def _other(names: Pair, dice: random.Random) -> float:
    people = (
        PersonFacts(names=(name,), birth=_year(dice.randrange(1960, 2020)), places=(_place(dice),)) for name in names
    )
    return score_people(*people).value


def recall_of_people(same: list[Pair], strangers: list[Pair], hard: list[Pair]) -> dict[str, float]:
    """Recall at 0.1 % false positives with birth year and district, against random and hard negatives."""
    dice = random.Random(4)
    found = [_same(pair, dice) for pair in same]
    recalls = {}
    for label, pairs in (("random", strangers), ("hard", hard)):
        threshold = sorted((_other(pair, dice) for pair in pairs), reverse=True)[len(pairs) // 1000]
        recalls[f"with birth and place, {label} 0.1 %"] = sum(value > threshold for value in found) / len(found)
    return recalls
