"""Entity lists of an ODK-Central-compatible server: what they hold, who sees which rows, and their addresses.

Entities come in over the API alone: those that a form makes of its submissions are left out.
"""

from __future__ import annotations

import csv
import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO
from xml.sax.saxutils import quoteattr

from flask import Blueprint, Response, request

from connector.sandbox.central_rest import (
    Problem,
    actor_json,
    answer,
    body,
    caller,
    extended,
    forbidden,
    key_in_path,
    not_found,
    project_for,
    stamp,
    store,
    success,
)
from connector.sandbox.central_store import Actor, Definition, Form, Project

api = Blueprint("central-lists", __name__)

_PROJECT = "/v1/projects/<int:project>"
_LIST = f"{_PROJECT}/datasets/<name>"
_NAME = re.compile(r"(?!__)(?!(?:name|label)$)[A-Za-z_][A-Za-z0-9_.-]*", re.IGNORECASE)
_VERSION_4 = 4


@dataclass
class Entity:
    """One row: its versions (label, data, what was received), the newest last."""

    uuid: str
    creator: Actor
    created: datetime
    versions: list[dict[str, object]] = field(default_factory=list)
    updated: datetime | None = None
    deleted: datetime | None = None

    @property
    def data(self) -> dict[str, str]:
        """The values as they are now, all texts."""
        data = self.versions[-1]["data"]
        assert isinstance(data, dict)  # noqa: S101 - made here
        return data


@dataclass
class EntityList:
    """A list of a project; *filter* says which rows whoever fills in forms may see."""

    name: str
    created: datetime
    changed: datetime
    approval: bool = False
    filter: dict[str, object] | None = None
    properties: dict[str, datetime] = field(default_factory=dict)
    entities: dict[str, Entity] = field(default_factory=dict)

    def live(self) -> list[Entity]:
        """Those that are not deleted, newest first."""
        there = [one for one in self.entities.values() if one.deleted is None]
        return sorted(there, key=lambda one: one.created)[::-1]

    def seen_by(self, actor: Actor, *, everything: bool) -> list[Entity]:
        """What *actor* gets on a device."""
        rules = (self.filter or {}).get("rules")
        if everything or not self.filter:
            return self.live()
        if not isinstance(rules, list):
            return [one for one in self.live() if one.creator is actor]
        return [one for one in self.live() if all(_fits(one, rule, actor) for rule in rules)]


def _fits(one: Entity, rule: dict[str, str], actor: Actor) -> bool:
    wanted = actor.properties.get(rule["actorProperty"])
    return bool(wanted) and one.data.get(rule["datasetProperty"]) == wanted


def add_list(project: Project, name: str, now: datetime) -> EntityList:
    """An empty list; forms that are made from now on show it under its name."""
    made = EntityList(name, now, now)
    project.lists[name] = made
    return made


@api.get(f"{_PROJECT}/datasets")
def lists(project: int) -> Response:
    """The lists of the project."""
    found = project_for(project, "dataset.list")
    return answer([_brief(found, one) for one in found.lists.values()])


@api.post(f"{_PROJECT}/datasets")
def make_list(project: int) -> Response:
    """A list without properties."""
    found = project_for(project, "dataset.create")
    name = str(body().get("name", ""))
    if not _NAME.fullmatch(name):
        raise _bad_name(name, "This is not a valid dataset name.")
    if name in found.lists:
        raise _taken("name,projectId", f"{name},{project}")
    made = add_list(found, name, store().clock())
    made.approval = bool(body().get("approvalRequired"))
    return answer(_detail(found, made))


@api.get(_LIST)
def one_list(project: int, name: str) -> Response:
    """One list with its properties and the forms around it."""
    found = project_for(project, "dataset.read")
    return answer(_detail(found, _list(found, name)))


@api.patch(_LIST)
def change_list(project: int, name: str) -> Response:
    """Who sees which rows, and whether a review makes entities."""
    found = project_for(project, "dataset.update")
    changed, told = _list(found, name), body()
    if "accessFilter" in told:
        given = told["accessFilter"]
        changed.filter = given if isinstance(given, dict) else None
    if "approvalRequired" in told:
        changed.approval = bool(told["approvalRequired"])
    changed.changed = store().clock()
    return answer(_detail(found, changed))


@api.post(f"{_LIST}/properties")
def add_property(project: int, name: str) -> Response:
    """A further column."""
    changed = _list(project_for(project, "dataset.update"), name)
    wanted = str(body().get("name", ""))
    if not _NAME.fullmatch(wanted):
        raise _bad_name(wanted, "This is not a valid property name.")
    if wanted in changed.properties:
        raise _taken("name,datasetId", f"{wanted},1")
    changed.properties[wanted] = changed.changed = store().clock()
    return success()


@api.post(f"{_PROJECT}/actor-properties")
def add_actor_property(project: int) -> Response:
    """Something that can be said of whoever fills in forms."""
    found = project_for(project, "actor_property.update")
    name = str(body().get("name", ""))
    if name in found.actor_properties:
        raise _taken("name,projectId", f"{name},{project}")
    found.actor_properties.append(name)
    return success()


@api.patch(f"{_PROJECT}/app-users/<int:number>")
def change_device(project: int, number: int) -> Response:
    """What is said of an app user: its branch, for one."""
    found = project_for(project, "field_key.update")
    actor = store().actors.get(number)
    if actor is None or actor.project != project:
        raise not_found()
    given = body().get("properties")
    if isinstance(given, dict):
        strange = [name for name in given if name not in found.actor_properties]
        if strange:
            raise _bad_name(strange[0], "This is not a property of actors.")
        actor.properties = {name: str(value) for name, value in given.items()}
    return answer({"projectId": project, **actor_json(actor), "properties": actor.properties})


@api.get(f"{_PROJECT}/app-users")
def devices(project: int) -> Response:
    """The app users of the project."""
    project_for(project, "field_key.list")
    found = [one for one in store().actors.values() if one.project == project]
    return answer([{"projectId": project, **actor_json(one), "properties": one.properties} for one in found])


@api.get(f"{_LIST}/entities")
def entities(project: int, name: str) -> Response:
    """The rows without their values, newest first."""
    found = _list(project_for(project, "entity.list"), name)
    gone = request.args.get("deleted") == "true"
    rows = [one for one in found.entities.values() if one.deleted] if gone else found.live()
    return answer([_entity(one, brief=True) for one in rows])


@api.post(f"{_LIST}/entities")
def add_entities(project: int, name: str) -> Response:
    """One row, or many of which all are taken or none."""
    found = _list(project_for(project, "entity.create"), name)
    told = body()
    many = told.get("entities")
    if not isinstance(many, list):
        return answer(_entity(_made(found, told)))
    for one in many:
        _check(found, one)
    numbers = [str(one["uuid"]) for one in many if one.get("uuid")]
    there = [number for number in numbers if number in found.entities]
    if there:
        raise _taken("uuid", there[0], "entities")
    for one in many:
        _made(found, one)
    return success()


@api.get(f"{_LIST}/entities/<number>")
def entity(project: int, name: str, number: str) -> Response:
    """One row."""
    return answer(_entity(_row(_list(project_for(project, "entity.read"), name), number), joined=extended()))


@api.patch(f"{_LIST}/entities/<number>")
def change_entity(project: int, name: str, number: str) -> Response:
    """A further version; whoever does not force it has to name the present one."""
    found = _list(project_for(project, "entity.update"), name)
    row, told = _row(found, number), body()
    known = request.args.get("baseVersion")
    current = len(row.versions)
    if request.args.get("force") != "true" and known != str(current):
        words = f"Current version of the Entity is '{current}' and you provided '{known or 'undefined'}'."
        advice = "Please correct the version number or pass '?force=true' in the URL to forcefully update the Entity."
        details = {"current": str(current), **({"provided": known} if known else {})}
        raise Problem(409.15, f"{words} {advice}", details)
    _check(found, told)
    row.updated = store().clock()
    row.versions.append(_version(row, told, caller()))
    found.changed = row.updated
    return answer(_entity(row))


@api.delete(f"{_LIST}/entities/<number>")
def remove_entity(project: int, name: str, number: str) -> Response:
    """Takes a row from every device; it can be restored, and its number stays taken."""
    found = _list(project_for(project, "entity.delete"), name)
    _row(found, number).deleted = found.changed = store().clock()
    return success()


@api.post(f"{_LIST}/entities/<number>/restore")
def restore_entity(project: int, name: str, number: str) -> Response:
    """Brings a deleted row back."""
    found = _list(project_for(project, "entity.restore"), name)
    row = found.entities.get(number)
    if row is None or row.deleted is None:
        raise not_found()
    row.deleted = None
    found.changed = store().clock()
    return success()


@api.get(f"{_PROJECT}/forms/<form_id>/attachments/<name>")
def form_file(project: int, form_id: str, name: str) -> Response:
    """What a device downloads beside a form: a file, or a list as CSV with the rows that it may see."""
    actor, found, form = _opened(project, form_id)
    definition = form.published
    if definition is None:
        raise not_found()
    if name in definition.lists:
        everything = store().may(actor, "entity.list", found)
        return _csv(name, _as_csv(_list(found, name.removesuffix(".csv")), actor, everything=everything))
    if name not in definition.files:
        raise not_found()
    data, kind = definition.files[name]
    return Response(data, content_type=kind)


@api.get(f"{_PROJECT}/forms/<form_id>/manifest")
def manifest(project: int, form_id: str) -> Response:
    """What a device has to download beside a form."""
    actor, found, form = _opened(project, form_id)
    definition = form.published
    if definition is None:
        raise not_found()
    files = "".join(_media_file(found, actor, form, definition, name) for name in definition.xform.needs_files)
    text = f'<manifest xmlns="http://openrosa.org/xforms/xformsManifest">{files}</manifest>'
    response = Response('<?xml version="1.0" encoding="UTF-8"?>' + text, content_type="text/xml; charset=utf-8")
    response.headers["X-OpenRosa-Version"] = "1.0"
    return response


@api.get(f"{_LIST}/integrity")
def integrity(project: int, name: str) -> Response:
    """Whether rows that a device no longer finds were deleted."""
    _, found, _ = _opened(project, None)
    held = _list(found, name)
    wanted = [held.entities[one] for one in request.args.get("id", "").split(",") if one in held.entities]
    rows = "".join(
        f"<entity id={quoteattr(one.uuid)}><deleted>{str(bool(one.deleted)).lower()}</deleted></entity>"
        for one in wanted
    )
    text = f'<?xml version="1.0" encoding="UTF-8"?><data><entities>{rows}</entities></data>'
    response = Response(text, content_type="text/xml; charset=utf-8")
    response.headers["Content-Language"] = "en"
    response.headers["X-OpenRosa-Version"] = "1.0"
    response.headers["X-OpenRosa-Accept-Content-Length"] = "100000000"
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _media_file(project: Project, actor: Actor, form: Form, definition: Definition, name: str) -> str:
    key = key_in_path()
    base = f"{request.host_url}v1/{f'key/{key}/' if key else ''}projects/{project.id}"
    place = f"<downloadUrl>{base}/forms/{form.id}/attachments/{name}</downloadUrl>"
    if name in definition.lists:
        held = name.removesuffix(".csv")
        content = _as_csv(_list(project, held), actor, everything=store().may(actor, "entity.list", project))
        proof = f"<integrityUrl>{base}/datasets/{held}/integrity</integrityUrl>"
        return f'<mediaFile type="entityList">{_hashed(name, content)}{place}{proof}</mediaFile>'
    if name in definition.files:
        return f"<mediaFile>{_hashed(name, definition.files[name][0])}{place}</mediaFile>"
    return ""


def _hashed(name: str, content: bytes) -> str:
    return f"<filename>{name}</filename><hash>md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}</hash>"


def _opened(project: int, form_id: str | None) -> tuple[Actor, Project, Form]:
    """The form, for whoever may open it; any form of the project that they may open when none is named."""
    actor, found = caller(), store().projects.get(project)
    if found is None:
        raise not_found()
    forms = [found.forms[form_id]] if form_id in found.forms else list(found.forms.values()) if form_id is None else []
    if not forms:
        raise not_found()
    for form in forms:
        if any(store().may(actor, verb, found, form) for verb in ("form.read", "open_form.read")):
            return actor, found, form
    raise forbidden()


def _as_csv(held: EntityList, actor: Actor, *, everything: bool) -> bytes:
    """The columns cannot be chosen: every property of the list is there."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "label", "__version", *held.properties])
    for one in held.seen_by(actor, everything=everything):
        values = [one.data.get(name, "") for name in held.properties]
        writer.writerow([one.uuid, one.versions[-1]["label"], len(one.versions), *values])
    return text.getvalue().encode()


def _csv(name: str, content: bytes) -> Response:
    tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    known = tag in request.headers.get("If-None-Match", "")
    response = Response(status=304) if known else Response(content, content_type="text/csv; charset=utf-8")
    if not known:
        response.headers["Content-Disposition"] = f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _list(project: Project, name: str) -> EntityList:
    found = project.lists.get(name)
    if found is None:
        raise not_found()
    return found


def _row(held: EntityList, number: str) -> Entity:
    found = held.entities.get(number)
    if found is None or found.deleted is not None:
        raise not_found()
    return found


def _made(held: EntityList, told: dict[str, object]) -> Entity:
    _check(held, told)
    number = str(told.get("uuid") or uuid.uuid4())
    if not _is_version_4(number):
        details = {"field": "uuid", "expected": "valid version 4 UUID"}
        raise Problem(400.11, "Invalid input data type: expected (uuid) to be (valid version 4 UUID)", details)
    if number in held.entities:
        raise _taken("uuid", number, "entities")
    actor, now = caller(), store().clock()
    made = Entity(number, actor, now)
    made.versions.append(_version(made, told, actor))
    held.entities[number] = made
    held.changed = now
    return made


def _check(held: EntityList, told: dict[str, object]) -> None:
    """All values are texts, and each column is there."""
    for name, value in _data(told).items():
        if name not in held.properties:
            reason = f"You specified the dataset property [{name}] which does not exist."
            raise Problem(400.28, f"The entity is invalid. {reason}", {"reason": reason})
        if not isinstance(value, str):
            details = {"field": name, "expected": "string"}
            raise Problem(400.11, f"Invalid input data type: expected ({name}) to be (string)", details)


def _data(told: dict[str, object]) -> dict[str, object]:
    given = told.get("data")
    return given if isinstance(given, dict) else {}


def _version(row: Entity, told: dict[str, object], actor: Actor) -> dict[str, object]:
    before = row.versions[-1] if row.versions else {"label": None, "data": {}}
    received = {**({"label": told["label"]} if "label" in told else {}), **_data(told)}
    data = before["data"]
    assert isinstance(data, dict)  # noqa: S101 - made here
    return {
        "current": True,
        "label": told.get("label", before["label"]),
        "creatorId": actor.id,
        "userAgent": request.headers.get("User-Agent"),
        "data": {**data, **_data(told)},
        "version": len(row.versions) + 1,
        "baseVersion": len(row.versions) or None,
        "dataReceived": received,
        "conflictingProperties": None,
        "createdAt": stamp(store().clock()),
        "branchId": None,
        "trunkVersion": None,
        "branchBaseVersion": None,
    }


def _entity(row: Entity, *, brief: bool = False, joined: bool = False) -> dict[str, object]:
    version = dict(row.versions[-1])
    if brief:
        del version["data"], version["dataReceived"]
    creator = {"creator": actor_json(row.creator)} if joined else {}
    return {
        "uuid": row.uuid,
        "creatorId": row.creator.id,
        "conflict": None,
        "createdAt": stamp(row.created),
        "updatedAt": stamp(row.updated),
        "deletedAt": stamp(row.deleted),
        "currentVersion": version | creator,
        **creator,
    }


def _brief(project: Project, held: EntityList) -> dict[str, object]:
    rows = held.live()
    told: dict[str, object] = {
        "name": held.name,
        "createdAt": stamp(held.created),
        "projectId": project.id,
        "approvalRequired": held.approval,
        "ownerOnly": (held.filter or {}).get("type") == "ownerOnly",
        "deletedAt": None,
    }
    if extended():
        told |= {"entities": len(rows), "lastEntity": stamp(rows[0].created) if rows else None, "conflicts": 0}
    return told


def _detail(project: Project, held: EntityList) -> dict[str, object]:
    linked = [form for form in _published(project) if f"{held.name}.csv" in form[1].lists]
    sources = [form for form in _published(project) if held.name in form[1].xform.writes_lists]
    properties = [
        {"name": name, "publishedAt": stamp(at), "odataName": name,
         "forms": [_named(*one, form_first=True) for one in sources if name in one[1].xform.saved_to]}
        for name, at in held.properties.items()
    ]  # fmt: skip
    return {
        **_brief(project, held),
        "lastUpdate": stamp(held.changed),
        "linkedForms": [_named(*one) for one in linked],
        "sourceForms": [_named(*one) for one in sources],
        "draftLinkedForms": [],
        "draftSourceForms": [],
        "properties": properties,
        **({"accessFilter": held.filter} if held.filter else {}),
    }


def _published(project: Project) -> Iterator[tuple[Form, Definition]]:
    for form in sorted(project.forms.values(), key=lambda one: one.id):
        if form.published:
            yield form, form.published


def _named(form: Form, definition: Definition, *, form_first: bool = False) -> dict[str, object]:
    named: dict[str, object] = {"name": definition.xform.title, "xmlFormId": form.id}
    return dict(reversed(named.items())) if form_first else named


def _is_version_4(number: str) -> bool:
    try:
        return uuid.UUID(number).version == _VERSION_4
    except ValueError:
        return False


def _taken(fields: str, values: str, table: str | None = None) -> Problem:
    details = {"fields": fields.split(","), "values": values.split(","), **({"table": table} if table else {})}
    return Problem(409.3, f"A resource already exists with {fields} value(s) of {values}.", details)


def _bad_name(name: str, reason: str) -> Problem:
    details = {"field": "name", "value": name, "reason": reason}
    return Problem(400.8, f"Unexpected name value {name}; {reason}", details)
