"""What a test needs of the machine it runs on: when it is not there the test fails and says the command that brings it.

`SILAH_TEST_WITHOUT=browser,node` names what a machine shall do without; those tests are then left out, and pytest's
summary says so.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import pytest

_MAC = platform.system() == "Darwin"
_COMMANDS = {
    "browser": "brew install --cask chromium" if _MAC else "apt-get install -y chromium fonts-noto-core",
    "node": "make install-test",
    "kobo-pin": "make install-test",
}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium")


def need(thing: str, found: Path | str | None) -> Path:
    """*found*, when it is there.

    Args:
        thing: the word under which `SILAH_TEST_WITHOUT` knows it.
        found: the file that shows that it is there.
    """
    if found is not None and Path(found).exists():
        return Path(found)
    if thing in os.environ.get("SILAH_TEST_WITHOUT", "").split(","):
        pytest.skip(f"SILAH_TEST_WITHOUT leaves out: {thing}")
    command = _COMMANDS[thing]
    pytest.fail(
        f"Not on this machine: {thing}. Run: {command}   (or leave it out: SILAH_TEST_WITHOUT={thing})", pytrace=False
    )


def browser() -> Path:
    """Chromium, or a browser made of it."""
    return need("browser", next(filter(None, map(shutil.which, _BROWSERS)), None))
