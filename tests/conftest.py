"""What many tests need: forms filled in by the real engine, a form server, a target, a configured flow."""

from __future__ import annotations

import io
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connector import config as configuration
from connector.app import assemble
from connector.ledger.flow import QueueRow
from connector.pipeline import Pipeline
from connector.sandbox.kobo import KoboSandbox
from connector.sandbox.kobo import serve as serve_kobo
from connector.sandbox.receiver import ReceiverApp
from connector.sandbox.receiver import serve as serve_receiver
from connector.setup import new_key
from forms.compiler import build
from forms.engines import convert
from forms.tables import LANGUAGES
from tests import postgres as postgres_server
from tests.engines.javarosa import Filled, fill, media_of

OWN_ACCOUNT = "silah_account"
KOBO_TOKEN = "0" * 40
HOOK_SECRET = "hook-secret-for-tests"
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_FORMS = Path(__file__).parent.parent / "forms" / "xlsx" / "kobo"


@pytest.fixture(scope="session")
def xform(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, Mapping[str, Path]]]:
    """The compiled Kobo build of a form and its media, once a session."""
    folder = tmp_path_factory.mktemp("kobo")

    @cache
    def built(form_id: str) -> tuple[str, Mapping[str, Path]]:
        path = build(form_id, "kobo", folder)
        return convert(path), media_of(path.parent / f"{form_id}-media")

    return built


FillIn = Callable[..., bytes]


@pytest.fixture(scope="session")
def fill_in(xform: Callable[[str], tuple[str, Mapping[str, Path]]]) -> FillIn:
    """`fill_in(answers, form_id=…, language=…)`: the record that JavaRosa makes of these answers; it must be complete."""

    def filled(answers: Mapping[str, Any], form_id: str = "tracing_request", language: str = "en") -> bytes:
        converted, media = xform(form_id)
        result: Filled = fill(converted, media, answers, LANGUAGES[language])
        assert result.complete, result.stopped_at
        assert set(result.unreached) <= {"c_publish_photo_online"}, result.unreached  # not offered to everybody
        return result.record

    return filled


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **amount: float) -> None:
        self.moment += timedelta(**amount)


@dataclass(frozen=True)
class Attempt:
    """One POST as a target's machine saw it, whatever the target made of it."""

    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))


class Recorder:
    """In front of a target: keeps every attempt."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.attempts: list[Attempt] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(raw)
        if environ["REQUEST_METHOD"] == "POST":
            headers = {
                key[5:].replace("_", "-").title(): value for key, value in environ.items() if key.startswith("HTTP_")
            }
            self.attempts.append(Attempt(headers, raw))
        return self._app(environ, start_response)


@dataclass
class Node:
    """A configured Silah with a form server and targets on loopback."""

    home: Path
    clock: Clock
    kobo: KoboSandbox
    kobo_url: str
    asset: str
    receivers: dict[str, ReceiverApp]
    recorders: dict[str, Recorder]
    urls: dict[str, str]
    owner: str = "owner"
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    database: str = "sqlite:///var/silah.db"
    _flow: Pipeline | None = None

    @property
    def data(self) -> dict[str, Any]:
        targets = {
            name: {
                "type": "rest",
                "url": self.urls[name],
                "recipient": "own_society",
                "accepts": ["tracing_request"],
                **changes,
            }
            for name, changes in (self.targets or {"national": {}}).items()
        }
        server = {
            "type": "kobo", "url": self.kobo_url, "token_env": "KOBO_TOKEN", "webhook_secret_env": "KOBO_WEBHOOK_SECRET",
            "forms": {"tracing_request": self.asset}, **self.server,
        }  # fmt: skip
        return {
            "society": "SY-RC", "database": self.database, "data_dir": "var", "master_key_file": "keys/master.key",
            "servers": {"kobo": server}, "targets": targets, **self.extra,
        }  # fmt: skip

    @property
    def flow(self) -> Pipeline:
        if self._flow is None:
            self._flow = assemble(configuration.parse(self.data, self.home / "silah.toml"), self.clock)
        return self._flow

    def restart(self) -> Pipeline:
        """The same node after its process ended and began anew (with what `targets`, `server`, `extra` say now)."""
        self.close()
        flow = self.flow
        flow.reconsider()
        return flow

    def close(self) -> None:
        if self._flow is not None:
            self._flow.ledger.database.close()
            self._flow = None

    def submit(self, xml: bytes, files: Mapping[str, bytes] | None = None) -> dict[str, Any]:
        """A volunteer sends a filled-in form; returns Kobo's data JSON."""
        return self.kobo.submit(self.asset, xml, files or {}, self.owner)

    def ring(self, submission: Mapping[str, Any]) -> None:
        """The webhook of a submission, ids alone."""
        ids = {key: submission[key] for key in ("_id", "_uuid", "meta/rootUuid", "_xform_id_string")}
        self.flow.receive("kobo", ids)

    def pull(self, **options: Any) -> Any:
        return self.flow.reconcile("kobo", "tracing_request", **options)

    def dispatch(self, rounds: int = 10) -> list[str]:
        """Runs every due delivery of every target until none is due; what became of each attempt."""
        outcomes: list[str] = []
        for _ in range(rounds):
            due = [one for target in self.flow.targets for one in self.flow.ledger.due(target, 500)]
            if not due:
                break
            outcomes += [self.flow.attempt(one) for one in due]
        return outcomes

    def take_in(self, xml: bytes, files: Mapping[str, bytes] | None = None) -> dict[str, Any]:
        """Submit, ring, read back, dispatch: the whole way once."""
        submission = self.submit(xml, files)
        self.ring(submission)
        self.flow.read_back()
        self.dispatch()
        return submission

    def received(self, target: str = "national") -> list[dict[str, Any]]:
        """The bodies that had an effect at a target, in order."""
        return [dict(one.body) for one in self.receivers[target].received]

    def attempts(self, target: str = "national") -> list[Attempt]:
        """Every POST that reached a target's machine, in order."""
        return self.recorders[target].attempts

    def rows(self, target: str | None = "national") -> list[QueueRow]:
        return self.flow.ledger.queue(target=target)

    def states(self, target: str | None = "national") -> list[tuple[str, str | None]]:
        return [(row.state, row.error) for row in self.rows(target)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Server]:
    """A PostgreSQL server, started by the first test that needs one."""
    server = postgres_server.Server()
    yield server
    server.close()


TIERS = ["embedded", *(["postgres"] if postgres_server.wanted() else [])]


@pytest.fixture
def tier() -> str:
    """`embedded`; a test that holds on both tiers is marked `parametrize("tier", TIERS)`."""
    return "embedded"


@pytest.fixture
def database(tier: str, request: pytest.FixtureRequest) -> str:
    """The address of an empty database of *tier*."""
    return request.getfixturevalue("postgres").database() if tier == "postgres" else "sqlite:///var/silah.db"


@contextmanager
def running_node(home: Path, database: str = "sqlite:///var/silah.db") -> Iterator[Node]:
    """A node in *home* with its form server and targets; for fixtures of any scope."""
    kobo = KoboSandbox()
    kobo.add_user("owner")
    kobo.add_user(OWN_ACCOUNT, token=KOBO_TOKEN)
    asset = kobo.publish("owner", "tracing_request", (_FORMS / "tracing_request.xlsx").read_bytes())
    kobo.grant(asset, OWN_ACCOUNT, "view_submissions", "validate_submissions")
    running = serve_kobo(kobo)
    receivers = {name: ReceiverApp() for name in ("national", "icrc", "partner", "ngo", "authority")}
    recorders = {name: Recorder(receiver.app.wsgi_app) for name, receiver in receivers.items()}
    for name, receiver in receivers.items():
        receiver.app.wsgi_app = recorders[name]  # type: ignore[method-assign]
    served = {name: serve_receiver(receiver) for name, receiver in receivers.items()}
    list(new_key(home / "keys" / "master.key"))
    node = Node(
        home,
        Clock(),
        kobo,
        running.url,
        asset,
        receivers,
        recorders,
        {name: one.url + "/rfl" for name, one in served.items()},
        database=database,
    )
    secrets_ = {"KOBO_TOKEN": KOBO_TOKEN, "KOBO_WEBHOOK_SECRET": HOOK_SECRET, "SIGNING": SIGNING}
    with pytest.MonkeyPatch.context() as patch:
        for name, secret in secrets_.items():
            patch.setenv(name, secret)
        yield node
    node.close()
    kobo.close()
    running.close()
    for one in served.values():
        one.close()


@pytest.fixture(name="node")
def _node(tmp_path: Path, database: str) -> Iterator[Node]:
    with running_node(tmp_path, database) as node:
        yield node


_uuids = itertools.count(1)


def edited(xml: bytes, changes: Mapping[str, str]) -> bytes:
    """The record edited as a form server's web page does: new instanceID, deprecatedID, other answers (path end → text)."""
    from xml.etree.ElementTree import SubElement, fromstring, tostring

    root = fromstring(xml)
    meta = next(node for node in root.iter() if node.tag.rpartition("}")[2] == "meta")
    instance = next(node for node in meta if node.tag.rpartition("}")[2] == "instanceID")
    namespace = instance.tag.rpartition("}")[0] + "}" if "}" in instance.tag else ""
    deprecated = next((node for node in meta if node.tag.rpartition("}")[2] == "deprecatedID"), None)
    if deprecated is None:
        deprecated = SubElement(meta, f"{namespace}deprecatedID")
    deprecated.text = instance.text
    instance.text = f"uuid:{secrets.token_hex(4)}-0000-4000-8000-{next(_uuids):012d}"
    for name, text in changes.items():
        found = [node for node in root.iter() if node.tag.rpartition("}")[2] == name]
        assert found, name
        found[0].text = text
    return tostring(root)


def eventually(promise: Callable[[], bool], seconds: float = 15.0) -> None:
    """Waits until *promise* holds; for what happens in other threads and processes."""
    until = time.monotonic() + seconds
    while not promise():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)
