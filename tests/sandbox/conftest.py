"""A sandbox with one small form, its owner, and a way to fill it in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
import requests
from openpyxl import Workbook
from werkzeug.test import TestResponse

from connector.sandbox.kobo import KoboSandbox

_numbers = itertools.count(1)

SHEET = (
    ("type", "name", "label", "relevant"),
    ("text", "who", "Who?", None),
    ("begin_repeat", "relatives", "Relatives", None),
    ("text", "rel_name", "Name", None),
    ("image", "rel_photo", "Photo", None),
    ("end_repeat", None, None, None),
)


def sheet(rows: tuple[tuple[object, ...], ...] = SHEET, **settings: str) -> bytes:
    """A workbook with these survey rows."""
    book = Workbook()
    survey = book.worksheets[0]
    survey.title = "survey"
    for row in rows:
        survey.append(row)
    named = book.create_sheet("settings")
    named.append(list(settings) or ["form_id"])
    named.append(list(settings.values()) or ["small"])
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def new_uuid() -> str:
    """A uuid that was not used yet."""
    return f"00000000-0000-4000-8000-{next(_numbers):012d}"


def record(who: str = "Hala", uuid: str | None = None, inside: str = "", **meta: str) -> bytes:
    """A filled-in small form; *meta* adds to the meta block."""
    named = {"instanceID": f"uuid:{uuid or new_uuid()}", **meta}
    block = "".join(f"<{key}>{value}</{key}>" for key, value in named.items())
    return f"<data id='x'><who>{who}</who>{inside}<meta>{block}</meta></data>".encode()


@dataclass
class Target:
    """Stands where hooks are posted to: notes them and answers what it was told, in order, then 200."""

    answers: list[int | Exception] = field(default_factory=list)
    posted: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    def __call__(self, url: str, *, data: bytes, headers: Mapping[str, str], **_: object) -> requests.Response:
        self.posted.append((url, headers, data))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code = answer
        response._content = b"<b>answer</b>"
        return response


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **amount: int) -> None:
        self.now += timedelta(**amount)


@dataclass
class Small:
    """The sandbox with the small form, and shorthands for asking it."""

    kobo: KoboSandbox
    target: Target
    clock: Clock
    token: str
    uid: str

    def call(self, method: str, path: str, token: str | None = None, **options: object) -> TestResponse:
        """A request to `/api/v2/assets/<uid>` + *path*, by the owner unless a token says otherwise."""
        headers = {"Authorization": f"Token {token or self.token}"}
        address = f"/api/v2/assets/{self.uid}{path}"
        return self.kobo.app.test_client().open(address, method=method, headers=headers, **options)  # type: ignore[arg-type]

    def rows(self, **query: str) -> list[dict[str, object]]:
        """The data list."""
        return self.call("GET", "/data/", query_string=query).json["results"]  # type: ignore[index, no-any-return]

    def hook(self, **settings: object) -> str:
        """Adds a REST service; returns its uid."""
        made = self.call("POST", "/hooks/", json={"name": "h", "endpoint": "http://127.0.0.1/in", **settings})
        return str(made.json["uid"])  # type: ignore[index]

    def logs(self, hook: str) -> list[dict[str, object]]:
        """What a REST service sent."""
        return self.call("GET", f"/hooks/{hook}/logs/").json["results"]  # type: ignore[index, no-any-return]


@pytest.fixture
def small() -> Iterator[Small]:
    """A deployed small form whose hooks go to a stand-in and are repeated at once."""
    target, clock = Target(), Clock()
    kobo = KoboSandbox(clock=clock, hook_retry_delays=(0, 0, 0, 0), hook_post=target, resolve=lambda _: "127.0.0.1")
    token = kobo.add_user("owner")
    yield Small(kobo, target, clock, token, kobo.publish("owner", "Small form", sheet()))
    kobo.close()
