"""Submissions of an ODK-Central-compatible server: how devices send them (OpenRosa), how people read and review them.

A submission is told to the webhook before anybody can read it, and whoever sent it waits for that.
"""

from __future__ import annotations

import mimetypes
from hashlib import md5
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from flask import Blueprint, Response, request

from connector.sandbox.central_forms import Record
from connector.sandbox.central_rest import (
    Problem,
    actor_json,
    answer,
    body,
    caller,
    extended,
    forbidden,
    form_for,
    key_in_path,
    not_found,
    server,
    stamp,
    store,
    success,
    tagged,
    unauthorized,
    xml_answer,
)
from connector.sandbox.central_store import (
    STATES,
    Actor,
    Audit,
    File,
    Form,
    Project,
    Rejected,
    Sent,
    Submission,
    Version,
)
from connector.sandbox.turns import unlocked
from connector.transforms.xml_answers import NotXml

api = Blueprint("central-submissions", __name__)

_ALL = "/v1/projects/<int:project>/forms/<form_id>/submissions"
_ONE = f"{_ALL}/<root>"
_VERSION = f"{_ONE}/versions/<version>"
_SHOWN_INLINE = frozenset({"image/jpeg", "image/png", "image/gif"})


# Devices


class OpenRosaProblem(Exception):
    """A refusal that is told in XML."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def openrosa_refused(error: Exception) -> Response:
    """The answer of an `OpenRosaProblem`."""
    assert isinstance(error, OpenRosaProblem)  # noqa: S101 - registered for nothing else
    return _openrosa(_message(error.problem.message, "error"), error.problem.status)


@api.get("/v1/projects/<int:project>/formList")
def form_list(project: int) -> Response:
    """The forms that the device may fill in."""
    actor, found = caller(), store().projects.get(project)
    if found is None:
        raise not_found()
    shown = [one for one in found.forms.values() if one.published and _may_open(actor, found, one)]
    shown.sort(key=lambda one: one.created, reverse=True)
    entries = "".join(_form_entry(one) for one in shown)
    return _openrosa(f'<xforms xmlns="http://openrosa.org/xforms/xformsList">{entries}</xforms>', declared=True)


@api.route("/v1/projects/<int:project>/submission", methods=["HEAD", "POST"], provide_automatic_options=False)
@unlocked
def openrosa_submission(project: int) -> Response:
    """Takes a filled-in form with its files, or more files of a known one."""
    if request.method == "HEAD":
        return _openrosa("", 204)
    try:
        with server().lock:
            form, sent = _sent_by_device(project)
        _take(form, sent)
    except Problem as problem:
        raise OpenRosaProblem(problem) from problem
    return _openrosa(_message("full submission upload was successful!", ""), 201)


def _sent_by_device(project: int) -> tuple[Form, Sent]:
    document = request.files.get("xml_submission_file")
    if document is None:
        raise Problem(400.2, "Required multipart POST field xml_submission_file missing.")
    record = _record(document.read())
    found = store().projects.get(project)
    form = found.forms.get(record.form_id) if found else None
    if form is None:
        raise not_found()
    others = [(name, file) for name, file in request.files.items(multi=True) if name != "xml_submission_file"]
    files = {name: (file.read(), file.mimetype or "application/octet-stream") for name, file in others}
    return form, _sent(record, _may_submit(found, form), files)


def _may_submit(project: Project | None, form: Form) -> Actor:
    """Whoever may not is told 401 here, as if nobody knew them."""
    actor = caller()
    if not store().may(actor, "submission.create", project, form):
        raise unauthorized()
    return actor


def _may_open(actor: Actor, project: Project, form: Form) -> bool:
    return any(store().may(actor, verb, project, form) for verb in ("form.read", "open_form.read"))


def _record(xml: bytes) -> Record:
    missing = Problem(400.2, "Required parameter form ID xml attribute missing.")
    try:
        record = Record(xml.strip())
    except NotXml as error:
        raise missing from error
    if not record.form_id:
        raise missing
    return record


def _sent(record: Record, actor: Actor, files: dict[str, tuple[bytes, str]] | None = None) -> Sent:
    agent = request.headers.get("User-Agent")
    return Sent(record, actor, request.args.get("deviceID"), agent, files or {})


def _take(form: Form, sent: Sent) -> Submission:
    """Keeps a record, tells the webhook if it is a new one, and only then lets it be seen."""
    try:
        with server().lock:
            row, happened = store().receive(form, sent, committed=False)
    except Rejected as error:
        raise Problem(error.code, error.message, error.details) from error
    if happened == "submission.create":
        server().hooks.new_submission(row.id, sent.record.xml.decode())
    with server().lock:
        row.committed = True
    return row


def _form_entry(form: Form) -> str:
    """One form of the list that devices read."""
    definition = form.published or form.definitions[-1]
    key = key_in_path()
    base = f"{request.host_url}v1/{f'key/{key}/' if key else ''}projects/{form.project}/forms/{form.id}"
    needs = f"<manifestUrl>{base}/manifest</manifestUrl>" if definition.xform.needs_files else ""
    return (
        f"<xform><formID>{escape(form.id)}</formID><name>{escape(definition.xform.title or form.id)}</name>"
        f"<version>{escape(definition.xform.version)}</version><hash>md5:{definition.xform.hashed('md5')}</hash>"
        f"<downloadUrl>{base}.xml</downloadUrl>{needs}</xform>"
    )


def _message(text: str, nature: str) -> str:
    said = escape(text, {"'": "&#39;"})
    opening = '<OpenRosaResponse xmlns="http://openrosa.org/http/response" items="0">'
    return f'{opening}<message nature="{nature}">{said}</message></OpenRosaResponse>'


def _openrosa(text: str, status: int = 200, *, declared: bool = False) -> Response:
    declaration = '<?xml version="1.0" encoding="UTF-8"?>' if declared else ""
    response = Response(declaration + text, status, content_type="text/xml; charset=utf-8")
    response.headers["X-OpenRosa-Version"] = "1.0"
    response.headers["X-OpenRosa-Accept-Content-Length"] = "100000000"
    response.headers["Content-Language"] = "en"
    response.headers["Cache-Control"] = "no-store" if request.method == "POST" else "private, no-cache"
    if not text:
        del response.headers["Content-Type"]
    return response


# People


@api.get(_ALL)
def submissions(project: int, form_id: str) -> Response:
    """The list, newest first; the deleted ones with `deleted=true`."""
    form = form_for(project, form_id, "submission.list")
    deleted = request.args.get("deleted") == "true"
    rows = [row for row in form.rows() if (row.deleted is not None) == deleted]
    start, limit = request.args.get("offset", 0, type=int), request.args.get("limit", type=int)
    shown = rows[start : None if limit is None else start + limit]
    return tagged(f'W/"eventhash:{store().tag(shown)}"', lambda: [_whole(row) for row in shown])


@api.post(_ALL)
@unlocked
def add_submission(project: int, form_id: str) -> Response:
    """Takes a filled-in form without its files."""
    with server().lock:
        form = form_for(project, form_id, "submission.create")
        sent = _sent(_record(request.get_data()), caller())
    row = _take(form, sent)
    return answer({key: value for key, value in _whole(row).items() if key not in ("reviewState", "deletedAt")})


@api.get(f"{_ALL}/submitters")
def submitters(project: int, form_id: str) -> Response:
    """Everybody who has sent something, as they first appeared."""
    form = form_for(project, form_id, "submission.read")
    rows = sorted(form.rows(), key=lambda row: row.number)
    actors = {row.first.actor.id: row.first.actor for row in rows if row.first.actor}
    return answer([actor_json(actor) for actor in actors.values()])


@api.get(_ONE)
def submission(project: int, form_id: str, root: str) -> Response:
    """One submission; the id of one of its versions leads there."""
    found = _found(form_for(project, form_id, "submission.read"), root)
    return found if isinstance(found, Response) else answer(_whole(found))


@api.get(f"{_ONE}.xml")
def xml(project: int, form_id: str, root: str) -> Response:
    """The current version as it was sent."""
    found = _found(form_for(project, form_id, "submission.read"), root)
    return found if isinstance(found, Response) else xml_answer(found.current.record.xml)


@api.put(_ONE)
def edit(project: int, form_id: str, root: str) -> Response:
    """A new version in the place of the current one."""
    form = form_for(project, form_id, "submission.create")
    record = _record(request.get_data())
    replaced = record.meta("deprecatedID")
    if replaced is None:
        words = "This PUT endpoint expects a deprecatedID metadata tag pointing at the current version instanceID. "
        raise Problem(400.19, f"{words}I cannot find that tag in your request.")
    try:
        row = store().edit(form, _sent(record, caller()), replaced, root)
    except Rejected as error:
        raise Problem(error.code, error.message, error.details) from error
    return answer(_whole(row))


@api.patch(_ONE)
@unlocked
def review(project: int, form_id: str, root: str) -> Response:
    """What a person says of it; a note comes in a header."""
    with server().lock:
        form = form_for(project, form_id, "submission.update")
        row = _there(form, root)
        state = body().get("reviewState")
        if state not in STATES or not (state is None or isinstance(state, str)):
            reason = "not a recognized state name"
            details = {"field": "state", "value": state, "reason": reason}
            raise Problem(400.8, f"Unexpected state value {state}; {reason}", details)
        actor, version = caller(), row.current.id
    server().hooks.review(version, state)
    with server().lock:
        notes = request.headers.get("X-Action-Notes")
        store().review(row, state, actor, unquote(notes) if notes else None)
        return answer({key: value for key, value in _whole(row).items() if key not in ("userAgent", "currentVersion")})


@api.delete(_ONE)
def remove(project: int, form_id: str, root: str) -> Response:
    """Takes it out of every list."""
    store().remove(_there(form_for(project, form_id, "submission.delete"), root), caller())
    return success()


@api.post(f"{_ONE}/restore")
def restore(project: int, form_id: str, root: str) -> Response:
    """Brings a deleted one back."""
    row = form_for(project, form_id, "submission.restore").submissions.get(root)
    if row is None or row.deleted is None:
        raise not_found()
    store().restore(row, caller())
    return success()


@api.get(f"{_ONE}/audits")
def audits(project: int, form_id: str, root: str) -> Response:
    """Everything that was done with it, newest first."""
    form = form_for(project, form_id, "submission.read")
    return answer([_audit(form, audit) for audit in _there(form, root).audits])


@api.get(f"{_ONE}/comments")
def comments(project: int, form_id: str, root: str) -> Response:
    """What people remarked, newest first."""
    row = _there(form_for(project, form_id, "submission.read"), root)
    told = [(text, actor.id if actor else None, stamp(at)) for text, actor, at in row.comments]
    return answer([{"body": text, "actorId": actor, "createdAt": at} for text, actor, at in told])


@api.post(f"{_ONE}/comments")
def comment(project: int, form_id: str, root: str) -> Response:
    """A remark; whoever may read a submission may make one."""
    row = _there(form_for(project, form_id, "submission.read"), root)
    actor = caller()
    store().comment(row, actor, str(body().get("body", "")))
    text, _, at = row.comments[0]
    return answer({"body": text, "actorId": actor.id, "createdAt": stamp(at)})


@api.get(f"{_ONE}/versions")
def versions(project: int, form_id: str, root: str) -> Response:
    """All versions, newest first."""
    row = _there(form_for(project, form_id, "submission.read"), root)
    told = [{**_version(row, one), "formVersion": one.form_version} for one in reversed(row.versions)]
    return answer(told)


@api.get(_VERSION)
def version(project: int, form_id: str, root: str, version: str) -> Response:
    """One version."""
    row, one = _version_of(project, form_id, root, version)
    return answer({**_version(row, one), "formVersion": one.form_version})


@api.get(f"{_VERSION}.xml")
def version_xml(project: int, form_id: str, root: str, version: str) -> Response:
    """One version as it was sent."""
    return xml_answer(_version_of(project, form_id, root, version)[1].record.xml)


@api.get(f"{_VERSION}/attachments")
def version_files(project: int, form_id: str, root: str, version: str) -> Response:
    """The files of one version."""
    return _files(_version_of(project, form_id, root, version)[1])


@api.get(f"{_VERSION}/attachments/<name>")
def version_file(project: int, form_id: str, root: str, version: str, name: str) -> Response:
    """A file of one version."""
    return _file(_version_of(project, form_id, root, version)[1], name)


@api.get(f"{_ONE}/attachments")
def files(project: int, form_id: str, root: str) -> Response:
    """The files of the current version."""
    return _files(_there(form_for(project, form_id, "submission.read"), root).current)


@api.get(f"{_ONE}/attachments/<name>")
def file(project: int, form_id: str, root: str, name: str) -> Response:
    """A file of the current version."""
    return _file(_there(form_for(project, form_id, "submission.read"), root).current, name)


@api.post(f"{_ONE}/attachments/<name>")
def add_file(project: int, form_id: str, root: str, name: str) -> Response:
    """A file that the current version names, late or once more."""
    place = _place(_there(form_for(project, form_id, "submission.update"), root).current, name)
    place.data = request.get_data()
    place.media_type = request.content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return success()


@api.delete(f"{_ONE}/attachments/<name>")
def remove_file(project: int, form_id: str, root: str, name: str) -> Response:
    """Takes a file out of its place, which stays."""
    _place(_there(form_for(project, form_id, "submission.update"), root).current, name).data = None
    return success()


@api.get("/v1/audits")
def server_audits() -> Response:
    """What was done with submissions everywhere, newest first, for admins."""
    if not store().may(caller(), "audit.read"):
        raise forbidden()
    forms = [form for project in store().projects.values() for form in project.forms.values()]
    told = [(audit, form) for form in forms for row in form.rows() for audit in row.audits]
    told.sort(key=lambda one: one[0].logged, reverse=True)
    return answer([_audit(form, audit) for audit, form in told[: request.args.get("limit", type=int)]])


def _found(form: Form, root: str) -> Submission | Response:
    """The submission, or the way to it when *root* is the id of one of its versions."""
    row = form.find(root)
    if row is not None:
        return row
    known = form.with_version(root)
    if known is None or known[0].deleted or not known[0].committed:
        raise not_found()
    raw = unquote(request.path)
    there = f"{quote(known[0].id, safe='')}/versions/{root}"
    place = raw.replace(f"/submissions/{root}", f"/submissions/{there}", 1)
    text = f"Moved Permanently. Redirecting to {place}"
    headers = {"Location": place, "Cache-Control": "private, no-cache"}
    response = Response(text, 301, headers, content_type="text/plain; charset=utf-8")
    response.autocorrect_location_header = False
    return response


def _there(form: Form, root: str) -> Submission:
    row = form.find(root)
    if row is None:
        raise not_found()
    return row


def _version_of(project: int, form_id: str, root: str, version: str) -> tuple[Submission, Version]:
    row = _there(form_for(project, form_id, "submission.read"), root)
    found = next((one for one in row.versions if one.id == version), None)
    if found is None:
        raise not_found()
    return row, found


def _files(version: Version) -> Response:
    told = [{"name": name, "exists": file.data is not None} for name, file in version.files.items()]
    return answer(told)


def _place(version: Version, name: str) -> File:
    found = version.files.get(name)
    if found is None:
        raise not_found()
    return found


def _file(version: Version, name: str) -> Response:
    place = _place(version, name)
    if place.data is None:
        raise not_found()
    mark = md5(place.data, usedforsecurity=False).hexdigest()
    if server().files_at:
        return Response(status=307, headers={"Location": f"{server().files_at}/{mark}?signature=for-a-minute"})
    shown = "inline" if place.media_type in _SHOWN_INLINE else "attachment"
    response = Response(place.data, content_type=place.media_type)
    response.headers["Content-Disposition"] = f"{shown}; filename=\"{name}\"; filename*=UTF-8''{quote(name)}"
    response.headers["ETag"] = f'"{mark}"'
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _whole(row: Submission) -> dict[str, object]:
    first = row.first
    told: dict[str, object] = {
        "instanceId": row.id,
        "submitterId": first.actor.id if first.actor else None,
        "deviceId": first.device,
        "createdAt": stamp(row.created),
        "updatedAt": stamp(row.updated),
        "reviewState": row.state,
        "userAgent": first.agent,
        "deletedAt": stamp(row.deleted),
        "currentVersion": _version(row, row.current),
    }
    return {**told, "submitter": actor_json(first.actor)} if extended() and first.actor else told


def _version(row: Submission, version: Version) -> dict[str, object]:
    told: dict[str, object] = {
        "submitterId": version.actor.id if version.actor else None,
        "createdAt": stamp(version.created),
        "instanceName": version.record.meta("instanceName"),
        "instanceId": version.id,
        "current": version is row.current,
        "deviceId": version.device,
        "userAgent": version.agent,
    }
    return {**told, "submitter": actor_json(version.actor)} if extended() and version.actor else told


def _audit(form: Form, audit: Audit) -> dict[str, object]:
    told: dict[str, object] = {
        "actorId": audit.actor.id if audit.actor else None,
        "action": audit.action,
        "acteeId": form.acting_id,
        "details": audit.details,
        "loggedAt": stamp(audit.logged),
        "notes": audit.notes,
    }
    return {**told, "actor": actor_json(audit.actor)} if extended() and audit.actor else told
