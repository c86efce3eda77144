"""Folding of code points to keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.matching.letters import LONGEST_NAME, Script, fold, script_of


@pytest.mark.parametrize(
    ("written", "other"),
    [
        ("محمّد", "محمد"),
        ("مُحَمَّد", "محمـــد"),
        ("أحمد إبراهيم آمال", "احمد ابراهيم امال"),
        ("علی کریمی", "علي كريمي"),
        ("فاطمة", "فاطمه"),
        ("مصطفى", "مصطفي"),
        ("رحمٰن", "رحمن"),
        ("\u200fمحمد\u200e \u202bعلي\u202c", "محمد علي"),
        ("ﷲ", "الله"),
        ("ﻋﻠﻲ", "علي"),
        ("رضا‌زاده", "رضا زاده"),
        ("ئەحمەد", "احمد"),
        ("کەریم", "كريم"),
        ("بھٹی", "بهتي"),
        ("İbrahim Şahin", "ibrahim shahin"),
        ("Fayçal", "fayçal"),
        ("ʿAlī Ḥusayn", "ali husayn"),
        ("O’Brien", "obrien"),
        ("Mоhаmed", "mohamed"),
        ("Магомед", "magomed"),
    ],
)
def test_one_name_has_one_key(written: str, other: str) -> None:
    """Presentation forms, marks, joiners, hamza, yeh, kaf, heh and lookalikes come down to one key."""
    assert fold(other) == fold(written)


@pytest.mark.parametrize("written", ["", " ", "123", "١٢٣", "۴۵", "🙂🙃", "\u202e\u200f", "--- ...", "\x00\x1b"])
def test_no_letter_no_word(written: str) -> None:
    """Where no letter is left there is no word."""
    assert () == fold(written)


def test_digits_are_letters_in_arabizi_only() -> None:
    """7 and 3 stand for ح and ع inside a Latin word; elsewhere digits are no part of a name."""
    assert ("7asan", "3ali") == fold("7asan 3ali 12")
    assert ("حسن",) == fold("حسن٣")


def test_scripts_are_told_apart() -> None:
    """A folded word is Latin, Arabic or something that is compared letter by letter."""
    assert [Script.LATIN, Script.ARABIC, Script.OTHER] == [script_of(word) for word in ("ali", "علي", "אברהם")]


@given(st.text(max_size=400))
def test_folding_is_stable_and_bounded(text: str) -> None:
    """Folding a key gives the key again, for any text, and never much more than is looked at."""
    words = fold(text)
    assert all(words)
    assert sum(map(len, words)) <= 4 * LONGEST_NAME
    assert len(words) == len(fold(" ".join(words)))
