"""`make run` on a fresh machine: the story that a newcomer sees is true, and its samples are of today's form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from connector.sandbox import demo
from tests.samples import SAMPLES, filled_in, photo, steady


@pytest.mark.parametrize("name", demo.REQUESTS)
def test_a_sample_is_what_the_engine_makes_of_todays_form(name: str, tmp_path: Path) -> None:
    """After the form changed `make samples` writes them anew; until then this is red."""
    assert steady(filled_in(name, tmp_path)) == steady((SAMPLES / f"{name}.xml").read_bytes())


def test_the_sample_photo_hides_a_place(tmp_path: Path) -> None:
    """So that the sandbox shows it being taken out."""
    assert b"taken at a shelter" in (SAMPLES / "face.jpg").read_bytes()
    assert b"taken at a shelter" in photo()


def test_twelve_requests_travel(tmp_path: Path) -> None:
    """Each request reaches whom it may, and for the others the reason is shown."""
    command = [sys.executable, "-m", "connector.cli", "sandbox", "--port", "0", "--exit-when-done"]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, cwd=tmp_path, env={"COLUMNS": "200", "PYTHONPATH": root, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    lines = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]]
        for line in done.stdout.splitlines()
        if "│" in line
    }
    expected = {
        "sister looks for brother": ("received version 1", "received version 1"),
        "son looks for mother": ("received version 1, received version 2", "withheld (consent.not_named)"),
        "flood in plain english": ("received version 1", "withheld (consent.not_for_national_society)"),
        "collection refused": ("withheld (consent.none)", "withheld (consent.none)"),
        "search would be dangerous": ("received version 1", "waiting (caution.danger)"),
        "believed detained": ("received version 1", "waiting (caution.detention)"),
        "several people and companions": ("received version 1", "received version 1"),
        "hijri dates": ("received version 1 · now gone", "held (gone) · now gone"),
        "unsure age is a child": ("received version 1", "waiting (release.review)"),
        "consent not confirmed": ("received version 1", "withheld (consent.not_confirmed)"),
    }
    assert expected == {name: tuple(lines[name][1:]) for name in expected}
    assert "on server 11 · here 11 · delivered 6 · withheld 1 · waiting 4 · parked 0 · missing 0" in done.stdout
