"""How many screens a person meets before anybody asks for a name: counted in JavaRosa, printed in docs/forms.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from forms.tables import BEGINS, FormDefinition, form_ids, load, walk
from tests.engines.javarosa import Filled
from tests.engines.scenarios import FOLDER, Scenario, read

PAGE = Path(__file__).parents[2] / "docs" / "forms.md"
COMMON = {
    "child_registration": "quick_with_the_aunt",
    "enquiry": "call_me_in_the_morning",
    "family_call": "greeting_by_name",
    "family_message": "sister_writes_to_her_brother",
    "family_visit": "prepared_with_names_for_the_permit",
    "referral": "shelter_with_name_once_accepted",
    "reunification": "daughter_goes_to_her_mother",
    "tracing_request": "sister_looks_for_brother",
}
"""The conversation that is led most often with each form that can ask for a name."""
AT_MOST = 5
_NAME = re.compile(r"(?:^|_)name_full_native$")


def _screens(form: FormDefinition) -> dict[str, str]:
    """Question → the screen it stands on: the outermost group that is shown at once, or the question alone."""
    return {
        row.name: next(
            (group.name for group in (*groups, row) if _is_screen(group["appearance"], group.type)), row.name
        )
        for row, groups in walk(form.rows_of("kobo"))
    }


def _is_screen(appearance: str, kind: str) -> bool:
    return kind in BEGINS and "field-list" in appearance.split()


def _before_the_name(form: FormDefinition, done: Filled) -> list[str]:
    """Titles of the screens that were met before that of the first name, in order."""
    screens = _screens(form)
    titles = {row.name: row["label"] or (groups[-1]["label"] if groups else "") for row, groups in walk(form.rows)}
    met = list(dict.fromkeys(screens[name] for name in done.names))
    name = next(name for name in done.names if _NAME.search(name))
    return [titles[screen] for screen in met[: met.index(screens[name])]]


@pytest.mark.parametrize("form_id", COMMON)
def test_a_name_is_asked_within_five_screens(form_id: str, in_javarosa: Callable[[Scenario], Filled]) -> None:
    """On the common path; the page about the forms says how many they are and which."""
    done = in_javarosa(read(FOLDER / form_id / f"{COMMON[form_id]}.json"))
    met = _before_the_name(load(form_id), done)
    assert len(met) <= AT_MOST
    row = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{form_id}` |"))
    assert f"| `{form_id}` | {len(met)} | {' → '.join(met)} |" == row


@pytest.mark.parametrize("form_id", sorted({*form_ids()} - {*COMMON}))
def test_a_form_that_asks_no_name_is_said_to(form_id: str) -> None:
    """It works with codes alone: there is no name to count screens to, and the page says so."""
    assert [] == [name for name in load(form_id).questions if _NAME.search(name)]
    assert f"| `{form_id}` | – | no name is asked |" in PAGE.read_text(encoding="utf-8").splitlines()


def test_the_page_has_a_paragraph_for_every_form() -> None:
    """What it is for, who fills it in and when, under the title that the form has."""
    headings = re.findall(r"^### (.+) \(`([a-z_]+)`\)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {(load(form_id).title(), form_id) for form_id in form_ids()} == set(headings)
