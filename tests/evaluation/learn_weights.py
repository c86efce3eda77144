"""Learns connector/matching/weights.tsv: how likely two sound units are the same sound.

    SILAH_NAMES_DATA=<folder> .venv/bin/python -m tests.evaluation.learn_weights

For each pair of scripts an alignment model is fitted by expectation maximisation on the development
part of the data alone: a pair of spellings is produced by a row of events, each a pair of units or
one unit against nothing. What is written for an event is its log odds against chance,
ln P(x, y) / (P(x) P(y)), in hundredths. The worst-fitting part of the pairs, label noise, is dropped
between rounds.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from connector.matching.letters import fold
from connector.matching.sounds import units_of
from tests.evaluation.names_data import Spelling, by_key, folder, google, is_held_out, wikidata

Units = tuple[str, ...]
Event = tuple[str, str]
WEIGHTS = Path(__file__).parents[2] / "connector" / "matching" / "weights.tsv"
NOTHING = "-"
ROUNDS = 7
NOISE = 0.04  # share of pairs dropped after a round, from the second on
LEAST = 0.3  # expected count under which an event is not written
FLOOR = 1e-5


def _units(word: str) -> Units:
    folded = fold(word)
    return units_of(folded[0]) if len(folded) == 1 else ()


@dataclass(frozen=True)
class Chances:
    """Probabilities of the events that one pair of spellings could be made of."""

    both: list[list[float]]
    dropped: list[float]
    added: list[float]

    def before(self) -> list[list[float]]:
        """Probability of all ways from the start to each place (forward)."""
        rows, columns = len(self.dropped), len(self.added)
        grid = [[0.0] * (columns + 1) for _ in range(rows + 1)]
        grid[0][0] = 1.0
        for i in range(rows + 1):
            for j in range(columns + 1):
                grid[i][j] += grid[i - 1][j] * self.dropped[i - 1] if i else 0.0
                grid[i][j] += grid[i][j - 1] * self.added[j - 1] if j else 0.0
                grid[i][j] += grid[i - 1][j - 1] * self.both[i - 1][j - 1] if i and j else 0.0
        return grid

    def after(self) -> list[list[float]]:
        """Probability of all ways from each place to the end (backward): forward on the pair reversed."""
        turned = Chances([row[::-1] for row in self.both[::-1]], self.dropped[::-1], self.added[::-1])
        return [row[::-1] for row in turned.before()[::-1]]


class Model:
    """Probabilities of events for one pair of scripts."""

    def __init__(self, pairs: list[tuple[Units, Units]]) -> None:
        self.left = _shares(unit for left, _ in pairs for unit in left)
        self.right = _shares(unit for _, right in pairs for unit in right)
        self.joint: dict[Event, float] = {}
        self.counts: dict[Event, float] = defaultdict(float)

    def chance(self, event: Event) -> float:
        if self.joint:
            return self.joint.get(event, FLOOR * 0.01) + 1e-9
        left, right = event
        if NOTHING in event:
            return 0.002
        same = 0.02 if left.strip("^$") == right.strip("^$") else 0.0
        return same + self.left.get(left, FLOOR) * self.right.get(right, FLOOR)

    def collect(self, left: Units, right: Units, weight: float) -> float:
        """Add the expected events of one pair; returns its log likelihood a unit, against chance."""
        chances = Chances(
            both=[[self.chance((x, y)) for y in right] for x in left],
            dropped=[self.chance((x, NOTHING)) for x in left],
            added=[self.chance((NOTHING, y)) for y in right],
        )
        before, after = chances.before(), chances.after()
        total = before[-1][-1]
        if total <= 0.0:
            return -99.0
        share = weight / total
        for i, x in enumerate((*left, NOTHING)):
            for j, y in enumerate((*right, NOTHING)):
                here = before[i][j] * share
                if x is not NOTHING:
                    self.counts[x, NOTHING] += here * chances.dropped[i] * after[i + 1][j]
                if y is not NOTHING:
                    self.counts[NOTHING, y] += here * chances.added[j] * after[i][j + 1]
                if NOTHING not in (x, y):
                    self.counts[x, y] += here * chances.both[i][j] * after[i + 1][j + 1]
        return (math.log(total) - self.by_chance(left, right)) / (len(left) + len(right))

    def by_chance(self, left: Units, right: Units) -> float:
        return sum(math.log(self.left.get(x, FLOOR)) for x in left) + sum(
            math.log(self.right.get(y, FLOOR)) for y in right
        )

    def learn(self) -> None:
        total = sum(self.counts.values())
        self.joint = {event: count / total for event, count in self.counts.items()}

    def log_odds(self) -> dict[Event, float]:
        odds = {}
        for (left, right), count in self.counts.items():
            if count < LEAST:
                continue
            expected = self.left.get(left, 1.0) * self.right.get(right, 1.0)
            odds[left, right] = math.log(self.joint[left, right] / expected)
        return odds


def _shares(units: Iterable[str]) -> dict[str, float]:
    counts: Counter[str] = Counter(units)
    total = sum(counts.values())
    return {unit: count / total for unit, count in counts.items()}


def fit(pairs: list[tuple[Units, Units, float]]) -> Model:
    """Fit one model; pairs are (units, units, weight)."""
    kept = pairs
    model = Model([(left, right) for left, right, _ in kept])
    for round_number in range(ROUNDS):
        model.counts = defaultdict(float)
        fits = [model.collect(*pair) for pair in kept]
        model.learn()
        if round_number in {1, 2, 3}:
            worst = sorted(fits)[int(len(fits) * NOISE)]
            kept = [pair for pair, fit_ in zip(kept, fits, strict=True) if fit_ > worst]
    return model


def _development(spellings: list[Spelling], seen: set[tuple[str, ...]]) -> list[Spelling]:
    """The development side, without a Latin spelling *seen* on the held-out side."""
    return [s for s in spellings if not is_held_out(s.key) and fold(s.latin) not in seen]


def across_scripts(first: list[Spelling], second: list[Spelling]) -> list[tuple[Units, Units, float]]:
    rows = [s for s in first if s.count >= 2] + second
    pairs = {(_units(s.latin), _units(s.arabic)): min(math.sqrt(s.count), 8.0) for s in rows}
    return [(left, right, weight) for (left, right), weight in pairs.items() if left and right]


def within_latin(first: list[Spelling]) -> list[tuple[Units, Units, float]]:
    pairs: dict[tuple[Units, Units], float] = {}
    for spellings in by_key(first, 2).values():
        for one in spellings:
            for other in spellings:
                if one.latin != other.latin:
                    weight = min(math.sqrt(min(one.count, other.count)), 6.0)
                    pairs[_units(one.latin), _units(other.latin)] = weight
    for spelling in first:  # letters that stay as they are are evidence too
        if spelling.count >= 2:
            units = _units(spelling.latin)
            pairs.setdefault((units, units), 0.3)
    return [(left, right, weight) for (left, right), weight in pairs.items() if left and right]


def within_arabic(first: list[Spelling]) -> list[tuple[Units, Units, float]]:
    by_latin: dict[str, list[Spelling]] = defaultdict(list)
    for spelling in first:
        if spelling.count >= 2:
            by_latin[spelling.latin].append(spelling)
    pairs: dict[tuple[Units, Units], float] = {}
    for spellings in by_latin.values():
        for one in spellings:
            for other in spellings:
                weight = 0.3 if one is other else min(math.sqrt(min(one.count, other.count)), 6.0)
                pairs[_units(one.arabic), _units(other.arabic)] = weight
    return [(left, right, weight) for (left, right), weight in pairs.items() if left and right]


def main() -> None:
    """Fit the three models and write the table."""
    source = folder()
    first, second = wikidata(source), google(source)
    seen = {fold(s.latin) for s in first + second if is_held_out(s.key) and s.count >= 2}
    first, second = _development(first, seen), _development(second, seen)
    sets = {
        "latin-arabic": across_scripts(first, second),
        "latin-latin": within_latin(first),
        "arabic-arabic": within_arabic(first),
    }
    lines = []
    for name, pairs in sets.items():
        random.Random(1).shuffle(pairs)
        odds = fit(pairs).log_odds()
        print(name, len(pairs), "pairs", len(odds), "weights")
        lines += [f"{name}\t{x}\t{y}\t{round(100 * value)}" for (x, y), value in sorted(odds.items())]
    WEIGHTS.write_text("".join(line + "\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
