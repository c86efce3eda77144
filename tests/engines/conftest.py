"""Fixtures of the tests that fill in forms: each build is compiled and converted once a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from forms.compiler import build
from forms.engines import convert
from forms.tables import LANGUAGES, Build
from tests.engines.javarosa import Filled, fill, media_of

FillForm = Callable[..., Filled]


@pytest.fixture(scope="session")
def fill_form(tmp_path_factory: pytest.TempPathFactory) -> FillForm:
    """`fill_form(form_id, answers, language="ar", server="kobo")` fills in a form of the project as its tables say it now."""
    folder = tmp_path_factory.mktemp("built")

    @cache
    def converted(form_id: str, server: Build) -> tuple[str, Mapping[str, Path]]:
        path = build(form_id, server, folder / server)
        return convert(path), media_of(path.parent / f"{form_id}-media")

    def filled(form_id: str, answers: Mapping[str, object], language: str = "ar", server: Build = "kobo") -> Filled:
        xform, media = converted(form_id, server)
        return fill(xform, media, answers, LANGUAGES[language])

    return filled
