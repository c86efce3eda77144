"""Code points of a name, folded to a key for matching; the text as written is never changed.

One letter may be typed in many ways: presentation forms, three yehs, two kafs, four hehs, vowel
signs, tatweel, joiners, marks of direction pasted along. `fold` brings all of them to one, for the
Arabic script (Arabic, Persian, Dari, Urdu, Kurdish, Pashto), the Latin and the Cyrillic one.
It is a pure function; what it returns is only ever compared, never shown and never kept.

Sources: the Unicode character database (NFKC, categories Cf and Mn); the alphabets' own orthographies.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from functools import lru_cache

__all__ = ["LONGEST_NAME", "Script", "fold", "script_of"]

LONGEST_NAME = 200
"""Characters of a name that are looked at; no civil name is longer, and the time stays bounded."""

_ZERO_WIDTH_NON_JOINER = "\u200c"
_WORD = re.compile(r"[^\W_]+")

# Letters that are the same letter in a name's key. Persian and Urdu letters with a sound of their
# own (پ چ ژ گ ڤ) stay: their nearness to ب ج ز ك ف is in the table of weights.
_ARABIC_LETTERS = {
    "أإآٱٲٳ": "ا",
    "ؤۆۇۈۋۉ": "و",
    "ىیېےۍێۓ": "ي",
    "کڪګ": "ك",
    "ةۃہۂۀھ": "ه",
    "ٹټٺ": "ت",
    "ڈډڊ": "د",
    "ڑړڕ": "ر",
    "ںڼ": "ن",
    "ڵ": "ل",
    "ښ": "ش",
    "څ": "س",
    "ځ": "ز",
    "ڨ": "ق",
    "ءٴـ": "",
}
# Latin letters that carry a sound of their own keep it as the usual pair of letters; ʿ ʾ and their
# likes go, since most writers leave the ayn and the hamza out.
_LATIN_LETTERS = {
    "ßẞ": "ss",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "åā": "a",
    "ð": "dh",
    "þ": "th",
    "đ": "d",
    "ł": "l",
    "ı": "i",
    "ə": "a",
    "şšș": "sh",
    "č": "ch",
    "ž": "zh",
    "ğ": "gh",
    "ḵ": "kh",
    "ṯ": "th",
    "ḏ": "dh",
    "ʿʾʻʼ'’‘`´ʹ′": "",
}
_CYRILLIC_SINGLE = str.maketrans(
    "абвгдезийклмнопрстуфыэіїєґқғұүһәөўҳҷӣӯ", "abvgdeziyklmnoprstufyeiiegqguuhaouhjiu", "ьъ"
)
_CYRILLIC_PAIRS = {
    "ё": "yo",
    "ж": "zh",
    "х": "kh",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "щ": "sh",
    "ю": "yu",
    "я": "ya",
    "ң": "ng",
}
# Letters whose marks are no accents, and the private code points that carry them past decomposition.
_KEPT_WHOLE = str.maketrans("çئ", "\ue000\ue001")
_GIVEN_BACK = str.maketrans("\ue000\ue001", "çئ")
# A Cyrillic or Greek letter inside an otherwise Latin word was put there by its looks.
_LOOKS_LATIN = str.maketrans("авеікмнорстухѕјһαβεικνορτυχ", "abeikmhopctyxsjhabeiknoptux")


class Script(Enum):
    """The script a folded word is written in; OTHER is compared letter by letter only."""

    LATIN = "Latin"
    ARABIC = "Arabic"
    OTHER = "other"


def _spread(table: dict[str, str]) -> dict[int, str]:
    return {ord(letter): to for letters, to in table.items() for letter in letters}


_FOLDED = _spread(_ARABIC_LETTERS) | _spread(_LATIN_LETTERS)
_CYRILLIC = _CYRILLIC_SINGLE | _spread(_CYRILLIC_PAIRS)


def _is_arabic(letter: str) -> bool:
    return "\u0600" <= letter <= "\u06ff" or "\u0750" <= letter <= "\u077f"


def _is_latin(letter: str) -> bool:
    return "a" <= letter <= "z" or letter == "ç"


@lru_cache(maxsize=65536)
def script_of(word: str) -> Script:
    """The script of a folded word, by its first letter that is of a known one."""
    for letter in word:
        if _is_latin(letter):
            return Script.LATIN
        if _is_arabic(letter):
            return Script.ARABIC
    return Script.OTHER


def _without_marks(text: str) -> str:
    """Drop vowel signs, accents, tatweel and marks of direction; ç keeps its cedilla and ئ its hamza."""
    if text.isascii():
        return text.replace("'", "").replace("`", "")
    composed = unicodedata.normalize("NFC", text).translate(_FOLDED)
    split = unicodedata.normalize("NFKD", composed.translate(_KEPT_WHOLE)).translate(_GIVEN_BACK)
    return "".join(letter for letter in split if unicodedata.category(letter) not in {"Mn", "Me", "Cf"})


def _in_one_script(word: str) -> str:
    """Bring a Cyrillic word to Latin letters, and lookalikes in a Latin word to what they look like."""
    if word.isascii():
        return word
    if any(_is_latin(letter) for letter in word):
        return word.translate(_LOOKS_LATIN)
    return word.translate(_CYRILLIC)


def _as_arabic_spells(word: str) -> str:
    """Bring Kurdish vowel writing to the Arabic one: ئە at the start is an alef, a short ە is not written."""
    if not _is_arabic(word[0]):
        return word
    started = re.sub("^ئ[ەا]?", "ا", word)
    return re.sub("ە(?=.)", "", started).replace("ە", "ه").replace("ئ", "ي").replace("وو", "و")


def _digits_in_place(word: str) -> str:
    """Digits stay only inside a Latin word, where they are letters of Arabizi (7asan, 3ali)."""
    if word.isalpha():
        return word
    plain = "".join(str(unicodedata.digit(letter, "")) or letter for letter in word)
    if any(_is_latin(letter) for letter in plain):
        return "".join(letter for letter in plain if letter.isalpha() or letter in "2356789")
    return "".join(letter for letter in plain if letter.isalpha())


@lru_cache(maxsize=65536)
def fold(text: str) -> tuple[str, ...]:
    """The words of a name as keys: lower case, one code point a letter, no marks and no digits.

    Args:
        text: a name as somebody wrote it, in any script; looked at up to `LONGEST_NAME` characters.

    Returns:
        The words in their order, without the ones in which no letter is left.
    """
    compatible = unicodedata.normalize("NFKC", text[:LONGEST_NAME])[:LONGEST_NAME]
    joined = compatible.replace(_ZERO_WIDTH_NON_JOINER, " ").replace("İ", "i").lower()
    words = (_digits_in_place(_in_one_script(word)) for word in _WORD.findall(_without_marks(joined)))
    return tuple(_as_arabic_spells(word) for word in words if word)
