"""The weight of two parts of names: what their cores, prefixes and suffixes say for one person.

All weights are natural log likelihood ratios in the manner of Fellegi and Sunter: above 0 speaks for
the same name, below 0 against it. The constants of `_Likeness` are fitted by logistic regression on
the development part of the data; the ones of prefixes, suffixes and initials are set by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import Indel, JaroWinkler

from connector.matching.alignment import evidence, self_evidence
from connector.matching.common_names import names_spelled, rarity
from connector.matching.letters import script_of
from connector.matching.sounds import skeleton_of
from connector.matching.structure import SHORT_FOR_ANY_ABD, Part, Prefix, Reading, Suffix

__all__ = ["LEAST", "MOST", "Weight", "likeness", "weight_of_parts"]

LEAST = -6.0
"""The most that two words can say against one person (nats): a clerk may have written another name."""
MOST = 6.0
"""The most that two words can say for one person, however long they are (nats)."""
_COMMON_SKELETON = 0.5  # share of firm consonants in common, below which words are not aligned
_SHORT = 2
_KNOWN_TO_BE_ONE = 5.0
_KNOWN_TO_DIFFER = -2.5


@dataclass(frozen=True)
class _Likeness:
    """ln odds that two words spell one name = base + evidence, own evidence of the shorter, looks."""

    base: float
    aligned: float  # for a nat of the best alignment
    alone: float  # for a nat of the shorter word against itself
    looks: float  # for Jaro-Winkler similarity 0..1, within one script only


_WITHIN_SCRIPT = _Likeness(base=2.9, aligned=0.22, alone=-0.23, looks=3.4)
_ACROSS_SCRIPTS = _Likeness(base=4.0, aligned=0.47, alone=-0.21, looks=0.0)

# Abd X is not Abu X: a servant of God and the father of X are two names; people do drop Abd or Abu.
_PREFIXES = {
    frozenset({Prefix.ABD}): 0.5,
    frozenset({Prefix.ABU}): 0.5,
    frozenset({Prefix.UMM}): 0.5,
    frozenset({Prefix.ABD, Prefix.NONE}): -3.0,
    frozenset({Prefix.ABU, Prefix.NONE}): -6.0,
    frozenset({Prefix.UMM, Prefix.NONE}): -6.0,
}
_OTHER_PREFIXES = -9.0
_ABD_FOR_ANY = 1.0
_INITIAL = 0.5  # M. for Mohamed
_OTHER_INITIAL = -3.0
_SUFFIX_LEFT_OUT = {Suffix.DIN: -4.0, Suffix.ALLAH: -4.0}
_OTHER_SUFFIXES = -6.0


@dataclass(frozen=True, slots=True)
class Weight:
    """What two parts say (nats): *alike*, how surely they are one name, and *says*, what that is worth.

    Two spellings of Mohammed are surely alike, and it says little.
    """

    alike: float
    says: float


@lru_cache(maxsize=262144)
def likeness(left: str, right: str) -> float:
    """How surely two folded words spell one name (nats), from `LEAST` to `MOST`."""
    if len(left) == 1 or len(right) == 1:
        return _INITIAL if evidence(left[0], right[0]) > 0 else _OTHER_INITIAL
    liked = _liked(left, right) if _worth_aligning(left, right) else LEAST
    if left != right:
        one, other = names_spelled(left), names_spelled(right)
        if one & other:
            liked = max(liked, _KNOWN_TO_BE_ONE)
        elif one and other:
            liked = min(liked, _KNOWN_TO_DIFFER)
    return max(LEAST, min(MOST, liked))


def _worth_aligning(left: str, right: str) -> bool:
    one, other = skeleton_of(left), skeleton_of(right)
    if len(one) < _SHORT or len(other) < _SHORT:
        return abs(len(one) - len(other)) <= _SHORT
    return Indel.normalized_similarity(one, other) >= _COMMON_SKELETON


def _liked(left: str, right: str) -> float:
    same_script = script_of(left) is script_of(right)
    factors = _WITHIN_SCRIPT if same_script else _ACROSS_SCRIPTS
    looks = JaroWinkler.similarity(left, right) if same_script else 0.0
    alone = min(self_evidence(left), self_evidence(right))
    return factors.base + factors.aligned * evidence(left, right) + factors.alone * alone + factors.looks * looks


def _weight_of_suffixes(left: Suffix, right: Suffix) -> float:
    if left is right:
        return 0.5
    if Suffix.NONE in (left, right):
        return _SUFFIX_LEFT_OUT.get(left if right is Suffix.NONE else right, _OTHER_SUFFIXES)
    return _OTHER_SUFFIXES


def _is_abd_for_any(left: Reading, right: Reading) -> bool:
    """Whether one is the short form Abd, Abdel or Abdou, which may stand for any Abd of somebody."""
    alone, compound = (right, left) if left.prefix is Prefix.ABD else (left, right)
    return alone.prefix is Prefix.NONE and compound.prefix is Prefix.ABD and alone.core in SHORT_FOR_ANY_ABD


def _weight_of_readings(left: Reading, right: Reading) -> Weight:
    if left.prefix is not right.prefix and _is_abd_for_any(left, right):
        return Weight(_ABD_FOR_ANY, _ABD_FOR_ANY)
    if left.core in SHORT_FOR_ANY_ABD and right.core in SHORT_FOR_ANY_ABD:
        return Weight(_KNOWN_TO_BE_ONE, _ABD_FOR_ANY)
    around = 0.0
    if not (left.suffix is right.suffix is Suffix.NONE):
        around += _weight_of_suffixes(left.suffix, right.suffix)
    if not (left.prefix is right.prefix is Prefix.NONE):
        around += _PREFIXES.get(frozenset({left.prefix, right.prefix}), _OTHER_PREFIXES)
    alike = max(LEAST, likeness(left.core, right.core) + around)
    return Weight(alike, min(alike, rarity(left.core), rarity(right.core)))


def weight_of_parts(left: Part, right: Part) -> Weight:
    """The weight of two parts, at least `LEAST`; the best of their readings counts."""
    if len(left.readings) == len(right.readings) == 1:
        return _weight_of_readings(left.readings[0], right.readings[0])
    weights = (_weight_of_readings(one, other) for one in left.readings for other in right.readings)
    return max(weights, key=lambda weight: weight.alike)
