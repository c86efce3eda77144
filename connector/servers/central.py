"""ODK Central: everything that is known of its wire, and nothing of it anywhere else.

Facts: Central 2023.5 to 2026.2. `__id` names a submission for ever, its XML's `meta/instanceID` names the version, and
each version stays readable under its own id. Times are kept to the millisecond. Deleted rows leave every list (they can
be restored for 30 days). Some things no time stamp and no ETag tells: a file that came late, a deletion taken back, an
upload that was committed after a younger one. So the list is walked from its beginning each time, no cursor is kept,
and answers come from the XML, because OData rounds numbers and renames questions.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from threading import Lock
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from connector.config import Server
from connector.errors import Misconfigured, NotASubmission, ServerError
from connector.model import JSON, Answers, AttachmentRef, Bell, Listed, Review, Submission, bare_uuid
from connector.outbound import Answer as HttpAnswer
from connector.outbound import Caller, NotPublic, PublicCaller, Unreachable
from connector.servers import Revoked, Rights
from connector.transforms.xml_answers import NotXml, answers_in, parse

_PAGE = 1000
_MOMENTS_A_READ = 40  # keeps the address under the 8 kB that proxies allow
_READERS = 4
_TIE_BITS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_STATES = {"approved": "approved", "rejected": "not_approved", "hasIssues": "on_hold"}
_LIGHT = "__id,__system,meta/instanceID"
_SUBMITTED = "__system/submissionDate"
_NOT_FOR_US = frozenset({"central.no_right", "central.not_found"})
_NO_VERSION = "___"  # how an address names a form's empty version
# What people read beside the submission, in the languages of the forms; it says nothing of the answers.
_HELD = (
    "Silah: a delivery needs a person. \u2022 صلة: إرسال يحتاج إلى تدخّل شخص. \u2022 "
    "صله: یک ارسال به رسیدگی نیاز دارد. \u2022 Silah : un envoi demande une intervention."
)
_MENDED = (
    "Silah: nothing needs a person any more. \u2022 صلة: لم يعد شيء يحتاج إلى تدخّل. \u2022 "
    "صله: دیگر چیزی به رسیدگی نیاز ندارد. \u2022 Silah : plus rien ne demande d'intervention."
)
_MOST_ATTACHMENT = 50 * 1024 * 1024
_MOST_LIST = 256 * 1024 * 1024


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class _System(_Wire):
    submitted: datetime = Field(alias="submissionDate")
    updated: datetime | None = Field(None, alias="updatedAt")
    state: str | None = Field(None, alias="reviewState")
    edits: int = 0
    files: int = Field(0, alias="attachmentsPresent")
    submitter: str | None = Field(None, alias="submitterId")
    form_version: str | None = Field(None, alias="formVersion")


class _Meta(_Wire):
    instance_id: str | None = Field(None, alias="instanceID")


class _Row(_Wire):
    """One line of the list, without answers. An encrypted one has no `meta`."""

    id: str = Field(alias="__id")
    system: _System = Field(alias="__system")
    meta: _Meta | None = None

    @property
    def order(self) -> int:
        """Milliseconds since 1970, then 20 bits of the id's hash for those of one millisecond.

        Creation time and id are the only things of a submission that never change, and the time is what Central can
        sort and search by; its own running number is not shown. Two rows with one number would be read together.
        """
        tie = int.from_bytes(hashlib.sha256(self.id.encode()).digest()[:4]) >> (32 - _TIE_BITS)
        return ((self.system.submitted - _EPOCH) // _MILLISECOND << _TIE_BITS) + tie


class _Table(_Wire):
    value: list[_Row]


class _CurrentVersion(_Wire):
    instance_id: str = Field(alias="instanceId")


class _Detail(_Wire):
    current: _CurrentVersion = Field(alias="currentVersion")


class _File(_Wire):
    name: str
    exists: bool


class _Field(_Wire):
    path: str
    type: str


class _Said(_Wire):
    state: str | None = Field(None, alias="reviewState")


class _Audit(_Wire):
    actor: int | None = Field(None, alias="actorId")
    action: str
    details: _Said | None = None


class _User(_Wire):
    id: int


class _AppUser(_Wire):
    """A telephone's way in. *token* is None once it was revoked."""

    id: int
    name: str = Field(alias="displayName")
    token: str | None = None


class _Account(_Wire):
    id: int
    email: str | None = None
    name: str = Field("", alias="displayName")


class _Assignment(_Wire):
    actor: int = Field(alias="actorId")
    role: int = Field(alias="roleId")


class _LoggedIn(_Wire):
    token: str


class _Told(_Wire):
    xml: str | None = None


class _Bell(_Wire):
    type: str
    id: str
    data: _Told


_T = TypeVar("_T")
_ROWS = TypeAdapter(_Table)
_DETAIL = TypeAdapter(_Detail)
_FILES = TypeAdapter(list[_File])
_FIELDS = TypeAdapter(list[_Field])
_AUDITS = TypeAdapter(list[_Audit])
_USER = TypeAdapter(_User)
_SESSION = TypeAdapter(_LoggedIn)
_APP_USERS = TypeAdapter(list[_AppUser])
_ACCOUNTS = TypeAdapter(list[_Account])
_ASSIGNMENTS = TypeAdapter(list[_Assignment])


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a form is: its project's number and its own id there."""

    project: str
    form: str

    @property
    def path(self) -> str:
        return f"/v1/projects/{self.project}/forms/{quote(self.form, safe='')}"


class Central:
    """One ODK Central, as `FormServer`."""

    def __init__(self, name: str, config: Server) -> None:
        self.name = name
        self._places = {form: _place(name, form, written) for form, written in config.forms.items()}
        self._door = Door(name, config)
        self._account: str | None = None
        self._repeats: dict[tuple[str, str], frozenset[str]] = {}

    def bell(self, body: JSON) -> Bell:
        """central-webhook's body. It rings before the submission can be read, and says nothing of an edit.

        A review names a version, not the submission, and no form: the bell's form is then empty.
        """
        advice = "Point central-webhook here for new submissions and reviews; entity updates are not for this address."
        where = f"a webhook of {self.name}"
        try:
            told = _Bell.model_validate(body)
        except ValidationError:
            raise NotASubmission("webhook.not_a_submission", where, advice) from None
        if told.type == "submission.update" and told.id:
            return Bell("", bare_uuid(told.id), "", None)
        if told.type != "submission.create" or not told.id or told.data.xml is None:
            raise NotASubmission("webhook.not_a_submission", where, advice)
        form_id = self._form_of(told.data.xml)
        if form_id is None:
            advice = f"Name the form under [servers.{self.name}.forms]."
            raise NotASubmission("webhook.unknown_form", where, advice)
        return Bell(form_id, bare_uuid(told.id), bare_uuid(told.id), None)

    def own_account(self) -> str | None:
        """The number of our account: entries of a submission's history carry it, and it cannot be renamed."""
        if self._account is None:
            self._account = str(self._door.read("/v1/users/current", _USER).id)
        return self._account

    def review_of(self, form_id: str, order: int) -> Review:
        return self._signed_review(form_id, self._row_at(form_id, order))

    def set_on_hold(self, form_id: str, order: int, *, on_hold: bool) -> None:
        """`hasIssues` with a comment, or what stood there before with another; our account has to be a manager for that."""
        row = self._row_at(form_id, order)
        state = "hasIssues" if on_hold else "edited" if row.system.edits else None
        address = self._address(form_id, row.id)
        self._door.write("PATCH", address, {"reviewState": state})
        self._door.write("POST", f"{address}/comments", {"body": _HELD if on_hold else _MENDED})

    def rights(self, form_id: str) -> Rights:
        """Whoever may read a form's submissions on Central sees all of them: it is everything or nothing."""
        try:
            self._table(form_id, {"$top": "0", "$count": "true"})
        except ServerError as error:
            if error.code in _NOT_FOR_US:
                return Rights(whole=False, mark="none")
            raise
        return Rights(whole=True, mark="read")

    def listing(self, form_id: str, after: int = -1) -> Iterator[list[Listed]]:
        """The whole list, oldest first. Who reviewed is not in it: `read` tells.

        Pages are cut by time and not counted off, so that rows that go or come meanwhile move no other one. A row that
        becomes visible late, behind the page that would have held it, is in the next list.
        """
        # From the millisecond before, for others may share that of *after*.
        since = _EPOCH + ((after >> _TIE_BITS) - 1) * _MILLISECOND if after >= 0 else None
        top = _PAGE
        while rows := self._page(form_id, since, top):
            # The last millisecond of a full page may go on behind it.
            whole = (
                rows if len(rows) < top else [row for row in rows if row.system.submitted < rows[-1].system.submitted]
            )
            if not whole:
                top *= 2
                continue
            behind = [row for row in whole if row.order > after]
            if behind:
                yield [self._listed(form_id, row) for row in sorted(behind, key=lambda row: row.order)]
            since = whole[-1].system.submitted

    def read(self, form_id: str, orders: Sequence[int]) -> list[Submission]:
        wanted = set(orders)
        moments = sorted({order >> _TIE_BITS for order in orders})
        found: list[Submission] = []
        for start in range(0, len(moments), _MOMENTS_A_READ):
            some = moments[start : start + _MOMENTS_A_READ]
            asked = " or ".join(f"{_SUBMITTED} eq {_stamp(_EPOCH + moment * _MILLISECOND)}" for moment in some)
            found += self._read_rows(form_id, [row for row in self._rows(form_id, asked) if row.order in wanted])
        return sorted(found, key=lambda one: one.order)

    def read_root(self, form_id: str, root_id: str) -> Submission | None:
        """One submission by its root id, or by the id of any of its versions; None as well where we may not look."""
        try:
            row = self._row_of(form_id, root_id)
            if row is None:
                root = self._root_of(form_id, root_id)
                row = self._row_of(form_id, root) if root else None
        except ServerError as error:
            if error.code in _NOT_FOR_US:
                return None
            raise
        return self._submission(form_id, row) if row else None

    def attachment(self, form_id: str, order: int, attachment: AttachmentRef) -> bytes:  # noqa: ARG002
        """The file of the version that names it; *order* is not needed, the reference is whole."""
        return self._door.file(f"{self._places[form_id].path}/submissions/{attachment.ref}")

    def delete(self, form_id: str, orders: Sequence[int]) -> None:
        """Into Central's trash, which it empties itself after 30 days; needs the role Project Manager."""
        for order in orders:
            path = self._address(form_id, self._row_at(form_id, order).id)
            answer = self._door.ask(path, method="DELETE")
            if answer.status == 403:  # noqa: PLR2004 (RFC 9110: forbidden)
                advice = "Give our account the role Project Manager, or take `empty_after` away."
                raise ServerError("central.may_not_delete", f"server {self.name}", advice)
            if not answer.ok and answer.status != 404:  # noqa: PLR2004 (somebody else has deleted it)
                raise refused(self.name, answer.status, answer.retry_after)

    def senders(self, account: str) -> tuple[str, ...]:
        """Submissions carry numbers: those of the app users of that name, and of the web user with that e-mail."""
        numbers = [account] if account.isdecimal() else []
        numbers += [str(one.id) for project in self._projects() for one in self._phones(project, account)]
        return tuple(dict.fromkeys([*numbers, *map(str, self._people(account))]))

    def revoke(self, account: str) -> Revoked:
        """Ends the tokens of the app users of that name, and takes the roles of the web user with that e-mail, on the
        projects of our forms; needs the role Project Manager. An app user stays listed, with its history."""
        try:
            ended = [done for project in self._projects() for done in self._revoke_in(project, account)]
            return Revoked(self.senders(account), sum(ended), () if all(ended) else ("phone.no_right",))
        except ServerError as error:
            if error.code in _NOT_FOR_US:
                return Revoked((), 0, ("phone.not_seen",))
            raise

    def _projects(self) -> list[str]:
        return sorted({place.project for place in self._places.values()})

    def _revoke_in(self, project: str, account: str) -> list[bool]:
        at, people = f"/v1/projects/{project}", self._people(account)
        tokens = [one.token for one in self._phones(project, account) if one.token]
        roles = self._door.read(f"{at}/assignments", _ASSIGNMENTS) if people else []
        ways = [f"/v1/sessions/{quote(token, safe='')}" for token in tokens]
        ways += [f"{at}/assignments/{one.role}/{one.actor}" for one in roles if one.actor in people]
        return [self._ended(way) for way in ways]

    def _phones(self, project: str, account: str) -> list[_AppUser]:
        found = self._door.read(f"/v1/projects/{project}/app-users", _APP_USERS)
        return [one for one in found if account in {one.name, str(one.id)}]

    def _people(self, account: str) -> list[int]:
        """Numbers of the web user with that e-mail."""
        found = self._door.read("/v1/users", _ACCOUNTS, {"q": account}) if "@" in account else []
        return [one.id for one in found if (one.email or "").casefold() == account.casefold()]

    def _ended(self, path: str) -> bool:
        """Whether a token or a role was taken; False where our account may not."""
        answer = self._door.ask(path, method="DELETE")
        if answer.status not in {200, 403}:
            raise refused(self.name, answer.status, answer.retry_after)
        return answer.ok

    def _form_of(self, xml: str) -> str | None:
        """Our form whose id is that of the record's root; only the first tag is looked at."""
        try:
            _, root = next(iterparse(BytesIO(xml.encode()), events=("start",)))
        except (ParseError, DefusedXmlException, ValueError, StopIteration):
            return None
        return next((form for form, place in self._places.items() if place.form == root.get("id")), None)

    def _page(self, form_id: str, after: datetime | None, top: int) -> list[_Row]:
        return self._rows(form_id, f"{_SUBMITTED} gt {_stamp(after)}" if after else None, top)

    def _rows(self, form_id: str, asked: str | None, top: int | None = None) -> list[_Row]:
        """Rows in ascending order of their creation, those of one millisecond in any."""
        params = {"$select": _LIGHT, "$orderby": f"{_SUBMITTED} asc"}
        params |= {"$filter": asked} if asked else {}
        params |= {"$top": str(top)} if top else {}
        rows = self._table(form_id, params)
        moments = [row.system.submitted for row in rows]
        if moments != sorted(moments):
            raise _strange(self.name)
        return rows

    def _table(self, form_id: str, params: Mapping[str, str]) -> list[_Row]:
        return self._door.read(f"{self._places[form_id].path}.svc/Submissions", _ROWS, params).value

    def _row_at(self, form_id: str, order: int) -> _Row:
        moment = _EPOCH + (order >> _TIE_BITS) * _MILLISECOND
        rows = self._rows(form_id, f"{_SUBMITTED} eq {_stamp(moment)}")
        found = next((row for row in rows if row.order == order), None)
        if found is None:
            raise refused(self.name, 404, None)
        return found

    def _row_of(self, form_id: str, root_id: str) -> _Row | None:
        if "'" in root_id:  # Central cannot search for it; the list shows it
            return None
        rows = self._rows(form_id, f"__id eq 'uuid:{root_id}' or __id eq '{root_id}'")
        return rows[0] if rows else None

    def _root_of(self, form_id: str, version: str) -> str | None:
        """The submission that has this version: Central answers with a redirection that names it."""
        prefix = f"{self._places[form_id].path}/submissions/"
        answer = self._door.ask(f"{prefix}{quote(f'uuid:{version}', safe='')}")
        place = answer.headers.get("Location", "").rpartition("/submissions/")[2]
        return bare_uuid(unquote(place.partition("/")[0])) if 300 <= answer.status < 400 else None  # noqa: PLR2004

    def _listed(self, form_id: str, row: _Row) -> Listed:
        version = self._version(form_id, row)
        return Listed(bare_uuid(row.id), bare_uuid(version), row.order, _review(row.system, None))

    def _version(self, form_id: str, row: _Row) -> str:
        """The current version's id, which an encrypted row shows only while it was never edited."""
        if row.meta and row.meta.instance_id:
            return row.meta.instance_id
        if row.system.edits == 0:
            return row.id
        return self._door.read(self._address(form_id, row.id), _DETAIL).current.instance_id

    def _address(self, form_id: str, root: str) -> str:
        return f"{self._places[form_id].path}/submissions/{quote(root, safe='')}"

    def _read_rows(self, form_id: str, rows: Sequence[_Row]) -> list[Submission]:
        with ThreadPoolExecutor(_READERS) as pool:
            read = pool.map(lambda row: self._submission(form_id, row), rows)
            return [one for one in read if one is not None]

    def _submission(self, form_id: str, row: _Row) -> Submission | None:
        """The version that *row* tells of, with its own files and review; None when it is gone meanwhile."""
        try:
            version = self._version(form_id, row)
            ref = f"{quote(row.id, safe='')}/versions/{quote(version, safe='')}"
            path = f"{self._places[form_id].path}/submissions/{ref}"
            xml = self._door.get(f"{path}.xml").body
            files = self._door.read(f"{path}/attachments", _FILES) if row.system.files else []
            review = self._signed_review(form_id, row)
        except ServerError as error:
            if error.code == "central.not_found":
                return None
            raise
        answers, form_version, encrypted = self._answers(form_id, xml)
        return Submission(
            server=self.name,
            form_id=form_id,
            root_id=bare_uuid(row.id),
            instance_id=bare_uuid(version),
            order=row.order,
            form_version=form_version or row.system.form_version,
            submitted_at=row.system.submitted,
            answers=answers,
            attachments=tuple(_attachment(ref, file.name) for file in files if file.exists),
            review=review,
            encrypted=encrypted,
            envelope=xml if encrypted else None,
            sender=row.system.submitter,
        )

    def _answers(self, form_id: str, xml: bytes) -> tuple[Answers, str | None, bool]:
        """Answers, version of the form, and whether they are encrypted."""
        try:
            root = parse(xml)
        except NotXml:
            # Central keeps what it cannot read. An unknown question parks this one and lets the others pass.
            return {"(unreadable XML)": ""}, None, False
        version = root.get("version")
        if root.get("encrypted") == "yes":
            return answers_in(root, frozenset({"media"})), version, True
        answers = answers_in(root, self._repeats_of(form_id, version or ""))
        return {key: answer for key, answer in answers.items() if not key.startswith("meta/")}, version, False

    def _repeats_of(self, form_id: str, version: str) -> frozenset[str]:
        """Paths of the repeats in that version of the form, which never changes once it is published."""
        known = self._repeats.get((form_id, version))
        if known is None:
            path = f"{self._places[form_id].path}/versions/{quote(version or _NO_VERSION, safe='')}/fields"
            fields = self._door.read(path, _FIELDS)
            known = frozenset(field.path.removeprefix("/") for field in fields if field.type == "repeat")
            self._repeats[form_id, version] = known
        return known

    def _signed_review(self, form_id: str, row: _Row) -> Review:
        """The review with who gave it: the newest entry of the history that set this state.

        Without such an entry nobody stands for the review, and it is none.
        """
        if _review(row.system, None).state is None:
            return Review()
        for audit in self._door.read(f"{self._address(form_id, row.id)}/audits", _AUDITS):
            if audit.action == "submission.update" and audit.details and audit.details.state == row.system.state:
                return _review(row.system, str(audit.actor)) if audit.actor is not None else Review()
        return Review()


class Door:
    """How we get in: with a token that was given, or with e-mail and password for a session, renewed when it ends."""

    def __init__(self, name: str, config: Server, token: str | None = None) -> None:
        self._name = name
        self._timeout = config.timeout
        self._http = Caller(config.url, timeout=config.timeout)
        self._storage = Caller(config.files_url, timeout=config.timeout) if config.files_url else None
        self._email, self._password = None if token else config.email, config.secret("password")
        self._token = token or (None if self._email else config.secret("token"))
        self._renewing = Lock()

    def read(self, path: str, kind: TypeAdapter[_T], params: Mapping[str, str] | None = None) -> _T:
        """The JSON at *path* as *kind*; raises `ServerError`."""
        return self._parsed(self.get(path, params, most=_MOST_LIST), kind)

    def get(self, path: str, params: Mapping[str, str] | None = None, *, most: int = _MOST_ATTACHMENT) -> HttpAnswer:
        """The answer of *path* when it is a good one; raises `ServerError`."""
        answer = self.ask(path, params, most=most)
        if not answer.ok:
            raise refused(self._name, answer.status, answer.retry_after)
        return answer

    def file(self, path: str) -> bytes:
        """A file, from Central itself or from the S3 storage that it sends us to, when the admin has written that down."""
        answer = self.ask(path)
        if answer.status == 307:  # noqa: PLR2004 (RFC 9110: temporary redirect)
            answer = self._stored(answer.headers.get("Location", ""))
        if not answer.ok:
            raise refused(self._name, answer.status, answer.retry_after)
        return answer.body

    def _stored(self, address: str) -> HttpAnswer:
        """What is at a signed address of the storage; our token is not shown there.

        Where no storage was written down the address is only what an answer says: it is followed to a public machine
        over TLS, and nowhere else.
        """
        written = self._storage is not None and address.startswith(f"{self._storage.base}/")
        told = urlsplit(address)
        place = f"{told.scheme}://{told.netloc}"
        storage = self._storage if written else None
        if storage is None and self._storage is None and told.scheme == "https":
            storage = PublicCaller(place, timeout=self._timeout)
        if storage is None:
            raise self._elsewhere(place)
        try:
            return storage.get(address.removeprefix(storage.base), most=_MOST_ATTACHMENT)
        except NotPublic:
            raise self._elsewhere(place) from None
        except Unreachable as error:
            raise _unreachable(self._name, error) from None

    def _elsewhere(self, place: str) -> ServerError:
        advice = f'Write `files_url = "{place}"` for this server if that is its own storage.'
        return ServerError("central.files_elsewhere", f"server {self._name}", advice)

    def write(self, method: str, path: str, told: Mapping[str, JSON]) -> None:
        """Changes what is at *path*; raises `ServerError`."""
        answer = self.ask(path, method=method, body=json.dumps(told, ensure_ascii=False).encode())
        if answer.status == 403:  # noqa: PLR2004 (RFC 9110: forbidden)
            advice = "Give our account the role Project Manager: a viewer may read, and not say that something needs a person."
            raise ServerError("central.may_not_review", f"server {self._name}", advice)
        if not answer.ok:
            raise refused(self._name, answer.status, answer.retry_after)

    def ask(
        self, path: str, params: Mapping[str, str] | None = None, *,
        method: str = "GET", body: bytes | None = None, kind: str = "application/json", most: int = _MOST_ATTACHMENT,
    ) -> HttpAnswer:  # fmt: skip
        """The answer whatever it is, after one more login when the session had ended. *kind* is the body's media type."""
        token = self._token or self._renewed(None)
        answer = self._call(method, path, token, params=params, body=body, kind=kind, most=most)
        if answer.status == 401 and self._email:  # noqa: PLR2004 (RFC 9110: unauthorized)
            answer = self._call(method, path, self._renewed(token), params=params, body=body, kind=kind, most=most)
        return answer

    def _renewed(self, stale: str | None) -> str:
        """A session other than *stale*: the one that another thread has got meanwhile, or a new one."""
        with self._renewing:
            if self._token is None or self._token == stale:
                body = json.dumps({"email": self._email, "password": self._password}).encode()
                answer = self._call("POST", "/v1/sessions", None, body=body)
                if not answer.ok:
                    raise refused(self._name, answer.status, answer.retry_after)
                self._token = self._parsed(answer, _SESSION).token
            return self._token

    def _call(
        self, method: str, path: str, token: str | None, *,
        params: Mapping[str, str] | None = None, body: bytes | None = None, kind: str = "application/json",
        most: int = _MOST_ATTACHMENT,
    ) -> HttpAnswer:  # fmt: skip
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Content-Type": kind} if body is not None else {}
        try:
            return self._http.call(method, path, params=params, headers=headers, body=body, most=most)
        except Unreachable as error:
            raise _unreachable(self._name, error) from None

    def _parsed(self, answer: HttpAnswer, kind: TypeAdapter[_T]) -> _T:
        try:
            return kind.validate_json(answer.body)
        except ValidationError:
            raise _strange(self._name) from None


def _place(name: str, form: str, written: str) -> _Place:
    project, _, xml_form_id = written.partition("/")
    if not project.isdecimal() or not xml_form_id:
        advice = "Write the project's number and the form's id, as in \"3/tracing_request\"."
        raise Misconfigured("config.bad_value", f"`servers.{name}.forms.{form}`", advice)
    return _Place(str(int(project)), xml_form_id)  # ٣ and ۳ are 3


def _stamp(moment: datetime) -> str:
    """As Central writes times: `2026-11-21T21:13:30.210Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _review(system: _System, by: str | None) -> Review:
    """`edited` and no state at all are no review: an edit needs a new one."""
    state = _STATES.get(system.state or "")
    return Review(state, by, system.updated) if state else Review()


def _attachment(ref: str, name: str) -> AttachmentRef:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return AttachmentRef(name, f"{ref}/attachments/{quote(name, safe='')}", kind)


def _unreachable(server: str, error: Unreachable) -> ServerError:
    advice = "Nothing is lost: it is tried again. If it stays so, look at the server's address and the network."
    return ServerError(f"central.{error.code}", f"server {server}", advice)


def _strange(server: str) -> ServerError:
    advice = "The answer is not what ODK Central 2023.5 or newer gives; look whether the address leads to it."
    return ServerError("central.strange_answer", f"server {server}", advice)


def refused(server: str, status: int, retry_after: timedelta | None) -> ServerError:
    """What a status means and what to do; the answer's body is not looked at."""
    where = f"server {server} answered {status}"
    match status:
        case 401:
            advice = "Mend `email` and the password that `password_env` names; a token ends after a day."
            return ServerError("central.unauthorized", where, advice)
        case 403:
            advice = "Give our account the role Project Viewer on the project."
            return ServerError("central.no_right", where, advice)
        case 404:
            advice = "Mend the project's number or the form's id under `forms`, or publish the form."
            return ServerError("central.not_found", where, advice)
        case 429:
            advice = "It asks us to slow down; it is tried again."
            return ServerError("central.too_many", where, advice, retry_after=retry_after)
        case status if 300 <= status < 400:  # noqa: PLR2004 (RFC 9110: redirection)
            advice = "Write the final address as the server's `url`; redirects are not followed."
            return ServerError("central.redirected", where, advice)
        case _:
            advice = "Nothing is lost: it is tried again."
            return ServerError("central.server_error", where, advice, retry_after=retry_after)
