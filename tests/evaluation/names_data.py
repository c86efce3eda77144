"""The development data of names and its split, frozen by hash before anything was tuned.

Sources, for tuning and measuring only and never shipped: NETransliteration-COLING2018 (MIT,
(c) 2018 Amazon.com) `wd_arabic.tokens.tsv` with Latin token, Arabic letters, count; and
google/transliteration (Apache-2.0, Google) `ar2en.tsv` with Arabic token, Latin token.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "fixtures" / "names"
_SALT = "silah names, split 1: "
_SAME_LETTER = str.maketrans("أإآىةک", "ااايهك")


def folder() -> Path:
    """The folder of the full lists if SILAH_NAMES_DATA names one, the small committed sample otherwise."""
    return Path(os.environ.get("SILAH_NAMES_DATA", SAMPLE))


def arabic_key(word: str) -> str:
    """The key the split is made by. Written out here, so that a change of the product cannot move it."""
    plain = unicodedata.normalize("NFKC", word).translate(_SAME_LETTER)
    return "".join(letter for letter in plain if unicodedata.category(letter) == "Lo")


def is_held_out(key: str) -> bool:
    """Whether a key belongs to the quarter that tuning never sees."""
    return hashlib.sha256((_SALT + key).encode()).digest()[0] < 64


def fingerprint(keys: set[str]) -> str:
    """The hash by which the frozen split is recognised; docs/matching.md tells it."""
    return hashlib.sha256("\n".join(sorted(filter(is_held_out, keys))).encode()).hexdigest()


@dataclass(frozen=True)
class Spelling:
    """One attested pair: *latin* for *arabic*, seen *count* times; *key* decides the side of the split."""

    key: str
    arabic: str
    latin: str
    count: int


def wikidata(source: Path) -> list[Spelling]:
    """The first list; letters that stand apart in the file are joined."""
    rows = (line.split("\t") for line in (source / "wd_arabic.tokens.tsv").read_text("utf-8").splitlines())
    joined = ((latin, arabic.replace(" ", ""), int(count)) for latin, arabic, count in rows)
    return [Spelling(arabic_key(arabic), arabic, latin, count) for latin, arabic, count in joined if arabic_key(arabic)]


def google(source: Path) -> list[Spelling]:
    """The second list, one Latin token for an Arabic one."""
    rows = (line.split("\t") for line in (source / "ar2en.tsv").read_text("utf-8").splitlines())
    return [Spelling(arabic_key(arabic), arabic, latin, 1) for arabic, latin in rows if arabic_key(arabic)]


def by_key(spellings: list[Spelling], at_least: int) -> dict[str, list[Spelling]]:
    """Spellings seen *at_least* so many times, by Arabic key; the rarer ones are mostly noise."""
    keys: dict[str, list[Spelling]] = defaultdict(list)
    for spelling in spellings:
        if spelling.count >= at_least:
            keys[spelling.key].append(spelling)
    return dict(keys)
