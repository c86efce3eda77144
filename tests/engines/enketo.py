"""Fills in forms with Enketo, the engine of KoboToolbox's web forms, in a headless Chromium.

The page is built from the packages in tests/engines/node and talks to nobody: every request that leaves this machine is
refused. What it says on its console as an error counts as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, sync_playwright

from tests.engines.javarosa import Filled
from tests.engines.lines import filled
from tests.machine import browser

_PAGE = """<!doctype html><html><head><meta charset="utf-8"><link rel="stylesheet" href="/enketo.css">
<style>body { font-family: "Noto Sans", "Noto Sans Arabic", sans-serif; margin: 0; }</style></head>
<body><div class="main"><article class="paper"><div class="form-language-selector"></div><div id="host"></div></article></div>
<script src="/enketo.js"></script></body></html>"""
_ADDRESS = "http://localhost"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-timer-throttling"]
_WIDTH, _HEIGHT = 900, 1200


class Enketo:
    """One page of Chromium, for one form after the other."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._said: list[str] = []
        page.on("console", lambda message: self._said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._said.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())

    def load(self, xform: Path, media: Mapping[str, Path]) -> list[str]:
        """Opens a form anew. Returns what Enketo and the page's console say against it."""
        self._said.clear()
        self._page.goto(f"{_ADDRESS}/")
        texts = {name: path.read_text(encoding="utf-8") for name, path in media.items()}
        given = [xform.read_text(encoding="utf-8"), texts]
        return [*self._page.evaluate("(given) => window.silah.load(...given)", given), *self._said]

    def speak(self, language: str) -> str:
        """Shows the form in a language. Returns the direction in which its questions now run: `rtl` or `ltr`."""
        self._page.evaluate("(language) => window.silah.speak(language)", language)
        return str(self._page.evaluate("getComputedStyle(document.querySelector('form.or .question')).direction"))

    def fill(self, answers: Mapping[str, Any]) -> Filled:
        """Fills in the form that was loaded."""
        done = filled(self._page.evaluate("(answers) => window.silah.fill(answers)", answers))
        assert self._said == []
        return done

    def picture(self, path: Path) -> None:
        """Writes the whole page as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._page.screenshot(path=path, full_page=True)


@contextmanager
def enketo(built: Path) -> Iterator[Enketo]:
    """Enketo for the length of a `with` block; *built* is the folder with `enketo.js` and `enketo.css`."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=browser(), args=_FLAGS) as chromium,
    ):
        page = chromium.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        page.route("**/*", lambda route: _serve(route, built))
        yield Enketo(page)


def _serve(route: Route, built: Path) -> None:
    """The page itself and its two files; everything else is refused."""
    name = route.request.url.removeprefix(f"{_ADDRESS}/")
    if name == "":
        route.fulfill(body=_PAGE, content_type="text/html")
    elif name in {"enketo.js", "enketo.css"}:
        route.fulfill(path=built / name)
    elif name == "favicon.ico":
        route.fulfill(status=204)
    else:
        route.abort()
