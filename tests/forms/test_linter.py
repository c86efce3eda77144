"""Each fault that no engine tells is found, at its place, and a sound form has none."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tiny import SETTINGS, complete, write_form

from forms.errors import Finding
from forms.linter import check, check_all
from forms.translations import merge

HEADER = "type,name,label,required,relevant,constraint,constraint_message,calculation,choice_filter,appearance,default,parameters,image\n"
YES_NO = "name,label\nyes,Yes\nno,No\n"
TOWNS = "name,label,district\ntown_a,Town A,north\nunknown,Not known,\n"
SOUND = (
    HEADER
    + """select_one yes_no,c_collect,May we write this down?
begin_group,about,About the person,,${c_collect} = 'yes'
text,s_name,Name
select_one towns,s_town,Which town?,,,,,,district = 'north' or name = 'unknown'
end_group
"""
)


def faults(
    root: Path, survey: str = SOUND, settings: str = SETTINGS, *, complete_it: bool = True, **files: str
) -> list[Finding]:
    """What the linter says of a form made of *survey* and the further files."""
    classes = {"c_collect": "consent", "s_name": "identity", "s_town": "location"}
    write_form(root, survey=survey, settings=settings, **{"list_yes_no": YES_NO, "list_towns": TOWNS, **files})
    if complete_it:
        complete(root, **classes)
    return check("tiny", root)


def codes(found: list[Finding]) -> set[str]:
    return {finding.code for finding in found}


def with_row(row: str) -> str:
    """The sound form with one more row inside its group."""
    return SOUND.replace("end_group\n", f"{row}\nend_group\n")


def test_a_sound_form_has_no_findings(tmp_path: Path) -> None:
    """The form that the other tests spoil is itself without fault."""
    assert faults(tmp_path) == []


ROWS = {
    "an unknown type": ("texd,a,A", "unknown_type"),
    "a place on the map": ("geopoint,a,A", "type_refused"),
    "a path on the map": ("geotrace,a,A", "type_refused"),
    "the device's id": ("deviceid,a", "type_refused"),
    "the device's phone number": ("phonenumber,a", "type_refused"),
    "the SIM card's number": ("simserial,a", "type_refused"),
    "the collector's e-mail address": ("email,a", "type_refused"),
    "a recording in the background": ("background-audio,a", "type_refused"),
    "select_one_external": ("select_one_external towns,a,A", "type_refused"),
    "or_other": ("select_one towns or_other,a,A", "type_refused"),
    "search()": ("text,a,A,,,,,,,search('towns')", "type_refused"),
    "numbers on a phone question": ("text,a_phone,A,,,,,,,numbers", "phone_loses_plus"),
    "a capital letter in a name": ("text,Name,A", "bad_name"),
    "a reserved name": ("text,meta,A", "bad_name"),
    "a name that is there already": ("text,s_name,A", "name_twice"),
    "a question named like a group": ("text,about,A", "name_twice"),
    "a datum that begins with c_": ("text,c_name,A", "consent_prefix"),
    "a question without a label": ("text,a,", "label_missing"),
    "a constraint without a message": ("integer,a,A,,,. > 1", "message_missing"),
    "a prefix outside a block": ("text,a,{p} name", "prefix_left"),
    "a reference to nothing": ("text,a,A,,${b} = 1", "unknown_reference"),
    "a reference to nothing in a label": ("text,a,Hello ${b}", "unknown_reference"),
    "a comparison with a choice that is not there": ("text,a,A,,${c_collect} = 'maybe'", "choice_unknown"),
    "the same turned round": ("text,a,A,,'maybe' != ${c_collect}", "choice_unknown"),
    "selected() with a choice that is not there": ("text,a,A,,\"selected(${s_town}, 'town_b')\"", "choice_unknown"),
    "a constraint with a choice that is not there": ("select_one towns,a,A,,,. != 'town_b',No", "choice_unknown"),
    "a default that compares with a wrong choice": (
        "text,a,A,,,,,,,,\"if(${c_collect}='maybe','1','2')\"",
        "choice_unknown",
    ),
    "a filter on a column that is not there": ("select_one towns,a,A,,,,,,region = 'north'", "filter_column_unknown"),
    "nationality required": ("text,s_nationality,A,yes", "sensitive_required"),
    "religion required": ("text,s_religion,A,yes", "sensitive_required"),
    "ethnicity required": ("text,s_ethnicity,A,yes", "sensitive_required"),
    "legal status required": ("text,s_legal_status,A,yes", "sensitive_required"),
    "a fingerprint required": ("image,s_fingerprint,A,yes", "sensitive_required"),
    "the charge": ("text,det_charges,A", "banned_topic"),
    "the charge under another name": ("text,det_why,What is he charged with?", "banned_topic"),
    "treatment in detention": ("text,det_note,How was she treated there?", "banned_topic"),
    "what was said": ("text,call_note,What did they talk about?", "banned_topic"),
    "a file that is not attached": ("select_one_from_file towns.csv,a,A", "media_not_listed"),
    "a picture that is not attached": ("note,a,A,,,,,,,,,,map.png", "media_not_listed"),
    "pulldata from nowhere": ("calculate,a,,,,,,\"pulldata('towns','label','name',${s_town})\"", "lookup_unknown"),
    "an instance that is not there": ("calculate,a,,,,,,instance('x')/root/item[1]/label", "lookup_unknown"),
}


@pytest.mark.parametrize(("row", "code"), ROWS.values(), ids=ROWS.keys())
def test_a_faulty_row_is_found(tmp_path: Path, row: str, code: str) -> None:
    """One row with one fault gives exactly that finding, at that row."""
    found = faults(tmp_path, with_row(row))
    assert {code} == codes(found)
    assert {("tiny/survey.csv", 6)} == {(finding.file, finding.row) for finding in found}


TABLES = {
    "a misspelt column": (SOUND.replace("relevant", "relevent"), "unknown_column"),
    "a group that is not closed": (SOUND.replace("end_group\n", ""), "group_not_closed"),
    "an end without a begin": (SOUND + "end_group\n", "group_not_open"),
    "a choice list that is not there": (with_row("select_one camps,a,A"), "unknown_list"),
    "a block that is not there": (with_row("include,person"), "unknown_block"),
    "an override of nothing": (with_row("override,s_name,Full name"), "nothing_included"),
    "an omit of nothing": (with_row("omit,s_age"), "nothing_included"),
    "a row longer than the header": (SOUND + "text,a,A,,,,,,,,,,,too far\n", "too_many_cells"),
}


@pytest.mark.parametrize(("survey", "code"), TABLES.values(), ids=TABLES.keys())
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, survey: str, code: str) -> None:
    """A table with a fault in its shape gives that finding instead of a guess."""
    assert {code} == codes(faults(tmp_path, survey, complete_it=False))


def test_every_fault_of_shape_is_told_at_once(tmp_path: Path) -> None:
    """An author mends all faults in one go."""
    survey = with_row("include,person\nselect_one camps,a,A")
    assert {"unknown_block", "unknown_list"} == codes(faults(tmp_path, survey, complete_it=False))


def test_a_missing_translation_names_its_languages(tmp_path: Path) -> None:
    """A text that one language lacks is found at its cell; texts the other languages have are not."""
    found = faults(tmp_path, complete_it=False)
    assert "translation_missing" in codes(found)
    complete(tmp_path, c_collect="consent", s_name="identity", s_town="location")
    (tmp_path / "translations/fa.po").unlink()
    merge("fa", {"Tiny form": "فرم کوچک"}, tmp_path)
    missing = check("tiny", tmp_path)
    assert {"translation_missing"} == codes(missing)
    assert "tiny/survey.csv row 2 column label" in [finding.where for finding in missing]
    assert all("فارسی (fa)" in finding.message and "(ar)" not in finding.message for finding in missing)


def test_a_translation_that_lost_a_reference_is_found(tmp_path: Path) -> None:
    """A PO file edited by hand can lose a `${reference}`: the engines would show the question without it."""
    faults(tmp_path, with_row("text,a,How old is ${s_name}?"))
    path = tmp_path / "translations/ar.po"
    path.write_text(
        path.read_text(encoding="utf-8").replace('msgstr "How old is ${s_name}?', 'msgstr "كم عمره؟'), encoding="utf-8"
    )
    assert [finding.column for finding in check("tiny", tmp_path)] == ["How old is ${s_name}?"]


def test_a_translation_that_no_form_uses_is_found(tmp_path: Path) -> None:
    """What was reworded in English leaves nothing behind unseen."""
    faults(tmp_path)
    merge("ar", {"Gone": "ذهب"}, tmp_path)
    assert {"translation_unused"} == codes(check_all(tmp_path))


LISTS = {
    "a choice that is there twice": (
        "name,label\nyes,Yes\nno,No\nno,Not\n",
        {"choice_twice", "consent_choices"} - {"consent_choices"},
    ),
    "a space in a choice's name": ("name,label\nyes,Yes\nno,No\nnot sure,?\n", {"bad_name", "consent_choices"}),
    "a choice without a label": ("name,label\nyes,Yes\nno,\n", {"cell_missing"}),
}


@pytest.mark.parametrize(("table", "expected"), LISTS.values(), ids=LISTS.keys())
def test_a_faulty_choice_list_is_found(tmp_path: Path, table: str, expected: set[str]) -> None:
    """Choices have a name without spaces, once, and a label."""
    found = faults(tmp_path, complete_it="cell_missing" not in expected, list_yes_no=table)
    assert expected == codes(found)


MEDIA = {
    "a header that is no XML name": ("name,label::العربية (ar)\na,A\n", "media_header"),
    "no column name": ("code,label\na,A\n", "media_header"),
    "the same name twice": ("name,label\na,A\na,B\n", "media_name_twice"),
    "an empty name": ("name,label\n,A\n", "media_name_twice"),
}


@pytest.mark.parametrize(("table", "code"), MEDIA.values(), ids=MEDIA.keys())
def test_a_faulty_attachment_is_found(tmp_path: Path, table: str, code: str) -> None:
    """Attached tables have XML names as headers and a unique `name`."""
    settings = SETTINGS + 'media = ["places.csv"]\n'
    assert {code} == codes(faults(tmp_path, settings=settings, media_places=table))


def test_an_attachment_that_is_not_there_is_found(tmp_path: Path) -> None:
    """ODK Collect would load an empty list without a word."""
    assert {"media_missing"} == codes(faults(tmp_path, settings=SETTINGS + 'media = ["places.csv"]\n'))


def test_a_column_that_an_attached_list_lacks_is_found(tmp_path: Path) -> None:
    """`label=` of a select_one_from_file and pulldata() name columns of the file."""
    settings = SETTINGS + 'media = ["places.csv"]\n'
    rows = "select_one_from_file places.csv,a,A,,,,,,,,,label=label_ar\ncalculate,b,,,,,,\"pulldata('places','size','name',${a})\""
    found = faults(tmp_path, with_row(rows), settings, media_places="name,label\nx,X\n")
    assert {"media_header", "lookup_unknown"} == codes(found)


def public_key(bits: int) -> str:
    key = generate_private_key(65537, bits).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def test_a_key_that_no_device_could_use_is_found(tmp_path: Path) -> None:
    """A cut-off key passes pyxform and ODK Validate and fails on the phone; a short one can be broken."""
    strong = public_key(2048)
    url = 'submission_url = "https://kobo.example.org/submission"\n'
    assert set() == codes(faults(tmp_path, settings=f'{SETTINGS}{url}public_key = "{strong}"\n'))
    for bad in (strong[:-20], public_key(1024)):
        assert {"bad_public_key"} == codes(faults(tmp_path, settings=f'{SETTINGS}{url}public_key = "{bad}"\n'))
    assert {"missing_key"} == codes(faults(tmp_path, settings=f'{SETTINGS}public_key = "{strong}"\n'))


SETTINGS_FAULTS = {
    "a version that is no number": (SETTINGS.replace("2026112101", "v2"), "bad_version"),
    "an unknown key": (SETTINGS + 'colour = "red"\n', "unknown_key"),
    "no title": (SETTINGS.replace('title = "Tiny form"', ""), "missing_key"),
    "an instance name from nowhere": (SETTINGS + 'instance_name = "${b}"\n', "unknown_reference"),
    "an entity from nowhere": (SETTINGS + '[[entities]]\nlist_name = "cases"\nlabel = "${b}"\n', "unknown_reference"),
    "no TOML": ("title = Tiny", "not_toml"),
}


@pytest.mark.parametrize(("settings", "code"), SETTINGS_FAULTS.values(), ids=SETTINGS_FAULTS.keys())
def test_a_faulty_setting_is_found(tmp_path: Path, settings: str, code: str) -> None:
    """settings.toml holds known keys with usable values."""
    readable = code in ("bad_version", "unknown_reference")
    assert code in codes(faults(tmp_path, settings=settings, complete_it=readable))


REPEATS = """type,name,label,relevant,calculation,repeat_count
begin_repeat,sought,A person
integer,s_n,How many others?
calculate,s_count,,,"if(${s_n} > 0, ${s_n}, 1)"
begin_group,s_others,,${s_n} != ''
begin_repeat,s_other,Another,,,${s_count}
text,s_name,Name
end_repeat
end_group
end_repeat
"""
NESTED = {
    "a condition on the inner repeat": (
        REPEATS.replace("s_other,Another,,", "s_other,Another,${s_n} > 0,"),
        {"repeat_condition"},
    ),
    "an inner repeat without a number": (REPEATS.replace("Another,,,${s_count}", "Another"), {"repeat_uncounted"}),
    "a number that can be none": (REPEATS.replace("if(${s_n} > 0, ${s_n}, 1)", "${s_n} + 0"), {"repeat_uncounted"}),
}


def test_a_repeat_inside_a_repeat_is_sound_when_counted(tmp_path: Path) -> None:
    """With a number of entries that is never none and the condition around it there is nothing to find."""
    assert set() == codes(nested(tmp_path / "nested", REPEATS))


@pytest.mark.parametrize(("survey", "expected"), NESTED.values(), ids=NESTED.keys())
def test_a_repeat_inside_a_repeat_that_web_forms_mix_up_is_found(
    tmp_path: Path, survey: str, expected: set[str]
) -> None:
    """Enketo would ask by, or write into, another entry of the outer repeat."""
    assert expected == codes(nested(tmp_path, survey))


def nested(root: Path, survey: str) -> list[Finding]:
    """What the linter says of a form whose only questions stand in repeats."""
    write_form(root, survey=survey)
    complete(root, s_name="identity")
    return [finding for finding in check("tiny", root) if not finding.code.startswith("consent")]


HEADINGS = {
    "a group named like the group around it": (
        "begin_group,again,About the person\ntext,a,A\nend_group",
        "heading_twice",
    ),
    "a first screen without the title": ("note,form_name,A form", "title_not_shown"),
}


@pytest.mark.parametrize(("rows", "code"), HEADINGS.values(), ids=HEADINGS.keys())
def test_a_faulty_heading_is_found(tmp_path: Path, rows: str, code: str) -> None:
    """A page shows no heading twice, and the first screen carries the title in each language."""
    assert {code} == codes(faults(tmp_path, with_row(rows)))


def test_a_build_of_its_own_may_reuse_a_name_in_one_place(tmp_path: Path) -> None:
    """A question may be asked in another way in each build, but only under the same path."""
    header, rest = SOUND.split("\n", 1)
    rows = "text,case,Case,,,,,,,,,,,kobo\nbarcode,case,Case,,,,,,,,,,,central"
    same = f"{header},#only\n{rest}".replace("end_group\n", f"{rows}\nend_group\n")
    assert set() == codes(faults(tmp_path, same))
    assert {"name_moves"} == codes(
        faults(
            tmp_path, same.replace("text,case", "begin_group,sub,Sub\ntext,case").replace("kobo\n", "kobo\nend_group\n")
        )
    )
