"""The sandbox answers as the recorded KoboToolbox server did: every recorded exchange is played and compared.

238 exchanges and 8 requests that hooks made are recorded in tests/fixtures/kobo.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.replay import Replay, names
from tests.sandbox.scenario import SCENARIO

UNSUPPORTED = {
    "12-data-list-geojson": "no form here asks for a place on the map, and the connector reads JSON",
    "35-paired-data-create": "shows one form's answers on every device of another: never used here",
    "35-paired-data-external-xml": "as above",
    "36-export-create": "the connector reads submissions, not export files",
    "36-exports-list": "as above",
}
SUPPORTED = [name for name in names() if name not in UNSUPPORTED]


@pytest.fixture(scope="module")
def replayed() -> Iterator[Replay]:
    """The whole day, played once."""
    replay = Replay()
    for step in SCENARIO:
        step(replay)
    yield replay
    replay.close()


@pytest.mark.parametrize("name", SUPPORTED)
def test_answers_like_the_recorded_server(replayed: Replay, name: str) -> None:
    """Status, headers, JSON keys, types and values are those of the recording, identifiers and times apart."""
    assert replayed.differences[name] == []


def test_every_recording_is_compared_or_listed() -> None:
    """No recording is passed over in silence: 241 compared, 5 listed with the reason."""
    assert (len(SUPPORTED), len(UNSUPPORTED)) == (241, 5)


def test_nothing_is_compared_that_is_listed_as_unsupported(replayed: Replay) -> None:
    """The table of what is not supported does not grow old."""
    assert sorted(replayed.differences) == SUPPORTED
