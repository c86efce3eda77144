"""`make eval`: how well names are matched, on the side of the split that tuning never saw.

    .venv/bin/python -m tests.evaluation.names [FOLDER] [--side held-out|development] [--full]

FOLDER, or SILAH_NAMES_DATA, has `wd_arabic.tokens.tsv` and `ar2en.tsv`; without them the small committed
sample is measured. Prints recall at 0.1 % and 1 % false positives with 95 % intervals (bootstrap over
pairs), the ablation of each feature, hand-made hard cases, facts beside names, speed, and with --full the
50 worst misses and false alarms.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler

from connector.matching import PersonFacts, names, score_names, structure, words
from connector.matching.index import keys_of
from tests.evaluation.names_data import SAMPLE, Spelling, by_key, fingerprint, folder, google, is_held_out, wikidata
from tests.evaluation.names_pairs import SEMITIC_LETTERS, Pair, PairSet, Writers, build
from tests.evaluation.people_pairs import recall_of_people

Scorer = Callable[[str, str], float]
BOOTSTRAPS = 200
RATES = (0.001, 0.01)


def recall(same: list[float], others: list[float], rate: float) -> float:
    """Share of *same* above the threshold that lets at most *rate* of the *others* pass."""
    threshold = sorted(others, reverse=True)[math.floor(len(others) * rate)]
    return sum(score > threshold for score in same) / len(same)


def interval(same: list[float], others: list[float], rate: float) -> tuple[float, float]:
    """95 % interval of the recall, both sides resampled."""
    dice = random.Random(1)
    sampled = sorted(
        recall(dice.choices(same, k=len(same)), dice.choices(others, k=len(others)), rate) for _ in range(BOOTSTRAPS)
    )
    return sampled[round(0.025 * BOOTSTRAPS)], sampled[round(0.975 * BOOTSTRAPS) - 1]


def area_under_curve(same: list[float], others: list[float]) -> float:
    """How often a pair of one person scores above a pair of two."""
    wins = sum((one > other) + 0.5 * (one == other) for one in same for other in others)
    return wins / len(same) / len(others)


def scored(pairs: list[Pair], scorer: Scorer) -> list[float]:
    """The scores of pairs, in their order."""
    return [scorer(one, other) for one, other in pairs]


def pair_sets(spellings: list[Spelling], *, held_out: bool, sizes: tuple[int, int]) -> list[PairSet]:
    """The kinds of pairs that are reported, from one side of the split."""
    pool = by_key([s for s in spellings if is_held_out(s.key) == held_out], 3)
    several = sorted(key for key, attested in pool.items() if len({s.latin for s in attested}) > 1)
    semitic = [key for key in several if set(key) & SEMITIC_LETTERS]
    write = Writers(pool)
    return [
        build("Latin-Latin", several, write.latin, write.latin, sizes, 1),
        build("Arabic-Latin", several, write.arabic, write.latin, sizes, 2),
        build("Latin-Latin, Arabic names", semitic, write.latin, write.latin, sizes, 3),
        build("Arabic-Latin, Arabic names", semitic, write.arabic, write.latin, sizes, 4),
        build("Arabic-Persian spelling", sorted(pool), write.arabic, write.persian, sizes, 5),
        build("within Arabic", sorted(pool), write.variant, write.variant, sizes, 6),
    ]


def one_to_one(spellings: list[Spelling], *, held_out: bool, sizes: tuple[int, int]) -> PairSet:
    """The second list's pairs: Arabic against Latin, one spelling a token, much of it rare."""
    pool = by_key([s for s in spellings if is_held_out(s.key) == held_out], 1)
    write = Writers(pool)
    return build("Arabic-Latin, second list", sorted(pool), write.arabic, write.latin, sizes, 7)


def print_table(sets: list[PairSet], scorer: Scorer) -> None:
    """A row a kind: recall with its interval for each kind of negatives and rate."""
    print(f"{'':28s}" + "".join(f"{kind:>22s}" for kind in ("random 0.1%", "random 1%", "hard 0.1%", "hard 1%")))
    for pairs in sets:
        same = scored(pairs.same, scorer)
        cells = []
        for others in (scored(pairs.random, scorer), scored(pairs.hard, scorer)):
            for rate in RATES:
                low, high = interval(same, others, rate)
                cells.append(f"{recall(same, others, rate):7.3f} [{low:.3f} {high:.3f}]")
        print(f"{pairs.name:28s}" + "".join(f"{cell:>22s}" for cell in cells))


def share_a_drawer(pairs: list[Pair]) -> float:
    """Share of the pairs of one person of which a search for the one would meet the other, by the name alone."""
    keys = [[keys_of(PersonFacts(names=(name,))) for name in pair] for pair in pairs]
    return sum(not left.isdisjoint(right) for left, right in keys) / len(pairs)


@contextmanager
def without(module: object, name: str, value: object) -> Iterator[None]:
    """Measure with one feature taken out of the product."""
    kept = getattr(module, name)
    setattr(module, name, value)
    _forget()
    try:
        yield
    finally:
        setattr(module, name, kept)
        _forget()


def _forget() -> None:
    words.likeness.cache_clear()
    structure._single.cache_clear()
    structure.parts_of.cache_clear()


class _NoVocabulary(frozenset[str]):
    """Stands for any set of known words with none in it."""


ABLATIONS: dict[str, tuple[object, str, object]] = {
    "everything": (words, "LEAST", words.LEAST),
    "without common names": (words, "names_spelled", lambda word: _NoVocabulary()),
    "without rarity": (words, "rarity", lambda word: words.MOST),
    "without learned sounds": (words, "evidence", lambda one, other: 0.0),
    "without looks": (JaroWinkler, "similarity", lambda one, other: 0.8),
    "without compounds": (structure, "_attached_compounds", lambda word: []),
    "without the weakest pair": (names, "WEIGHTS", names.NameWeights(weakest=0.0)),
    "without what pairs say": (names, "WEIGHTS", names.NameWeights(said=0.0)),
    "without order": (names, "WEIGHTS", names.NameWeights(family_first=0.0, swapped=0.0)),
}


def print_ablation(sets: list[PairSet], cases: tuple[list[Pair], list[Pair]]) -> None:
    """What each feature adds: recall at 1 % against random / hard negatives, and the hard cases' area."""
    for name, (module, attribute, value) in ABLATIONS.items():
        with without(module, attribute, value):
            cells = []
            for pairs in sets:
                same = scored(pairs.same, score_names)
                against = (recall(same, scored(others, score_names), 0.01) for others in (pairs.random, pairs.hard))
                cells.append(" / ".join(f"{value:.3f}" for value in against))
            area = area_under_curve(*(scored(pairs, score_names) for pairs in cases))
            print(f"{name:28s}" + "".join(f"{cell:>18s}" for cell in cells) + f"{area:12.3f}")


def hard_cases(source: Path, *, held_out: bool) -> tuple[list[Pair], list[Pair]]:
    """(same, others) of one half of the hand-made list; a person with all spellings is on one side."""
    same: list[Pair] = []
    others: list[Pair] = []
    for line in source.read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        _, spellings, strangers = (part.split(" | ") for part in line.split("\t"))
        digest = hashlib.sha256(("silah hard cases, split 1: " + spellings[0]).encode()).digest()
        if (digest[0] < 128) == held_out:
            same += combinations(spellings, 2)
            others += [(one, other) for one in spellings for other in strangers]
    return same, others


def print_worst(sets: list[PairSet], count: int = 50) -> None:
    """The pairs of one person with the lowest scores and those of two with the highest."""
    for pairs in sets:
        missed = sorted((score_names(*pair), pair) for pair in pairs.same)[:count]
        alarms = sorted(((score_names(*pair), pair) for pair in pairs.hard), reverse=True)[:count]
        for title, rows in (("missed", missed), ("false alarms", alarms)):
            print(f"\n{pairs.name}, {title}")
            for score, (one, other) in rows:
                print(f"  {score:.4f}  {one}  |  {other}")


def seconds_for(pairs: list[Pair]) -> float:
    """Processor seconds for scoring pairs with cold caches."""
    _forget()
    words.evidence.cache_clear()  # type: ignore[attr-defined]
    started = time.process_time()
    scored(pairs, score_names)
    return time.process_time() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How well names are matched.")
    parser.add_argument("folder", nargs="?", type=Path, default=folder())
    parser.add_argument("--side", choices=["held-out", "development"], default="held-out")
    parser.add_argument("--full", action="store_true", help="also the 50 worst of each kind, and larger samples")
    return parser.parse_args()


def main() -> None:
    """Print the whole report."""
    options = _options()
    held_out = options.side == "held-out"
    first, second = wikidata(options.folder), google(options.folder)
    sizes = (4000, 20000) if options.full else (2000, 8000)
    print(f"data: {options.folder.name}, {options.side} side")
    print(f"split: {fingerprint({s.key for s in first + second})}")
    sets = pair_sets(first, held_out=held_out, sizes=sizes)
    sets.append(one_to_one(second, held_out=held_out, sizes=sizes))
    cases = hard_cases(SAMPLE / "hard_cases.tsv", held_out=held_out)
    print("\nrecall [95 % interval] at a rate of false positives")
    print_table(sets, score_names)
    print("\nthe same for token_sort_ratio, to compare")
    print_table(sets[:1], lambda one, other: fuzz.token_sort_ratio(one.lower(), other.lower()))
    print("\nshare of pairs of one person in one drawer of the index, by name alone")
    for pairs in sets:
        print(f"{pairs.name:28s}{share_a_drawer(pairs.same):7.3f}")
    print("\nablation: recall at 1 % against random / hard negatives; area on hard cases")
    print(
        "".join(f"{pairs.name:>46s}"[-46 if at == 0 else -18 :] for at, pairs in enumerate(sets[:2])) + "  hard cases"
    )
    print_ablation(sets[:2], cases)
    area = area_under_curve(*(scored(pairs, score_names) for pairs in cases))
    print(f"\nhard cases: area under the curve {area:.3f} ({len(cases[0])} of one person, {len(cases[1])} of two)")
    for label, value in recall_of_people(sets[0].same, sets[0].random, sets[0].hard).items():
        print(f"{label}: {value:.3f}")
    every = [*sets[1].same, *sets[1].random, *sets[1].hard][:10000]
    print(f"\n{len(every)} pairs, Arabic-Latin: {seconds_for(every):.2f} s of one core")
    if options.full:
        print_worst(sets[:2])


if __name__ == "__main__":
    main()
