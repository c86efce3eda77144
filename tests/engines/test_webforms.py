"""ODK Web Forms, the engine of ODK Central's web pages, makes the same of every conversation as the engine of ODK Collect.

All forms are filled in by one Node process. The builds for Central are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from forms.tables import LANGUAGES, load
from tests.engines.conftest import BuildForm
from tests.engines.javarosa import Filled
from tests.engines.lines import LineEngine
from tests.engines.node import FOLDER, node
from tests.engines.sameness import kept, shown
from tests.engines.scenarios import Scenario, scenarios


@pytest.fixture(scope="module")
def web_forms() -> Iterator[LineEngine]:
    with LineEngine([str(node()), "webforms.mjs"], FOLDER) as engine:
        yield engine


@pytest.fixture(scope="module", params=scenarios(), ids=lambda scenario: scenario.id)
def both(
    request: pytest.FixtureRequest, web_forms: LineEngine, built: BuildForm, in_javarosa: Callable[[Scenario], Filled]
) -> tuple[Scenario, Filled, Filled]:
    """A scenario as Web Forms and as JavaRosa took it."""
    scenario: Scenario = request.param
    form = built(scenario.form_id, "central")
    done = web_forms.fill(form.xform, form.media, scenario.answers, LANGUAGES[scenario.language])
    return scenario, done, in_javarosa(scenario)


def test_the_record_is_the_one_that_a_phone_sends(both: tuple[Scenario, Filled, Filled]) -> None:
    """The same answers under the same paths, finished or stopped at the same question."""
    scenario, done, on_a_phone = both
    form = load(scenario.form_id)
    assert (on_a_phone.stopped_at, on_a_phone.unreached) == (done.stopped_at, done.unreached)
    assert kept(on_a_phone, form) == kept(done, form)


def test_the_same_is_asked_in_the_same_words(both: tuple[Scenario, Filled, Filled]) -> None:
    """The same questions in the same order, with the same texts, choices, refusals and messages."""
    _, done, on_a_phone = both
    assert shown(on_a_phone) == shown(done)
