"""What a machine lacks is said, never passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine import need


def test_what_is_there_is_given_back(tmp_path: Path) -> None:
    """A file that stands where it should is what the test gets."""
    assert tmp_path == need("browser", tmp_path)


@pytest.mark.parametrize("thing", ["browser", "node", "kobo-pin"])
def test_what_is_absent_fails_with_its_command(thing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure names the thing, the command that brings it, and the word that leaves it out."""
    monkeypatch.delenv("SILAH_TEST_WITHOUT", raising=False)
    with pytest.raises(pytest.fail.Exception, match=rf"{thing}. Run: (make|apt-get|brew) install.*WITHOUT={thing}"):
        need(thing, tmp_path / "absent")


def test_what_is_named_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`SILAH_TEST_WITHOUT` takes several words; pytest's summary tells what was left out."""
    monkeypatch.setenv("SILAH_TEST_WITHOUT", "browser,node")
    with pytest.raises(pytest.skip.Exception, match="leaves out: node"):
        need("node", tmp_path / "absent")
    with pytest.raises(pytest.fail.Exception):
        need("kobo-pin", None)
