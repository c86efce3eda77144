"""ODK Central: everything that is known of how it takes in forms, and nothing of it anywhere else.

Facts: Central 2023.5 to 2026.2. A form is known by its own id within a project; a version string is taken once for all.
A new version waits as a draft, which carries the files of the version before it, until it is published; an upload that
is refused leaves the published version as it is. The XForm goes up as we converted and tested it, so that its bytes
can be compared with what is there. There are no hooks and no free text beside a form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from connector.config import Server
from connector.errors import Refused, ServerError
from connector.outbound import Answer
from connector.servers.case_lists import FILE
from connector.servers.central import Door
from connector.servers.central_lists import CentralCaseList
from connector.servers.hosting import Doorbell, HungDoorbell, Media, Prepared, Project
from forms.compiler import Sheet
from forms.tables import Build
from forms.training import SUFFIX
from forms.xforms import convert_sheets, rows_of_xform

_XML = "application/xml"
_FILE = "application/octet-stream"
_UNKNOWN = "0" * 16
_MOST_TOLD = 300
_RIGHTS = frozenset({"change_asset", "view_submissions"})
"""Central tells no rights beforehand: the first request that changes something is refused where they lack."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    form_id: str = Field(alias="xmlFormId")
    name: str | None = None
    version: str | None = None
    hash: str
    state: str = "open"
    published: datetime | None = Field(None, alias="publishedAt")


class _File(BaseModel):
    name: str
    exists: bool = False
    hash: str | None = None


class _User(BaseModel):
    id: int


_T = TypeVar("_T")
_FORM = TypeAdapter(_Form)
_FORMS = TypeAdapter(list[_Form])
_FILES = TypeAdapter(list[_File])
_USER = TypeAdapter(_User)


class CentralForms:
    """The forms of one ODK Central, as `FormHost`.

    Args:
        token: a session of somebody who may manage the project; None for the account of silah.toml.
        project: number of the project for forms that stand nowhere yet; None for the one that all others are in.
    """

    build: Build = "central"
    rings = False
    versions_once = True

    def __init__(self, name: str, config: Server, token: str | None = None, project: str | None = None) -> None:
        self.name = name
        self._door = Door(name, config, token)
        self._projects = sorted(
            {ref.partition("/")[0] for ref in config.forms.values()} | ({project} if project else set())
        )
        self._project = project or (self._projects[0] if len(self._projects) == 1 else None)
        self._list = CentralCaseList(name, config, self._door) if config.has_case_list else None

    def prepared(self, form_id: str, sheets: Mapping[str, Sheet]) -> Prepared:
        xml = convert_sheets(form_id, sheets).encode()
        return Prepared(xml, _digest(xml), rows_of_xform(xml))

    def account(self) -> str:
        return str(self._door.read("/v1/users/current", _USER).id)

    def submission_url(self) -> str:
        return ""

    def project(self, ref: str) -> Project | None:
        published = self._maybe(_path(ref), _FORM)
        draft = self._maybe(f"{_path(ref)}/draft", _FORM)
        newest = draft or published
        if newest is None:
            return None
        live = published if published is not None and published.published else None
        rows = rows_of_xform(self._door.get(f"{_path(ref)}.xml").body) if live else {}
        waiting = "/draft" if draft else ""
        files = self._door.read(f"{_path(ref)}{waiting}/attachments", _FILES)
        return Project(
            ref=ref,
            title=newest.name or newest.form_id,
            note=_note(newest, newest.hash[:16]),
            state=("deployed" if live.state == "open" else "archived") if live else "draft",
            rows=rows,
            content=newest.hash,
            deployed_content=live.hash if live else None,
            version=(live or newest).version or "",
            version_ref=newest.version or "",
            deployed_ref=live.version or "" if live else None,
            deployed_at=live.published if live else None,
            media=tuple(Media(one.name, one.name, one.hash or "", None) for one in files if one.exists),
            encrypted=any(settings.get("public_key") for settings in rows.get("settings", ())),
            submissions=0,
            rights=_RIGHTS,
        )

    def notes(self) -> Iterator[tuple[str, str]]:
        for project in self._projects:
            for form in self._door.read(f"/v1/projects/{project}/forms", _FORMS):
                yield f"{project}/{form.form_id}", _note(form, _UNKNOWN)

    def put_form(self, title: str, form: Prepared, ref: str | None) -> str:  # noqa: ARG002 (the title is in the form)
        project = ref.partition("/")[0] if ref is not None else self._project
        if project and self._list and f"/{FILE}".encode() in form.content:
            self._list.prepare(f"/v1/projects/{project}")  # before the form, which then shows it
        if ref is not None:
            self._write("POST", f"{_path(ref)}/draft", form.content, _XML)
            return ref
        if self._project is None:
            advice = "Name the project's number by --project; it stands in the project's address."
            raise Refused("publish.which_project", f"server {self.name}", advice)
        answer = self._write("POST", f"/v1/projects/{self._project}/forms", form.content, _XML)
        return f"{self._project}/{_FORM.validate_json(answer.body).form_id}"

    def put_note(self, ref: str, note: str) -> None:
        """A form here has no free text; its own id says what it is."""

    def put_media(self, ref: str, name: str, content: bytes, old: Media | None) -> None:  # noqa: ARG002 (it is replaced)
        path = f"{_path(ref)}/draft/attachments"
        if name not in {file.name for file in self._door.read(path, _FILES)}:  # Central takes what the form names alone
            return
        if name == FILE and self._list and not ref.endswith(SUFFIX):  # practice sees no real case
            told = json.dumps({"dataset": True}).encode()
            self._write("PATCH", f"{path}/{quote(name, safe='')}", told, "application/json")
        else:
            self._write("POST", f"{path}/{quote(name, safe='')}", content, _FILE)

    def deploy(self, project: Project) -> None:
        self._write("POST", f"{_path(project.ref)}/draft/publish", b"", _FILE)
        if project.state == "archived":
            self._write("PATCH", _path(project.ref), json.dumps({"state": "open"}).encode(), "application/json")

    def doorbells(self, ref: str) -> list[HungDoorbell]:  # noqa: ARG002 (Central has none)
        return []

    def hang(self, ref: str, bell: Doorbell, old: HungDoorbell | None) -> None:
        """Central has no hooks that could be registered."""

    def readers(self, ref: str) -> dict[str, frozenset[str]]:  # noqa: ARG002 (roles are the administrator's)
        return {}

    def let_read(self, ref: str, account: str, right: str) -> None:
        """Roles on Central are given by its administrator."""

    def _maybe(self, path: str, kind: TypeAdapter[_T]) -> _T | None:
        try:
            return self._door.read(path, kind)
        except ServerError as error:
            if error.code in ("central.not_found", "central.no_right"):
                return None
            raise

    def _write(self, method: str, path: str, body: bytes, kind: str) -> Answer:
        answer = self._door.ask(path, method=method, body=body, kind=kind)
        if not answer.ok:
            raise self._refused(answer)
        return answer

    def _refused(self, answer: Answer) -> ServerError:
        where = f"server {self.name} answered {answer.status}"
        code, advice = _REFUSALS.get(answer.status, _OTHER)
        return ServerError(code, where, advice.format(told=_message(answer.body) or "nothing more"), permanent=True)


_OTHER = (
    "central.server_error",
    "It says: {told}. What was published before stays; publish again, and it goes on where it stopped.",
)
_REFUSALS: Mapping[int, tuple[str, str]] = {
    400: (
        "central.form_refused",
        "It cannot read the form: {told} The earlier version stays live. Mend the tables (`silah forms check`) and publish again.",
    ),
    401: ("central.unauthorized", "Mend the account in silah.toml, or name a session's token by --token-env."),
    403: (
        "central.no_right",
        "Publishing needs the role Project Manager: give it, or name a manager's session by --token-env.",
    ),
    404: ("central.not_found", "Mend the project's number, or name the right one by --project."),
    409: (
        "central.version_taken",
        "It says: {told} The earlier version stays live. Raise `version` in settings.toml and publish again.",
    ),
}


def _note(form: _Form, tables: str) -> str:
    """What KoboToolbox keeps as a text, said from the form's own id and version."""
    form_id = form.form_id.removesuffix(SUFFIX)
    kind = " for training" if form.form_id.endswith(SUFFIX) else ""
    return f"Silah: {form_id}{kind}, version {form.version or '-'} (tables {tables}, server {form.hash[:12]})"


def _digest(xml: bytes) -> str:
    """As Central states it: the md5 of the XForm, of which 16 digits tell two versions apart."""
    return hashlib.md5(xml, usedforsecurity=False).hexdigest()[:16]


def _path(ref: str) -> str:
    project, _, form_id = ref.partition("/")
    return f"/v1/projects/{project}/forms/{quote(form_id, safe='')}"


def _message(body: bytes) -> str:
    """What the server says of a form; never an answer of one, there is none in these replies."""
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    text = " ".join(str(said.get("message", "") if isinstance(said, dict) else said).split())
    details = said.get("details") if isinstance(said, dict) else None
    error = details.get("error") if isinstance(details, dict) else None
    return f"{text} {error or ''}".strip()[:_MOST_TOLD]
