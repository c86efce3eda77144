"""Words that people read, in four languages: one catalogue of keys for the pages, the figures and the codes.

`catalogue.csv` has a line for each key: `key,en,ar,fa,fr`. `{name}` stands for what is filled in. The languages
beside English were drafted by machine and wait for a native speaker of each, as docs/translations.md says.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

Language = Literal["en", "ar", "fa", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
RIGHT_TO_LEFT: frozenset[Language] = frozenset({"ar", "fa"})
OWN_NAMES: Mapping[Language, str] = {"en": "English", "ar": "العربية", "fa": "فارسی", "fr": "Français"}


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Key -> language -> words."""
    text = (files("connector.words") / "catalogue.csv").read_text(encoding="utf-8")
    return {row.pop("key"): row for row in csv.DictReader(text.splitlines())}


def said(language: Language, key: str, **filled: object) -> str:
    """The words of *key*; a key that nobody knows is shown as it is."""
    words = catalogue().get(key, {}).get(language) or key
    return words.format(**filled) if filled else words


def is_known(key: str) -> bool:
    return key in catalogue()


def explained(language: Language, code: str) -> tuple[str, str]:
    """A reason or error code in plain words: what it means, and what to do. Codes of a family share their words."""
    key = next((one for one in _candidates(code) if is_known(f"why:{one}")), None)
    if key is None:
        return said(language, "why:other", code=code), said(language, "do:other")
    return said(language, f"why:{key}"), said(language, f"do:{key}")


def is_explained(code: str) -> bool:
    """Whether the catalogue has words for *code* or its family."""
    return any(is_known(f"why:{one}") for one in _candidates(code))


def _candidates(code: str) -> tuple[str, ...]:
    """`target.http_403`, then `target.http_*`, then `target.*`."""
    family, dot, rest = code.partition(".")
    if not dot:
        return (code,)
    return (
        code,
        f"{family}.{rest.partition('_')[0]}_*",
        f"{family}.not_for_*" if "not_for_" in rest else code,
        f"{family}.*",
    )
