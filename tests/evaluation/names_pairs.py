"""Pairs of full names to measure with: the same person spelled twice, and two kinds of other people.

A full name is two or three Arabic keys drawn from one side of the split, each written in one of its
attested spellings. *Random* negatives are two full names; *hard* negatives share the first key.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.evaluation.names_data import Spelling

Pair = tuple[str, str]
Keys = tuple[str, ...]
Writer = Callable[[Keys, random.Random], str]
SEMITIC_LETTERS = frozenset("عحصضطظقثذ")


@dataclass(frozen=True)
class PairSet:
    """Pairs of one kind: *same* person, *random* other people, *hard* ones with the same first name."""

    name: str
    same: list[Pair]
    random: list[Pair]
    hard: list[Pair]


class Writers:
    """How the keys of one pool may be written."""

    def __init__(self, pool: dict[str, list[Spelling]]) -> None:
        self._latin = {key: sorted({s.latin for s in spellings}) for key, spellings in pool.items()}
        self._arabic = {key: max(spellings, key=lambda s: s.count).arabic for key, spellings in pool.items()}

    def latin(self, keys: Keys, dice: random.Random) -> str:
        return " ".join(dice.choice(self._latin[key]) for key in keys)

    def arabic(self, keys: Keys, dice: random.Random) -> str:
        return " ".join(self._arabic[key] for key in keys)

    def persian(self, keys: Keys, dice: random.Random) -> str:
        """As a Persian keyboard gives it, with or without hamza and with a joiner now and then."""
        text = self.arabic(keys, dice).translate(str.maketrans("يىكة", "ییکه"))
        if dice.random() < 0.5:
            text = text.replace("أ", "ا").replace("إ", "ا")
        return text.replace(" ", "\u200c", 1) if dice.random() < 0.2 else text

    def variant(self, keys: Keys, dice: random.Random) -> str:
        """As Arabic hands differ: hamza left out, dotless yeh, heh for teh marbuta, marks, tatweel."""
        text = self.arabic(keys, dice)
        for letters, other in (("أإآ", "ا"), ("ي", "ى"), ("ة", "ه")):
            if dice.random() < 0.5:
                text = "".join(other if letter in letters else letter for letter in text)
        if dice.random() < 0.5:
            text = "".join(letter + dice.choice(["", "", "َ", "ّ", "ـ"]) for letter in text)
        return "\u200f" + text if dice.random() < 0.2 else text


def _full_name(keys: list[str], dice: random.Random) -> Keys:
    return tuple(dice.sample(keys, dice.choice([2, 2, 3])))


def build(name: str, keys: list[str], one: Writer, other: Writer, sizes: tuple[int, int], seed: int) -> PairSet:
    """Draw pairs, with the sizes (same, each kind of negatives); equal strings are drawn again."""
    dice = random.Random(seed)
    same: list[Pair] = []
    while len(same) < sizes[0]:
        person = _full_name(keys, dice)
        pair = one(person, dice), other(person, dice)
        if pair[0] != pair[1]:
            same.append(pair)
    strangers, hard = [], []
    for _ in range(sizes[1]):
        person, second = _full_name(keys, dice), _full_name(keys, dice)
        while set(person) & set(second):
            second = _full_name(keys, dice)
        strangers.append((one(person, dice), other(second, dice)))
        hard.append((one(person, dice), other((person[0], *second[1:]), dice)))
    return PairSet(name, same, strangers, hard)
