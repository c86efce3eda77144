"""One score for two names, with its reasons: `score_names` and `explain_names`.

The parts of both names are paired so that the likeliest go together, free of order. The score is a
logistic function of what the pairs say together, of the least likely pair, of parts left over on one
side and of order. It is never enough by itself: two people look at every candidate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from connector.matching.reasons import Reason
from connector.matching.structure import Part, named_parts, plain_part
from connector.matching.words import Weight, weight_of_parts

__all__ = ["NameScore", "explain_names", "score_file", "score_names"]


@dataclass(frozen=True)
class NameWeights:
    """What makes the log odds of two names (nats); docs/matching.md says what they were tuned on."""

    base: float = -4.5
    said: float = 0.4  # for a nat of what all pairs of parts say
    weakest: float = 0.7  # for a nat of the least likely pair: a brother differs in one part only
    left_over: float = -1.1  # for a part that one name has more, at most two of them
    left_over_beside_one: float = -3.5  # the same if only one part is shared: Ahmad, Ahmad Karimi
    family_first: float = -2.0  # order-free, but order is a hint
    swapped: float = -6.0  # father and son bear each other's names
    most: float = 12.0  # the logistic function is flat beyond


WEIGHTS = NameWeights()
_SURELY_ALIKE = 4.0
_SAYS_LITTLE = 4.0


@dataclass(frozen=True, slots=True)
class NameScore:
    """The *value* 0..1, its log odds *weight* (None if nothing can be said) and the *reasons*."""

    value: float
    weight: float | None
    reasons: tuple[Reason, ...]


NOTHING_TO_COMPARE = NameScore(0.0, None, (Reason("name.nothing", 0.0),))

Pairing = list[tuple[int, int, Weight]]
"""Parts taken for one: place in the left name, place in the right name, weight."""


def _paired(left: tuple[Part, ...], right: tuple[Part, ...]) -> Pairing:
    """Pair parts greedily by likeness, the nearest places first among equals; each is used once."""
    choices = []
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            weight = weight_of_parts(one, other)
            choices.append((-weight.alike, abs(i - j), i, j, weight))
    choices.sort()
    taken_left: set[int] = set()
    taken_right: set[int] = set()
    pairs = []
    for _, _, i, j, weight in choices:
        if i not in taken_left and j not in taken_right:
            taken_left.add(i)
            taken_right.add(j)
            pairs.append((i, j, weight))
    return sorted(pairs)


def _order(pairs: Pairing) -> Reason | None:
    """No reason in the same order; a light one with the family name first, a heavy one otherwise."""
    places = [right for _, right, weight in pairs if weight.alike > 0]
    if places == sorted(places):
        return None
    if sorted(places) in (places[1:] + places[:1], places[-1:] + places[:-1]):
        return Reason("name.family_first", WEIGHTS.family_first)
    return Reason("name.swapped", WEIGHTS.swapped)


def _compared(left: tuple[Part, ...], right: tuple[Part, ...], *, in_short: bool) -> list[Reason]:
    """The reasons whose weights add up to the log odds of two names."""
    pairs = _paired(left, right)
    weakest = min(weight.alike for _, _, weight in pairs)
    said = sum(weight.says for _, _, weight in pairs)
    reasons = [Reason(_code(weakest, said), WEIGHTS.base + WEIGHTS.said * said + WEIGHTS.weakest * weakest)]
    more = min(abs(len(left) - len(right)), 2)
    if more and not in_short:
        each = WEIGHTS.left_over if len(pairs) > 1 else WEIGHTS.left_over_beside_one
        reasons.append(Reason("name.left_over", each * more))
    order = _order(pairs)
    return [*reasons, order] if order else reasons


def _code(weakest: float, said: float) -> str:
    if weakest < 0:
        return "name.different"
    if said < _SAYS_LITTLE:
        return "name.common"
    return "name.same" if weakest > _SURELY_ALIKE else "name.similar"


def _weight(reasons: list[Reason]) -> float:
    return sum(reason.weight for reason in reasons)


def _joined(parts: tuple[Part, ...], others: tuple[Part, ...]) -> Iterator[tuple[Part, ...]]:
    """The name with two neighbours written as one word that is like one of the *others*: Nur Ahmad, Nurahmad."""
    plain = [part.plain for part in parts]
    for at, (one, other) in enumerate(pairwise(plain)):
        if one and other:
            joined = plain_part(one + other)
            if any(weight_of_parts(joined, part).alike > 0 for part in others):
                yield (*parts[:at], joined, *parts[at + 2 :])


def _best(left: tuple[Part, ...], right: tuple[Part, ...], *, in_short: bool) -> list[Reason]:
    ways = [(left, right)]
    if len(left) > len(right):
        ways += [(joined, right) for joined in _joined(left, right)]
    if len(right) > len(left):
        ways += [(left, joined) for joined in _joined(right, left)]
    return max((_compared(*way, in_short=in_short) for way in ways), key=_weight)


def score_names(left: str, right: str) -> float:
    """The score 0..1 of two names in any script: high if one person may bear both.

    The same for (a, b) and (b, a) and the same every time; 0 where nothing can be said, as for an
    empty name, digits or emoji. Never raises for a string, and its time is bounded for any length.
    """
    return explain_names(left, right).value


def explain_names(left: str, right: str, *, in_short: bool = False) -> NameScore:
    """As `score_names`, with the reasons; their weights add up to the log odds of the score.

    Args:
        in_short: parts that only one name has say nothing: a father is mostly told of by his given name alone.
    """
    one, other = (named_parts(name) for name in sorted((left, right)))
    if not one or not other:
        return NOTHING_TO_COMPARE
    reasons = _best(one, other, in_short=in_short)
    weight = max(-WEIGHTS.most, min(WEIGHTS.most, _weight(reasons)))
    return NameScore(1.0 / (1.0 + math.exp(-weight)), weight, tuple(reasons))


def score_file(path: Path) -> Iterator[float]:
    """One score a line of a UTF-8 file, two names a line with a tab between, in the file's order.

    A line without a tab, an empty one or one that is not UTF-8 gives 0 or what its readable letters
    give; a third column is ignored. Raises OSError if the file cannot be read.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as lines:
        for line in lines:
            left, _, rest = line.rstrip("\r\n").partition("\t")
            yield score_names(left, rest.partition("\t")[0])
