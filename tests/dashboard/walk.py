"""A real browser on the stage: signed in as somebody, in a language, on a desk or a telephone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import pyotp
from playwright.sync_api import Browser, Page, Request, StorageState, sync_playwright

from connector.dashboard.roles import RIGHTS
from connector.ledger.sign_in import SignIn
from connector.ledger.users import Users
from connector.pipeline import Pipeline
from connector.serving import Web
from tests.dashboard.stage import Stage
from tests.machine import browser
from webhooks.edge import create_app

PASSWORD = "correct horse battery"
Screen = Literal["desk", "phone"]
_SIZES = {"desk": (1280, 900), "phone": (360, 740)}


def invite(flow: Pipeline) -> Mapping[str, str]:
    """One user of each role, named like it; role → secret of the authenticator. A second supervisor is `other`. Nobody has
    a password yet: making one is slow on purpose."""
    ledger = flow.ledger
    users = Users(ledger.database, ledger.master, ledger.now)
    names = [*((role, role) for role in RIGHTS), ("other", "supervisor")]
    return {name: users.add(name, role, "test").partition("secret=")[2].partition("&")[0] for name, role in names}


def give_password(flow: Pipeline, name: str) -> None:
    """From now on *name* may sign in."""
    ledger = flow.ledger
    users = Users(ledger.database, ledger.master, ledger.now)
    SignIn(ledger.database, users, ledger.now).set_password(name, PASSWORD, "test")


@dataclass
class Walk:
    """The stage behind a web server, and one browser for all."""

    stage: Stage
    url: str
    chromium: Browser
    secrets: Mapping[str, str]
    _signed_in: dict[str, StorageState] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def code(self, user: str) -> str:
        return pyotp.TOTP(self.secrets[user]).now()

    @contextmanager
    def page(self, language: str = "en", screen: Screen = "desk", user: str | None = None) -> Iterator[Page]:
        """A page of a fresh browser profile, at the door or signed in; what it asks for and says is kept."""
        width, height = _SIZES[screen]
        state = self._state(user) if user is not None else None
        size = {"width": width, "height": height}
        context = self.chromium.new_context(viewport=size, locale=language, storage_state=state)  # type: ignore[arg-type]
        page = context.new_page()
        page.on("request", self._note)
        page.on("console", lambda message: self.said.append(message.text))
        yield page
        context.close()

    def _state(self, user: str) -> StorageState:
        """The cookie of *user*, who signs in once; nothing of a page is in it."""
        if user not in self._signed_in:
            context = self.chromium.new_context(locale="en")
            self.sign_in(context.new_page(), user)
            self._signed_in[user] = context.storage_state()
            context.close()
        return self._signed_in[user]

    def sign_in(self, page: Page, user: str) -> None:
        page.goto(f"{self.url}/sign-in")
        page.fill("#name", user)
        page.fill("#password", PASSWORD)
        page.fill("#code", self.code(user))
        page.click("main button")

    def look_at_the_servers(self) -> None:
        """The page of forms and servers has something to show."""
        with self.page(user="admin") as page:
            page.goto(f"{self.url}/servers")
            page.click("main button")
            page.wait_for_selector("main section")

    def _note(self, request: Request) -> None:
        self.asked.append(request.url)

    def paths(self) -> dict[str, tuple[str, str]]:
        """Every page that can be read: name → (who reads it, path)."""
        stage = self.stage
        from connector.ledger.candidates import Candidates

        pairs = Candidates(stage.node.flow.ledger)
        pair = next(one for one in pairs.all() if one.kind == "found")
        return {
            "flow": ("supervisor", "/"),
            "week": ("supervisor", "/week"),
            "case": ("supervisor", f"/cases/{stage.cases['parked'].record_id}"),
            "matches": ("supervisor", "/matches"),
            "match": ("supervisor", f"/matches/{pair.id}"),
            "referrals": ("supervisor", "/referrals"),
            "referral-in": ("supervisor", f"/referrals/{stage.referrals['asked']}"),
            "referral-accepted": ("supervisor", f"/referrals/{stage.referrals['accepted']}"),
            "referral-new": ("supervisor", "/referrals/new"),
            "handover": ("supervisor", "/referrals/handover"),
            "publications": ("supervisor", "/publications"),
            "figures": ("supervisor", "/figures"),
            "policy": ("supervisor", "/policy"),
            "me": ("supervisor", "/me"),
            "servers": ("admin", "/servers"),
            "audit": ("admin", "/audit"),
        }


@contextmanager
def walking(stage: Stage) -> Iterator[Walk]:
    """Serves *stage* and opens a browser."""
    secrets = invite(stage.node.flow)
    for name in ("supervisor", "admin"):
        give_password(stage.node.flow, name)
    web = Web(create_app(stage.node.flow), "127.0.0.1", 0)
    web.start()
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"]) as chromium,
    ):
        walk = Walk(stage, web.url, chromium, secrets)
        walk.look_at_the_servers()
        yield walk
    web.stop()
