"""`silah forms print`: the paper version says what the tables say, in the reader's language and direction."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from forms import conditions
from forms.errors import FormError
from forms.printing import RIGHT_TO_LEFT, print_cards, print_form
from forms.tables import LANGUAGES, form_ids, load
from forms.translations import texts
from forms.words import words
from tests.forms.tiny import complete, write_form

SURVEY = """\
    type,name,label,hint,required,relevant,calculation,appearance
    note,hello,"**Read aloud:** call ${phone}
    <b>now</b>",,,,,
    calculate,phone,,,,,'1',
    select_one yes_no,info_notice_given,Was it said?,,yes,,,
    select_one yes_no,c_collect,May we write it down?,,yes,${info_notice_given} = 'yes',,
    calculate,may_record,,,,,"if(${c_collect} = 'yes', 'yes', 'no')",
    begin_group,request,Your request,,,${may_record} = 'yes',,
    text,story,What happened?,,,,,multiline
    select_multiple help,kinds,What would help?,As many as apply,,,,
    text,other,What else?,,,"selected(${kinds}, 'other')",,
    date,seen_on,When?,,,string-length(${story}) > 3,,
    begin_repeat,child,A child,,,,,
    integer,age,Age,,,,,
    end_repeat,,,,,,,
    begin_group,hidden_group,Nothing to see,,,,,
    calculate,inside,,,,,1 + 1,
    end_group,,,,,,,
    end_group,,,,,,,
"""
LISTS = "list_name,name,label\nyes_no,yes,Yes\nyes_no,no,No\nhelp,food,Food\nhelp,other,Something else\n"


class _Page(HTMLParser):
    """Counts elements by class, and notes every address that the page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.classes: dict[str, int] = {}
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "class":
                for one in (value or "").split():
                    self.classes[one] = self.classes.get(one, 0) + 1
            elif name in ("src", "href", "data"):
                self.addresses.append(value or "")


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    return complete(write_form(tmp_path, survey=SURVEY, choices=LISTS))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form_id", form_ids())
def test_every_form_prints_in_every_language(form_id: str, language: str) -> None:
    """Direction and language are set, every question of a person's has its label, and the page loads nothing."""
    page = print_form(form_id, language)

    direction = "rtl" if language in RIGHT_TO_LEFT else "ltr"
    assert f'<html lang="{language}" dir="{direction}">' in page
    assert [] == _Page(page).addresses
    assert "${" not in page
    known = texts(language, load(form_id).root)
    for question in load(form_id).questions.values():
        if question.label and question.type != "calculate" and "kobo" in question.builds:
            first = re.split(r"[*$\n<>&'\"]", known.get(question.label, question.label))[0]
            assert first in page, question.name


def test_consent_comes_first_and_what_hangs_on_it_says_so(root: Path) -> None:
    """The questions of agreement stand on the paper; the rest is headed by "only after a yes"."""
    page = print_form("tiny", "en", root)

    agreed, request = page.index("May we write it down?"), page.index("Your request")
    assert agreed < request < page.index(words("en")["after_agreement"].replace("'", "&#39;"), request)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "Only if no. 1 is “Yes”"),
        ("en", "Only if “Something else” is ticked in no. 4"),
        ("en", "If it applies"),
        ("fr", "Seulement si la réponse n° 1 est « Yes (fr) »"),
        ("fa", "فقط اگر پاسخ شماره ۱ «Yes (fa)» باشد"),
    ],
)
def test_conditions_are_told_in_plain_words(root: Path, language: str, told: str) -> None:
    """By the number and the choice on the paper; what is too hard to check is "if it applies"."""
    assert told in print_form("tiny", language, root)


def test_what_the_device_works_out_is_left_away(root: Path) -> None:
    """Calculated questions and groups of nothing else leave no trace; a value the device would show is a dotted line."""
    page = print_form("tiny", "en", root)

    assert "Nothing to see" not in page
    assert 'call <span class="blank"></span>' in page


def test_texts_of_tables_cannot_become_html(root: Path) -> None:
    """What an admin writes is text; bold words alone are kept."""
    page = print_form("tiny", "en", root)

    assert "&lt;b&gt;now&lt;/b&gt;" in page
    assert "<strong>Read aloud:</strong>" in page


def test_answers_have_room(root: Path) -> None:
    """Circles for one, squares for several, boxes for days and numbers, lines to write on, a repeat twice."""
    counted = _Page(print_form("tiny", "en", root)).classes

    assert (2, 1, 2) == (counted["one"], counted["many"], counted["copy"])
    assert 1 == counted["day"]
    assert 6 <= counted["line"]


def test_cards_say_what_an_enquirer_needs(root: Path) -> None:
    """Code, phone, hours, change your mind; without an emblem nothing tells whose card it is."""
    page = print_cards("tiny", "ar", root, phone="+963 11 000 0000")

    said = words("ar")
    assert all(said[key] in page for key in ("card_title", "card_phone", "card_hours", "card_mind"))
    assert (8, []) == (_Page(page).classes["card"], _Page(page).addresses)
    assert "+963 11 000 0000" in page
    assert "Tiny form" not in page


def test_half_of_the_cards_stay_without_emblem(root: Path) -> None:
    """Who may not be seen with it takes one of the others."""
    emblem = root / "emblem.svg"
    emblem.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')

    addresses = _Page(print_cards("tiny", "en", root, emblem=emblem)).addresses

    assert 4 == len(addresses)
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)


def test_an_emblem_is_a_picture(root: Path) -> None:
    """Anything else is refused by name."""
    with pytest.raises(FormError, match=r"forms\.not_a_picture"):
        print_form("tiny", "en", root, emblem=root / "tiny" / "survey.csv")


def test_an_unknown_language_is_refused(root: Path) -> None:
    """The languages that there are stand in the error."""
    with pytest.raises(FormError, match="en, ar, fa, fr"):
        print_form("tiny", "de", root)


A, B = conditions.Atom("a", "is", "x"), conditions.Atom("b", "ticked", "y")


@pytest.mark.parametrize(
    ("expression", "condition"),
    [
        ("${a} = 'x'", A),
        ("${ a }='x'", A),
        ("selected(${b}, 'y')", B),
        ("${a} = 'x' and selected( ${b} , 'y')", conditions.Joined("and", (A, B))),
        ("not(${a} = 'x')", conditions.Atom("a", "is_not", "x")),
        ("${a} != ''", conditions.Atom("a", "answered")),
        ("${a} != '' and ${a} = 'x'", A),
        ("(${a} = 'x') or selected(${b}, 'y')", conditions.Joined("or", (A, B))),
        ("${a} = 'x' or (${b} != '' and selected(${b}, 'y'))", conditions.Joined("or", (A, B))),
        ("${a} = 'x' and (${a} = 'z' or selected(${b}, 'y'))", None),
        ("${a} > 3", None),
        ("${a} = ${b}", None),
        ("string-length(${a}) > 3", None),
        ("${a} = 'x' and", None),
        ("(${a} = 'x'", None),
        ("true()", None),
        ("", None),
    ],
)
def test_only_simple_conditions_are_read(expression: str, condition: conditions.Condition | None) -> None:
    """Comparisons with choices, joined by and or by or; everything else is None, never a guess."""
    assert condition == conditions.read(expression)


def test_every_language_has_every_word() -> None:
    """The words around the questions are whole, with the same places to fill."""
    places = re.compile(r"\{\w+\}")
    for key, text in words("en").items():
        for language in LANGUAGES:
            assert words(language)[key], (key, language)
            assert sorted(places.findall(text)) == sorted(places.findall(words(language)[key])), (key, language)
