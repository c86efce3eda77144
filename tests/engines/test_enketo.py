"""Enketo, the engine of KoboToolbox's web forms, in Chromium: every form opens, reads from the right, and sends the same record.

Pictures of the forms in Arabic and Persian are kept in `build/screenshots/enketo`. With SILAH_TEST_ENKETO=all (`make
enketo`, some minutes) every conversation is walked through in its own language, not only those in `ALWAYS`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forms.tables import LANGUAGES, load
from tests.engines.conftest import BuildForm, FillForm
from tests.engines.enketo import Enketo, enketo
from tests.engines.javarosa import Filled
from tests.engines.node import FOLDER, node
from tests.engines.sameness import kept, shown
from tests.engines.scenarios import Scenario, fullest, scenarios

FULLEST = fullest(scenarios())
ALWAYS = {"tracing_request-several_people_and_companions"}
"""A repeat inside a repeat, for each of three people: what only Enketo got wrong (docs/forms-proof.md)."""
WALKED = [one for one in scenarios() if one.id in ALWAYS or os.environ.get("SILAH_TEST_ENKETO") == "all"]
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


@pytest.mark.parametrize("scenario", WALKED, ids=lambda scenario: scenario.id)
def test_the_conversation_is_the_one_on_a_phone(
    scenario: Scenario, page: Enketo, built: BuildForm, in_javarosa: Callable[[Scenario], Filled]
) -> None:
    """The same questions in the same order and words, the same refusals and messages, the same record as in JavaRosa."""
    form = built(scenario.form_id)
    assert page.load(form.xform, form.media) == []
    page.speak(LANGUAGES[scenario.language])
    done, on_a_phone = page.fill(scenario.answers), in_javarosa(scenario)
    assert (on_a_phone.stopped_at, on_a_phone.unreached) == (done.stopped_at, done.unreached)
    assert shown(on_a_phone) == shown(done)
    tables = load(scenario.form_id)
    assert kept(on_a_phone, tables) == kept(done, tables)
