"""Candidates for one person out of many: a small list that surely holds the likely ones, then the full score.

A person is found by what a skeleton of sounds leaves of each part of the name, the same for both scripts: two parts
together, one part with a year of birth, one part alone. The rarer what two people share, the more it counts; sex and
birth only reorder. What is kept is compact (numbers in arrays, text in one buffer) and lives in memory alone.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from heapq import nlargest
from itertools import combinations
from operator import itemgetter
from zlib import crc32

from connector.matching.common_names import names_spelled
from connector.matching.people import Interval, PersonFacts, Place, Score, score_people
from connector.matching.sounds import skeleton_of
from connector.matching.structure import named_parts

__all__ = ["Found", "Index", "keys_of"]

_BUCKETS = 1 << 20
_MOST_POSTINGS = 60_000  # looked at for one person; the rare ones first
_MOST_OF_ONE_KEY = 20_000
_SHORT_LIST = 600  # ordered by sex and birth before the full score
_FULLY_SCORED = 60
_YEARS_OFF = 2
_NARROW_YEARS = 4  # an interval of birth that is wider than this is no key
_FAR_YEARS = 6.0
_SEXES = ("", "male", "female")
_NO_DAY = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A person of the index (by the number they were added under) who may be the one asked for."""

    person: int
    score: Score


@lru_cache(maxsize=65536)
def _sounds_of(word: str) -> tuple[str, ...]:
    """What a part of a name may be found by: its skeleton, and the common name it spells in capitals."""
    skeleton = skeleton_of(word)
    return (skeleton or word[:1], *(name.upper() for name in sorted(names_spelled(word))[:1]))


def _parts(name: str) -> list[frozenset[str]]:
    """The sounds of each part; a compound's core, in each of its readings."""
    parts = named_parts(name)
    return [frozenset(sound for one in part.readings[:2] for sound in _sounds_of(one.core)) for part in parts]


def _of_two(left: frozenset[str], right: frozenset[str]) -> Iterator[str]:
    """Two skeletons, or two common names; never one of each."""
    for one in left:
        for other in right:
            if one.isupper() == other.isupper():
                yield "+".join(sorted((one, other)))


def _written_keys(facts: PersonFacts, years: Iterable[int]) -> set[str]:
    keys: set[str] = set()
    told = tuple(years)
    for name in facts.names:
        parts = _parts(name)
        beside = [part for parent in (facts.father, facts.mother) if parent for part in _parts(parent)[:1]]
        for left, right in combinations(parts, 2):
            keys.update(_of_two(left, right))
        for left in parts[:1]:
            for right in beside:
                keys.update(_of_two(left, right))
        alone = {sound for part in parts for sound in part}
        keys |= alone
        keys.update(f"{sound}@{year}" for sound in alone for year in told)
    return keys


def _years(birth: Interval | None, beyond: int) -> range:
    """The years of a birth that is known to a few years, and *beyond* on both sides."""
    if birth is None or birth.latest.year - birth.earliest.year > _NARROW_YEARS:
        return range(0)
    middle = (birth.earliest.year + birth.latest.year) // 2
    return range(middle - beyond, middle + beyond + 1)


def keys_of(facts: PersonFacts, *, asking: bool = False) -> frozenset[int]:
    """The numbers of the buckets a person is filed under; when *asking*, those to look in."""
    years = _years(facts.birth, _YEARS_OFF if asking else 0)
    return frozenset(crc32(key.encode()) % _BUCKETS for key in _written_keys(facts, years))


class Index:
    """People by number. Not for several threads at once: whoever shares it holds a lock."""

    def __init__(self) -> None:
        self._buckets: list[array[int] | None] = [None] * _BUCKETS
        self._text = bytearray()
        self._starts = array("Q")
        self._lengths = array("I")
        self._born = array("i")  # the first day of birth, 0 if unknown
        self._last_born = array("i")
        self._sex = array("b")
        self._gone = 0

    def __len__(self) -> int:
        return len(self._starts) - self._gone

    def add(self, facts: PersonFacts) -> int:
        """Files a person and returns their number, which no other will ever have."""
        number = len(self._starts)
        text = _packed(facts)
        self._starts.append(len(self._text))
        self._lengths.append(len(text))
        self._text += text
        self._born.append(facts.birth.earliest.toordinal() if facts.birth else _NO_DAY)
        self._last_born.append(facts.birth.latest.toordinal() if facts.birth else _NO_DAY)
        self._sex.append(_SEXES.index(facts.sex) if facts.sex in _SEXES else 0)
        for key in keys_of(facts):
            bucket = self._buckets[key]
            if bucket is None:
                self._buckets[key] = array("I", (number,))
            else:
                bucket.append(number)
        return number

    def remove(self, person: int) -> None:
        """Forgets a person: what was known of them is overwritten at once, also in the buckets."""
        facts = self.facts(person)
        if facts is None:
            return
        start, length = self._starts[person], self._lengths[person]
        self._text[start : start + length] = bytes(length)
        self._lengths[person] = 0
        self._born[person] = self._last_born[person] = _NO_DAY
        self._sex[person] = 0
        self._gone += 1
        for key in keys_of(facts):
            bucket = self._buckets[key]
            if bucket is not None and person in bucket:
                bucket.remove(person)

    def facts(self, person: int) -> PersonFacts | None:
        """What is known of a person; None if they were removed."""
        length = self._lengths[person]
        if not length:
            return None
        start = self._starts[person]
        return self._unpacked(person, bytes(self._text[start : start + length]))

    def search(self, facts: PersonFacts, least: float, most: int = 20) -> list[Found]:
        """The people who score at least *least* with *facts*, the best first, at most *most* of them."""
        likely = nlargest(_SHORT_LIST, self._shared(facts).items(), key=itemgetter(1))
        ordered = sorted(likely, key=lambda one: (-(one[1] - self._against(one[0], facts)), one[0]))
        found = []
        for person, _ in ordered[:_FULLY_SCORED]:
            known = self.facts(person)
            if known is not None:
                score = score_people(facts, known)
                if score.value >= least:
                    found.append(Found(person, score))
        return sorted(found, key=lambda one: (-one.score.value, one.person))[:most]

    def _shared(self, facts: PersonFacts) -> dict[int, float]:
        """Person -> how much is shared, rarity weighted (nats), from the rarest keys on."""
        found = (self._buckets[key] for key in keys_of(facts, asking=True))
        buckets = sorted((bucket for bucket in found if bucket), key=len)
        shared: dict[int, float] = {}
        looked_at = 0
        for bucket in buckets:
            looked_at += len(bucket)
            if len(bucket) > _MOST_OF_ONE_KEY or looked_at > _MOST_POSTINGS:
                break
            weight = math.log(1 + len(self._starts) / len(bucket))
            for person in bucket:
                shared[person] = shared.get(person, 0.0) + weight
        return shared

    def _against(self, person: int, facts: PersonFacts) -> float:
        """What sex and birth say against a person, roughly (nats)."""
        against = 0.0
        sex = self._sex[person]
        if sex and facts.sex in _SEXES and _SEXES[sex] != facts.sex:
            against += 3.0
        if facts.birth and self._last_born[person] != _NO_DAY:
            later = max(self._born[person], facts.birth.earliest.toordinal())
            gap = later - min(self._last_born[person], facts.birth.latest.toordinal())
            against += min(max(gap, 0) / 365.0, _FAR_YEARS) * 0.8
        return against

    def _unpacked(self, person: int, text: bytes) -> PersonFacts:
        names, places, father, mother, relation, separation = json.loads(text)
        born, last = self._born[person], self._last_born[person]
        return PersonFacts(
            names=tuple(names),
            birth=Interval(date.fromordinal(born), date.fromordinal(last)) if last != _NO_DAY else None,
            sex=_SEXES[self._sex[person]] or None,
            places=tuple(_place(codes) for codes in places),
            relation=relation,
            father=father,
            mother=mother,
            separation=Interval(*map(date.fromordinal, separation)) if separation else None,
        )


def _place(codes: Iterable[str]) -> Place:
    return tuple(codes)


def _packed(facts: PersonFacts) -> bytes:
    separation = facts.separation
    days = [separation.earliest.toordinal(), separation.latest.toordinal()] if separation else None
    rest = [facts.names, facts.places, facts.father, facts.mother, facts.relation, days]
    return json.dumps(rest, ensure_ascii=False, separators=(",", ":")).encode()
