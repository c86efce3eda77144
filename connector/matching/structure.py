"""The parts a name is made of: compounds as one unit, articles, titles, kunya, nasab and suffixes.

The field's terms. *Ism*: the given name, perhaps a compound (Abd al-Rahman, Nur al-Din, Mohammad
Reza). *Nasab*: the chain of fathers (bin, ibn, ould; bint for a daughter). *Kunya*: Abu or Umm with
the name of a child. *Laqab*: a title of honour (Sheikh, Hajji, Sayyid). *Nisba*: the name of origin
in -i with the article. Whether a word is given, father's, grandfather's or family name follows from
customs that differ (Egypt and Somalia write three given names, Iran a given and a family name), so
parts keep their place but are never forced into roles.

Everything here reads folded words (`letters.fold`) and is pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache
from importlib.resources import files

from connector.matching.letters import Script, fold, script_of

__all__ = [
    "MOST_PARTS",
    "SHORT_FOR_ANY_ABD",
    "Kind",
    "Part",
    "Prefix",
    "Reading",
    "Suffix",
    "named_parts",
    "parts_of",
    "plain_part",
]

MOST_PARTS = 8
"""Parts of a name that are compared; what follows is left out, so that the time stays bounded."""


class Prefix(Enum):
    """What stands before the core of a compound."""

    NONE = ""
    ABD = "abd"
    ABU = "abu"
    UMM = "umm"


class Suffix(Enum):
    """What stands after the core of a compound."""

    NONE = ""
    DIN = "din"
    ALLAH = "allah"
    ZADEH = "zadeh"
    NEJAD = "nejad"
    POUR = "pour"
    OGLU = "oglu"
    ZAI = "zai"


class Kind(Enum):
    """How much a part says: a NAME does; a TITLE (Hajji, Khan, bin) comes and goes."""

    NAME = "name"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a part: the core of the name and what stands around it."""

    core: str
    prefix: Prefix = Prefix.NONE
    suffix: Suffix = Suffix.NONE


@dataclass(frozen=True, slots=True)
class Part:
    """One unit of a name with its *readings*, the likeliest first: حجازي is Hijazi, and could be Hija-zai."""

    readings: tuple[Reading, ...]
    kind: Kind = Kind.NAME

    @property
    def plain(self) -> str | None:
        """The word itself, if the first reading is nothing but a word."""
        first = self.readings[0]
        return first.core if first.prefix is Prefix.NONE and first.suffix is Suffix.NONE else None


def plain_part(word: str) -> Part:
    """The part that is one folded word and nothing else."""
    return Part((Reading(word),))


@cache
def _vocabulary() -> dict[str, frozenset[str]]:
    """The words with a part to play in a name, folded, by that part: `vocabulary.tsv`."""
    lines = files(__package__).joinpath("vocabulary.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return {part: frozenset(words.split()) for part, words in rows}


_TITLES = _vocabulary()["title"]
_CHAIN = _vocabulary()["chain"]
_AFTER_ARTICLE = _vocabulary()["after_article"]  # Nur al-Din, but Emad Dean
SHORT_FOR_ANY_ABD = _vocabulary()["abd_alone"]
"""Abd, Abdel, Abdou by themselves: short forms of any name that begins so."""
_ABD = re.compile("[c3]?a[bp]d(?:[aeiou]{1,2}[lrsntdz]|e?sh|[uea]?)|abed|عبد(?:ال)?")
_ABD_ATTACHED = re.compile("[c3]?a[bp][dt](?:[aeiou]{1,2}(?:l(?=..)|(?=[rsndtzj]...))|(?=rr|al))(?P<core>[a-z0-9]{2,})")
_ABD_ARABIC = re.compile("عبد(?:ال)?(?P<core>..+)")
_ALLAH = _vocabulary()["god"]
_ABU = _vocabulary()["abu"]
_ABU_ATTACHED = re.compile("(?:ab[ou]|abou|ebu)l?(?P<core>(?![aeiou])[a-z]{4,})|ابو(?P<arabic>...+)")
_UMM = _vocabulary()["umm"]
_ARTICLES = _vocabulary()["article"]
_ARABIC_ARTICLE = re.compile("ال(..+)")
_SUN_ARTICLE = re.compile("[aeiou](sh|ch|th|dh|[rsdntzlj])")
_SUFFIXES = {suffix: _vocabulary()[suffix.value] for suffix in Suffix if suffix is not Suffix.NONE}
_SUFFIX_ATTACHED = {
    Suffix.DIN: re.compile("(...*?)(?:[aeiou]?[aeiou]l?d|l)d(?:in|een|ine|eene|ien)|(...*?)[ae]ttin|(..+)الدين"),
    Suffix.ALLAH: re.compile("(...+?)[aeou]llah|(..+?)(?:الله|لله)"),
    Suffix.ZADEH: re.compile("(?P<core>...+?)zad(?:eh|a|e|ah)|(?P<arabic>..+)زاده"),
    Suffix.NEJAD: re.compile("(?P<core>...+?)(?:nejad|nezhad|nejhad)|(?P<arabic>..+)(?:نژاد|نجاد)"),
    Suffix.POUR: re.compile("(?P<core>...+?)(?:pour|poor|pur)|(?P<arabic>..+)پور"),
    Suffix.OGLU: re.compile("(?P<core>...+?)(?:oglu|oghlu|oghli)|(?P<arabic>..+)(?:اوغلو|اوغلي)"),
}
_MAYBE_DIN = re.compile("(...*?)[aeiou]d(?:in|een|ine|ien)")  # Nuradin, but also Claudine
_MAYBE_ALLAH = re.compile("(...+?)[aou]lla")
_ZAI_ATTACHED = re.compile("(...+)za[iy]|(..+)زي")
_BOU_ATTACHED = re.compile("bou([a-z]{3,})|بو(..+)")
_MOHAMMAD_ATTACHED = re.compile("(m[ou]hamm?[ae]d)([a-z]{3,})|([a-z]{3,})(m[ou]hamm?[ae]d)|(محمد)(..+)|(..+)(محمد)")
_ARTICLE_ATTACHED = re.compile(
    "[ae]l(?P<core>[a-z]{4,})|[ae](?P<sun>(?:rr|ss|nn|dd|tt|zz|ssh|ch)[a-z]{3,})|ال(?P<arabic>..+)"
)


def _past_article(word: str) -> tuple[str, ...]:
    """A word, and the word without what may be an article at its start."""
    found = _ARTICLE_ATTACHED.fullmatch(word)
    if not found:
        return (word,)
    bare = next(group for group in found.groups() if group)
    return (bare, word) if found["arabic"] else (word, bare)


def _is_sun_article(word: str, following: str) -> bool:
    """Whether a word is an article whose l took the sound of the next word: ar Rahman, ash Sharif."""
    found = _SUN_ARTICLE.fullmatch(word)
    return found is not None and following.startswith(found[1])


def _is_article(word: str, following: str) -> bool:
    return word in _ARTICLES or _is_sun_article(word, following)


def _god(core: str) -> str:
    """The one spelling that all spellings of the divine name after abd come down to."""
    if core not in _ALLAH:
        return core
    return "الله" if script_of(core) is Script.ARABIC else "allah"


def _without_article(word: str) -> str:
    found = _ARABIC_ARTICLE.fullmatch(word)
    return found[1] if found and word not in _ALLAH else word


def _core(found: re.Match[str]) -> str:
    return next(core for core in found.groups() if core)


def _attached_compounds(word: str) -> list[Reading]:
    """Readings of one word as a compound: Abdelkader, عبدالله, Abubakar, Salahuddin, Hosseinzadeh."""
    found = _ABD_ARABIC.fullmatch(word) or _ABD_ATTACHED.fullmatch(word)
    if found:
        return [Reading(_god(_core(found)), Prefix.ABD)]
    found = _ABU_ATTACHED.fullmatch(word)
    if found:
        return [Reading(core, Prefix.ABU) for core in _past_article(_core(found))]
    return [
        Reading(_core(found), suffix=suffix)
        for suffix, pattern in _SUFFIX_ATTACHED.items()
        if (found := pattern.fullmatch(word))
    ]


def _less_likely(word: str) -> list[Reading]:
    """Readings beside the plain one: Maghrebi Bou- for Abu, a Pashto tribe's -zai, -din and -alla in short."""
    bou = _BOU_ATTACHED.fullmatch(word)
    endings = ((Suffix.ZAI, _ZAI_ATTACHED), (Suffix.DIN, _MAYBE_DIN), (Suffix.ALLAH, _MAYBE_ALLAH))
    found = ((suffix, pattern.fullmatch(word)) for suffix, pattern in endings)
    readings = [Reading(_core(match), suffix=suffix) for suffix, match in found if match]
    return [*readings, Reading(_core(bou), Prefix.ABU)] if bou else readings


@lru_cache(maxsize=65536)
def _single(word: str) -> Part:
    """The part that a word is by itself."""
    if word in _TITLES or word in _CHAIN:
        return Part((Reading(word),), Kind.TITLE)
    compounds = _attached_compounds(word)
    plain = [Reading(core) for core in _past_article(word)]
    return Part(tuple(compounds or [*plain, *_less_likely(word)]))


def _split_attached(words: tuple[str, ...]) -> list[str]:
    """Split Mohammadreza and محمدرضا into the two given names they are."""
    split: list[str] = []
    for word in words:
        found = _MOHAMMAD_ATTACHED.fullmatch(word)
        split += [group for group in found.groups() if group] if found else [word]
    return split


def _prefix_at(words: list[str], at: int) -> tuple[Prefix, int]:
    """The prefix a separate word is, and where its core stands past any article; NONE if it is none."""
    word = words[at]
    prefix = Prefix.NONE
    if _ABD.fullmatch(word):
        prefix = Prefix.ABD
    elif word in _ABU:
        prefix = Prefix.ABU
    elif word in _UMM:
        prefix = Prefix.UMM
    core = at + 1
    while prefix is not Prefix.NONE and core + 1 < len(words) and _is_article(words[core], words[core + 1]):
        core += 1
    return (prefix, core) if core < len(words) else (Prefix.NONE, at)


def _suffix_at(words: list[str], at: int) -> tuple[Suffix, int]:
    """The suffix that follows at *at*, past an article, and the place after it; NONE if none does."""
    past = at
    if past + 1 < len(words) and _is_article(words[past], words[past + 1]):
        past += 1
    if past < len(words) and (past > at or words[past] not in _AFTER_ARTICLE):
        for suffix, spellings in _SUFFIXES.items():
            if words[past] in spellings:
                return suffix, past + 1
    return Suffix.NONE, at


def _compound(words: list[str], at: int) -> tuple[Part, int]:
    """The part that begins at a word, and where the next one does."""
    prefix, core_at = _prefix_at(words, at)
    if prefix is not Prefix.NONE:
        core = _without_article(words[core_at])
        cores = (_god(core),) if prefix is Prefix.ABD else _past_article(core)
        return Part(tuple(Reading(core, prefix) for core in cores)), core_at + 1
    part = _single(words[at])
    suffix, after = _suffix_at(words, at + 1)
    if suffix is Suffix.NONE or part.kind is Kind.TITLE or part.plain is None:
        return part, at + 1
    return Part(tuple(Reading(core, suffix=suffix) for core in _past_article(words[at]))), after


def _after(before: Part, part: Part) -> Part:
    """A part after a title may also be written as one word with it: Mir Wais, Mirwais; Ben Ali, Benali."""
    if before.kind is not Kind.TITLE or part.kind is Kind.TITLE or part.plain is None:
        return part
    return Part((*part.readings, Reading(before.readings[0].core + part.plain)))


@lru_cache(maxsize=65536)
def parts_of(name: str) -> tuple[Part, ...]:
    """The parts of a name as written, in their order; empty if no letter is in it.

    An article between two parts is dropped.
    """
    words = _split_attached(fold(name))
    parts: list[Part] = []
    at = 0
    while at < len(words) and len(parts) < MOST_PARTS:
        if at + 1 < len(words) and _is_article(words[at], words[at + 1]):
            at += 1
            continue
        part, at = _compound(words, at)
        parts.append(_after(parts[-1], part) if parts else part)
    return tuple(parts)


def named_parts(name: str) -> tuple[Part, ...]:
    """The parts that are compared: without the titles, unless fewer than two parts would be left."""
    parts = parts_of(name)
    named = tuple(part for part in parts if part.kind is Kind.NAME)
    return named if len(named) > 1 else tuple(Part(part.readings) for part in parts)
