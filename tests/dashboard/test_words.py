"""The catalogue: every code that a person can meet on a page has its words, in four languages."""

from __future__ import annotations

from functools import cache

import pytest

from connector.words import LANGUAGES, catalogue, explained, is_explained
from tests.docs.codes import product_codes

_GATE = ("consent", "basis", "caution", "release", "restriction", "record", "answer", "dates", "target",
         "kobo", "central", "attachment", "image", "encryption", "receipt", "content", "keys")  # fmt: skip


_codes = cache(product_codes)  # reading the source takes a while


@pytest.mark.parametrize("family", _GATE)
def test_every_reason_of_the_flow_is_said_in_plain_words(family: str) -> None:
    """No code of the gate, the intake, the servers and the targets falls back to "see the docs"."""
    codes = [code for code in _codes() if code.partition(".")[0] == family and code != "record.unknown"]
    codes = [code.replace("<to.recipient>", "authorities").replace("<answer.status>", "404") for code in codes]
    assert codes
    assert [code for code in codes if not is_explained(code) and code != "release.same_user"] == []


@pytest.mark.parametrize("word", ["gone", "vanished", "withdrawn", "erased", "parked", "policy.nothing_allowed"])
def test_what_holds_a_submission_is_said_in_plain_words(word: str) -> None:
    """The words of `queue list` as well."""
    assert is_explained(word)


def test_every_key_has_four_languages() -> None:
    """No cell is empty, and what is filled in stands in each."""
    lacking = [key for key, words in catalogue().items() if not all(words.get(one) for one in LANGUAGES)]
    unfilled = [key for key, words in catalogue().items() if len({text.count("{") for text in words.values()}) > 1]
    assert (lacking, unfilled) == ([], [])


def test_an_unknown_code_is_told_as_it_is() -> None:
    """It names the code and where to read on."""
    assert "thing.new" in explained("en", "thing.new")[0]
