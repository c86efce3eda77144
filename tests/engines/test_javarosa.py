"""The engine's walk: what an enumerator sees, what is refused with which message, and the record that is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forms.compiler import build
from forms.engines import convert
from forms.tables import LANGUAGES, load
from forms.translations import merge
from tests.engines.javarosa import Filled, Tries, fill, media_of, record_to_kobo_json

FILES = {
    "tiny/settings.toml": 'title = "Tiny"\nversion = "2026112101"\npurpose = "tracing"\nmedia = ["places.csv"]\n',
    "tiny/survey.csv": """type,name,label,required,required_message,relevant,constraint,constraint_message,choice_filter,calculation
select_one yes_no,c_collect,May we write it down?,yes,Please choose,,,,,
text,why_not,Why not?,,,${c_collect} = 'no',,,,
begin_group,about,About,,,${c_collect} = 'yes',,,,
text,phone,Phone,,,,"regex(., '^[+0-9]{7,16}$')",7 to 16 digits,,
select_one_from_file places.csv,district,District,,,,,,level = '1',
select_one_from_file places.csv,town,Town,,,,,,parent = ${district},
calculate,town_label,,,,,,,,"pulldata('places', 'label', 'name', ${town})"
begin_repeat,members,Members,,,,,,,
text,m_name,Name,yes,,,,,,
integer,m_age,Age of ${m_name},,,,. >= 0 and . < 130,0 to 129,,
select_multiple needs,m_needs,Needs,,,${m_age} < 18,,,,
end_repeat,,,,,,,,,
end_group,,,,,,,,,
""",
    "choices/yes_no.csv": "name,label\nyes,Yes\nno,No\n",
    "choices/needs.csv": "name,label\nfood,Food\nschool,School\n",
    "media/places.csv": "name,label,level,parent\nn,North,1,\ns,South,1,\nn1,Norton,2,n\ns1,Sutton,2,s\n",
}
ARABIC = {
    "May we write it down?": "هل نكتب ذلك؟",
    "Please choose": "يرجى الاختيار",
    "7 to 16 digits": "من 7 إلى 16 رقما",
    "Age of ${m_name}": "عمر ${m_name}",
    "Food": "طعام",
    "School": "مدرسة",
}
ANSWERS: Mapping[str, object] = {
    "c_collect": "yes",
    "phone": Tries(["12", "+963944123456"]),
    "district": "n",
    "town": Tries(["s1", "n1"]),
    "members": [
        {"m_name": "Ali", "m_age": "7", "m_needs": ["food", "school"]},
        {"m_name": "Huda", "m_age": Tries(["old", "200", "40"]), "m_needs": ["food"]},
    ],
    "why_not": "never asked",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("forms")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    merge("ar", ARABIC, root)
    return root


def filled(root: Path, answers: Mapping[str, object], *, media: bool = True) -> Filled:
    path = build("tiny", "kobo", root / "xlsx" / "kobo", root)
    return fill(convert(path), media_of(path.parent / "tiny-media") if media else {}, answers, LANGUAGES["ar"])


def test_questions_come_in_the_language_with_references_filled_in(root: Path) -> None:
    """Labels and choices are Arabic, and a name given earlier stands in a later label."""
    done = filled(root, ANSWERS)
    assert done.visit("c_collect").label == "هل نكتب ذلك؟"
    assert [done.visit("m_age", entry).label for entry in (1, 2)] == ["عمر Ali", "عمر Huda"]
    assert done.visit("m_needs").choices == (("food", "طعام"), ("school", "مدرسة"))


def test_refused_answers_are_told_with_their_message(root: Path) -> None:
    """A constraint, a number that is none and a choice that is filtered away are refused; the next try is taken."""
    done = filled(root, ANSWERS)
    assert [one.result for one in done.visit("phone").tries] == ["constraint", "ok"]
    assert done.visit("phone").messages == ["من 7 إلى 16 رقما"]
    assert [one.result for one in done.visit("m_age", 2).tries] == ["unreadable", "constraint", "ok"]
    assert [one.result for one in done.visit("town").tries] == ["not offered", "ok"]
    assert done.visit("town").choices == (("n1", "Norton"),)


def test_a_question_that_is_not_relevant_is_never_shown(root: Path) -> None:
    """Answers that no question asked for are listed with their place."""
    done = filled(root, ANSWERS)
    assert done.complete
    assert set(done.unreached) == {"why_not", "members[2]/m_needs"}
    assert filled(root, {"c_collect": "no", "why_not": "busy"}).names == ["c_collect", "why_not"]


def test_a_required_question_stops_with_its_message(root: Path) -> None:
    """Who answers nothing gets no further than the first required question."""
    done = filled(root, {})
    assert done.stopped_at == "c_collect"
    assert done.visit("c_collect").messages == ["يرجى الاختيار"]
    assert filled(root, {"c_collect": "yes"}).stopped_at == "about/members[1]/m_name"


def test_a_repeat_may_be_left_empty(root: Path) -> None:
    """An empty list removes the entry that the engine offers at once."""
    done = filled(root, {"c_collect": "yes", "members": []})
    assert done.complete
    assert b"<members" not in done.record


def test_the_record_reads_as_kobo_gives_it(root: Path) -> None:
    """The engine's record under Kobo's keys: calculated values in, what was not asked out."""
    done = filled(root, ANSWERS)
    json = record_to_kobo_json(
        done.record, load("tiny", root), kobo_id=3, submitted_at=datetime(2026, 11, 21, tzinfo=UTC), asset_uid="aT"
    )
    assert done.value("town_label") == json["about/town_label"] == "Norton"
    assert json["about/members"] == [
        {"about/members/m_name": "Ali", "about/members/m_age": "7", "about/members/m_needs": "food school"},
        {"about/members/m_name": "Huda", "about/members/m_age": "40"},
    ]
    assert "why_not" not in json


def test_a_missing_attachment_is_never_an_empty_list(root: Path) -> None:
    """JavaRosa loads a missing file as an empty list; the walk refuses to start."""
    with pytest.raises(AssertionError, match="attached file missing"):
        filled(root, ANSWERS, media=False)
