"""A folded word as a row of sound units: the letters and pairs of letters that stand for one sound.

Latin spellings of one Arabic letter differ in length (ش is sh, ch, sch or ş; و is ou, oo, u or w), so
the units, not the letters, are aligned by `alignment`. Doubled consonants are one unit, since the
Arabic script does not write the doubling. A vowel or h at the edge of a word is a unit of its own
(`^a`, `e$`), because it comes and goes there: Fatima, Fatimah, Fatemeh; Ibrahim, Brahim.
"""

from __future__ import annotations

import re
from functools import lru_cache

from connector.matching.letters import Script, script_of

__all__ = ["skeleton_of", "units_of"]

_LATIN_UNITS = re.compile(
    "tch|sch|eau|sh|ch|kh|gh|th|dh|ph|zh|dj|ts|tz|ck|qu|ou|oo|ee|ei|ai|oe|ie|au|oi|ea|eu|ue|ng|[aeo][yw](?![aeiou])|."
)
_ARABIC_UNITS = re.compile("تش|دج|كس|نغ|.")
_DOUBLED = re.compile(r"([^eo\W])\1+")
_VOWELS = frozenset("aeiouy") | {"ou", "oo", "ee", "ei", "ai", "ay", "ey", "oe", "ie", "au", "ea", "eu", "ue", "eau"}
_OPENS_WORD = _VOWELS | {"h", "ا", "ع", "ي", "و", "j", "ه"}
_CLOSES_WORD = _VOWELS | {"h", "ا", "ه", "ي", "و", "t", "s", "d"}
_FIRM_CONSONANTS = {
    "p": "bpfvبپفڤ",
    "t": "tdتدطضذ6",  # the digits are those of Arabizi: 5 is خ, 6 ط, 8 ق, 9 ص; 2, 3, 7 are ء, ع, ح
    "k": "kqgcxszjقكگغخجسشصزژچظث589",
    "m": "mم",
    "n": "nن",
    "l": "lل",
    "r": "rر",
    "": "aeiouwyhاويهعح'237",
}
_CLASSES = {ord(letter): name for name, letters in _FIRM_CONSONANTS.items() for letter in letters}


@lru_cache(maxsize=65536)
def units_of(word: str) -> tuple[str, ...]:
    """The sound units of a folded word, the first and last one marked where the edge matters."""
    single = _DOUBLED.sub(r"\1", word)
    pattern = _ARABIC_UNITS if script_of(word) is Script.ARABIC else _LATIN_UNITS
    units = pattern.findall(single)
    if len(units) > 1 and units[-1] in _CLOSES_WORD:
        units[-1] += "$"
    if len(units) > 1 and units[0] in _OPENS_WORD:
        units[0] = "^" + units[0]
    return tuple(units)


@lru_cache(maxsize=65536)
def skeleton_of(word: str) -> str:
    """The coarse classes of a word's firm consonants: lip, tongue, throat and hiss, m, n, l, r.

    Two spellings of one name hardly ever differ in most of these, in whichever script they are, so a
    quick look at the skeletons saves aligning words that have nothing in common.
    """
    return _DOUBLED.sub(r"\1", word.translate(_CLASSES))
