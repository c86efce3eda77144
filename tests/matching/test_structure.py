"""The parts of names: compounds, articles, titles."""

from __future__ import annotations

import pytest

from connector.matching.structure import Kind, Prefix, Reading, Suffix, named_parts, parts_of


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Abdul Rahman", Reading("rahman", Prefix.ABD)),
        ("Abd ar-Rahman", Reading("rahman", Prefix.ABD)),
        ("عبد الرحمن", Reading("رحمن", Prefix.ABD)),
        ("عبدالرحمن", Reading("رحمن", Prefix.ABD)),
        ("Abdelkader", Reading("kader", Prefix.ABD)),
        ("Abd-el-Kader", Reading("kader", Prefix.ABD)),
        ("Abdoulaye", Reading("allah", Prefix.ABD)),
        ("Abdullahi", Reading("allah", Prefix.ABD)),
        ("عبداله", Reading("الله", Prefix.ABD)),
        ("Abu Bakr", Reading("bakr", Prefix.ABU)),
        ("أبو بكر", Reading("بكر", Prefix.ABU)),
        ("Abubakar", Reading("bakar", Prefix.ABU)),
        ("أم كلثوم", Reading("كلثوم", Prefix.UMM)),
        ("Nur al-Din", Reading("nur", suffix=Suffix.DIN)),
        ("Noureddine", Reading("nour", suffix=Suffix.DIN)),
        ("صلاح الدين", Reading("صلاح", suffix=Suffix.DIN)),
        ("Saifullah", Reading("saif", suffix=Suffix.ALLAH)),
        ("Hosseinzadeh", Reading("hossein", suffix=Suffix.ZADEH)),
        ("حسین‌زاده", Reading("حسين", suffix=Suffix.ZADEH)),
        ("Ghasem Nezhad", Reading("ghasem", suffix=Suffix.NEJAD)),
    ],
)
def test_a_compound_is_one_part(written: str, expected: Reading) -> None:
    """However a compound is spaced and spelled, it is one part with its core and what stands around it."""
    (part,) = parts_of(written)
    assert expected == part.readings[0]


@pytest.mark.parametrize("written", ["Mohammad Reza", "Mohammadreza", "محمد رضا", "محمدرضا", "محمد‌رضا"])
def test_mohammad_and_a_second_name_are_two_parts(written: str) -> None:
    """Mohammad before another given name is a part by itself, so the other one can be found alone."""
    assert 2 == len(parts_of(written))


def test_titles_are_left_out_unless_nothing_else_is_there() -> None:
    """A sheikh, a doctor or a bin between names says nothing; a man called Khan is called Khan."""
    assert ["ali", "hassan", "baghdadi"] == [
        part.plain for part in named_parts("Dr. Sheikh Ali bin Hassan al-Baghdadi")
    ]
    assert ["khan"] == [part.plain for part in named_parts("Khan")]
    assert Kind.TITLE == parts_of("Sheikh Ali Omar")[0].kind


def test_what_may_be_an_article_may_also_be_the_name() -> None:
    """الياس is Ilyas, and الحسن is Hasan: both readings are kept."""
    assert {"الياس", "ياس"} == {reading.core for reading in parts_of("الياس")[0].readings}
