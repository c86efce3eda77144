"""What KoboToolbox has: the converter it is pinned to, and the JavaRosa of an older KoboCollect.

Both stand in an environment of their own, `.venv/kobo-pin`, which `make install-test` makes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forms.tables import LANGUAGES, load
from tests.engines.conftest import BuildForm
from tests.engines.javarosa import Filled
from tests.engines.lines import LineEngine
from tests.engines.sameness import kept, shown
from tests.engines.scenarios import Scenario, fullest, scenarios
from tests.machine import need

ROOT = Path(__file__).parents[2]
CONVERTER = Path(__file__).parent / "pinned_converter.py"
PYTHON = Path(sys.prefix) / "kobo-pin" / "bin" / "python"
INSTALLED = Path(sys.prefix) / ".installed-kobo-pin"
FULLEST = fullest(scenarios())
REFUSED = [scenario for scenario in scenarios() if scenario.name in {"answers_that_are_refused", "collection_refused"}]


@dataclass(frozen=True)
class Pinned:
    """All Kobo builds as the pinned pyxform converts them.

    Args:
        version: of that pyxform.
        jar: the ODK Validate that it carries.
        warnings: form_id -> what it warned of.
        folder: holds `<form_id>.xml`.
    """

    version: str
    jar: Path
    warnings: dict[str, list[str]]
    folder: Path


@pytest.fixture(scope="module")
def pinned(built: BuildForm, tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    folder = tmp_path_factory.mktemp("pinned")
    need("kobo-pin", INSTALLED)
    paths = [built(scenario.form_id).xlsx for scenario in FULLEST]
    done = subprocess.run([PYTHON, CONVERTER, folder, *paths], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    return Pinned(said["version"], Path(said["jar"]), said["warnings"], folder)


@pytest.fixture(scope="module")
def older(pinned: Pinned) -> Iterator[LineEngine]:
    with LineEngine([sys.executable, "-m", "tests.engines.older", str(pinned.jar)], ROOT) as engine:
        yield engine


def test_kobos_converter_takes_every_form_without_a_warning(pinned: Pinned) -> None:
    """pyxform 3.0.0, which KoboToolbox runs, converts all Kobo builds and has nothing to say."""
    assert pinned.version == "3.0.0"
    assert pinned.warnings == {scenario.form_id: [] for scenario in FULLEST}


@pytest.mark.parametrize("scenario", FULLEST + REFUSED, ids=lambda scenario: scenario.id)
def test_an_older_phone_sends_the_same(
    scenario: Scenario, pinned: Pinned, older: LineEngine, built: BuildForm, in_javarosa: Callable[[Scenario], Filled]
) -> None:
    """JavaRosa 4.4.1 asks the same in the same words and sends the same record, of what the pinned converter made."""
    xform = pinned.folder / f"{scenario.form_id}.xml"
    done = older.fill(xform, built(scenario.form_id).media, scenario.answers, LANGUAGES[scenario.language])
    on_a_phone = in_javarosa(scenario)
    assert (on_a_phone.stopped_at, on_a_phone.unreached) == (done.stopped_at, done.unreached)
    assert shown(on_a_phone) == shown(done)
    assert kept(on_a_phone, load(scenario.form_id)) == kept(done, load(scenario.form_id))
