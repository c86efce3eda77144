"""A KoboToolbox server on loopback, an account that may edit, one that only reads, and small forms of our own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connector import config as configuration
from connector.config import Config
from connector.publishing import Plan, Published, Publisher
from connector.sandbox.kobo import KoboSandbox, serve
from connector.servers.kobo_publishing import KoboForms
from forms.tables import forget
from tests.forms.tiny import complete, write_form

EDITOR, READER = "editor", "silah_account"
EDITORS_TOKEN, READERS_TOKEN, HOOK_SECRET = "e" * 40, "0" * 40, "hook-secret-for-tests"
FORM = "tiny"
SURVEY = """\
    type,name,label,required,choice_filter
    select_one colour,colour,Which colour?,,
    begin_repeat,visit,Visit,,
    integer,visitors,How many came?,,
    end_repeat,,,,
    select_one_from_file places.csv,place,Where?,,
    select_one_from_file cases.csv,known_case,Which case?,,
"""
COLOURS = "list_name,name,label\ncolour,red,Red\ncolour,blue,Blue\n"
PLACES = "name,label\nP1,Here\nP2,There\n"
CASES = "name,label\n"


def settings(version: str = "2026112101", media: str = '["places.csv", "cases.csv"]') -> str:
    return f'title = "Tiny form"\nversion = "{version}"\npurpose = "tracing"\nmedia = {media}\n'


@dataclass
class Office:
    """A society's server and its tables."""

    root: Path
    kobo: KoboSandbox
    url: str
    monkeypatch: pytest.MonkeyPatch
    forms: dict[str, str] = field(default_factory=dict)
    public_url: str | None = "http://127.0.0.1:9"
    waits: list[float] = field(default_factory=list)
    pack: str = "demo"

    @property
    def data(self) -> dict[str, Any]:
        server = {
            "type": "kobo", "url": self.url, "token_env": "KOBO_TOKEN", "webhook_secret_env": "KOBO_WEBHOOK_SECRET",
        }  # fmt: skip
        public = {"public_url": self.public_url} if self.public_url else {}
        return {"society": "SY-RC", "database": "sqlite:///silah.db", **public, "servers": {"kobo": server}}

    @property
    def config(self) -> Config:
        return configuration.parse(self.data, self.root / "silah.toml")

    def publisher(self, token: str = EDITORS_TOKEN, reader: str | None = READER) -> Publisher:
        server = self.config.servers["kobo"].model_copy(
            update={"forms": self.forms}
        )  # no form of the project is this small
        host = KoboForms("kobo", server, token, self.waits.append)
        return Publisher(host, server, public_url=self.public_url, reader=reader, root=self.root, pack=self.pack)

    def write(self, survey: str = SURVEY, choices: str = COLOURS, **files: str) -> None:
        """The tables as they are from now on."""
        files = {"settings": settings(), "media_places": PLACES, "media_cases": CASES, **files}
        write_form(self.root, FORM, survey=survey, choices=choices, **files)
        complete(self.root, FORM)
        forget()

    def plan(self, **options: Any) -> Plan:
        return self.publisher().plan(FORM, **options)

    def publish(self, *, force: bool = False, **options: Any) -> Published:
        """Publishes and takes the printed line over into the configuration, as an admin would."""
        publisher = self.publisher()
        done = publisher.carry_out(publisher.plan(FORM, **options), force=force)
        if done.line:
            self.forms = {FORM: done.ref}
        return done

    def asked(self, *methods: str) -> list[tuple[str, str]]:
        """Requests of these methods so far: (method, path without ids)."""
        return [(one.method, one.path) for one in self.kobo.requests if one.method in methods]

    def changing(self) -> int:
        """How many requests so far could have changed something."""
        return len(self.asked("POST", "PATCH", "PUT", "DELETE"))


@pytest.fixture(name="office")
def _office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setenv("KOBO_TOKEN", READERS_TOKEN)
    monkeypatch.setenv("KOBO_WEBHOOK_SECRET", HOOK_SECRET)
    kobo = KoboSandbox(import_polls=1, hook_retry_delays=(0.0,) * 4)
    kobo.add_user(EDITOR, token=EDITORS_TOKEN)
    kobo.add_user(READER, token=READERS_TOKEN)
    running = serve(kobo)
    (tmp_path / "media").mkdir()
    office = Office(tmp_path, kobo, running.url, monkeypatch)
    office.write()
    yield office
    kobo.close()
    running.close()
    forget()
