"""One score for two people, after Fellegi and Sunter: names first, then whatever else is known.

Every fact that both sides have gives a weight, ln(m / u): m is how often records of one person agree so
far, u how often records of two people do. A fact that one side lacks says nothing. The weights are
one table, `LEVELS`; they are judgements of the field (no labelled pairs of people exist to fit them
on) and stand here to be read and questioned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

from connector.matching.names import NOTHING_TO_COMPARE, NameScore, explain_names
from connector.matching.reasons import Reason

__all__ = ["A_CHILD", "LEVELS", "Interval", "Level", "PersonFacts", "Place", "Score", "score_people"]

Place = tuple[str, ...]
"""P-codes from the country down: ("AF", "AF21", "AF2105"). As deep as is known."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From the *earliest* to the *latest* day that something may have been, both included."""

    earliest: date
    latest: date

    @property
    def days(self) -> int:
        return (self.latest - self.earliest).days + 1


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What is known of one person, for matching only. Whatever is unknown stays empty.

    Args:
        names: every name the person is known by, in any script, as written.
        birth: the interval of birth, whatever calendar it was told in.
        sex: `male` or `female`; anything else says nothing.
        places: of origin, of residence, where last seen.
        relation: what the person is to the one who seeks, a code of the forms; `A_CHILD` for a registered child.
        father: the father's name. mother: the mother's.
        separation: when the family was separated.
    """

    names: tuple[str, ...] = ()
    birth: Interval | None = None
    sex: str | None = None
    places: tuple[Place, ...] = ()
    relation: str | None = None
    father: str | None = None
    mother: str | None = None
    separation: Interval | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """The *value* 0..1 and the reasons for it, the heaviest first."""

    value: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """A row of the table: how often a level of agreement is met, for one person (*m*) and for two (*u*)."""

    m: float
    u: float

    @property
    def weight(self) -> float:
        return math.log(self.m / self.u)


LEVELS: dict[str, tuple[Level, ...]] = {
    # years between the intervals of birth: overlapping (u from their width), up to 1, 2, 5, more
    "birth": (Level(0.88, 1.0), Level(0.05, 0.033), Level(0.03, 0.033), Level(0.03, 0.09), Level(0.01, 0.75)),
    # same sex, another one (an error of the clerk or of the form)
    "sex": (Level(0.98, 0.5), Level(0.02, 0.5)),
    # levels of p-codes in common: none, country, province, district, anything below
    "place": (Level(0.06, 0.40), Level(0.19, 0.50), Level(0.25, 0.08), Level(0.30, 0.018), Level(0.20, 0.002)),
    # what a person is to those who look: the same to both; sought as son, sister, cousin … and registered as a child;
    # something else (one man is a brother and a husband); sought as mother, uncle … and registered as a child
    "relation": (Level(0.35, 0.12), Level(0.35, 0.25), Level(0.27, 0.38), Level(0.03, 0.25)),
    # years between the intervals of separation: overlapping, up to 1, 3, more
    "separation": (Level(0.75, 0.2), Level(0.12, 0.1), Level(0.08, 0.2), Level(0.05, 0.5)),
}
A_CHILD = "child"
"""What a registered child is to whoever may look for it."""
_MAY_BE_A_CHILD = frozenset({"son", "daughter", "brother", "sister", "grandchild", "cousin"})
_HARDLY_A_CHILD = frozenset({"mother", "father", "husband", "wife", "grandparent", "uncle", "aunt", "fiance"})
_YEAR = 365.25
_LONGEST_YEAR = 366  # so that 2009 and 2012 lie no more than two years apart
_BIRTH_GAPS = (1.0, 2.0, 5.0)
_SEPARATION_GAPS = (1.0, 3.0)
_LIVING_YEARS = 60.0  # births of the people who are sought spread over about so many years
_SEXES = frozenset({"male", "female"})
_PARENT_SHARE = 0.5  # a parent's name is told from memory, and siblings share it
_LEAST_OF_PARENT = -3.0
_MOST_OF_PARENT = 4.0
_PRIOR = -2.0  # ln odds before anything is known, among candidates that an index has offered
_PRIOR_WITHOUT_NAME = -8.0


def _years_between(one: Interval, other: Interval) -> float:
    days = max(one.earliest, other.earliest) - min(one.latest, other.latest)
    return max(0.0, days.days / _LONGEST_YEAR)


def _level_of_gap(years: float, bounds: tuple[float, ...]) -> int:
    """0 if there is no gap, then the first bound that holds it, the last level beyond all."""
    if years <= 0.0:
        return 0
    return next((level for level, bound in enumerate(bounds, 1) if years <= bound), len(bounds) + 1)


def _birth(one: Interval, other: Interval) -> Reason:
    level = _level_of_gap(_years_between(one, other), _BIRTH_GAPS)
    if level == 0:
        by_chance = min(1.0, (one.days + other.days) / _YEAR / _LIVING_YEARS)
        return Reason("birth.agrees", math.log(LEVELS["birth"][0].m / max(by_chance, 1 / _LIVING_YEARS)))
    code = "birth.near" if _years_between(one, other) <= _BIRTH_GAPS[1] else "birth.apart"
    return Reason(code, LEVELS["birth"][level].weight)


def _sex(one: str, other: str) -> Reason | None:
    if not {one, other} <= _SEXES:
        return None
    return (
        Reason("sex.agrees", LEVELS["sex"][0].weight)
        if one == other
        else Reason("sex.differs", LEVELS["sex"][1].weight)
    )


def _relation(one: str, other: str) -> Reason | None:
    """Only relations that tell something of age or place in the family; *another relative* says nothing."""
    related = _MAY_BE_A_CHILD | _HARDLY_A_CHILD
    if A_CHILD in (one, other):
        said = other if one == A_CHILD else one
        if said not in related:
            return None
        code, level = ("relation.fits", 1) if said in _MAY_BE_A_CHILD else ("relation.apart", 3)
    elif {one, other} <= related:
        code, level = ("relation.agrees", 0) if one == other else ("relation.differs", 2)
    else:
        return None
    return Reason(code, LEVELS["relation"][level].weight)


def _levels_in_common(one: Place, other: Place) -> int:
    common = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        common += 1
    return common


def _place(one: tuple[Place, ...], other: tuple[Place, ...]) -> Reason:
    common = max(_levels_in_common(left, right) for left in one for right in other)
    weight = LEVELS["place"][min(common, len(LEVELS["place"]) - 1)].weight
    return Reason("place.near" if weight > 0 else "place.apart", weight)


def _separation(one: Interval, other: Interval) -> Reason:
    level = _level_of_gap(_years_between(one, other), _SEPARATION_GAPS)
    weight = LEVELS["separation"][level].weight
    return Reason("separation.agrees" if weight > 0 else "separation.apart", weight)


def _parent(fact: str, one: str, other: str) -> Reason | None:
    weight = explain_names(one, other, in_short=True).weight
    if weight is None:
        return None
    held = max(_LEAST_OF_PARENT, min(_MOST_OF_PARENT, weight * _PARENT_SHARE))
    return Reason(f"{fact}.agrees" if held > 0 else f"{fact}.differs", held)


def _best_name(one: PersonFacts, other: PersonFacts) -> NameScore:
    """The best of all names against all names; someone who has two names is one of them."""
    scores = (explain_names(left, right) for left in one.names for right in other.names)
    return max(scores, key=lambda score: score.value, default=NOTHING_TO_COMPARE)


def _beside_names(one: PersonFacts, other: PersonFacts) -> list[Reason | None]:
    return [
        _birth(one.birth, other.birth) if one.birth and other.birth else None,
        _sex(one.sex, other.sex) if one.sex and other.sex else None,
        _place(one.places, other.places) if one.places and other.places else None,
        _relation(one.relation, other.relation) if one.relation and other.relation else None,
        _parent("father", one.father, other.father) if one.father and other.father else None,
        _parent("mother", one.mother, other.mother) if one.mother and other.mother else None,
        _separation(one.separation, other.separation) if one.separation and other.separation else None,
    ]


def score_people(one: PersonFacts, other: PersonFacts) -> Score:
    """The score 0..1 that two records may be of one person; the same for (a, b) and (b, a).

    0 with the reason `name.nothing` if neither a name nor anything else can be compared. The reasons'
    weights and the prior add up to the log odds of the value.
    """
    name = _best_name(one, other)
    facts = [reason for reason in _beside_names(one, other) if reason]
    if name.weight is None and not facts:
        return Score(0.0, name.reasons)
    prior = _PRIOR if name.weight is not None else _PRIOR_WITHOUT_NAME
    reasons = sorted([*name.reasons, *facts], key=lambda reason: (-abs(reason.weight), reason.code))
    odds = prior + (name.weight or 0.0) + sum(reason.weight for reason in facts)
    return Score(1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds)))), tuple(reasons))
