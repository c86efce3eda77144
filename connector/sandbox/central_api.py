"""Sessions, accounts, projects and forms of an ODK-Central-compatible server."""

from __future__ import annotations

import mimetypes
from datetime import datetime

from flask import Blueprint, Response, request

from connector.sandbox.central_forms import NotAForm, XForm, from_xlsx
from connector.sandbox.central_rest import (
    Problem,
    actor_json,
    answer,
    body,
    caller,
    extended,
    forbidden,
    form_for,
    not_found,
    project_for,
    stamp,
    store,
    success,
    unauthorized,
    xml_answer,
)
from connector.sandbox.central_roles import BY_SYSTEM, ROLES
from connector.sandbox.central_store import FOR_EVER, Actor, Definition, Form, Project

api = Blueprint("central-api", __name__)

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FORM = "/v1/projects/<int:project>/forms/<form_id>"
_NO_VERSION = "___"


@api.post("/v1/sessions")
def log_in() -> Response:
    """A token for a day."""
    sent = body()
    missing = [name for name in ("email", "password") if name not in sent]
    if missing:
        raise _missing_credentials(sent)
    session = store().log_in(str(sent["email"]), str(sent["password"]))
    if session is None:
        raise unauthorized()
    told = {"token": session.token, "csrf": session.csrf}
    return answer({**told, "expiresAt": stamp(session.expires), "createdAt": stamp(session.created)})


@api.get("/v1/sessions/restore")
def session() -> Response:
    """When the present session began and when it ends."""
    caller()
    sent = request.authorization
    found = store().session((sent.token if sent else None) or "")
    if found is None:
        raise not_found()
    return answer({"createdAt": stamp(found.created), "expiresAt": stamp(found.expires)})


@api.delete("/v1/sessions/<token>")
def log_out(token: str) -> Response:
    """Ends a session: the present one when *token* is `current`."""
    actor = caller()
    sent = request.authorization
    ended = (sent.token if sent else None) or "" if token == "current" else token  # noqa: S105 - a name, no secret
    found = store().session(ended)
    if found is None or not (found.actor.id == actor.id or _may_end(actor, found.actor)):
        raise forbidden()
    del store().sessions[ended]
    return success()


def _may_end(actor: Actor, other: Actor) -> bool:
    """An admin ends anybody's session, a project's manager those of its devices."""
    project = store().projects.get(other.project or 0)
    return store().may(actor, "session.end", project)


@api.get("/v1/users/current")
def current_user() -> Response:
    """Who asks."""
    actor = caller()
    if actor.type != "user":
        raise not_found()
    told = _user(actor)
    if extended():
        told |= {"verbs": store().verbs(actor), "preferences": {"site": {}, "projects": {}}}
    return answer(told)


@api.get("/v1/users")
def users() -> Response:
    """Accounts: all for an admin, for others the one whose whole address they know."""
    everyone = [one for one in store().actors.values() if one.type == "user"]
    asked = request.args.get("q", "")
    if store().may(caller(), "user.list"):
        shown = [one for one in everyone if asked.casefold() in (one.email or "").casefold()]
    else:
        shown = [one for one in everyone if asked and asked.casefold() == (one.email or "").casefold()]
    return answer([_user(one) for one in shown])


@api.post("/v1/users")
def add_user() -> Response:
    """Makes an account without rights."""
    if not store().may(caller(), "user.create"):
        raise forbidden()
    sent = body()
    return answer(_user(store().add_user(str(sent["email"]), str(sent.get("password", "")))))


@api.get("/v1/roles")
def roles() -> Response:
    """What each role may do."""
    told = [{"id": role.id, "name": role.name, "system": role.system, "verbs": role.verbs} for role in ROLES]
    return answer([{**role, "createdAt": None, "updatedAt": None} for role in told])


@api.get("/v1/projects")
def projects() -> Response:
    """The projects that the caller may see."""
    actor = caller()
    seen = [one for one in store().projects.values() if store().may(actor, "project.read", one)]
    return answer([_project(one) for one in seen])


@api.post("/v1/projects")
def add_project() -> Response:
    """An empty project."""
    if not store().may(caller(), "project.create"):
        raise forbidden()
    project = store().add_project(str(body().get("name", "")))
    return answer({**_project(project), "acteeId": project.acting_id})


@api.get("/v1/projects/<int:project>")
def project(project: int) -> Response:
    """One project; what the caller may do there when more is wanted."""
    found = project_for(project, "project.read")
    told = _project(found)
    if extended():
        told["verbs"] = store().verbs(caller(), found)
    return answer(told)


@api.get("/v1/projects/<int:project>/app-users")
def devices(project: int) -> Response:
    """The project's app users with their tokens; a revoked one has none."""
    found = project_for(project, "field_key.list")
    tokens = {one.actor.id: one.token for one in store().sessions.values()}
    mine = [one for one in store().actors.values() if one.project == found.id]
    return answer([{"projectId": project, **actor_json(one), "token": tokens.get(one.id)} for one in mine])


@api.get("/v1/projects/<int:project>/assignments")
def assignments(project: int) -> Response:
    """Who has which role on the project."""
    numbers = {role.system: role.id for role in ROLES}
    held = project_for(project, "assignment.list").rights
    return answer([{"actorId": actor, "roleId": numbers[role]} for actor, role in held.items()])


@api.post("/v1/projects/<int:project>/app-users")
def add_device(project: int) -> Response:
    """Makes an app user, whose token stands in the addresses that a device uses."""
    found = project_for(project, "field_key.create")
    made = store().add_device(found, str(body().get("displayName", "")))
    told = {"projectId": project, **actor_json(made.actor), "token": made.token, "csrf": made.csrf}
    return answer({**told, "expiresAt": stamp(FOR_EVER)})


@api.post("/v1/projects/<int:project>/assignments/<role>/<int:actor>")
def assign(project: int, role: str, actor: int) -> Response:
    """Gives a role on the project."""
    project_for(project, "assignment.create").rights[_actor(actor).id] = _role(role)
    return success()


@api.delete("/v1/projects/<int:project>/assignments/<role>/<int:actor>")
def unassign(project: int, role: str, actor: int) -> Response:
    """Takes a role on the project."""
    found = project_for(project, "assignment.delete")
    if found.rights.get(actor) != _role(role):
        raise not_found()
    del found.rights[actor]
    return success()


@api.post(f"{_FORM}/assignments/<role>/<int:actor>")
def assign_on_form(project: int, form_id: str, role: str, actor: int) -> Response:
    """Gives a role on the form."""
    form_for(project, form_id, "assignment.create").rights[_actor(actor).id] = _role(role)
    return success()


@api.get("/v1/projects/<int:project>/forms")
def forms(project: int) -> Response:
    """All forms of the project, the newest first as they were published."""
    found = project_for(project, "form.list")
    shown = [form for form in found.forms.values() if form.published]
    shown.sort(key=lambda form: form.created, reverse=True)
    return answer([_form(form, _published(form)) for form in shown])


@api.post("/v1/projects/<int:project>/forms")
def add_form(project: int) -> Response:
    """A new form of an XLSForm or XForm, at once for devices with `publish=true`."""
    found = project_for(project, "form.create")
    xform = _uploaded()
    if xform.form_id in found.forms:
        raise _taken(project, xform.form_id)
    form = store().add_form(found, xform, caller(), publish=request.args.get("publish") == "true")
    return answer(_plain_form(form, form.definitions[-1]))


@api.get(_FORM)
def form(project: int, form_id: str) -> Response:
    """The form as devices see it."""
    found = form_for(project, form_id, "form.read")
    return answer(_form(found, _published(found), notes=True))


@api.patch(_FORM)
def change_form(project: int, form_id: str) -> Response:
    """Opens a form, lets it run out (`closing`) or closes it."""
    found = form_for(project, form_id, "form.update")
    found.state = str(body().get("state", found.state))
    found.updated = store().clock()
    return answer(_plain_form(found, _published(found)))


@api.get(f"{_FORM}/draft")
def draft(project: int, form_id: str) -> Response:
    """What waits to be published."""
    found = form_for(project, form_id, "form.read")
    return answer(_form(found, _draft(found), notes=True))


@api.post(f"{_FORM}/draft")
def add_draft(project: int, form_id: str) -> Response:
    """A new version that waits; without a body the published one once more."""
    found = form_for(project, form_id, "form.update")
    xform = _uploaded() if request.get_data() else _published(found).xform
    store().add_draft(found, xform)
    return success()


@api.post(f"{_FORM}/draft/publish")
def publish(project: int, form_id: str) -> Response:
    """Shows the draft to devices; its version has to be a new one."""
    found = form_for(project, form_id, "form.update")
    waiting = _draft(found)
    if found.version(waiting.xform.version):
        raise _taken(project, form_id, waiting.xform.version)
    store().publish(found)
    return success()


@api.post(f"{_FORM}/draft/attachments/<name>")
def add_file(project: int, form_id: str, name: str) -> Response:
    """A media file that the draft names."""
    waiting = _draft(form_for(project, form_id, "form.update"))
    if name not in waiting.xform.needs_files:
        raise not_found()
    kind = request.content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    waiting.files[name] = (request.get_data(), kind)
    waiting.lists.discard(name)
    return success()


@api.patch(f"{_FORM}/draft/attachments/<name>")
def link_file(project: int, form_id: str, name: str) -> Response:
    """An entity list in the place of a file, or the file again."""
    waiting = _draft(form_for(project, form_id, "form.update"))
    lists = store().projects[project].lists
    if name not in waiting.xform.needs_files or name.removesuffix(".csv") not in lists:
        raise not_found()
    (waiting.lists.add if body().get("dataset") else waiting.lists.discard)(name)
    return answer(_file(waiting, name))


@api.get(f"{_FORM}/attachments")
def files(project: int, form_id: str) -> Response:
    """The media files that the form needs."""
    return answer(_files(_published(form_for(project, form_id, "form.read"))))


@api.get(f"{_FORM}/draft/attachments")
def draft_files(project: int, form_id: str) -> Response:
    """The media files that the draft needs."""
    return answer(_files(_draft(form_for(project, form_id, "form.read"))))


@api.get(f"{_FORM}.xml")
def form_xml(project: int, form_id: str) -> Response:
    """The form as XForm."""
    return xml_answer(_published(_open_form(project, form_id)).xform.xml)


@api.get(f"{_FORM}/fields")
def fields(project: int, form_id: str) -> Response:
    """Questions, groups and repeats of the form as devices see it."""
    found = form_for(project, form_id, "form.read")
    return answer([field.as_json() for field in _published(found).xform.fields])


@api.get(f"{_FORM}/versions")
def versions(project: int, form_id: str) -> Response:
    """All versions that devices have ever seen, newest first."""
    found = form_for(project, form_id, "form.read")
    return answer([_plain_form(found, one) for one in reversed(found.definitions) if one.published])


@api.get(f"{_FORM}/versions/<version>/fields")
def version_fields(project: int, form_id: str, version: str) -> Response:
    """Questions, groups and repeats of one version; `___` names the empty one."""
    found = form_for(project, form_id, "form.read")
    definition = found.version("" if version == _NO_VERSION else version)
    if definition is None:
        raise not_found()
    return answer([field.as_json() for field in definition.xform.fields])


def _open_form(project: int, form_id: str) -> Form:
    """For devices too, which hold a smaller right."""
    try:
        return form_for(project, form_id, "form.read")
    except Problem as problem:
        if problem.status != 403:  # noqa: PLR2004 (RFC 9110: forbidden)
            raise
        return form_for(project, form_id, "open_form.read")


def _uploaded() -> XForm:
    """The form in the body; what pyxform warns of is refused unless the caller says `ignoreWarnings=true`."""
    warnings: list[str] = []
    try:
        if request.content_type == XLSX:
            xform, warnings = from_xlsx(request.get_data())
        else:
            xform = XForm(request.get_data())
    except NotAForm as error:
        raise _not_a_form(error) from error
    if warnings and request.args.get("ignoreWarnings") != "true":
        words = "The Form is valid, but with warnings. Please check the warnings and if they are acceptable resubmit "
        raise Problem(400.16, f"{words}with ?ignoreWarnings=true", {"warnings": {"xlsFormWarnings": warnings}})
    return xform


def _not_a_form(error: NotAForm) -> Problem:
    words = "The given XLSForm file was not valid. Please see the error details for more information."
    return Problem(400.15, words, {"error": str(error), "warnings": []})


def _taken(project: int, form_id: str, version: str | None = None) -> Problem:
    names = ["projectId", "xmlFormId"] + (["version"] if version is not None else [])
    values = [str(project), form_id] + ([version] if version is not None else [])
    words = f"A resource already exists with {','.join(names)} value(s) of {','.join(values)}."
    return Problem(409.3, words, {"fields": names, "values": values})


def _missing_credentials(sent: dict[str, object]) -> Problem:
    got = ", ".join(
        f"{name}: '{sent[name]}'" if name in sent else f"{name}: undefined" for name in ("email", "password")
    )
    words = f"Required parameters missing. Expected (email, password), got ({got})."
    return Problem(400.3, words, {"expected": ["email", "password"], "got": sent})


def _actor(number: int) -> Actor:
    found = store().actors.get(number)
    if found is None:
        raise not_found()
    return found


def _role(name: str) -> str:
    """The role's short name, by that or by its number."""
    by_number = {str(role.id): role.system for role in ROLES}
    found = by_number.get(name, name)
    if found not in BY_SYSTEM:
        raise not_found()
    return found


def _published(form: Form) -> Definition:
    if form.published is None:
        raise not_found()
    return form.published


def _draft(form: Form) -> Definition:
    if form.draft is None:
        raise not_found()
    return form.draft


def _user(actor: Actor) -> dict[str, object]:
    return {**actor_json(actor), "email": actor.email, "lastLoginAt": stamp(actor.last_login)}


def _project(project: Project) -> dict[str, object]:
    told = {"id": project.id, "name": project.name, "description": None, "archived": None, "keyId": None}
    return {**told, "createdAt": stamp(project.created), "updatedAt": None, "deletedAt": None}


def _plain_form(form: Form, definition: Definition) -> dict[str, object]:
    xform = definition.xform
    return {
        "projectId": form.project,
        "xmlFormId": form.id,
        "state": form.state,
        "enketoId": None,
        "enketoOnceId": None,
        "createdAt": stamp(form.created),
        "updatedAt": stamp(form.updated),
        "webformsEnabled": True,
        "keyId": form.key,
        "version": xform.version,
        "hash": xform.hashed("md5"),
        "sha": xform.hashed("sha1"),
        "sha256": xform.hashed("sha256"),
        "draftToken": definition.draft_token,
        "publishedAt": stamp(definition.published),
        "name": xform.title,
    }


def _form(form: Form, definition: Definition, *, notes: bool = False) -> dict[str, object]:
    told = _plain_form(form, definition)
    if not extended():
        return told
    rows = [row for row in form.rows() if row.deleted is None]
    last: datetime | None = max((row.created for row in rows), default=None)
    told |= {
        "submissions": len(rows),
        "entityRelated": definition.xform.uses_entities,
        "reviewStates": {
            "received": sum(row.state is None for row in rows),
            "hasIssues": sum(row.state == "hasIssues" for row in rows),
            "edited": sum(row.state == "edited" for row in rows),
        },
        "lastSubmission": stamp(last),
        "excelContentType": XLSX if definition.xform.from_xlsx else None,
        "publicLinks": 0,
        "createdBy": actor_json(form.creator),
    }
    return {**told, "publishNotes": None} if notes else told


def _files(definition: Definition) -> list[dict[str, object]]:
    return [_file(definition, name) for name in definition.xform.needs_files]


def _file(definition: Definition, name: str) -> dict[str, object]:
    blob, linked = name in definition.files, name in definition.lists
    told = {"name": name, "type": "file", "hash": None, "exists": blob or linked, "blobExists": blob and not linked}
    return {**told, "datasetExists": linked}
