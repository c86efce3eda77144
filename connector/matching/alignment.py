"""How much two words speak for being one name: the best alignment of their sound units.

The weight of a pair of units is its log odds, ln P(x, y | same name) / (P(x) P(y)): agreement on a
rare sound says more than on a common one, a vowel against nothing costs little, ق against g is
likelier than ق against b. `weights.tsv` is learned by tests/evaluation/learn_weights.py from the
development part of NETransliteration-COLING2018 (MIT, (c) 2018 Amazon.com) and google/transliteration
(Apache-2.0, (c) Google); `weights_by_hand.tsv` adds what those lists do not hold: Persian, Kurdish,
Urdu and Pashto letters, Somali and Turkish spelling and the digits of Arabizi. Both tables are rows of
scripts, unit, unit, hundredths of a nat; `-` is no unit.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from itertools import accumulate

from connector.matching.letters import Script, script_of
from connector.matching.sounds import units_of

__all__ = ["evidence", "self_evidence"]

_NOTHING = "-"
_SAME_UNKNOWN = 3.0  # an equal unit the tables do not know: a digit, a letter of another script
_DIFFERENT = -4.5  # a pair of units never seen together
_DROPPED = -5.0  # a unit never seen against nothing

Weights = dict[str, dict[str, float]]


@cache
def _weights(scripts: str) -> Weights:
    """The table of one pair of scripts, both ways round when both sides are one script."""
    table: Weights = {}
    for name in ("weights.tsv", "weights_by_hand.tsv"):
        for line in files(__package__).joinpath(name).read_text("utf-8").splitlines():
            pair, left, right, hundredths = line.split("\t")
            if pair != scripts:
                continue
            _enter(table, left, right, int(hundredths) / 100)
            if scripts != "latin-arabic":
                _enter(table, right, left, int(hundredths) / 100)
    return table


def _enter(table: Weights, left: str, right: str, weight: float) -> None:
    row = table.setdefault(left, {})
    row[right] = max(weight, row.get(right, weight))


def _table_for(left: str, right: str) -> Weights:
    match script_of(left), script_of(right):
        case Script.LATIN, Script.ARABIC:
            return _weights("latin-arabic")
        case Script.LATIN, Script.LATIN:
            return _weights("latin-latin")
        case Script.ARABIC, Script.ARABIC:
            return _weights("arabic-arabic")
        case _:
            return {}


def _best_alignment(left: tuple[str, ...], right: tuple[str, ...], weights: Weights) -> float:
    """The greatest sum of weights over all alignments that keep the order (Needleman-Wunsch)."""
    nothing = weights.get(_NOTHING, {})
    added = [nothing.get(unit, _DROPPED) for unit in right]
    columns = range(len(right))
    above = list(accumulate(added, initial=0.0))
    for unit in left:
        row = weights.get(unit, {})
        dropped = row.get(_NOTHING, _DROPPED)
        diagonal = above[0]
        best = above[0] = diagonal + dropped
        for column in columns:  # the inner loop of all matching: conditions are twice as fast as max()
            other = right[column]
            same = row.get(other)
            if same is None:
                same = _SAME_UNKNOWN if unit == other else _DIFFERENT
            same += diagonal
            diagonal = above[column + 1]
            best += added[column]
            if best < diagonal + dropped:  # noqa: PLR1730
                best = diagonal + dropped
            if best < same:  # noqa: PLR1730
                best = same
            above[column + 1] = best
    return above[-1]


@lru_cache(maxsize=262144)
def evidence(left: str, right: str) -> float:
    """Log odds (nats) that two folded words spell one name, against chance; the same both ways.

    Words of two scripts that no table joins give what their equal letters give, mostly far below 0.
    """
    if (script_of(left) is Script.ARABIC, left) > (script_of(right) is Script.ARABIC, right):
        left, right = right, left
    return _best_alignment(units_of(left), units_of(right), _table_for(left, right))


def self_evidence(word: str) -> float:
    """What a word gives against itself: the most that any spelling of it can reach."""
    return evidence(word, word)
