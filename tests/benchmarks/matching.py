"""How long matching takes: `python -m tests.benchmarks.matching [how many people …]`.

Synthetic people alone: names drawn from the table of common names and as often from made-up words, in Arabic or Latin
letters, with a year of birth, a sex and a district. Each question is a person of the index in another spelling, a year
off; `found` is how many of them are among the candidates. Times are waited and, as the machine may have other work,
of the processor. Peak memory is that of the whole process.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Sequence
from datetime import date
from importlib.resources import files

from connector.matching import Interval, PersonFacts
from connector.matching.index import Index

_QUESTIONS = 300
_LEAST = 0.5
_ARABIC = dict(zip("abdfhjklmnqrstwyz", "ابدفهجكلمنقرستويز", strict=True))
Name = tuple[Sequence[str], Sequence[str]]  # spellings in Arabic, in Latin letters


def names(dice: random.Random, made_up: int) -> tuple[list[Name], list[float]]:
    """Names with a weight: the common ones by their class, and many rare ones."""
    known: list[Name] = []
    weights: list[float] = []
    for line in files("connector.matching").joinpath("common_names.tsv").read_text("utf-8").splitlines():
        rank, _, arabic, latin = line.split("\t")
        if arabic and latin:
            known.append((arabic.split(), latin.split()))
            weights.append(0.08 / 3 ** int(rank))
    common = sum(weights)
    for _ in range(made_up):
        consonants = dice.choices("bdfhjklmnqrstwyz", k=dice.randint(3, 5))
        latin = "".join(one + dice.choice(("a", "i", "u", "aa")) for one in consonants)
        known.append((["".join(_ARABIC[one] for one in consonants)], [latin, latin.replace("aa", "a")]))
        weights.append(common / made_up)
    return known, weights


def person(dice: random.Random, pool: tuple[list[Name], list[float]]) -> tuple[list[Name], PersonFacts]:
    chosen = dice.choices(*pool, k=dice.choice((2, 3, 3, 4)))
    return chosen, told(dice, chosen, dice.randrange(1950, 2022), dice.choice(("male", "female")), dice.randrange(200))


def told(dice: random.Random, chosen: list[Name], year: int, sex: str, district: int) -> PersonFacts:
    script = dice.randrange(2)
    written = " ".join(dice.choice(one[script]) for one in chosen)
    place = ("SY", f"SY{district // 10:02}", f"SY{district:04}")
    return PersonFacts(names=(written,), birth=Interval(date(year, 1, 1), date(year, 12, 31)), sex=sex, places=(place,))


def retold(dice: random.Random, chosen: list[Name], facts: PersonFacts) -> PersonFacts:
    """The same person as another clerk wrote them down."""
    assert facts.birth is not None
    assert facts.sex is not None
    year = facts.birth.earliest.year + dice.randint(-1, 1)
    return told(dice, chosen, year, facts.sex, int(facts.places[0][2][2:]))


def measure(count: int) -> str:
    dice = random.Random(count)
    pool = names(dice, 20_000)
    index = Index()
    asked: list[tuple[int, PersonFacts]] = []
    every = max(1, count // _QUESTIONS)
    building = 0.0
    for number in range(count):
        chosen, facts = person(dice, pool)
        if number % every == 0 and len(asked) < _QUESTIONS:
            asked.append((number, retold(dice, chosen, facts)))
        begun = time.thread_time()
        index.add(facts)
        building += time.thread_time() - begun
    waited, worked, found = [], [], 0
    for number, facts in asked:
        begun, begun_work = time.perf_counter(), time.thread_time()
        candidates = index.search(facts, _LEAST)
        waited.append(time.perf_counter() - begun)
        worked.append(time.thread_time() - begun_work)
        found += number in {one.person for one in candidates}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{count:>9} people  built in {building:6.1f} s of processor  peak {peak:5.0f} MB  found {found / len(asked):.3f}  "
        f"query p50/p99 {_of(waited, 0.5):.0f}/{_of(waited, 0.99):.0f} ms, of processor "
        f"{_of(worked, 0.5):.0f}/{_of(worked, 0.99):.0f} ms"
    )


def _of(seconds: list[float], share: float) -> float:
    """The milliseconds that *share* of the questions stayed within."""
    return sorted(seconds)[int(len(seconds) * share)] * 1000


if __name__ == "__main__":
    for wanted in [int(one) for one in sys.argv[1:]] or [10_000, 100_000, 1_000_000]:
        print(measure(wanted), flush=True)
