"""The pages in a real browser, on a desk and on a telephone of 360 px, in Arabic and English: read by axe, walked through
with the keyboard, weighed, and worked on as people do."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import openpyxl
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, Request

from connector.ledger.candidates import Candidates
from connector.ledger.values import Case
from tests.dashboard.stage import staged
from tests.dashboard.walk import Walk, walking

STATIC = Path(__file__).parents[2] / "connector" / "dashboard" / "static"
_STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_MOST_BYTES = 100_000
_CHARTS = (STATIC / "chartjs" / "chart-4.5.1.min.js").stat().st_size


@pytest.fixture(name="walk", scope="module")
def _walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with staged(tmp_path_factory.mktemp("walk")) as stage, walking(stage) as walk:
        yield walk


def faults(page: Page) -> list[tuple[str, str]]:
    """What axe, which is in the page, finds: the rule, and where. Only that leaves the page, not what it found in order."""
    options = {"runOnly": _STANDARDS, "resultTypes": ["violations"]}
    script = """options => axe.run(options).then(
        found => found.violations.flatMap(one => one.nodes.map(node => [one.id, JSON.stringify(node.target)])))"""
    return [(rule, where) for rule, where in page.evaluate(script, options)]


def too_wide(page: Page) -> int:
    """By how many pixels the page is wider than the screen."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


@pytest.mark.parametrize("language", ["en", "ar"])
def test_axe_finds_nothing_on_any_page(walk: Walk, language: str) -> None:
    """WCAG 2.2 AA and axe's best practices, every page, on a desk and on a telephone; no page is wider than the screen,
    nothing is asked of another host, and no page has anything to say to the browser's console."""
    found, wide = {}, {}
    walk.said.clear()
    walk.asked.clear()
    paths = {"sign-in": (None, "/sign-in"), **walk.paths()}
    for user in (None, "supervisor", "admin"):
        with walk.page(language, "desk", user) as page:
            for name, path in [(name, path) for name, (who, path) in paths.items() if who == user]:
                page.set_viewport_size({"width": 1280, "height": 900})
                page.goto(f"{walk.url}{path}")
                page.evaluate(AXE_SCRIPT)
                found[name, "desk"] = faults(page)
                page.set_viewport_size({"width": 360, "height": 740})
                found[name, "phone"], wide[name] = faults(page), too_wide(page)
    hosts = {urlsplit(url).hostname for url in walk.asked if not url.startswith("blob:")}
    assert {place: what for place, what in found.items() if what} == {}
    assert {name: by for name, by in wide.items() if by} == {}
    assert (hosts, walk.said) == ({"127.0.0.1"}, [])
    assert len(found) == 2 * len(paths)


def weight(asked: Request) -> int:
    """Bytes of the answer over the wire, when all of it is there."""
    answer = asked.response()
    assert answer is not None
    answer.finished()
    found = asked.sizes()
    return found["responseBodySize"] + found["responseHeadersSize"]


def test_first_visits_are_light(walk: Walk) -> None:
    """Over the wire at most 100 kB for a page, its style, script and icon, charts aside; nothing else is loaded."""
    sizes: dict[str, int] = {}
    for name, (user, path) in walk.paths().items():
        with walk.page("ar", "phone", user) as page:
            asked: list[Request] = []
            page.on("request", lambda one, asked=asked: asked.append(one))
            page.goto(f"{walk.url}{path}", wait_until="load")
            sizes[name] = sum(map(weight, asked))
    print(sizes)  # shown with -s; quoted in docs/dashboard.md
    sizes["figures"] -= _CHARTS  # the library, as large as it is here: waitress does not compress
    assert {name: size for name, size in sizes.items() if not 0 < size <= _MOST_BYTES} == {}


def test_everything_is_reached_with_the_keyboard(walk: Walk) -> None:
    """The first stop jumps over the menu; after it every link, button and field has its turn, in the order of the page,
    and shows where one is."""
    with walk.page("en", "desk", "supervisor") as page:
        page.goto(f"{walk.url}/matches")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert urlsplit(page.url).fragment == "content"
        page.goto(f"{walk.url}/referrals/{walk.stage.referrals['asked']}")
        script = "Array.from(document.querySelectorAll('a[href], button, select, input:not([type=hidden]), summary'))"
        there: int = page.evaluate(f"{script}.filter(one => one.checkVisibility()).length")
        seen = []
        for _ in range(there):
            page.keyboard.press("Tab")
            seen.append(
                page.evaluate(
                    "[document.activeElement.outerHTML, getComputedStyle(document.activeElement).outlineStyle]"
                )
            )
        assert len({html for html, _ in seen}) >= there - 1  # two buttons may be alike
        assert {outline for _, outline in seen} == {"solid"}


def test_reading_needs_no_script(walk: Walk) -> None:
    """With JavaScript switched off the pages show the same and forms are sent."""
    context = walk.chromium.new_context(java_script_enabled=False, locale="en")
    page = context.new_page()
    walk.sign_in(page, "supervisor")
    page.click("nav a[href='/week']")
    assert "101-SOON" in page.content()
    context.close()


def test_the_flow_follows_by_itself(walk: Walk) -> None:
    """What changed is there without reading the page anew; what somebody is writing is left alone."""
    with walk.page("en", "desk", "supervisor") as page:
        page.clock.install()
        page.goto(walk.url)
        walk.stage.node.flow.ledger.pause("ngo", "line is down", "test", paused=True)
        page.clock.run_for(11_000)
        page.wait_for_selector("text=line is down")
        walk.stage.node.flow.ledger.pause("ngo", "", "test", paused=False)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_day_at_the_desk(walk: Walk, language: str) -> None:
    """On a telephone: sign in with the second factor, release a request, repair a parked delivery, answer a referral, rule
    out a match, read a report. Then the other language: what was done can be undone or is done for another case."""
    stage, node = walk.stage, walk.stage.node
    case = stage.cases["parked" if language == "en" else "twice"]
    with walk.page(language, "phone") as page:
        page.goto(f"{walk.url}/cases/{case.record_id}")
        walk.sign_in(page, "supervisor")
        assert page.get_attribute("html", "dir") == ("rtl" if language == "ar" else "ltr")
        _release(walk, page, case)
        assert "delivered" in {row.state for row in node.rows("partner") if row.root_id == case.root_id}
        _repair(walk, page, case)  # parked in the first language alone
        _answer(walk, page, language)
        _rule_out(walk, page)
        _read_report(walk, page)


def _release(walk: Walk, page: Page, case: Case) -> None:
    """Releases what waits for the partner."""
    page.goto(f"{walk.url}/cases/{case.record_id}")
    [waiting] = [row.id for row in walk.stage.node.rows("partner") if row.root_id == case.root_id]
    form = page.locator(f"form[action*='/release/{waiting}']")
    form.locator("input[name=code]").fill(walk.code("supervisor"))
    with page.expect_navigation():
        form.locator("button").click()
    walk.stage.node.dispatch()


def _repair(walk: Walk, page: Page, case: Case) -> None:
    """Sends what is parked to our own society once more, with a reason that goes into the audit."""
    page.goto(f"{walk.url}/cases/{case.record_id}")
    node = walk.stage.node
    [own] = [row.id for row in node.rows("national") if row.root_id == case.root_id]
    again = page.locator(f"form[action*='/do/replay/{own}']")
    if again.count():
        page.locator("details").filter(has=again).locator("summary").click()
        again.locator("input[name=reason]").fill("the target was mended")
        with page.expect_navigation():
            again.locator("button").first.click()
        node.dispatch()
    assert {"delivered"} == {row.state for row in node.rows("national") if row.root_id == case.root_id}


def _answer(walk: Walk, page: Page, language: str) -> None:
    """English accepts what was asked of us; Arabic completes it."""
    id_ = walk.stage.referrals["asked"]
    page.goto(f"{walk.url}/referrals/{id_}")
    if language == "en":
        with page.expect_navigation():
            page.click("form[action$='/do/accept'] button")
        walk.stage.carry()
        assert walk.stage.partner.state(id_) == "accepted"
        return
    page.click("details:has(form[action$='/do/complete']) summary")
    page.select_option("#outcome-complete", "completed_full")
    with page.expect_navigation():
        page.click("form[action$='/do/complete'] button")
    walk.stage.carry()
    assert walk.stage.partner.state(id_) == "completed"


def _rule_out(walk: Walk, page: Page) -> None:
    page.goto(f"{walk.url}/matches")
    with page.expect_navigation():
        page.click("main li.card h2 a")
    id_ = urlsplit(page.url).path.rpartition("/")[2]
    page.fill("#code", walk.code("supervisor"))
    with page.expect_navigation():
        page.click("button[formaction$='/rule_out']")
    one = Candidates(walk.stage.node.flow.ledger).one(id_)
    assert one is not None
    assert one.state == "ruled_out"


def _read_report(walk: Walk, page: Page) -> None:
    """The figures on the page are those of the file."""
    page.goto(f"{walk.url}/figures")
    with page.expect_download() as download:
        page.click("button[value=xlsx]")
    book = openpyxl.load_workbook(io.BytesIO(download.value.path().read_bytes()))
    assert [sheet.max_row - 1 for sheet in book] == [page.locator("#all tbody tr").count()] * len(book.sheetnames)
