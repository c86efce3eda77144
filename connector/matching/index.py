"""Candidates for one person out of many: a small list that surely holds the likely ones, then the full score.

A person is found by what a skeleton of sounds leaves of each part of the name, the same for both scripts: two parts
together, one part with a year of birth or with a district, one part alone. The rarer what two people share, the more it counts; sex and
birth only reorder. `keys_of`, `packed` and `the_best` are the same for both tiers: `Index` keeps people in memory
alone, compactly (numbers in arrays, text in one buffer, no object a person or a key); `connector/ledger/drawers.py`
keeps them in PostgreSQL, the keys blind and the rest sealed.
"""

from __future__ import annotations

import json
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from heapq import nlargest
from itertools import combinations, islice
from operator import itemgetter
from zlib import crc32

from connector.matching.common_names import names_spelled
from connector.matching.people import Interval, PersonFacts, Score, score_people
from connector.matching.sounds import skeleton_of
from connector.matching.structure import named_parts

__all__ = ["Found", "Index", "against", "keys_of", "packed", "the_best", "unpacked"]

_BUCKETS = 1 << 20
_MOST_POSTINGS = 20_000  # looked at for one person; the rare ones first
_MOST_OF_ONE_KEY = 6_000
_SHORT_LIST = 1_000  # of those who share most: ordered by sex and birth before the full score
_FULLY_SCORED = 60
_YEARS_OFF = 2
_NARROW_YEARS = 4  # an interval of birth that is wider than this is no key
_A_DISTRICT = 3  # levels of p-codes; a whole province or country is no key
_FAR_YEARS = 6.0
_A_YEAR = 0.8  # said against by a year between births (nats)
_OTHER_SEX = 3.0
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
        keys.update(f"{sound}#{place[-1]}" for sound in alone for place in facts.places if len(place) >= _A_DISTRICT)
    return keys


def _years(birth: Interval | None, beyond: int) -> range:
    """The years of a birth that is known to a few years, and *beyond* on both sides."""
    if birth is None or birth.latest.year - birth.earliest.year > _NARROW_YEARS:
        return range(0)
    middle = (birth.earliest.year + birth.latest.year) // 2
    return range(middle - beyond, middle + beyond + 1)


def keys_of(facts: PersonFacts, *, asking: bool = False) -> frozenset[str]:
    """What a person is filed under; when *asking*, where to look. They hold parts of names: they are kept nowhere."""
    return frozenset(_written_keys(facts, _years(facts.birth, _YEARS_OFF if asking else 0)))


def _buckets_of(facts: PersonFacts, *, asking: bool = False) -> set[int]:
    return {crc32(key.encode()) % _BUCKETS for key in keys_of(facts, asking=asking)}


def against(asked: PersonFacts, sex: str | None, born: int, last_born: int) -> float:
    """What sex and birth (ordinals of days, 0 if unknown) say against one who shares much, roughly (nats)."""
    said = 0.0
    if sex and asked.sex and sex != asked.sex:
        said += _OTHER_SEX
    if asked.birth and last_born != _NO_DAY:
        later = max(born, asked.birth.earliest.toordinal())
        gap = later - min(last_born, asked.birth.latest.toordinal())
        said += min(max(gap, 0) / 365.0, _FAR_YEARS) * _A_YEAR
    return said


def the_best(asked: PersonFacts, likely: Iterable[tuple[int, PersonFacts]], least: float, most: int) -> list[Found]:
    """The full score for the first of *likely*; those of at least *least*, the best first, at most *most*."""
    scored = (Found(person, score_people(asked, facts)) for person, facts in islice(likely, _FULLY_SCORED))
    found = [one for one in scored if one.score.value >= least]
    return sorted(found, key=lambda one: (-one.score.value, one.person))[:most]


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
        text = packed(facts)
        self._starts.append(len(self._text))
        self._lengths.append(len(text))
        self._text += text
        self._born.append(facts.birth.earliest.toordinal() if facts.birth else _NO_DAY)
        self._last_born.append(facts.birth.latest.toordinal() if facts.birth else _NO_DAY)
        self._sex.append(_SEXES.index(facts.sex) if facts.sex in _SEXES else 0)
        for key in _buckets_of(facts):
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
        for key in _buckets_of(facts):
            bucket = self._buckets[key]
            if bucket is not None:
                del bucket[bisect_left(bucket, person)]  # numbers only grow, so a bucket is in order

    def facts(self, person: int) -> PersonFacts | None:
        """What is known of a person; None if they were removed."""
        length = self._lengths[person]
        if not length:
            return None
        start = self._starts[person]
        return unpacked(bytes(self._text[start : start + length]))

    def search(self, facts: PersonFacts, least: float, most: int = 20) -> list[Found]:
        """The people who score at least *least* with *facts*, the best first, at most *most* of them."""
        return the_best(facts, self.likely(facts), least, most)

    def likely(self, facts: PersonFacts) -> Iterator[tuple[int, PersonFacts]]:
        """The short list: those who share most, ordered by what sex and birth say beside that."""
        sharing = nlargest(_SHORT_LIST, self._shared(facts).items(), key=itemgetter(1))
        for _, person in sorted((self._against(person, facts) - shared, person) for person, shared in sharing):
            known = self.facts(person)
            if known is not None:
                yield person, known

    def _shared(self, facts: PersonFacts) -> dict[int, float]:
        """Person -> how much is shared, rarity weighted (nats), from the rarest keys on."""
        found = (self._buckets[key] for key in _buckets_of(facts, asking=True))
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
        return against(facts, _SEXES[self._sex[person]], self._born[person], self._last_born[person])


def packed(facts: PersonFacts) -> bytes:
    """All of *facts* as bytes, for `unpacked`. Not encrypted."""
    rest = [facts.names, facts.places, facts.father, facts.mother, facts.relation]
    days = [
        [span.earliest.toordinal(), span.latest.toordinal()] if span else None
        for span in (facts.separation, facts.birth)
    ]
    return json.dumps([*rest, *days, facts.sex], ensure_ascii=False, separators=(",", ":")).encode()


def unpacked(text: bytes) -> PersonFacts:
    names, places, father, mother, relation, separation, birth, sex = json.loads(text)
    return PersonFacts(
        names=tuple(names), birth=_interval(birth), sex=sex, places=tuple(tuple(codes) for codes in places),
        relation=relation, father=father, mother=mother, separation=_interval(separation),
    )  # fmt: skip


def _interval(days: list[int] | None) -> Interval | None:
    return Interval(*map(date.fromordinal, days)) if days else None
