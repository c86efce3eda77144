"""KoboToolbox: everything that is known of its wire, and nothing of it anywhere else.

Facts: kpi of 2026-08 (data API v2). A submission is named by `meta/rootUuid` for ever; `_uuid` changes with every
edit; there is no modification time; "no right" is a 404; lists are capped at 1 000 rows and `_id` ascends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from connector.config import Server
from connector.errors import NotASubmission, ServerError
from connector.model import JSON, Answer, AttachmentRef, Bell, Listed, Review, Submission, bare_uuid
from connector.outbound import Answer as HttpAnswer
from connector.outbound import Caller, Unreachable
from connector.servers import Revoked, Rights
from connector.servers.odk_encryption import MOST_ENVELOPE

_PAGE = 1000
_IDS_A_READ = 150  # keeps the address under the 8 kB that proxies allow
_LIGHT = ["_id", "_uuid", "meta/rootUuid", "_validation_status"]
_STATES = {
    "validation_status_approved": "approved",
    "validation_status_not_approved": "not_approved",
    "validation_status_on_hold": "on_hold",
}
# Kobo's own keys in a submission; everything else is an answer.
_META = frozenset({"_id", "_uuid", "formhub/uuid", "__version__", "meta/instanceID", "meta/rootUuid", "meta/deprecatedID",
    "meta/instanceName", "meta/audit", "_xform_id_string", "_attachments", "_status", "_geolocation", "_submission_time",
    "_validation_status", "_submitted_by", "_tags", "_notes", "_supplementalDetails", "_version_", "_bamboo_dataset_id"})  # fmt: skip
_ENCRYPTED = "encryptedXmlFile"
_MOST_ATTACHMENT = 50 * 1024 * 1024
_ANONYMOUS = "AnonymousUser"
_NO_CONTENT, _GONE = 204, 404  # a permission goes with the one it rests on
_NOT_REVOKED = {403: "phone.no_right", 409: "phone.owner"}


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class _Status(_Wire):
    uid: str | None = None
    by_whom: str | None = None
    timestamp: int | None = None


class _Row(_Wire):
    """One line of a light list."""

    id: int = Field(alias="_id")
    uuid: str = Field(alias="_uuid")
    root: str | None = Field(None, alias="meta/rootUuid")
    validation: _Status = Field(default_factory=_Status, alias="_validation_status")

    @field_validator("validation", mode="before")
    @classmethod
    def _unset(cls, value: object) -> object:
        return value or {}

    @property
    def root_id(self) -> str:
        return bare_uuid(self.root or self.uuid)


class _Attachment(_Wire):
    uid: str | None = None
    basename: str = Field("", alias="media_file_basename")
    filename: str = ""
    mimetype: str = "application/octet-stream"
    is_deleted: bool = False


class _Full(_Row):
    """What is not an answer in a whole submission."""

    submitted: datetime = Field(default_factory=lambda: datetime.now(UTC), alias="_submission_time")
    version: str | None = Field(None, alias="__version__")
    attachments: list[_Attachment] = Field(default_factory=list, alias="_attachments")
    sender: str | None = Field(None, alias="_submitted_by")


class _Page(_Wire):
    count: int
    results: list[dict[str, object]]


class _Permission(_Wire):
    codename: str


class _Assignment(_Wire):
    """One permission of one account, both named by their addresses."""

    url: str
    user: str
    permission: str

    @property
    def account(self) -> str:
        return unquote(_last(self.user))

    @property
    def codename(self) -> str:
        return _last(self.permission)


class _Asset(_Wire):
    effective_permissions: list[_Permission] | None = None


class _Bell(_Wire):
    id: int | None = Field(None, alias="_id")
    uuid: str | None = Field(None, alias="_uuid")
    root: str | None = Field(None, alias="meta/rootUuid")
    asset: str = Field(alias="_xform_id_string")


class Kobo:
    """One KoboToolbox server, as `FormServer`."""

    def __init__(self, name: str, config: Server) -> None:
        self.name = name
        self._assets = dict(config.forms)
        self._forms = {asset: form for form, asset in config.forms.items()}
        headers = {"Authorization": f"Token {config.secret('token')}", "Accept": "application/json"}
        self._http = Caller(config.url, headers=headers, timeout=config.timeout)
        self._account: str | None = None

    def bell(self, body: JSON) -> Bell:
        advice = (
            "Register the hook with `silah forms publish`, or send `_id`, `_uuid`, `meta/rootUuid`, `_xform_id_string`."
        )
        try:
            told = _Bell.model_validate(body)
        except ValidationError:
            raise NotASubmission("webhook.not_a_submission", f"a webhook of {self.name}", advice) from None
        form_id = self._forms.get(told.asset)
        if form_id is None:
            raise NotASubmission(
                "webhook.unknown_form", f"a webhook of {self.name}", f"Name the form under [servers.{self.name}.forms]."
            )
        root = bare_uuid(told.root or told.uuid or "")
        if not root and told.id is None:
            raise NotASubmission("webhook.no_id", f"a webhook of {self.name}", advice)
        return Bell(form_id, root, bare_uuid(told.uuid or ""), told.id)

    def own_account(self) -> str | None:
        if self._account is None:
            try:
                self._account = str(self._json("/me/").get("username") or "")
            except ServerError as error:
                if error.code != "kobo.no_right":
                    raise
                self._account = ""  # it does not say; we never approve anything, so nobody's approval is ours
        return self._account or None

    def review_of(self, form_id: str, order: int) -> Review:
        body = self._json(f"/api/v2/assets/{self._assets[form_id]}/data/{order}/validation_status/")
        return _review(_Status.model_validate(body or {}))

    def set_on_hold(self, form_id: str, order: int, *, on_hold: bool) -> None:
        path = f"/api/v2/assets/{self._assets[form_id]}/data/{order}/validation_status/"
        if on_hold:
            self._call("PATCH", path, {"validation_status.uid": "validation_status_on_hold"})
        else:
            self._call("DELETE", path, None)

    def _call(self, method: str, path: str, body: Mapping[str, JSON] | None) -> None:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data else {}
        try:
            answer = self._http.call(method, path, headers=headers, body=data)
        except Unreachable as error:
            raise _unreachable(self.name, error) from None
        if not answer.ok:
            raise _refused(self.name, answer.status, answer.retry_after)

    def rights(self, form_id: str) -> Rights:
        try:
            asset = _Asset.model_validate(self._json(f"/api/v2/assets/{self._assets[form_id]}/"))
        except ServerError as error:
            if error.code == "kobo.no_right":
                return Rights(whole=False, mark="none")
            raise
        if asset.effective_permissions is None:  # a server too old to tell: it listed the project, that is all we know
            return Rights(whole=True, mark="untold")
        names = sorted(permission.codename for permission in asset.effective_permissions)
        return Rights("view_submissions" in names, ",".join(names))

    def listing(self, form_id: str, after: int = -1) -> Iterator[list[Listed]]:
        """Every question is a row in the form's history on KoboToolbox: none is asked beyond the last page."""
        while True:
            query = {"_id": {"$gt": after}}
            page = self._page(
                form_id, query=json.dumps(query), sort='{"_id":1}', limit=str(_PAGE), fields=json.dumps(_LIGHT)
            )
            rows = [_parse_row(row, self.name) for row in page.results]
            if not rows:
                return
            yield [Listed(row.root_id, bare_uuid(row.uuid), row.id, _review(row.validation)) for row in rows]
            if page.count <= len(rows):  # of the rows that were asked for
                return
            after = rows[-1].id

    def read(self, form_id: str, orders: Sequence[int]) -> list[Submission]:
        found: list[Submission] = []
        for query in _queries(sorted(orders)):
            page = self._page(form_id, query=query, sort='{"_id":1}', limit=str(_PAGE))
            wanted = set(orders)
            found += [one for one in (self._submission(form_id, row) for row in page.results) if one.order in wanted]
        return found

    def read_root(self, form_id: str, root_id: str) -> Submission | None:
        try:
            return self._submission(form_id, self._json(f"/api/v2/assets/{self._assets[form_id]}/data/{root_id}/"))
        except ServerError as error:
            if error.code == "kobo.no_right":
                return None
            raise

    def attachment(self, form_id: str, order: int, attachment: AttachmentRef) -> bytes:
        path = f"/api/v2/assets/{self._assets[form_id]}/data/{order}/attachments/{attachment.ref}/"
        return self._get(path, most=_MOST_ATTACHMENT).body

    def delete(self, form_id: str, orders: Sequence[int]) -> None:
        """Needs the right 'delete submissions'; an id that is gone already refuses the whole request."""
        path = f"/api/v2/assets/{self._assets[form_id]}/data/bulk/"
        self._call("DELETE", path, {"payload": {"submission_ids": list(orders)}})

    def senders(self, account: str) -> tuple[str, ...]:
        """A submission carries the account's name as it is."""
        return (account,)

    def revoke(self, account: str) -> Revoked:
        """Takes every permission of *account* on our projects; for that ours needs 'manage project' on them."""
        ended = [self._revoke_on(asset, account) for asset in self._assets.values()]
        left = dict.fromkeys(code for one in ended for code in one.left)
        return Revoked((account,), sum(one.taken for one in ended), tuple(left))

    def _revoke_on(self, asset: str, account: str) -> Revoked:
        path = f"/api/v2/assets/{asset}/permission-assignments/"
        held = self._assignments(path)
        open_to_all = any(one.account == _ANONYMOUS and one.codename == "add_submissions" for one in held)
        left = ["phone.public_form"] if open_to_all else []
        taken = 0
        for one in held:
            if one.account == account:
                status = self._status("DELETE", f"{path}{_last(one.url)}/")
                taken += status == _NO_CONTENT
                left += [_NOT_REVOKED[status]] if status in _NOT_REVOKED else []
        if not taken and not left and not self._manages(asset):
            left.append("phone.not_seen")
        return Revoked((account,), taken, tuple(dict.fromkeys(left)))

    def _manages(self, asset: str) -> bool:
        """Only who manages a project is shown everybody's permissions."""
        seen = _Asset.model_validate(self._json(f"/api/v2/assets/{asset}/")).effective_permissions or []
        return any(one.codename == "manage_asset" for one in seen)

    def _assignments(self, path: str) -> list[_Assignment]:
        """A bare list, not a page."""
        try:
            return TypeAdapter(list[_Assignment]).validate_json(self._get(path, {"format": "json"}).body)
        except ValidationError:
            raise _strange(self.name) from None

    def _status(self, method: str, path: str) -> int:
        """What became of a change; raises for all but what a permission's end can be answered with."""
        try:
            answer = self._http.call(method, path)
        except Unreachable as error:
            raise _unreachable(self.name, error) from None
        if answer.status not in {_NO_CONTENT, _GONE, *_NOT_REVOKED}:
            raise _refused(self.name, answer.status, answer.retry_after)
        return answer.status

    def _submission(self, form_id: str, row: Mapping[str, object]) -> Submission:
        try:
            told = _Full.model_validate(row)
        except ValidationError:
            raise _strange(self.name) from None
        return Submission(
            server=self.name,
            form_id=form_id,
            root_id=told.root_id,
            instance_id=bare_uuid(told.uuid),
            order=told.id,
            form_version=told.version,
            submitted_at=told.submitted.replace(tzinfo=UTC) if told.submitted.tzinfo is None else told.submitted,
            answers={key: _answer(value) for key, value in row.items() if key not in _META and value not in (None, "")},
            attachments=tuple(_attachment(one) for one in told.attachments if one.uid and not one.is_deleted),
            review=_review(told.validation),
            encrypted=_ENCRYPTED in row,
            envelope=self._envelope(form_id, told.id) if _ENCRYPTED in row else None,
            sender=told.sender or None,
        )

    def _envelope(self, form_id: str, order: int) -> bytes:
        """The XML of an encrypted submission as it was sent: its JSON has lost what the signature is over."""
        return self._get(f"/api/v2/assets/{self._assets[form_id]}/data/{order}.xml", most=MOST_ENVELOPE).body

    def _page(self, form_id: str, **params: str) -> _Page:
        body = self._json(f"/api/v2/assets/{self._assets[form_id]}/data/", {"format": "json", **params})
        try:
            return _Page.model_validate(body)
        except ValidationError:
            raise _strange(self.name) from None

    def _json(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, object]:
        answer = self._get(path, params or {"format": "json"})
        try:
            body = json.loads(answer.body)
        except ValueError:
            raise _strange(self.name) from None
        if not isinstance(body, dict):
            raise _strange(self.name)
        return cast("dict[str, object]", body)

    def _get(self, path: str, params: Mapping[str, str] | None = None, *, most: int = 256 * 1024 * 1024) -> HttpAnswer:
        try:
            answer = self._http.get(path, params, most=most)
        except Unreachable as error:
            raise _unreachable(self.name, error) from None
        if not answer.ok:
            raise _refused(self.name, answer.status, answer.retry_after)
        return answer


def _last(address: str) -> str:
    """The last part of an address's path: the name of what it stands for."""
    return urlsplit(address).path.rstrip("/").rpartition("/")[2]


def _queries(orders: Sequence[int]) -> Iterator[str]:
    """As few questions as can be: dense runs of ids as a range, scattered ones by name."""
    for start in range(0, len(orders), _PAGE):
        some = orders[start : start + _PAGE]
        if len(some) > _IDS_A_READ and some[-1] - some[0] < _PAGE:
            yield json.dumps({"_id": {"$gte": some[0], "$lte": some[-1]}})
            continue
        for part in range(0, len(some), _IDS_A_READ):
            yield json.dumps({"_id": {"$in": list(some[part : part + _IDS_A_READ])}}, separators=(",", ":"))


def _parse_row(row: Mapping[str, object], server: str) -> _Row:
    try:
        return _Row.model_validate(row)
    except ValidationError:
        raise _strange(server) from None


def _review(status: _Status) -> Review:
    if not status.uid:
        return Review()
    at = datetime.fromtimestamp(status.timestamp, UTC) if status.timestamp is not None else None
    return Review(_STATES.get(status.uid, status.uid), status.by_whom, at)


def _attachment(one: _Attachment) -> AttachmentRef:
    return AttachmentRef(one.basename or one.filename.rpartition("/")[2], one.uid or "", one.mimetype)


def _answer(value: object) -> Answer:
    """Kobo's answers are strings; a repeat is a list of objects. Anything else is taken as its JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return tuple(
            {key: _answer(inner) for key, inner in entry.items() if inner not in (None, "")} for entry in value
        )
    return json.dumps(value)


def _strange(server: str) -> ServerError:
    advice = "The answer is not what KoboToolbox gives; look whether the address leads to KoboToolbox itself."
    return ServerError("kobo.strange_answer", f"server {server}", advice)


def _unreachable(server: str, error: Unreachable) -> ServerError:
    advice = "Nothing is lost: it is tried again. If it stays so, look at the server's address and the network."
    return ServerError(f"kobo.{error.code}", f"server {server}", advice)


def _refused(server: str, status: int, retry_after: timedelta | None) -> ServerError:
    """What a status means and what to do; the answer's body is not looked at."""
    where = f"server {server} answered {status}"
    match status:
        case 401:
            return ServerError(
                "kobo.unauthorized", where, "Put a valid API token into the variable that `token_env` names."
            )
        case 403 | 404:
            advice = (
                "Give our account the right 'view submissions' on the project, or mend the asset uid under `forms`."
            )
            return ServerError("kobo.no_right", where, advice)
        case 429:
            return ServerError(
                "kobo.too_many", where, "It asks us to slow down; it is tried again.", retry_after=retry_after
            )
        case status if 300 <= status < 400:  # noqa: PLR2004 (RFC 9110: redirection)
            return ServerError(
                "kobo.redirected", where, "Write the final address as the server's `url`; redirects are not followed."
            )
        case _:
            return ServerError(
                "kobo.server_error", where, "Nothing is lost: it is tried again.", retry_after=retry_after
            )
