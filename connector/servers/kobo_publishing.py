"""KoboToolbox: everything that is known of how it takes in forms, and nothing of it anywhere else.

Facts: kpi of 2026-08 (API v2). An import takes multipart alone and makes a project only with `library=false`; it does
not compile the form, so a fault in an expression shows at deployment. A deployment that is refused leaves the earlier
version before devices. Media reach devices with the next deployment. Hooks show their secret to every editor.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from connector.config import Server
from connector.errors import ServerError
from connector.outbound import Answer, Caller, Unreachable
from connector.servers.hosting import Doorbell, HungDoorbell, Media, Prepared, Project
from forms.compiler import Sheet, write_sheets
from forms.differences import Cells, Rows, rows_of
from forms.tables import Build
from forms.xforms import convert_sheets

_PAGE = 200
_POLL_SECONDS = 1.0
_IMPORT_LIMIT = timedelta(minutes=5)
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MOST_TOLD = 300
_LISTED = ("select_from_list_name", "file")


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class _Content(_Wire):
    survey: list[dict[str, object]] = Field(default_factory=list)
    choices: list[dict[str, object]] = Field(default_factory=list)
    settings: dict[str, object] = Field(default_factory=dict)
    translations: list[str | None] = Field(default_factory=list)


class _About(_Wire):
    description: str = ""


class _Described(_Wire):
    settings: dict[str, object] = Field(default_factory=dict)


class _FileFacts(_Wire):
    digest: str = Field("", alias="hash")
    filename: str = ""


class _File(_Wire):
    uid: str
    file_type: str = "form_media"
    created: datetime | None = Field(None, alias="date_created")
    facts: _FileFacts = Field(default_factory=_FileFacts, alias="metadata")


class _Version(_Wire):
    content_hash: str


class _Versions(_Wire):
    results: list[_Version] = Field(default_factory=list)


class _Permission(_Wire):
    codename: str


class _Listed(_Wire):
    uid: str
    settings: _About = Field(default_factory=_About)


class _Asset(_Listed):
    name: str = ""
    state: Literal["draft", "deployed", "archived"] = Field("draft", alias="deployment_status")
    content: _Content = Field(default_factory=_Content)
    content_hash: str = Field("", alias="version__content_hash")
    version_id: str
    deployed_version_id: str | None = None
    date_deployed: datetime | None = None
    versions: _Versions = Field(default_factory=_Versions, alias="deployed_versions")
    files: list[_File] = Field(default_factory=list)
    encrypted: bool = Field(False, alias="deployment__encrypted")
    submissions: int = Field(0, alias="deployment__submission_count")
    permissions: list[_Permission] = Field(default_factory=list, alias="effective_permissions")


class _Assets(_Wire):
    results: list[_Listed]


class _Made(_Wire):
    uid: str


class _Messages(_Wire):
    created: list[_Made] = Field(default_factory=list)
    updated: list[_Made] = Field(default_factory=list)
    error: str = ""


class _Import(_Wire):
    uid: str
    status: str
    messages: _Messages = Field(default_factory=_Messages)


class _HookSettings(_Wire):
    custom_headers: dict[str, str] = Field(default_factory=dict)


class _Hook(_Wire):
    uid: str
    name: str
    endpoint: str
    active: bool
    export_type: str = "json"
    auth_level: str = "no_auth"
    payload_template: str | None = None
    settings: _HookSettings = Field(default_factory=_HookSettings)
    subset_fields: list[str] = Field(default_factory=list)


class _Hooks(_Wire):
    results: list[_Hook]


class _Grant(_Wire):
    user: str
    permission: str


class _Me(_Wire):
    username: str


class _Environment(_Wire):
    open_rosa_server: str


_T = TypeVar("_T", bound=_Wire)
_GRANTS = TypeAdapter(list[_Grant])


class KoboForms:
    """The projects of one KoboToolbox server, as `FormHost`.

    Args:
        token: of an account that may make and change projects; *name* and *config* are the server's of silah.toml.
        wait: sleeps between two looks at an import.
    """

    build: Build = "kobo"
    rings = True
    versions_once = False

    def __init__(self, name: str, config: Server, token: str, wait: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._wait = wait
        headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        self._http = Caller(config.url, headers=headers, timeout=config.timeout)

    def prepared(self, form_id: str, sheets: Mapping[str, Sheet]) -> Prepared:
        convert_sheets(form_id, sheets)  # the server would refuse it only at deployment, when it is half published
        book = BytesIO()
        write_sheets(book, sheets)
        text = json.dumps(sheets, ensure_ascii=False, sort_keys=True)
        return Prepared(book.getvalue(), hashlib.sha256(text.encode()).hexdigest()[:16], rows_of(sheets))

    def account(self) -> str:
        return self._read(_Me, "/me/").username

    def submission_url(self) -> str:
        return self._read(_Environment, "/api/v2/environment/").open_rosa_server.rstrip("/") + "/submission"

    def project(self, ref: str) -> Project | None:
        try:
            asset = self._read(_Asset, _path(ref))
        except ServerError as error:
            if error.code == "kobo.no_right":
                return None
            raise
        return _project(asset)

    def notes(self) -> Iterator[tuple[str, str]]:
        start = 0
        while True:
            params = {"q": "asset_type:survey", "limit": str(_PAGE), "start": str(start)}
            rows = self._read(_Assets, "/api/v2/assets/", params).results
            yield from ((row.uid, row.settings.description) for row in rows)
            if len(rows) < _PAGE:
                return
            start += _PAGE

    def put_form(self, title: str, form: Prepared, ref: str | None) -> str:
        fields = {"name": title, "library": "false"}
        if ref is not None:
            fields["destination"] = f"{self._http.base}{_path(ref)}"
        answer = self._call(
            "POST", "/api/v2/imports/", form=fields, files={"file": ("form.xlsx", form.content, _XLSX)}, doing="import"
        )
        begun = self._parsed(_Import, answer)
        done = self._imported(begun.uid)
        made = [*done.messages.created, *done.messages.updated]
        if done.status == "error" or not made:
            raise self._import_failed(done.messages.error)
        return made[0].uid

    def _imported(self, uid: str) -> _Import:
        for _ in range(int(_IMPORT_LIMIT.total_seconds() / _POLL_SECONDS)):
            task = self._read(_Import, f"/api/v2/imports/{uid}/")
            if task.status in ("complete", "error"):
                return task
            self._wait(_POLL_SECONDS)
        advice = "The server is still busy with the file; nothing was deployed. Publish again later."
        raise ServerError("kobo.import_slow", f"server {self.name}", advice)

    def _import_failed(self, error: str) -> ServerError:
        advice = f"It says: {_told(error) or 'nothing'}. Nothing was changed before devices; mend the tables and publish again."
        return ServerError("kobo.import_refused", f"server {self.name}, reading the form", advice, permanent=True)

    def put_note(self, ref: str, note: str) -> None:
        settings = self._read(_Described, _path(ref)).settings  # sector, country and the rest go back as they are
        self._call("PATCH", _path(ref), json_={"settings": {**settings, "description": note}}, doing="change")

    def put_media(self, ref: str, name: str, content: bytes, old: Media | None) -> None:
        if old is not None:  # a second file of one name is refused
            self._call("DELETE", f"{_path(ref)}files/{old.ref}/", doing="change")
        fields = {"file_type": "form_media", "description": "default", "metadata": json.dumps({"filename": name})}
        upload = {"content": (name, content, "application/octet-stream")}
        self._call("POST", f"{_path(ref)}files/", form=fields, files=upload, doing="change")

    def deploy(self, project: Project) -> None:
        path = f"{_path(project.ref)}deployment/"
        if project.state == "draft":
            self._call("POST", path, json_={"active": True}, doing="deploy")
        else:
            sent = {"active": True, "version_id": project.version_ref}
            self._call("PATCH", path, json_=sent, doing="deploy")

    def doorbells(self, ref: str) -> list[HungDoorbell]:
        params = {"limit": str(_PAGE)}
        return [_hung(hook) for hook in self._read(_Hooks, f"{_path(ref)}hooks/", params).results]

    def hang(self, ref: str, bell: Doorbell, old: HungDoorbell | None) -> None:
        sent = {
            "name": bell.name,
            "endpoint": bell.endpoint,
            "active": bell.active,
            "export_type": "json",
            "auth_level": "no_auth",
            "payload_template": "",
            "settings": {"custom_headers": dict([bell.header] if bell.header else [])},
            "subset_fields": list(bell.fields),
        }
        path = f"{_path(ref)}hooks/"
        if old is None:
            self._call("POST", path, json_=sent, doing="hook")
        else:
            self._call("PATCH", f"{path}{old.ref}/", json_=sent, doing="hook")

    def readers(self, ref: str) -> dict[str, frozenset[str]]:
        answer = self._call("GET", f"{_path(ref)}permission-assignments/", params={"format": "json"})
        try:
            grants = _GRANTS.validate_json(answer.body)
        except ValidationError:
            raise self._strange() from None
        found: dict[str, set[str]] = {}
        for grant in grants:
            found.setdefault(_last(grant.user), set()).add(_last(grant.permission))
        return {account: frozenset(rights) for account, rights in found.items()}

    def let_read(self, ref: str, account: str, right: str) -> None:
        base = f"{self._http.base}/api/v2"
        sent = {"user": f"{base}/users/{account}/", "permission": f"{base}/permissions/{right}/"}
        self._call("POST", f"{_path(ref)}permission-assignments/", json_=sent, doing="grant")

    def _read(self, model: type[_T], path: str, params: Mapping[str, str] | None = None) -> _T:
        return self._parsed(model, self._call("GET", path, params={"format": "json", **(params or {})}))

    def _parsed(self, model: type[_T], answer: Answer) -> _T:
        try:
            return model.model_validate_json(answer.body)
        except ValidationError:
            raise self._strange() from None

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json_: object = None,
        form: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        doing: str = "read",
    ) -> Answer:
        body = None if json_ is None else json.dumps(json_).encode()
        headers = {"Content-Type": "application/json"} if body else None
        try:
            answer = self._http.call(method, path, params=params, headers=headers, body=body, form=form, files=files)
        except Unreachable as error:
            advice = "What was deployed before stays. Look at the server's address and the network, then publish again: it goes on where it stopped."
            raise ServerError(f"kobo.{error.code}", f"server {self.name}", advice) from None
        if not answer.ok:
            raise self._refused(answer, doing)
        return answer

    def _refused(self, answer: Answer, doing: str) -> ServerError:
        """What a status means while we were *doing* something, and what to do."""
        where = f"server {self.name} answered {answer.status}"
        code, advice = _REFUSALS.get((answer.status, doing)) or _REFUSALS.get((answer.status, ""), _OTHER)
        return ServerError(code, where, advice.format(told=_message(answer.body) or "nothing more"), permanent=True)

    def _strange(self) -> ServerError:
        advice = "The answer is not what KoboToolbox gives; look whether the address leads to KoboToolbox itself."
        return ServerError("kobo.strange_answer", f"server {self.name}", advice)


_OTHER = (
    "kobo.server_error",
    "It says: {told}. What was deployed before stays; publish again, and it goes on where it stopped.",
)
_REFUSALS: Mapping[tuple[int, str], tuple[str, str]] = {
    (400, "deploy"): (
        "kobo.form_refused",
        "It cannot compile the form: {told} The earlier version stays live. Mend the tables (`silah forms check`) and publish again.",
    ),
    (401, ""): (
        "kobo.unauthorized",
        "Put a valid API token into the variable that --token-env (or `token_env`) names.",
    ),
    (403, ""): (
        "kobo.no_right",
        "Publishing needs an account that may edit the project: name the variable with its token by --token-env.",
    ),
    (404, ""): (
        "kobo.no_right",
        "The project is not there, or this account may not edit it: name the variable with an editor's token by --token-env.",
    ),
    (404, "hook"): (
        "kobo.no_right",
        "Hooks need 'edit form' and 'view submissions': name the variable with such an account's token by --token-env.",
    ),
    (405, "deploy"): (
        "kobo.already_deployed",
        "Somebody deployed it at this moment. Their version is live; publish again to put this one in its place.",
    ),
    (500, "deploy"): (
        "kobo.version_stale",
        "The form was changed on the server while we published it. The earlier version stays live; publish again.",
    ),
}


def _project(asset: _Asset) -> Project:
    newest = asset.versions.results[0].content_hash if asset.versions.results else None
    return Project(
        ref=asset.uid,
        title=asset.name,
        note=asset.settings.description,
        state=asset.state,
        rows=_rows(asset.content),
        content=asset.content_hash,
        deployed_content=newest if asset.deployed_version_id else None,
        version=str(asset.content.settings.get("version") or ""),
        version_ref=asset.version_id,
        deployed_ref=asset.deployed_version_id,
        deployed_at=asset.date_deployed,
        media=tuple(
            Media(file.uid, file.facts.filename, file.facts.digest.removeprefix("md5:"), file.created)
            for file in asset.files
            if file.file_type == "form_media"
        ),
        encrypted=asset.encrypted,
        submissions=asset.submissions,
        rights=frozenset(one.codename for one in asset.permissions),
    )


def _rows(content: _Content) -> Rows:
    """Kobo's own way of keeping a form, as sheets again."""
    return {
        "survey": [_cells(row, content.translations) for row in content.survey],
        "choices": [_cells(row, content.translations) for row in content.choices],
        "settings": [{key: str(value) for key, value in content.settings.items() if value}],
    }


def _cells(row: Mapping[str, object], languages: Sequence[str | None]) -> Cells:
    cells: dict[str, str] = {}
    for key, value in row.items():
        if key.startswith("$") or key in _LISTED or value is None:
            continue
        if isinstance(value, list):
            for language, text in zip(languages, value, strict=False):
                if text:
                    cells[f"{key}::{language}" if language else key] = str(text)
        else:
            cells[key] = "yes" if value is True else str(value)
    listed = next((str(row[key]) for key in _LISTED if row.get(key)), "")
    if listed and "type" in cells:
        cells["type"] = f"{cells['type']} {listed}"
    return cells


def _hung(hook: _Hook) -> HungDoorbell:
    headers = hook.settings.custom_headers
    plain = hook.export_type == "json" and not hook.payload_template and hook.auth_level == "no_auth"
    return HungDoorbell(
        hook.uid,
        Doorbell(
            hook.name,
            hook.endpoint,
            hook.active,
            tuple(hook.subset_fields),
            next(iter(headers.items()), None),
            plain and len(headers) <= 1,
        ),
    )


def _path(ref: str) -> str:
    return f"/api/v2/assets/{ref}/"


def _last(link: str) -> str:
    return urlsplit(link).path.rstrip("/").rpartition("/")[2]


def _message(body: bytes) -> str:
    """What the server says about a form; nothing of a page, and never an answer (none is in these replies)."""
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    if isinstance(said, dict):
        said = said.get("error") or said.get("detail") or "; ".join(f"{key}: {value}" for key, value in said.items())
    return _told(str(said))


def _told(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MOST_TOLD else f"{flat[:_MOST_TOLD]}…"
