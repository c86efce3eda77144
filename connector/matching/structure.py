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
from functools import lru_cache

from connector.matching.letters import Script, fold, script_of

__all__ = ["MOST_PARTS", "Kind", "Part", "Prefix", "Suffix", "parts_of"]

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
class Part:
    """One unit of a name. *cores* are its readings, with and without an article that may be one."""

    cores: tuple[str, ...]
    prefix: Prefix = Prefix.NONE
    suffix: Suffix = Suffix.NONE
    kind: Kind = Kind.NAME

    @property
    def core(self) -> str:
        """The first reading."""
        return self.cores[0]


_TITLES = frozenset(
    """
    dr doctor prof professor mr mrs ms miss mister sir madame mme mlle monsieur mademoiselle eng engineer ustad ustaz
    ustadh sheikh shaikh sheik shaykh cheikh cheick cheikhna sayyid sayyed sayed syed seyed seyyed sayid sidi
    haj hajj haji hajji hadj hadji alhaj alhaji hajja hajjah mulla mullah molla moulla maulana mawlana moulay
    mir mirza imam qari hafiz hojjat ayatollah karbalai mashhadi bibi khanum khanom hanim begum bano banu khan jan bey beg
    aga agha effendi efendi pasha hoca hodja jr
    دكتور الدكتور استاذ الاستاذ شيخ الشيخ سيد السيد سيده السيده حاج الحاج حاجي حجي حاجه الحاجه ملا مير ميرزا امام مولانا
    مولاي سيدي مهندس المهندس بيبي خانم خانوم بيگم بيكم خان جان اغا بيك بك افندي باشا اقا اقاي كربلايي مشهدي حجه ايت
    """.split()
)
_CHAIN = frozenset(
    "bin ben ibn ebn bint bent binti binte bnt ould wuld wald weld walad veled oul ولد بن ابن بنت of e i ye va".split()
)
_ABD = re.compile("[c3]?a[bp]d(?:[aeiou]{1,2}[lrsntdz]|e?sh|[uea]?)|abed|عبد(?:ال)?")
_ABD_ATTACHED = re.compile("[c3]?a[bp][dt](?:[aeiou]{1,2}(?:l(?=..)|(?=[rsndtzj]...))|(?=rr|al))(?P<core>[a-z0-9]{2,})")
_ABD_ARABIC = re.compile("عبد(?:ال)?(?P<core>..+)")
_ALLAH = frozenset("allah ullah ollah ellah alla ulla olla llah lah la lahi lay laye aye lo loh lla الله اله لله له لاه اللاه".split())
_ABU = frozenset("abu abou abo aboul abul abol aba abi ebu ebou ابو ابي ابا".split())
_ABU_ATTACHED = re.compile("(?:ab[ou]|abou|ebu)l?(?P<core>(?![aeiou])[a-z]{4,})|ابو(?P<arabic>...+)")
_UMM = frozenset("umm um om oum ummu oumou ام".split())
_ARTICLES = frozenset("al el ul il ol l ال".split())
_SUN_ARTICLE = re.compile("[aeiou](sh|ch|th|dh|[rsdntzlj])")
_SUFFIXES = {
    Suffix.DIN: frozenset("din deen dine ddin ddine eddin eddine uddin uddine addin eldin eldeen eldine aldin aldeen addeen الدين دين".split()),
    Suffix.ALLAH: frozenset("allah ullah ollah ellah ulla الله اله".split()),
    Suffix.ZADEH: frozenset("zadeh zada zade zadah zadah زاده زاد".split()),
    Suffix.NEJAD: frozenset("nejad nezhad nejhad nezad nejat نژاد نجاد نزاد".split()),
    Suffix.POUR: frozenset("pour poor pur pur پور بور".split()),
    Suffix.OGLU: frozenset("oglu oghlu ogli oghli oglou اوغلو اوغلي".split()),
    Suffix.ZAI: frozenset("zai zay zei zey زي زاي".split()),
}
_SUFFIX_ATTACHED = {
    Suffix.DIN: re.compile("(?P<core>...*?)(?:[aeiou]?[aeiou]l?d|l)?d(?:in|een|ine|eene|ien)|(?P<arabic>..+)الدين"),
    Suffix.ALLAH: re.compile("(?P<core>...+?)(?:[aou]lla|ella)h?|(?P<arabic>..+?)(?:الله|لله)"),
    Suffix.ZADEH: re.compile("(?P<core>...+?)zad(?:eh|a|e|ah)|(?P<arabic>..+)زاده"),
    Suffix.NEJAD: re.compile("(?P<core>...+?)(?:nejad|nezhad|nejhad)|(?P<arabic>..+)(?:نژاد|نجاد)"),
    Suffix.POUR: re.compile("(?P<core>...+?)(?:pour|poor)|(?P<arabic>..+)پور"),
    Suffix.OGLU: re.compile("(?P<core>...+?)(?:oglu|oghlu|oghli)|(?P<arabic>..+)(?:اوغلو|اوغلي)"),
    Suffix.ZAI: re.compile("(?P<core>...+?[fsdknrlm])zai|(?P<arabic>...+)زي"),
}
_MOHAMMAD_ATTACHED = re.compile("(?P<first>m[ou]hamm?[ae]d)(?P<second>[a-z]{3,})|(?P<arabic>محمد)(?P<rest>..+)")
_ARTICLE_ATTACHED = re.compile("[ae]l(?P<core>[a-z]{4,})|[ae](?P<sun>(?:rr|ss|nn|dd|tt|zz|ssh|ch)[a-z]{3,})|ال(?P<arabic>..+)")


def _readings(word: str) -> tuple[str, ...]:
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
    if word.startswith("ال") and len(word) > 3 and word != "الله":
        return word[2:]
    return word


def _attached_prefix(word: str) -> Part | None:
    """Read a compound written as one word: Abdelkader, عبدالله, Abubakar."""
    found = _ABD_ARABIC.fullmatch(word) or _ABD_ATTACHED.fullmatch(word)
    if found:
        return Part((_god(found["core"]),), Prefix.ABD)
    found = _ABU_ATTACHED.fullmatch(word)
    if found:
        return Part(_readings(found["core"] or found["arabic"]), Prefix.ABU)
    return None


def _attached_suffix(word: str) -> Part | None:
    """Read a compound written as one word: Salahuddin, Saifullah, Hosseinzadeh."""
    for suffix, pattern in _SUFFIX_ATTACHED.items():
        found = pattern.fullmatch(word)
        if found:
            return Part((found["core"] or found["arabic"],), suffix=suffix)
    return None


def _single(word: str) -> Part:
    if word in _TITLES or word in _CHAIN:
        return Part((word,), kind=Kind.TITLE)
    return _attached_prefix(word) or _attached_suffix(word) or Part(_readings(word))


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
    if past < len(words):
        for suffix, spellings in _SUFFIXES.items():
            if words[past] in spellings:
                return suffix, past + 1
    return Suffix.NONE, at


def _compound(words: list[str], at: int) -> tuple[Part, int]:
    """The part that begins at a word, and where the next one does."""
    prefix, core_at = _prefix_at(words, at)
    if prefix is not Prefix.NONE:
        core = _without_article(words[core_at])
        return Part((_god(core),) if prefix is Prefix.ABD else _readings(core), prefix), core_at + 1
    part = _single(words[at])
    suffix, after = _suffix_at(words, at + 1)
    if suffix is Suffix.NONE or part.kind is Kind.TITLE or part.suffix is not Suffix.NONE:
        return part, at + 1
    return Part(part.cores, part.prefix, suffix), after


@lru_cache(maxsize=65536)
def parts_of(name: str) -> tuple[Part, ...]:
    """The parts of a name as written, in their order; empty if no letter is in it.

    An article between two parts is dropped. A name of titles only (Khan, Sheikh) is a name.
    """
    words = _split_attached(fold(name))
    parts: list[Part] = []
    at = 0
    while at < len(words) and len(parts) < MOST_PARTS:
        if at + 1 < len(words) and _is_article(words[at], words[at + 1]):
            at += 1
            continue
        part, at = _compound(words, at)
        parts.append(part)
    if all(part.kind is Kind.TITLE for part in parts):
        return tuple(Part(part.cores) for part in parts)
    return tuple(parts)
