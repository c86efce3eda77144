"""Enketo, the engine of KoboToolbox's web forms, in Chromium: every form opens, reads from the right, and sends the same record.

Pictures of the forms in Arabic and Persian are kept in `build/screenshots/enketo`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forms.tables import LANGUAGES, load
from tests.engines.conftest import BuildForm, FillForm
from tests.engines.enketo import Enketo, enketo
from tests.engines.node import FOLDER, node
from tests.engines.sameness import kept
from tests.engines.scenarios import Scenario, fullest, scenarios

FULLEST = fullest(scenarios())
PICTURES = Path(__file__).parents[2] / "build" / "screenshots" / "enketo"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enketo]:
    built = tmp_path_factory.mktemp("enketo")
    subprocess.run([node(), "build.mjs", built], cwd=FOLDER, check=True)
    with enketo(built) as page:
        yield page


@pytest.fixture(scope="module", params=FULLEST, ids=lambda scenario: scenario.form_id)
def opened(request: pytest.FixtureRequest, page: Enketo, built: BuildForm) -> tuple[Scenario, list[str]]:
    """The fullest conversation of a form, whose form is open, and what Enketo said against the form."""
    form = built(request.param.form_id)
    return request.param, page.load(form.xform, form.media)


def test_a_form_opens_without_an_error_in_four_languages(opened: tuple[Scenario, list[str]], page: Enketo) -> None:
    """Enketo has nothing to say against the form; Arabic and Persian run from the right, English and French from the left."""
    scenario, complaints = opened
    assert complaints == []
    directions = {language: page.speak(name) for language, name in LANGUAGES.items()}
    assert directions == {"en": "ltr", "ar": "rtl", "fa": "rtl", "fr": "ltr"}
    page.speak(LANGUAGES["fa"])
    page.picture(PICTURES / f"{scenario.form_id}-fa.png")


def test_filled_in_in_arabic_it_sends_what_a_phone_sends(
    opened: tuple[Scenario, list[str]], page: Enketo, fill_form: FillForm
) -> None:
    """The fullest conversation of each form: the same is asked, everything can be answered, and the record is JavaRosa's."""
    scenario, _ = opened
    page.speak(LANGUAGES["ar"])
    done = page.fill(scenario.answers)
    page.picture(PICTURES / f"{scenario.form_id}-ar.png")
    on_a_phone = fill_form(scenario.form_id, scenario.given(), "ar")
    assert (on_a_phone.stopped_at, on_a_phone.unreached) == (done.stopped_at, done.unreached)
    assert on_a_phone.names == done.names
    assert kept(on_a_phone, load(scenario.form_id)) == kept(done, load(scenario.form_id))
