"""Words that no question holds: what the paper version, the cards and the training banner say around the questions.

words.csv has one row a word, one column a language; the texts are machine-drafted until a native practitioner has
reviewed them, like the PO files.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from forms.tables import FORMS


def words(language: str) -> Mapping[str, str]:
    """Key → text in *language* (a code of `LANGUAGES`)."""
    return MappingProxyType({key: texts[language] for key, texts in _table().items()})


def in_every_language(key: str) -> Mapping[str, str]:
    """Language → the text of one key."""
    return _table()[key]


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    with (FORMS / "words.csv").open(encoding="utf-8", newline="") as stream:
        return {row.pop("key"): row for row in csv.DictReader(stream)}
