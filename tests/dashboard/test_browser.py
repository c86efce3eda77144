"""One walk through the pages in a real browser, on a phone's width, in Arabic."""

from __future__ import annotations

from playwright.sync_api import sync_playwright

from connector.serving import Web
from tests.conftest import FillIn, Node
from tests.dashboard.conftest import PASSWORD, Person
from tests.machine import browser
from tests.people import request
from webhooks.edge import create_app


def test_a_release_on_a_phone_in_arabic(node: Node, people: dict[str, Person], fill_in: FillIn) -> None:
    """Sign in with the second factor, find the case of the week, release it; no page is wider than the phone."""
    node.take_in(fill_in(request()))
    web = Web(create_app(node.flow), "127.0.0.1", 0)
    web.start()
    said: list[str] = []
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"]) as chromium,
    ):
        page = chromium.new_page(viewport={"width": 360, "height": 740}, locale="ar")
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{web.url}/week")
        page.fill("#name", "case_worker")
        page.fill("#password", PASSWORD)
        page.fill("#code", people["case_worker"].code())
        page.click("main button")
        assert page.get_attribute("html", "dir") == "rtl"
        page.click("main li.card h3 a")
        page.fill("input[name=code]", people["case_worker"].code())
        page.click("form.row:has(input[name=code]) button")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    web.stop()
    node.dispatch()
    assert (wide, said, len(node.received("partner"))) == (0, [], 1)
