"""`python -m tests.dashboard.screenshots FOLDER`: every page in Arabic and English, on a desk and on a telephone."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import get_args

from tests.dashboard.stage import staged
from tests.dashboard.walk import Screen, Walk, walking

LANGUAGES = ("en", "ar")


def take(walk: Walk, folder: Path, only: frozenset[str] = frozenset()) -> int:
    """Writes `<page>.<language>.<screen>.png` into *folder*; how many."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: place for name, place in walk.paths().items() if not only or name in only}
    taken = 0
    for language in LANGUAGES:
        for screen in get_args(Screen):
            for user in sorted({user for user, _ in paths.values()}):
                with walk.page(language, screen, user) as page:
                    for name, path in [(name, path) for name, (who, path) in paths.items() if who == user]:
                        page.goto(f"{walk.url}{path}")
                        page.screenshot(path=folder / f"{name}.{language}.{screen}.png", full_page=True)
                        taken += 1
    return taken


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home, staged(Path(home)) as stage, walking(stage) as walk:
        print(take(walk, Path(sys.argv[1]), frozenset(sys.argv[2:])), "screenshots")
