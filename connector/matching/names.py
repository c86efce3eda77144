"""One score for two names, with its reasons: `score_names` and `explain_names`.

The parts of both names are paired so that the weights sum highest, free of order; the score is a
logistic function of the sum, of the weakest pair, of parts left over on one side and of order.
Nothing is said by it alone: two people look at every candidate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from connector.matching.structure import Part, named_parts, plain_part
from connector.matching.words import Weight, weight_of_parts

__all__ = ["NamePair", "NameScore", "PairedParts", "explain_names", "name_weight", "score_names"]

_BASE = -3.0
_SUM = 0.45
_WEAKEST = 0.9
_LEFT_OVER = -0.9
_LEFT_OVER_OF_ONE = -3.5
_FAMILY_NAME_FIRST = -2.0
_OUT_OF_ORDER = -4.0
_MOST = 12.0  # the logistic function is flat beyond


@dataclass(frozen=True, slots=True)
class PairedParts:
    """Two parts taken for one, by their places, and their weight."""

    left: int
    right: int
    weight: Weight


@dataclass(frozen=True, slots=True)
class NamePair:
    """How two names were laid side by side."""

    pairs: tuple[PairedParts, ...]
    left_over: int
    weight: float


@dataclass(frozen=True, slots=True)
class NameScore:
    """A score 0..1 and what it rests on, one line a reason, without any part of the names in it."""

    value: float
    reasons: tuple[str, ...]


def _paired(left: tuple[Part, ...], right: tuple[Part, ...]) -> tuple[PairedParts, ...]:
    """Pair parts greedily by weight, the nearest places first among equals; each is used once."""
    choices = [
        PairedParts(i, j, weight_of_parts(one, other)) for i, one in enumerate(left) for j, other in enumerate(right)
    ]
    choices.sort(key=lambda pair: (-pair.weight.alike, abs(pair.left - pair.right), pair.left, pair.right))
    used_left: set[int] = set()
    used_right: set[int] = set()
    pairs = []
    for pair in choices:
        if pair.left not in used_left and pair.right not in used_right:
            used_left.add(pair.left)
            used_right.add(pair.right)
            pairs.append(pair)
    return tuple(sorted(pairs, key=lambda pair: pair.left))


def _side_by_side(left: tuple[Part, ...], right: tuple[Part, ...]) -> NamePair:
    pairs = _paired(left, right)
    left_over = abs(len(left) - len(right))
    weakest = min(pair.weight.alike for pair in pairs)
    weight = (
        _BASE
        + _SUM * sum(pair.weight.says for pair in pairs)
        + _WEAKEST * weakest
        + (_LEFT_OVER if len(pairs) > 1 else _LEFT_OVER_OF_ONE) * min(left_over, 2)
        + _weight_of_order(pairs)
    )
    return NamePair(pairs, left_over, max(-_MOST, min(_MOST, weight)))


def _weight_of_order(pairs: tuple[PairedParts, ...]) -> float:
    """Nothing in the same order, a little with the family name first, much for father and son swapped."""
    places = [pair.right for pair in pairs if pair.weight.alike > 0]
    if places == sorted(places):
        return 0.0
    turns = (places[at:] + places[:at] for at in (1, -1))
    return _FAMILY_NAME_FIRST if any(turn == sorted(turn) for turn in turns) else _OUT_OF_ORDER


def _joined(parts: tuple[Part, ...]) -> list[tuple[Part, ...]]:
    """The name with each two neighbours written as one word: Nur Ahmad, Nurahmad."""
    plain = [part.plain for part in parts]
    neighbours = ((at, one, other) for at, (one, other) in enumerate(pairwise(plain)) if one and other)
    return [(*parts[:at], plain_part(one + other), *parts[at + 2 :]) for at, one, other in neighbours]


@lru_cache(maxsize=65536)
def _best(left: tuple[Part, ...], right: tuple[Part, ...]) -> NamePair:
    ways = [_side_by_side(left, right)]
    if len(left) > len(right):
        ways += [_side_by_side(joined, right) for joined in _joined(left)]
    if len(right) > len(left):
        ways += [_side_by_side(left, joined) for joined in _joined(right)]
    return max(ways, key=lambda way: way.weight)


def name_weight(left: str, right: str) -> NamePair | None:
    """How two names lie side by side and their weight; None if one of them has no letter."""
    one, other = named_parts(left), named_parts(right)
    return _best(one, other) if one and other else None


def score_names(left: str, right: str) -> float:
    """The score 0..1 of two names in any script: high if one person may bear both.

    The same for (a, b) and (b, a) and the same every time; 0 where nothing can be said, as for an
    empty name, digits or emoji. Never raises for a string, and its time is bounded for any length.
    """
    return explain_names(left, right).value


def explain_names(left: str, right: str) -> NameScore:
    """As `score_names`, with the reasons."""
    laid = name_weight(*sorted((left, right)))
    if laid is None:
        return NameScore(0.0, ("a name has no letters to compare",))
    return NameScore(1.0 / (1.0 + math.exp(-laid.weight)), ())
