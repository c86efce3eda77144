"""Tables with blocks are read into one form."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import write_form

from forms.errors import FormError
from forms.tables import form_ids, load

PERSON = """
type,name,label,relevant,#only
begin_group,{p}person,Person,,
text,{p}name,Name,,
integer,{p}age,Age,${{p}name} != '',
include,contact,,,
begin_group,{p}more,More,,
text,{p}note,Note,,
end_group,,,,
end_group,,,,
"""
CONTACT = "type,name,label\ntext,{p}phone,Phone\n"


def written(root: Path, rows: str) -> Path:
    survey = "type,name,label,constraint,constraint_message,parameters,#only\n" + rows
    return write_form(
        root,
        survey=survey,
        block_person=PERSON.replace("include,contact,,,", "include,contact,,,"),
        block_contact=CONTACT,
    )


def test_a_block_brings_its_rows_under_a_prefix(tmp_path: Path) -> None:
    """The prefix goes into names, groups and references."""
    form = load("tiny", written(tmp_path, "include,person,,,,prefix=enq_,\n"))
    assert form.questions["enq_age"].path == "enq_person/enq_age"
    (row,) = [row for row in form.rows if row.name == "enq_age"]
    assert row["relevant"] == "${enq_name} != ''"


def test_one_block_serves_two_people(tmp_path: Path) -> None:
    """The same block under two prefixes gives two sets of questions; in a repeat they know their repeat."""
    rows = "include,person,,,,prefix=enq_,\nbegin_repeat,sought,Sought,,,,\ninclude,person,,,,prefix=s_,\nend_repeat,,,,,,\n"
    form = load("tiny", written(tmp_path, rows))
    assert form.questions["enq_name"].repeat is None
    assert form.questions["s_name"].repeat == "sought"
    assert form.questions["s_name"].path == "sought/s_person/s_name"
    assert form.repeats == ("sought",)


def test_a_block_inside_a_block_passes_the_prefix_on(tmp_path: Path) -> None:
    """`prefix={p}` in a block's include becomes the prefix of the whole."""
    root = written(tmp_path, "include,person,,,,prefix=enq_,\n")
    person = root / "blocks/person.csv"
    text = (
        person.read_text(encoding="utf-8")
        .replace("#only", "parameters")
        .replace("include,contact,,,", "include,contact,,,prefix={p}")
    )
    person.write_text(text, encoding="utf-8")
    assert load("tiny", root).questions["enq_phone"].path == "enq_person/enq_phone"


def test_an_override_replaces_the_cells_it_fills(tmp_path: Path) -> None:
    """Other cells stay; `-` empties one; a type after the word replaces the type."""
    rows = "include,person,,,,prefix=enq_,\noverride,enq_age,How old are you?,. < 120,Too old,,\noverride decimal,enq_age,,,,,\n"
    form = load("tiny", written(tmp_path, rows))
    (row,) = [row for row in form.rows if row.name == "enq_age"]
    assert row["label"] == "How old are you?"
    assert row["relevant"] == "${enq_name} != ''"
    assert row.type == "decimal"
    assert row.finding("label", "x", "", "").where == "tiny/survey.csv row 3 column label"
    assert row.finding("relevant", "x", "", "").where == "blocks/person.csv row 4 column relevant"


def test_an_override_can_empty_a_cell(tmp_path: Path) -> None:
    """`-` stands for nothing."""
    root = write_form(
        tmp_path,
        survey="type,name,relevant,parameters\ninclude,person,,prefix=enq_\noverride,enq_age,-,\n",
        block_person=PERSON,
        block_contact=CONTACT,
    )
    (row,) = [row for row in load("tiny", root).rows if row.name == "enq_age"]
    assert row["relevant"] == ""


def test_omit_leaves_out_a_question_or_a_whole_group(tmp_path: Path) -> None:
    """A group goes with all inside and its end."""
    form = load("tiny", written(tmp_path, "include,person,,,,prefix=enq_,\nomit,enq_more,,,,,\nomit,enq_age,,,,,\n"))
    assert list(form.questions) == ["enq_name", "phone"]


def test_only_on_a_group_holds_for_all_inside(tmp_path: Path) -> None:
    """Also for what an include brings into it; the other build has neither the group nor its end."""
    rows = "begin_group,g,G,,,,central\ninclude,person,,,,prefix=enq_,\nend_group,,,,,,\ntext,a,A,,,,kobo\n"
    form = load("tiny", written(tmp_path, rows))
    assert form.questions["enq_age"].builds == {"central"}
    assert [row.name for row in form.rows_of("kobo")] == ["a"]
    assert "a" not in [row.name for row in form.rows_of("central")]


def test_a_block_that_includes_itself_is_refused(tmp_path: Path) -> None:
    """A circle of includes is a finding, not an endless loop."""
    root = write_form(tmp_path, survey="type,name\ninclude,loop\n", block_loop="type,name\ninclude,loop\n")
    with pytest.raises(FormError) as refused:
        load("tiny", root)
    assert [finding.code for finding in refused.value.findings] == ["block_in_itself"]


def test_an_unknown_form_names_the_known_ones(tmp_path: Path) -> None:
    """Folders of shared tables are no forms."""
    root = written(tmp_path, "text,a,A,,,,\n")
    assert form_ids(root) == ("tiny",)
    with pytest.raises(FormError, match="Known forms: tiny"):
        load("tinny", root)


def test_choices_keep_their_filter_columns(tmp_path: Path) -> None:
    """A form's own list and a shared one read the same way; a column that a list does not fill is not its own."""
    root = write_form(
        tmp_path,
        survey="type,name,label\nselect_one towns,town,Town\nselect_one yes_no,sure,Sure?\n",
        choices="list_name,name,label,district\ntowns,a,A,north\n",
        list_yes_no="name,label\nyes,Yes\nno,No\n",
    )
    form = load("tiny", root)
    assert form.choices["towns"].columns == ("district",)
    assert form.choices_of("town")[0].filters == {"district": "north"}
    assert form.choices["yes_no"].names == ("yes", "no")


def test_line_breaks_inside_a_cell_survive_any_editor(tmp_path: Path) -> None:
    """A spreadsheet saves with a byte order mark and Windows line ends; the text stays the same."""
    root = write_form(tmp_path, survey="type,name,label\n")
    raw = '\ufefftype,name,label\r\nnote,a,"One\r\nTwo"\r\n'
    (root / "tiny/survey.csv").write_bytes(raw.encode("utf-8"))
    assert load("tiny", root).rows[0]["label"] == "One\nTwo"
