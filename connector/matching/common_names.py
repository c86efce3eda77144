"""The commonest names with their spellings, and how common they are.

Mohammed is borne by one man in twenty and says little; a rare name says much. The classes are
rounded shares of bearers in the countries served (general knowledge of the field, one row a name in
`common_names.tsv`: class, name, Arabic spellings, Latin ones). The table also joins spellings that no
rule of sounds joins (Mehmet and محمد), and keeps two common names apart that sound alike (Hassan
and Hussein, Mahmoud and Mohammed).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files

from connector.matching.letters import fold

__all__ = ["names_spelled", "rarity"]

_RARITY_OF_CLASS = {"1": 3.0, "2": 4.0, "3": 5.0, "4": 6.0}
_RARITY_OF_OTHERS = 8.0
_DOUBLED = re.compile(r"(.)\1+")


def _plain(word: str) -> str:
    """A word with doubled letters written once, as hands differ most in them."""
    return _DOUBLED.sub(r"\1", word)


@cache
def _tables() -> tuple[dict[str, frozenset[str]], dict[str, float]]:
    names: dict[str, set[str]] = {}
    rarities: dict[str, float] = {}
    for line in files(__package__).joinpath("common_names.tsv").read_text("utf-8").splitlines():
        rank, name, arabic, latin = line.split("\t")
        for spelling in f"{arabic} {latin}".split():
            for word in map(_plain, fold(spelling)):
                names.setdefault(word, set()).add(name)
                rarities[word] = min(rarities.get(word, 99.0), _RARITY_OF_CLASS[rank])
    return {word: frozenset(known) for word, known in names.items()}, rarities


@lru_cache(maxsize=65536)
def names_spelled(word: str) -> frozenset[str]:
    """The common names that a folded word spells; empty for a word that is none of them."""
    return _tables()[0].get(_plain(word), frozenset())


@lru_cache(maxsize=65536)
def rarity(word: str) -> float:
    """What agreement on a folded word can say at most: minus ln of the share of people who bear it (nats)."""
    return _tables()[1].get(_plain(word), _RARITY_OF_OTHERS)
