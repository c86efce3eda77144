"""Country packs: what a country lays over the forms, and that nothing else changes."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
from openpyxl import load_workbook

from forms.commands import build_command, check_command
from forms.compiler import built_is_current, sheets
from forms.engines import convert
from forms.errors import FormError
from forms.linter import check, check_pack
from forms.packs import DEMO, PLACES, pack_names, places, read_pack
from forms.tables import BUILDS, FORMS, LANGUAGES, Build, FormDefinition, forget, form_ids, load
from forms.translations import texts, texts_of
from tests.engines.javarosa import Tries, fill, media_of
from tests.engines.scenarios import FOLDER, read
from tests.forms.tiny import complete, write_form

COUNTRIES = ("ae", "ir", "jo", "sa")
DARI = "دری (prs)"
_PACK = 'title = "Land"\norganisation = "XX-RC"\n'
_SURVEY = """
    type,name,label,hint,required
    begin_group,start_here,Start,,
    include,who,,,
    end_group,,,,
"""
_BLOCK = """
    type,name,label,hint,required
    select_one branch_code,branch_code,Branch,,yes
    note,limits,We keep it to ourselves.,,
    date,review,Ask again on,Leave empty for one year.,
"""
_BRANCHES = "name,label,society,phone\n101,North,XX-RC,+1\n"


@pytest.fixture
def land(tmp_path: Path) -> Path:
    """A small form and a pack `land` without anything in it yet."""
    write_form(tmp_path, survey=_SURVEY, block_who=_BLOCK, list_branch_code=_BRANCHES)
    complete(tmp_path)
    _put(tmp_path, "pack.toml", _PACK)
    return tmp_path


def _put(root: Path, file: str, text: str) -> None:
    path = root / "packs" / "land" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    forget()


def _cells(form: FormDefinition, name: str) -> dict[str, str]:
    return dict(next(row.cells for row in form.rows if row.name == name))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_demo_pack_is_the_forms_themselves() -> None:
    """What is committed under xlsx/ is what the tables say, with no pack named and with `demo` named."""
    for form_id in form_ids():
        assert built_is_current(form_id), form_id
        plain, demo = load(form_id), load(form_id, pack=DEMO)
        assert [sheets(plain, build) for build in BUILDS] == [sheets(demo, build) for build in BUILDS]


def test_the_packs_are_those_of_the_source_programmes() -> None:
    """Four countries beside the demo."""
    assert (DEMO, *COUNTRIES) == pack_names(FORMS)


@pytest.mark.parametrize("pack", COUNTRIES)
def test_every_form_of_a_pack_is_without_a_finding(pack: str) -> None:
    """All fourteen forms, the pack's texts in every language it has, and a source in every row."""
    assert [str(finding) for finding in check_pack(pack)] == []


@pytest.mark.parametrize("pack", COUNTRIES)
def test_a_pack_carries_only_what_its_source_names(pack: str) -> None:
    """Each row names its document by the subject; no code of a branch, no area code and no telephone is made up."""
    for path in read_pack(pack, FORMS).own_tables(FORMS):
        for row in _rows(path):
            assert re.fullmatch(r"[A-Z][^/\\]{20,}", row["source"]), (path, row)
    branches = _rows(FORMS / "packs" / pack / "choices" / "branch_code.csv")
    assert {("", "")} == {(row["name"], row["phone"]) for row in branches}
    own_places = FORMS / "packs" / pack / PLACES
    assert {""} >= {row["name"] for row in (_rows(own_places) if own_places.is_file() else [])}


@pytest.mark.parametrize("pack", COUNTRIES)
def test_places_that_nobody_made_up(pack: str) -> None:
    """A pack has the countries; below them only its own places that have a code."""
    lines = places(FORMS, read_pack(pack, FORMS)).decode().splitlines()
    assert "name,label,country,level,parent" == lines[0]
    assert {"0"} == {row.split(",")[-2] for row in lines[1:]}
    assert {line.split(",")[0] for line in lines[1:]} >= {"IR", "SA", "JO", "AE"}


def test_the_committee_s_catalogue_is_data() -> None:
    """Three tracks and twenty-three services, thirteen of them named by the source and ten places kept free."""
    form = load("service_delivery", pack="sa")
    named = _rows(FORMS / "packs" / "sa" / "choices" / "service_code.csv")
    assert (3, 23, 13) == (
        len(form.choices["service_track"].names),
        len(form.choices["service_code"].names),
        len(named),
    )


def test_a_branch_without_a_code_is_typed() -> None:
    """Where no branch has a code the volunteer types three digits and the telephone; the organisation is the pack's."""
    form = load("tracing_request", pack="ir")
    branch, organisation, phone = (_cells(form, name) for name in ("branch_code", "org_code", "office_phone"))
    assert ("text", "regex(., '^[0-9]{3}$')") == (branch["type"], branch["constraint"])
    assert ("'IR-RCS'", "text", "yes") == (organisation["calculation"], phone["type"], phone["required"])
    assert "branch_code" not in form.choices


def test_other_as_a_sex_is_a_switch() -> None:
    """A pack can leave it out where it is unsafe to read aloud; *not recorded* and *prefers not to say* stay."""
    assert "other" in load("tracing_request").choices["sex"].names
    assert ("female", "male", "nr", "pnts") == load("tracing_request", pack="sa").choices["sex"].names


def test_how_far_confidence_goes_is_said_in_the_country_s_words() -> None:
    """In Jordan social workers and police work side by side: the note says so, in every language."""
    form = load("referral", pack="jo")
    note = _cells(form, "limits_of_confidentiality")["label"]
    assert "side by side" in note
    assert [] == [language for language in LANGUAGES if language != "en" and note not in texts_of(form, language)]
    assert note != _cells(load("referral"), "limits_of_confidentiality")["label"]


def test_a_pack_lays_cells_over_the_questions_of_every_form(land: Path) -> None:
    """Wording, duration of consent, a duty number: an override row replaces the cells it fills, where the form has them."""
    _put(
        land,
        "survey.csv",
        "type,name,label,hint,default,source\n"
        "override,limits,In danger we call 112.,,,Law of the land\n"
        "override,review,,Leave it at half a year.,date(today() + 182),Law of the land\n"
        "override,not_in_this_form,Nothing,,,Law of the land\n",
    )
    form = load("tiny", land, "land")
    assert "In danger we call 112." == _cells(form, "limits")["label"]
    assert ("Ask again on", "Leave it at half a year.", "date(today() + 182)") == tuple(
        _cells(form, "review")[column] for column in ("label", "hint", "default")
    )
    assert "We keep it to ourselves." == _cells(load("tiny", land), "limits")["label"]


def test_a_pack_s_own_branches_stand_for_the_shared_ones(land: Path) -> None:
    """Rows with a code are offered, rows without one wait for it, and what `keep` names stays."""
    _put(
        land,
        "choices/branch_code.csv",
        "name,label,society,phone,source\n,Unknown yet,XX-RC,,Report\n007,Harbour,XX-RC,+2,Report\n",
    )
    assert ("007",) == load("tiny", land, "land").choices["branch_code"].names
    _put(land, "pack.toml", f'{_PACK}[keep]\nbranch_code = ["101"]\n')
    kept = load("tiny", land, "land").choices["branch_code"]
    assert (("007", "101"), ("society", "phone")) == (kept.names, kept.columns)
    assert ("101",) == load("tiny", land).choices["branch_code"].names


def test_the_source_of_a_row_reaches_no_server(land: Path) -> None:
    """It is for the reader of the tables."""
    _put(land, "choices/branch_code.csv", "name,label,society,phone,source\n007,Harbour,XX-RC,+2,Report of the land\n")
    _put(land, "survey.csv", "type,name,label,source\noverride,limits,In danger we call.,Report of the land\n")
    made = sheets(load("tiny", land, "land"), "kobo")
    assert [] == [
        cell for sheet in made.values() for row in sheet for cell in row if "Report" in cell or cell == "source"
    ]


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("survey.csv", "type,name,label,source\ntext,new_one,A question,Report\n", "not_an_override"),
        ("survey.csv", "type,name,lable,source\noverride,limits,Mine,Report\n", "unknown_column"),
        ("choices/branch_code.csv", "name,label,source\n,Nobody knows,Report\n", "list_empty"),
        ("pack.toml", 'title = "Land"\ncolour = "blue"\n', "unknown_key"),
        ("pack.toml", 'title = "Land"\nsex_other = "no"\n', "bad_value"),
        ("pack.toml", "title = \n", "not_toml"),
    ],
)
def test_a_faulty_pack_says_what_to_mend(land: Path, file: str, text: str, code: str) -> None:
    """File, row, column and the mend, as for the forms."""
    _put(land, file, text)
    with pytest.raises(FormError) as raised:
        load("tiny", land, "land")
    found = raised.value.findings[0]
    assert (f"packs/land/{file}", code, True) == (found.file, found.code, bool(found.mend))


def test_an_unknown_pack_names_the_known_ones() -> None:
    """A misspelt name builds nothing."""
    with pytest.raises(FormError, match="Known packs: demo, ae, ir, jo, sa"):
        load("referral", pack="it")


def test_a_row_without_a_source_is_a_finding(land: Path) -> None:
    """Whoever reads the pack later must be able to ask where a row comes from."""
    _put(land, "survey.csv", "type,name,label,source\noverride,limits,Branch,\n")
    assert ["source_missing"] == [finding.code for finding in check_pack("land", land)]


def test_a_text_that_no_form_of_the_pack_shows_is_a_finding(land: Path) -> None:
    """PO files do not fill up with what nobody reads."""
    _put(land, "translations/fr.po", 'msgid "Gone"\nmsgstr "Parti"\n')
    assert ["translation_unused"] == [finding.code for finding in check_pack("land", land)]


def test_a_new_language_is_one_po_file(land: Path) -> None:
    """Its name in pack.toml, its texts in one file; what it lacks is listed, as for the four."""
    _put(land, "pack.toml", f'{_PACK}[languages]\nku = "Kurdî (ku)"\n')
    _put(land, "translations/ku.po", 'msgid "Branch"\nmsgstr "Şax"\n')
    found = check("tiny", land, "land")
    assert {("translation_missing", "No translation into Kurdî (ku).")} == {(one.code, one.message) for one in found}
    header, first, *_ = (
        sheets(load("tiny", land, "land"), "kobo")["survey"][0],
        *sheets(load("tiny", land, "land"), "kobo")["survey"][2:],
    )
    assert "Şax" == first[header.index("label::Kurdî (ku)")]


def test_a_pack_is_built_into_a_folder_of_its_name(tmp_path: Path) -> None:
    """`<out>/ir/kobo/referral.xlsx`; the default pack has none."""
    made = build_command(["referral_response"], out_dir=tmp_path, pack="ir")
    assert [tmp_path / "ir" / build / "referral_response.xlsx" for build in BUILDS] == made
    assert [tmp_path / "kobo" / "referral_response.xlsx"] == build_command(["referral_response"], out_dir=tmp_path)[:1]


@pytest.mark.parametrize("build", BUILDS)
def test_dari_is_the_fifth_language_of_the_built_form(tmp_path: Path, build: Build) -> None:
    """Each text has five columns, Dari the last."""
    path = next(
        path for path in build_command(["child_registration"], out_dir=tmp_path, pack="ir") if path.parent.name == build
    )
    header = [str(cell.value) for cell in load_workbook(path)["survey"][1]]
    assert [f"label::{name}" for name in (*LANGUAGES.values(), DARI)] == [
        name for name in header if name.startswith("label::")
    ]


def test_dari_says_what_persian_does_not_and_takes_the_rest_from_it() -> None:
    """A child is طفل, a case code کود قضیه, the month حمل; where both say the same there is no second translation."""
    form = load("child_registration", pack="ir")
    dari, persian = texts_of(form, "prs"), texts("fa")
    assert ("کود قضیه", "ولسوالی", "حمل (1)", "بلی") == tuple(
        dari[text] for text in ("Case code", "District", "Farvardin / Hamal (1)", "Yes")
    )
    own = FORMS / "packs" / "ir" / "translations" / "prs.po"
    assert "machine-drafted, not yet reviewed by a native practitioner" in own.read_text(encoding="utf-8")
    same = [text for text, said in dari.items() if persian.get(text) == said]
    assert len(same) > 1000
    assert persian["Mother"] == dari["Mother"]


@pytest.mark.parametrize(
    "conversation",
    [
        "child_registration/quick_with_the_aunt",
        "referral_response/accepted_with_an_appointment",
        "verification/the_child_alone",
    ],
)
def test_a_conversation_in_dari(tmp_path: Path, conversation: str) -> None:
    """Converted without a warning, JavaRosa leads it to its end; the branch is typed, and refused with a reason in Dari."""
    scenario = read(FOLDER / f"{conversation}.json")
    path = build_command([scenario.form_id], out_dir=tmp_path, pack="ir")[0]
    answers = {**scenario.given(), "branch_code": Tries(["12", "311"]), "office_phone": "+98 21 000 000"}
    done = fill(convert(path), media_of(path.parent / f"{scenario.form_id}-media"), answers, DARI)
    assert (True, (), "IR-RCS", "311") == (
        done.complete,
        done.unreached,
        done.value("org_code"),
        done.value("branch_code"),
    )
    assert ["لطفا سه رقم از 0 تا 9 بنویسید."] == done.visit("branch_code").messages
    assert "تلیفون شعبه" == done.visit("office_phone").label
    assert [] == [visit.path for visit in done.visits if not visit.label]


def test_a_pack_passes_the_engines() -> None:
    """pyxform without a warning and ODK Validate, for a form with places, partners and the longest texts."""
    checked = check_command(["referral"], pack="ae")
    assert ([], "run", 0) == ([str(finding) for finding in checked.findings], checked.engines, checked.exit_status)


def test_a_copy_of_a_pack_is_a_pack(tmp_path: Path) -> None:
    """A society begins with a copied folder, writes its codes, and its branches are offered."""
    shutil.copytree(FORMS, tmp_path / "forms", ignore=shutil.ignore_patterns("xlsx", "*.py", "__pycache__"))
    root = tmp_path / "forms"
    shutil.copytree(root / "packs" / "ir", root / "packs" / "mine")
    manifest = root / "packs" / "mine" / "pack.toml"
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace('tables = ["typed_branch"]', "tables = []"), encoding="utf-8"
    )
    table = root / "packs" / "mine" / "choices" / "branch_code.csv"
    table.write_text(
        "name,label,society,phone,source\n311,Family links centre,IR-RCS,+98 21 000 000,List of our branches\n",
        encoding="utf-8",
    )
    form = load("tracing_request", root, "mine")
    assert ("select_one branch_code", ("311",)) == (
        _cells(form, "branch_code")["type"],
        form.choices["branch_code"].names,
    )
