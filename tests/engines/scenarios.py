"""The conversations of tests/forms/scenarios, as every engine is given them.

A scenario is a JSON file in the folder of its form: `name`, `language`, `answers` (question -> text, list of texts, or
`{"tries": […]}`; repeat -> list of such objects) and `expect`: `reached` and `not_reached` (questions and notes),
`complete`, `values` (what the record holds; a list for the entries of repeats, in order), `refused` (question -> how
many tries were refused) and `unreached` (answers that no question asked for).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engines.javarosa import Tries

FOLDER = Path(__file__).parents[1] / "forms" / "scenarios"


@dataclass(frozen=True)
class Scenario:
    """One conversation.

    Args:
        language: code of the language in which the form is shown.
        answers: as the file has them, for engines outside of this process.
    """

    form_id: str
    name: str
    language: str
    answers: Mapping[str, Any]
    expect: Mapping[str, Any]

    @property
    def id(self) -> str:
        return f"{self.form_id}-{self.name}"

    def given(self) -> dict[str, object]:
        """The answers as `javarosa.fill` takes them."""
        return {name: _answer(value) for name, value in self.answers.items()}


def read(path: Path) -> Scenario:
    """The scenario of a file; its name is the file's."""
    said = json.loads(path.read_text(encoding="utf-8"))
    return Scenario(path.parent.name, path.stem, said["language"], said["answers"], said["expect"])


def scenarios() -> list[Scenario]:
    """All of them, by form and name."""
    return [read(path) for path in sorted(FOLDER.glob("*/*.json"))]


def fullest(among: list[Scenario]) -> list[Scenario]:
    """For each form the conversation in which most is asked."""
    forms = {one.form_id: max((two for two in among if two.form_id == one.form_id), key=_length) for one in among}
    return list(forms.values())


def _length(scenario: Scenario) -> int:
    return (
        len(json.dumps(scenario.answers)) if scenario.expect["complete"] and not scenario.expect.get("refused") else 0
    )


def _answer(value: object) -> object:
    if isinstance(value, dict):
        return Tries(value["tries"]) if set(value) == {"tries"} else {name: _answer(one) for name, one in value.items()}
    return [_answer(one) for one in value] if isinstance(value, list) else value
