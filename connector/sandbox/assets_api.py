"""Projects: importing forms, settings, media, deployment, versions, permissions and history."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Mapping
from io import BytesIO

from flask import Blueprint, Response, request, send_file

from connector.sandbox import present
from connector.sandbox.content import Content, NotDeployable, read_json
from connector.sandbox.rest import (
    Refusal,
    address,
    answer,
    asset_for,
    body,
    caller,
    created,
    empty,
    forbidden,
    from_base64,
    member,
    named,
    not_found,
    page,
    server,
    someone,
    store,
)
from connector.sandbox.rights import ANONYMOUS, LABELS, Filters
from connector.sandbox.search import QueryTooShort, compiled
from connector.sandbox.store import Asset, ImportTask, MediaFile, User, stamp

api = Blueprint("assets", __name__, url_prefix="/api/v2")

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_LAST_STEP = re.compile(r"/([^/?]+)/?(?:\?.*)?$")
_MEDIA = re.compile(r"(?:image|audio|video)/.+|text/(?:csv|xml)|application/(?:xml|zip|geo\+json)")
_NOT_MEDIA = (
    "Only `image`, `audio`, `video`, `text/csv`, `application/xml`, `application/zip`, `application/geo+json` "
    "MIME types are allowed"
)


@api.post("/imports/")
def import_form() -> Response:
    """Begins an import; only form fields are read, a JSON body is not."""
    user = member()
    destination = request.form.get("destination")
    task = store().import_xlsx(
        user,
        _workbook(),
        request.form.get("name") or _file_name(),
        library=request.form.get("library", "true").lower() != "false",
        destination=asset_for(_last_step(destination), "change_asset")[0] if destination else None,
        polls=server().import_polls,
    )
    return answer({"uid": task.uid, "url": _import_address(task), "status": "processing"}, 201)


@api.get("/imports/<uid>/")
def import_state(uid: str) -> Response:
    """How far an import is."""
    user, task = member(), store().imports.get(uid)
    if task is None or task.user != user:
        raise not_found()
    done = task.polls <= 0
    task.polls -= 1
    status = ("error" if task.failed else "complete") if done else "processing"
    messages = task.result if done else {}
    return answer({"status": status, "uid": uid, "messages": messages, "date_created": stamp(task.created)})


@api.get("/assets/")
def assets() -> Response:
    """The projects that the caller sees, narrowed by `q`."""
    user = caller()
    try:
        wanted = compiled(request.args.get("q", ""))
    except QueryTooShort as error:
        raise Refusal(400, {"detail": "Your query is too short"}) from error
    mine = [asset for asset in store().assets.values() if user and asset.rights.has(user.name, "view_asset")]
    mine.sort(key=lambda asset: asset.modified, reverse=True)
    found = [asset for asset in mine if wanted({"name": asset.name, "uid": asset.uid, **_search_keys(asset)})]
    return page(found, lambda asset: present.asset_list_json(asset, user))


@api.post("/assets/")
def create_asset() -> Response:
    """A project from content, or a copy of another one."""
    user, sent = member(), body()
    source = asset_for(str(sent["clone_from"]), "view_asset")[0] if sent.get("clone_from") else None
    content = source.version.content if source else read_json(_mapping(sent.get("content")))
    asset = store().create_asset(user, str(sent.get("name", "")), content, str(sent.get("asset_type", "survey")))
    asset.update_settings(source.settings if source else _mapping(sent.get("settings")))
    asset.created_by = asset.modified_by = user.name
    return created(present.asset_json(asset, user))


@api.get("/assets/<uid>/")
def asset_detail(uid: str) -> Response:
    """One project."""
    asset, user = asset_for(uid, "view_asset")
    return answer(present.asset_json(asset, user))


@api.patch("/assets/<uid>/")
def change_asset(uid: str) -> Response:
    """Name, settings, content or sharing of a project."""
    asset, user = asset_for(uid, "change_asset")
    who, sent = someone(user), body()
    if "name" in sent:
        asset.name = str(sent["name"])
    if "settings" in sent:
        _change_settings(asset, who, _mapping(sent["settings"]))
    if "content" in sent:
        version = store().save_version(asset, read_json(_mapping(sent["content"])))
        store().log(asset, who, "update-content", latest_version_uid=version.uid)
    if "data_sharing" in sent:
        asset.data_sharing = dict(_mapping(sent["data_sharing"]))
    asset.modified, asset.modified_by = store().clock(), who.name
    return answer(present.asset_json(asset, user))


@api.delete("/assets/<uid>/")
def delete_asset(uid: str) -> Response:
    """Removes a project with everything in it."""
    asset, _ = asset_for(uid, "delete_asset")
    del store().assets[asset.uid]
    return empty()


@api.get("/assets/<uid>.xml")
def asset_xform(uid: str) -> Response:
    """The newest version as XForm."""
    asset, _ = asset_for(uid, "view_asset")
    return _download(_compiled(asset.version.content, asset).encode(), "application/xml; charset=utf-8", f"{uid}.xml")


@api.get("/assets/<uid>.xls")
def asset_xlsx(uid: str) -> Response:
    """The newest version as a workbook."""
    asset, _ = asset_for(uid, "view_asset")
    return _download(asset.version.content.xlsx(), f"{_XLSX}; charset=utf-8", f"{uid}.xlsx")


@api.get("/assets/<uid>/content/")
def asset_content(uid: str) -> Response:
    """The newest version, one cell a language."""
    asset, _ = asset_for(uid, "view_asset")
    return answer({"kind": "asset.content", "uid_asset": uid, "data": asset.version.content.flattened()})


@api.get("/assets/<uid>/versions/")
def versions(uid: str) -> Response:
    """The deployed versions, newest first."""
    asset, _ = asset_for(uid, "view_asset")
    return page(asset.deployed_versions, lambda numbered: present.version_json(asset, *numbered))


@api.get("/assets/<uid>/deployment/")
def deployment(uid: str) -> Response:
    """What devices see now."""
    asset, user = asset_for(uid, "view_asset")
    if asset.deployment is None:
        raise not_found()
    return answer(present.deployment_json(asset, asset.deployment, user))


@api.post("/assets/<uid>/deployment/")
def deploy(uid: str) -> Response:
    """The first deployment; the form must compile."""
    asset, user = asset_for(uid, "change_asset")
    if asset.deployment is not None:
        raise Refusal(405, {"detail": "Use PATCH to update an existing deployment"})
    if asset.asset_type != "survey":
        raise Refusal(400, {"asset": "Only surveys may be deployed, but the type of this asset is not"})
    return _deployed(asset, user, "deploy")


@api.patch("/assets/<uid>/deployment/")
def redeploy(uid: str) -> Response:
    """With `version_id`, the newest, a redeployment; with `active` alone, in or out of the archive."""
    asset, user = asset_for(uid, "change_asset")
    present_one = asset.deployment
    if present_one is None:
        raise Refusal(405, {"detail": 'Method "PATCH" not allowed.'})
    sent = body()
    if "version_id" not in sent:
        active = bool(sent.get("active", present_one.active))
        store().set_active(asset, present_one, active=active)
        action = "unarchive" if active else "archive"
        store().log(asset, someone(user), action, latest_version_uid=asset.version.uid)
        return answer(present.deployment_json(asset, present_one, user))
    if sent["version_id"] != asset.version.uid:
        return named(
            Response("<!doctype html><h1>Server error (500)</h1>", 500, content_type="text/html; charset=utf-8")
        )
    return _deployed(asset, user, "redeploy")


@api.get("/assets/<uid>/files/")
def files(uid: str) -> Response:
    """The form's media."""
    asset, _ = asset_for(uid, "view_asset")
    return page(asset.files, lambda file: present.file_json(asset, file))


@api.post("/assets/<uid>/files/")
def add_file(uid: str) -> Response:
    """A new media file; devices see it after the next deployment."""
    asset, user = asset_for(uid, "change_asset")
    sent, who = body(), someone(user)
    field = "base64Encoded" if "base64Encoded" in sent else "content"
    upload = request.files.get("content")
    name = str(_metadata(sent).get("filename") or (upload.filename if upload else "") or "")
    kind = _media_type(name, field)
    if asset.file_named(name) is not None:
        raise Refusal(400, {field: ["File already exists"]})
    if field == "content" and upload is None:
        raise Refusal(400, {"detail": "No files have been submitted"})
    content = upload.read() if upload else from_base64(str(sent["base64Encoded"]))
    description, file_type = str(sent.get("description", "")), str(sent.get("file_type", "form_media"))
    file = MediaFile(who.name, name, content, kind, store().clock(), description, file_type)
    asset.files.append(file)
    store().log(asset, who, "add-media", **{"asset-file": _file_details(asset, file)})
    return created(present.file_json(asset, file))


@api.get("/assets/<uid>/files/<file_uid>/")
def file(uid: str, file_uid: str) -> Response:
    """One media file."""
    asset, _ = asset_for(uid, "view_asset")
    return answer(present.file_json(asset, _file(asset, file_uid)))


@api.get("/assets/<uid>/files/<file_uid>/content/")
def file_content(uid: str, file_uid: str) -> Response:
    """Its bytes."""
    found = _file(asset_for(uid, "view_asset")[0], file_uid)
    return _download(found.content, found.mimetype, found.name)


@api.delete("/assets/<uid>/files/<file_uid>/")
def delete_file(uid: str, file_uid: str) -> Response:
    """Takes a media file away; devices keep it until the next deployment."""
    asset, user = asset_for(uid, "change_asset")
    found = _file(asset, file_uid)
    asset.files.remove(found)
    store().log(asset, someone(user), "delete-media", **{"asset-file": _file_details(asset, found)})
    return empty()


@api.get("/assets/<uid>/permission-assignments/")
def assignments(uid: str) -> Response:
    """Who may do what: a bare list."""
    asset, user = asset_for(uid, "view_asset")
    shown = asset.rights.visible_to(user.name if user else None)
    return answer([present.assignment_json(asset, held) for held in shown])


@api.post("/assets/<uid>/permission-assignments/")
def grant(uid: str) -> Response:
    """Gives a permission, and what it implies."""
    asset, user = asset_for(uid, "manage_asset")
    sent = body()
    name, codename = _last_step(str(sent.get("user", ""))), _last_step(str(sent.get("permission", "")))
    if name not in store().users:
        raise Refusal(400, {"user": ["Invalid hyperlink - Object does not exist."]})
    if codename not in LABELS:
        raise Refusal(400, {"permission": ["Invalid hyperlink - Object does not exist."]})
    if name == ANONYMOUS and codename not in ("view_asset", "add_submissions", "view_submissions"):
        raise Refusal(400, {"permission": [f"Anonymous users cannot be granted the permission {codename}."]})
    held, added = asset.rights.grant(name, codename, _partial(sent.get("partial_permissions")))
    changed = {"added": added, "removed": [], "username": name}
    store().log(asset, someone(user), "modify-user-permissions", log_subtype="permission", permissions=changed)
    return created(present.assignment_json(asset, held))


@api.delete("/assets/<uid>/permission-assignments/<held_uid>/")
def revoke(uid: str, held_uid: str) -> Response:
    """Takes a permission, and what depends on it; anyone may give up their own."""
    asset, user = asset_for(uid, "view_asset")
    held, who = asset.rights.find(held_uid), someone(user)
    if held is None:
        raise not_found()
    if held.user != who.name and not asset.rights.has(who.name, "manage_asset"):
        raise forbidden()
    if held.user == asset.owner.name:
        raise Refusal(409, {"detail": "Owner's permissions cannot be deleted"})
    changed = {"added": [], "removed": asset.rights.revoke(held_uid), "username": held.user}
    store().log(asset, who, "modify-user-permissions", log_subtype="permission", permissions=changed)
    return empty()


@api.get("/assets/<uid>/history/")
def history(uid: str) -> Response:
    """What happened to the project, newest first, narrowed by `q`."""
    asset, _ = asset_for(uid, "manage_asset")
    try:
        wanted = compiled(request.args.get("q", ""))
    except QueryTooShort as error:
        raise Refusal(400, {"detail": "Your query is too short"}) from error
    rows = [present.event_json(asset, event) for event in reversed(asset.history)]
    return page([row for row in rows if wanted(row)], lambda row: row)


@api.get("/assets/<uid>/history/actions/")
def history_actions(uid: str) -> Response:
    """The kinds of rows that the history has."""
    asset, _ = asset_for(uid, "manage_asset")
    return answer({"actions": list(dict.fromkeys(event.action for event in asset.history))})


def _workbook() -> bytes | None:
    upload, encoded = request.files.get("file"), request.form.get("base64Encoded")
    if upload is not None:
        return bytes(upload.read())
    return from_base64(encoded) if encoded else None


def _file_name() -> str:
    upload = request.files.get("file")
    return (upload.filename or "") if upload else ""


def _import_address(task: ImportTask) -> str:
    return address(f"/api/v2/imports/{task.uid}/")


def _deployed(asset: Asset, user: User | None, action: str) -> Response:
    _compiled(asset.version.content.with_version_question(asset.version.uid), asset)
    store().deploy(asset)
    assert asset.deployment is not None  # noqa: S101 - just made
    uid = asset.version.uid
    store().log(asset, someone(user), action, latest_version_uid=uid, latest_deployed_version_uid=uid)
    return answer(present.deployment_json(asset, asset.deployment, user))


def _compiled(content: Content, asset: Asset) -> str:
    try:
        return content.xform(asset.uid, asset.name)
    except NotDeployable as error:
        raise Refusal(400, {"error": str(error)}) from error


def _change_settings(asset: Asset, who: User, settings: Mapping[str, object]) -> None:
    old = dict(asset.settings)
    asset.update_settings(settings)
    changed = {key: _difference(old.get(key), value) for key, value in asset.settings.items() if old.get(key) != value}
    store().log(asset, who, "update-settings", settings=changed, latest_version_uid=asset.version.uid)


def _difference(old: object, new: object) -> dict[str, object]:
    if isinstance(old, list) and isinstance(new, list):
        return {"added": [item for item in new if item not in old], "removed": [i for i in old if i not in new]}
    return {"new": new, "old": old}


def _metadata(sent: Mapping[str, object]) -> Mapping[str, object]:
    stated = sent.get("metadata", {})
    if isinstance(stated, str):
        try:
            stated = json.loads(stated)
        except ValueError as error:
            raise Refusal(400, {"metadata": ["JSON is invalid"]}) from error
    return _mapping(stated)


def _media_type(name: str, field: str) -> str:
    kind = "application/geo+json" if name.endswith(".geojson") else mimetypes.guess_type(name)[0] or ""
    if not _MEDIA.fullmatch(kind):
        raise Refusal(400, {field: [_NOT_MEDIA]})
    return kind


def _file(asset: Asset, uid: str) -> MediaFile:
    found = next((file for file in asset.files if file.uid == uid), None)
    if found is None:
        raise not_found()
    return found


def _file_details(asset: Asset, file: MediaFile) -> dict[str, object]:
    at = address(f"/api/v2/assets/{asset.uid}/files/{file.uid}/content/").partition("?")[0]
    return {"uid": file.uid, "filename": file.name, "md5_hash": file.hash, "download_url": at}


def _search_keys(asset: Asset) -> dict[str, object]:
    return {"asset_type": asset.asset_type, "owner__username": asset.owner.name, "settings": asset.settings}


def _partial(sent: object) -> dict[str, Filters]:
    entries = [entry for entry in sent if isinstance(entry, Mapping)] if isinstance(sent, list) else []
    return {
        _last_step(str(entry.get("url", ""))): tuple(
            condition for condition in entry.get("filters", ()) if isinstance(condition, Mapping)
        )
        for entry in entries
    }


def _download(content: bytes, kind: str, name: str) -> Response:
    response = send_file(BytesIO(content), mimetype=kind, as_attachment=True, download_name=name)
    response.headers["Content-Type"] = kind
    return named(response)


def _last_step(link: str) -> str:
    found = _LAST_STEP.search(link)
    return found[1] if found else link


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
