"""Fixtures of the tests that fill in forms: each build is compiled and converted once a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from forms.compiler import build
from forms.engines import convert
from forms.tables import LANGUAGES, Build
from tests.engines.javarosa import Filled, fill, media_of
from tests.engines.scenarios import Scenario

FillForm = Callable[..., Filled]


@dataclass(frozen=True)
class BuiltForm:
    """A form of the project as its tables say it now.

    Args:
        xlsx: the built workbook.
        xform: the file it was converted to.
        media: name -> file of what it attaches.
    """

    xlsx: Path
    xform: Path
    media: Mapping[str, Path]


BuildForm = Callable[..., BuiltForm]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildForm:
    """`built(form_id, server="kobo")` compiles and converts a form."""
    folder = tmp_path_factory.mktemp("built")

    @cache
    def made(form_id: str, server: Build = "kobo") -> BuiltForm:
        path = build(form_id, server, folder / server)
        xform = path.with_suffix(".xml")
        xform.write_text(convert(path), encoding="utf-8")
        return BuiltForm(path, xform, media_of(path.parent / f"{form_id}-media"))

    return made


@pytest.fixture(scope="session")
def fill_form(built: BuildForm) -> FillForm:
    """`fill_form(form_id, answers, language="ar", server="kobo")` fills in a form of the project."""

    def filled(form_id: str, answers: Mapping[str, object], language: str = "ar", server: Build = "kobo") -> Filled:
        form = built(form_id, server)
        return fill(form.xform.read_text(encoding="utf-8"), form.media, answers, LANGUAGES[language])

    return filled


@pytest.fixture(scope="session")
def in_javarosa(fill_form: FillForm) -> Callable[[Scenario], Filled]:
    """`in_javarosa(scenario)`: what JavaRosa, the engine that the others are held against, makes of a scenario."""
    done: dict[str, Filled] = {}

    def filled(scenario: Scenario) -> Filled:
        if scenario.id not in done:
            done[scenario.id] = fill_form(scenario.form_id, scenario.given(), scenario.language)
        return done[scenario.id]

    return filled
