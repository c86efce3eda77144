"""Mapping files: read by an admin, checked before anything is sent."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Misconfigured
from connector.targets.mapping import read_mapping
from tests.targets.releases import release

ON = date(2026, 11, 21)
HEAD = "[values.sex]\nmale = 'm'\n[values.any]\n'*' = 'else'\n[tracing_request]\nto = 'x'\n[tracing_request.fields]\n"


def mapped(tmp_path: Path, line: str) -> Any:
    """What becomes of Salma's request by one line."""
    file = tmp_path / "mapping.toml"
    file.write_text(HEAD + line, encoding="utf-8")
    return read_mapping(file, ["tracing_request"])["tracing_request"].of(release().fields, ON)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a = 'case_code'", "10100000016"),
        ("a = 'enquirer.name.nick'", None),
        ("a = { from = 'sought[0].sex', values = 'sex' }", "m"),
        ("a = { from = 'enquirer.sex', values = 'sex' }", None),
        ("a = { from = 'enquirer.sex', values = 'any' }", "else"),
        ("a = { from = 'sought[].sex', values = 'sex' }", ["m"]),
        ("a = { from = 'enquirer.languages' }", ["ar", "en"]),
        ("a = { from = 'enquirer.birth', as = 'day' }", None),
        ("a = { from = 'enquirer.birth', as = 'days' }", "1991-11-21/1992-11-20"),
        ("a = { from = 'enquirer.birth', as = 'age' }", 34),
        ("a = { from = 'sought[0].birth', as = 'age' }", None),
        ("a = { from = 'sought[0].last_contact.date', as = 'day' }", "2025-03-09"),
        ("a = { from = 'wishes.tell_who_searches', as = 'tick' }", True),
        ("a = { from = 'wishes.search_danger', as = 'tick' }", False),
        ("a = { from = 'wishes.restriction', as = 'tick' }", False),
        ("a = { from = 'urgency', as = 'list' }", ["normal"]),
        ("a = { from = 'context || urgency' }", "migration"),
        (
            "a = { from = '{x: urgency, y: enquirer.languages, z: case_code && wishes.restriction}', as = 'lines' }",
            "x: normal\ny: ar, en",
        ),
        ("""a = { from = "sought[?sex=='male'].relation | [0]" }""", "brother"),
    ],
)
def test_a_line_says_what_is_sent(tmp_path: Path, line: str, value: Any) -> None:
    """Plain fields, value lists, dates that are never made more exact than they are, ticks, lists, notes, conditions."""
    assert {"a": value} == mapped(tmp_path, line)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("a = 'enquirer.nmae.full'", "mapping.unknown_field"),
        ("a = 'name.full'", "mapping.unknown_field"),
        ("a = 'enquirer.sex.male'", "mapping.unknown_field"),
        ("a = 'sought[].name.fll'", "mapping.unknown_field"),
        ("a = 'sought[?sx==`1`].name'", "mapping.unknown_field"),
        ("a = 'enquirer.birth.yeer'", "mapping.unknown_field"),
        ("a = 'enquirer..name'", "mapping.not_jmespath"),
        ("a = { from = 'urgency', values = 'nothing' }", "mapping.unknown_values"),
        ("a = { from = 'urgency', as = 'poem' }", "mapping.unknown_as"),
        ("a = { form = 'urgency' }", "mapping.bad_rule"),
        ("a = 3", "mapping.not_a_table"),
        ("[tracing_reqest]\nto = 'x'", "mapping.unknown_kind"),
        ("[tracing_request.feilds]\na = 'x'", "mapping.unknown_key"),
        ("[[tracing_request.rows]]\nto = 'a'", "mapping.bad_rows"),
        ("[[tracing_request.rows]]\nto = 'a'\nfrom = 'urgency'\nfields = {}", "mapping.not_a_repeat"),
        ("a = ", "mapping.not_toml"),
    ],
)
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, line: str, code: str) -> None:
    """An unknown field, list or key is an error before anything is sent, with the line it stands on."""
    with pytest.raises(Misconfigured) as refused:
        mapped(tmp_path, line)

    assert code == refused.value.code
    assert "mapping.toml" in refused.value.where
    if code != "mapping.not_toml":
        number = int(refused.value.where.rpartition("line ")[2])
        assert number > HEAD.count("\n")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The path of a missing file is named."""
    with pytest.raises(Misconfigured) as refused:
        read_mapping(tmp_path / "none.toml", [])

    assert "mapping.no_file" == refused.value.code


def test_the_line_is_that_of_the_right_table(tmp_path: Path) -> None:
    """A name that stands in two tables is pointed at where it is wrong."""
    text = (
        HEAD
        + "a = 'urgency'\n[[tracing_request.rows]]\nto = 'r'\nfrom = 'sought'\n[tracing_request.rows.fields]\na = 'urgency'\n"
    )
    (tmp_path / "mapping.toml").write_text(text, encoding="utf-8")
    with pytest.raises(Misconfigured) as refused:
        read_mapping(tmp_path / "mapping.toml", [])

    assert refused.value.where.endswith(f"line {len(text.splitlines())}")


def test_a_kind_that_is_accepted_needs_its_table(tmp_path: Path) -> None:
    """What a target accepts and the file does not map is told at the start."""
    (tmp_path / "mapping.toml").write_text(HEAD, encoding="utf-8")
    with pytest.raises(Misconfigured) as refused:
        read_mapping(tmp_path / "mapping.toml", ["tracing_request", "referral"])

    assert "mapping.kind_missing" == refused.value.code
    assert "[referral]" in refused.value.where
