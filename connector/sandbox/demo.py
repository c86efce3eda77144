"""`silah sandbox`: the whole way on this machine, with people who do not exist.

A KoboToolbox-compatible server on loopback, the forms published on it, two sample targets, and twelve filled-in
requests that arrive by webhook: a photo, an edit, a deletion, a refused consent, a dangerous search, one sent back by
the reviewer. Everything between them is the product itself. State lives in a temporary folder and is gone at the end.
"""

from __future__ import annotations

import re
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from types import FrameType
from xml.etree.ElementTree import Element, SubElement, tostring

import pyotp
import requests
from defusedxml.ElementTree import fromstring
from rich.console import Console
from rich.table import Column, Table

from connector import config as configuration
from connector.app import assemble
from connector.dispatch.embedded import Dispatcher
from connector.keys import new_master_file
from connector.ledger.flow import QueueRow
from connector.ledger.sign_in import SignIn
from connector.ledger.users import Users
from connector.pipeline import Pipeline
from connector.sandbox.kobo import KoboSandbox
from connector.sandbox.kobo import serve as serve_kobo
from connector.sandbox.receiver import ReceiverApp
from connector.sandbox.receiver import serve as serve_receiver
from connector.serving import Web
from forms.tables import FORMS, form_ids
from webhooks.edge import create_app

# Conversations of which the samples are the records; what happens to each is told in the table.
REQUESTS: Mapping[str, str] = {
    "sister_looks_for_brother": "with a photo, approved by the reviewer",
    "son_looks_for_mother": "edited afterwards",
    "wife_looks_for_husband": "for another society than the partner",
    "flood_in_plain_english": "for the own society alone",
    "collection_refused": "consent refused",
    "search_would_be_dangerous": "a search could endanger somebody",
    "believed_detained": "believed detained",
    "several_people_and_companions": "three people, approved by the reviewer",
    "hijri_dates": "deleted on the form server afterwards",
    "child_is_sought": "a child is looked for",
    "unsure_age_is_a_child": "sent back by the reviewer",
    "consent_not_confirmed": "not confirmed at the end",
}
EDITED, DELETED, SENT_BACK = "son_looks_for_mother", "hijri_dates", "unsure_age_is_a_child"
APPROVED = ("sister_looks_for_brother", "several_people_and_companions")
_SAMPLES = files("connector.sandbox") / "samples"
_DATES = ("interview_date", "today", "consent_review_on")
_MOMENTS = ("start", "end", "consent_ts")
_ACCOUNT, _OWNER, _REVIEWER = "silah", "coordinator", "reviewer"
_PATIENCE = 30.0
_VISITOR = "practice"
_HALF_MINUTE = 30.0


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody to sign in to the dashboard as; the terminal is their authenticator, in the sandbox alone."""

    name: str
    password: str
    secret: str

    @classmethod
    def invite(cls, flow: Pipeline) -> Visitor:
        ledger = flow.ledger
        users = Users(ledger.database, ledger.master, ledger.now)
        uri = users.add(_VISITOR, "supervisor", "sandbox")
        password = secrets.token_urlsafe(12)
        SignIn(ledger.database, users, ledger.now).set_password(_VISITOR, password, "sandbox")
        return cls(_VISITOR, password, uri.partition("secret=")[2].partition("&")[0])

    def told(self) -> str:
        return f"name {self.name}, password {self.password}, code {self.code()} (new every half minute)"

    def code(self) -> str:
        return pyotp.TOTP(self.secret).now()


class Demo:
    """The sandbox, put together and taken apart."""

    def __init__(self, home: Path, port: int) -> None:
        self.kobo = KoboSandbox()
        token = self.kobo.add_user(_ACCOUNT)
        for person in (_OWNER, _REVIEWER, "volunteer"):
            self.kobo.add_user(person)
        self.assets = {form: self._publish(form) for form in form_ids()}
        self.asset = self.assets["tracing_request"]
        self.kobo_server = serve_kobo(self.kobo)
        self.targets = {name: ReceiverApp() for name in ("national", "partner")}
        self.target_servers = {name: serve_receiver(receiver) for name, receiver in self.targets.items()}
        self._secret = secrets.token_urlsafe(24)
        self.flow = self._assemble(home, token)
        self._dispatcher = Dispatcher(self.flow)
        self.web = Web(create_app(self.flow, self._dispatcher.ring), "127.0.0.1", port)
        self.ids: dict[str, dict[str, object]] = {}
        self.visitor = Visitor.invite(self.flow)

    def _publish(self, form: str) -> str:
        folder = FORMS / "xlsx" / "kobo"
        media = {path.name: path.read_bytes() for path in sorted((folder / f"{form}-media").glob("*"))}
        asset = self.kobo.publish(_OWNER, form, (folder / f"{form}.xlsx").read_bytes(), media)
        self.kobo.grant(asset, _ACCOUNT, "view_submissions", "validate_submissions")
        self.kobo.grant(asset, _REVIEWER, "validate_submissions")
        self.kobo.grant(asset, "volunteer", "add_submissions")
        return asset

    def _assemble(self, home: Path, token: str) -> Pipeline:
        """A real configuration, as an admin would write it; its secrets are in files of this folder."""
        new_master_file(home / "keys" / "master.key")
        for name, secret in (("token", token), ("hook", self._secret)):
            (home / name).write_text(secret, encoding="utf-8")
        text = _CONFIGURATION.format(
            kobo=self.kobo_server.url,
            forms="\n".join(f'{form} = "{asset}"' for form, asset in self.assets.items()),
            accepts=", ".join(f'"{form}"' for form in self.assets),
            **{name: one.url for name, one in self.target_servers.items()},
        )
        (home / "silah.toml").write_text(text, encoding="utf-8")
        return assemble(configuration.load(home / "silah.toml"))

    def start(self) -> None:
        self.web.start()
        self._dispatcher.start()
        token = self._token(_OWNER)
        for asset in self.assets.values():
            answer = requests.post(
                f"{self.kobo_server.url}/api/v2/assets/{asset}/hooks/",
                json=self._hook(),
                headers={"Authorization": f"Token {token}"},
                timeout=10,
            )
            answer.raise_for_status()

    def _hook(self) -> dict[str, object]:
        """Ids alone: whoever edits the project can read its hooks."""
        return {
            "name": "Silah", "endpoint": f"{self.web.url}/webhooks/kobo/kobo", "active": True,
            "subset_fields": ["_id", "_uuid", "meta/rootUuid", "_xform_id_string"],
            "settings": {"custom_headers": {"X-Silah-Token": self._secret}},
        }  # fmt: skip

    def _token(self, user: str) -> str:
        answer = requests.get(f"{self.kobo_server.url}/token/?format=json", auth=(user, "practice"), timeout=10)
        return str(answer.json()["token"])

    def send(self, name: str) -> None:
        """A volunteer's phone sends one request."""
        xml = (_SAMPLES / f"{name}.xml").read_bytes()
        photo = (_SAMPLES / "face.jpg").read_bytes()
        photos = dict.fromkeys((found.decode() for found in re.findall(rb">([\w-]+\.jpg)<", xml)), photo)
        self.ids[name] = self.kobo.submit(self.asset, dated(xml), photos, "volunteer")

    def edit(self, name: str) -> None:
        """The volunteer adds a word to what was told, on the form server's web page."""
        stored = requests.get(
            f"{self.kobo_server.url}/api/v2/assets/{self.asset}/data/{self.ids[name]['_id']}.xml",
            headers={"Authorization": f"Token {self._token(_OWNER)}"},
            timeout=10,
        )
        self.kobo.submit(self.asset, edited(stored.content, "s_marks", "خال کوچکی بالای ابروی چپ"), {}, _OWNER)

    def judge(self, name: str, status: str) -> None:
        """The reviewer sets the validation status."""
        answer = requests.patch(
            f"{self.kobo_server.url}/api/v2/assets/{self.asset}/data/{self.ids[name]['_id']}/validation_status/",
            json={"validation_status.uid": f"validation_status_{status}"},
            headers={"Authorization": f"Token {self._token(_REVIEWER)}"},
            timeout=10,
        )
        answer.raise_for_status()

    def delete(self, name: str) -> None:
        self.kobo.delete(self.asset, str(self.ids[name]["_id"]))

    def settle(self) -> None:
        """Waits until every hook was answered, every bell followed and nothing is due."""
        self.kobo.drain_hooks(_PATIENCE)
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if not any(row.state == "due" for row in self.flow.ledger.queue()):
                return
            time.sleep(0.02)

    def pull(self) -> None:
        self.flow.reconcile("kobo", "tracing_request")
        self._dispatcher.wake()

    def close(self) -> None:
        self.web.stop()
        self._dispatcher.stop()
        self.kobo.close()
        self.kobo_server.close()
        for server in self.target_servers.values():
            server.close()
        self.flow.ledger.database.close()


_CONFIGURATION = """\
society = "SY-RC"
database = "sqlite:///var/silah.db"
data_dir = "var"
master_key_file = "keys/master.key"

[servers.kobo]
type = "kobo"
url = "{kobo}"
token_file = "token"
webhook_secret_file = "hook"
[servers.kobo.forms]
{forms}

[targets.national]
type = "rest"
url = "{national}"
recipient = "own_society"
accepts = [{accepts}]

[targets.partner]
type = "rest"
url = "{partner}"
recipient = "national_society"
society = "TR-RC"
accepts = [{accepts}]
"""


def run(port: int, *, console: Console, keep_running: bool) -> None:
    """Tells the story once and keeps serving until SIGINT or SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="silah-sandbox-") as folder:
        Path(folder).chmod(0o700)
        demo = Demo(Path(folder), port)
        try:
            _tell(demo, console)
            if keep_running:
                console.print("\nIt keeps running: send forms to the sandbox, look at the targets, stop with Ctrl+C.")
                _wait_for_a_signal(demo.visitor, console)
        finally:
            demo.close()


def _tell(demo: Demo, console: Console) -> None:
    started = time.monotonic()
    demo.start()
    console.print("[bold]Silah's sandbox[/]: synthetic people on loopback; everything between them is the product.\n")
    _addresses(demo, console)
    for name in REQUESTS:
        demo.send(name)
    demo.settle()
    demo.edit(EDITED)
    demo.delete(DELETED)
    demo.judge(SENT_BACK, "not_approved")
    for name in APPROVED:
        demo.judge(name, "approved")
    demo.pull()
    demo.settle()
    console.print(_table(demo))
    account = demo.flow.ledger.account("kobo", "tracing_request")
    console.print(
        f"\non server {account.on_server} · here {account.here} · delivered {account.delivered} · withheld {account.withheld}"
        f" · waiting {account.waiting} · parked {account.parked} · missing {account.missing}"
        f"   ({time.monotonic() - started:.1f} s)"
    )


def _addresses(demo: Demo, console: Console) -> None:
    console.print(f"  Silah                         {demo.web.url}")
    console.print(f"  form server (KoboToolbox)     {demo.kobo_server.url}   user volunteer, password practice")
    console.print(f"  to sign in there              {demo.visitor.told()}")
    for name, server in demo.target_servers.items():
        console.print(f"  sample target {name:<15} {server.url}")
    console.print(f"  its configuration             {demo.flow.config.path}\n")


def _table(demo: Demo) -> Table:
    """One line a request: what happened to it, and what each target got or why not."""
    heads = [Column(head, overflow="fold") for head in ("request", "what happened", *demo.targets)]
    table = Table(*heads, title="Twelve filled-in requests", title_justify="left")
    rows = demo.flow.ledger.queue()
    for name, told in REQUESTS.items():
        root = str(demo.ids[name]["meta/rootUuid"]).removeprefix("uuid:")
        cells = [
            _fate(demo, root, [row for row in rows if (row.root_id, row.target) == (root, one)]) for one in demo.targets
        ]
        table.add_row(name.replace("_", " "), told, *cells)
    return table


def _fate(demo: Demo, root: str, rows: Sequence[QueueRow]) -> str:
    case = demo.flow.ledger.case(root)
    gone = " · now gone" if case is not None and case.presence == "gone" else ""
    return ", ".join(_words(row) for row in rows) + gone


def _words(row: QueueRow) -> str:
    if row.state == "delivered":
        return f"[green]received[/] version {row.version}"
    colour = {"withheld": "yellow", "waiting": "cyan", "held": "magenta"}.get(row.state, "red")
    return f"[{colour}]{row.state}[/] ({row.error or ''})"


def dated(xml: bytes) -> bytes:
    """The sample as if it had been filled in today, by another phone: fresh ids, dates as far from today as they were."""
    root: Element = fromstring(xml)
    now = datetime.now(UTC)
    since = now.date() - date.fromisoformat(_first(root, "interview_date").text or "")
    for node in root.iter():
        name = _local(node)
        if name in _DATES and node.text:
            node.text = (date.fromisoformat(node.text[:10]) + since).isoformat()
        elif name in _MOMENTS and node.text:
            node.text = now.isoformat(timespec="milliseconds")
        elif name == "instanceID":
            node.text = f"uuid:{_uuid()}"
    return bytes(tostring(root, encoding="utf-8"))


def edited(xml: bytes, question: str, answer: str) -> bytes:
    """The record as a form server's web page edits it: a new instanceID, the old one as deprecatedID."""
    root: Element = fromstring(xml)
    instance = _first(root, "instanceID")
    meta = _first(root, "meta")
    deprecated = next((node for node in meta if _local(node) == "deprecatedID"), None)
    if deprecated is None:
        deprecated = SubElement(meta, instance.tag.replace("instanceID", "deprecatedID"))
    deprecated.text, instance.text = instance.text, f"uuid:{_uuid()}"
    _first(root, question).text = answer
    return bytes(tostring(root, encoding="utf-8"))


def _first(root: Element, name: str) -> Element:
    return next(node for node in root.iter() if _local(node) == name)


def _local(node: Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _uuid() -> str:
    text = secrets.token_hex(16)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _wait_for_a_signal(visitor: Visitor, console: Console) -> None:
    """Shows the code that signs in, anew as long as it runs where somebody can see it."""
    told = threading.Event()
    handler: Callable[[int, FrameType | None], None] = lambda *_: told.set()  # noqa: E731 (a signal handler in one line)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    console.print(f"To sign in: {visitor.told()}")
    while not told.wait(_HALF_MINUTE):
        if console.is_terminal:
            console.print(f"To sign in: {visitor.told()}", end="\r")
