"""The score of two names."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.matching import explain_names, score_file, score_names
from connector.matching.reasons import LANGUAGES

NAMES = st.text(
    alphabet=st.one_of(st.sampled_from("abdelrhmnou 'محمدعبالة کی‌ـّ٣3ҳАа\u202e🙂-"), st.characters()), max_size=60
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("محمد عبد الله", "Mohamad Abdallah"),
        ("محمّدعبداله", "Mohand Abdellah"),
        ("Djamel Bouzid", "Gamal Abu Zaid"),
        ("Cabdi Xasan Cali", "عبدي حسن علي"),
        ("7assan 3ali", "Hassan Ali"),
        ("Hüseyin Yıldız", "حسين يلدز"),
        ("Магомед Хасанов", "Mohammed Khasanov"),
        ("Mir Wais Noorzai", "میرویس نورزی"),
        ("Nur Ahmad Safi", "Nurahmad Safi"),
        ("Hakimi Samira", "سمیرا حکیمی"),
    ],
)
def test_one_person_written_twice_scores_high(one: str, other: str) -> None:
    """Spellings of one name in other scripts, countries and orders score above a half."""
    assert score_names(one, other) > 0.5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Abu Rahman Qadri", "Abdul Rahman Qadri"),
        ("أبو يوسف الحلبي", "Yusuf al-Halabi"),
        ("Mohamed Ali Hassan", "Ahmed Ali Hassan"),
        ("محمد علي حسن", "Mahmoud Ali Hassan"),
        ("Mohamed Ali Hassan", "Ali Mohamed Hassan"),
        ("Hassan Karimi", "Hossein Karimi"),
        ("Mohammad Hosseinzadeh", "Mohammad Hosseini"),
        ("Saifullah Moradi", "Saifuddin Moradi"),
    ],
)
def test_a_near_miss_scores_low(one: str, other: str) -> None:
    """A brother, a father, Abu for Abd or another ending is another person: below a half."""
    assert score_names(one, other) < 0.5


def test_a_rare_name_says_more_than_a_common_one() -> None:
    """Two people called Mohamed Ali are many; two called Zarghuna Wakilzada hardly are."""
    assert score_names("Mohamed Ali", "Mohamed Ali") < score_names("Zarghuna Wakil", "Zarghuna Wakil")


@pytest.mark.parametrize("nothing", ["", " ", "🙂", "12345", "٣٤", "\u202e\u200f", "...", "\x00", "\t"])
def test_nothing_to_compare_scores_zero_with_a_reason(nothing: str) -> None:
    """Where a side has no letter the score is 0 and the reason says so."""
    for one, other in ((nothing, "Ali"), ("Ali", nothing), (nothing, nothing)):
        score = explain_names(one, other)
        assert (0.0, ["name.nothing"]) == (score.value, [reason.code for reason in score.reasons])


@given(NAMES, NAMES)
def test_any_two_strings_have_one_symmetric_score(one: str, other: str) -> None:
    """No string raises; the score is a number 0..1, the same both ways and the same again."""
    score = score_names(one, other)
    assert 0.0 <= score <= 1.0
    assert score == score_names(other, one) == score_names(one, other)


@pytest.mark.parametrize("letter", ["a", "ab ", "م", "عبد ", "abu ", "ﷺ", "al-", "🙂", "é\u0301"])
def test_time_is_bounded_for_long_names(letter: str) -> None:
    """Ten kilobytes and ten megabytes of name are answered as fast."""
    started = time.process_time()
    for size in (10_000, 10_000_000):
        score_names(letter * (size // len(letter)), "محمد " * 2000)
    assert time.process_time() - started < 1.0


def test_marks_and_lookalikes_change_nothing() -> None:
    """Marks of direction, joiners, harakat and Cyrillic lookalikes leave the score as it is."""
    plain = score_names("Mohamed Ali", "محمد علي")
    assert plain == score_names("Mоhamed Аli", "\u202bمُحمّد\u202c عـلي")


def test_reasons_add_up_and_speak_four_languages() -> None:
    """The reasons' weights are the log odds of the score, and each has its sentence in each language."""
    score = explain_names("Ahmad Karimi", "احمد کریمی حسینی")
    assert score.weight is not None
    assert math.isclose(score.weight, sum(reason.weight for reason in score.reasons))
    assert ["name.same", "name.left_over"] == [reason.code for reason in score.reasons]
    assert all(len({reason.sentence(language) for language in LANGUAGES}) == 4 for reason in score.reasons)
    assert score.reasons[0].sentence("en") == score.reasons[0].sentence("xx")


def test_a_file_gives_one_score_a_line_in_its_order(tmp_path: Path) -> None:
    """Lines that are empty, without a tab or not UTF-8 have their score too, so lines stay in step."""
    pairs = tmp_path / "pairs.tsv"
    lines = ["\ufeffAli Omar\tعلي عمر", "", "no tab", "Ali\t", "Ali Omar\tAli Omar\tmore", "a\u2028b\tc\x0cd"]
    pairs.write_bytes("\r\n".join(lines).encode() + b"\n\xff\xfe\tAli")
    scores = list(score_file(pairs))
    assert 7 == len(scores)
    assert score_names("Ali Omar", "علي عمر") == scores[0]
    assert [0.0, 0.0, 0.0] == scores[1:4]
    assert score_names("Ali Omar", "Ali Omar") == scores[4]
