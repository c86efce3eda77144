"""REST services over HTTP: their settings, their logs, and sending again."""

from __future__ import annotations

from flask import Blueprint, Response, request

from connector.sandbox.hooks import Hook, HookInvalid, Log, Status
from connector.sandbox.present import hook_json, log_json
from connector.sandbox.rest import (
    Refusal,
    answer,
    asset_for,
    body,
    created,
    empty,
    not_found,
    page,
    server,
    someone,
    store,
)
from connector.sandbox.store import Asset, User
from connector.sandbox.turns import unlocked

api = Blueprint("hooks", __name__, url_prefix="/api/v2/assets/<uid>/hooks")

_BUSY = {"detail": "Data is being or has already been processed", "status_code": None}


@api.get("/")
def hooks(uid: str) -> Response:
    """The project's REST services by name."""
    asset, _ = _managed(uid)
    return page(sorted(server().sender.hooks(asset), key=lambda hook: hook.name), lambda hook: hook_json(asset, hook))


@api.post("/")
def create(uid: str) -> Response:
    """A new REST service; submissions that are there already are not sent."""
    asset, user = _managed(uid)
    hook = Hook("", "", store().clock())
    _update(hook)
    server().sender.hooks(asset).append(hook)
    _log(asset, user, "register-service", hook)
    return created(hook_json(asset, hook))


@api.get("/<hook_uid>/")
def one(uid: str, hook_uid: str) -> Response:
    """One REST service."""
    asset, _ = _managed(uid)
    return answer(hook_json(asset, _hook(asset, hook_uid)))


@api.patch("/<hook_uid>/")
def change(uid: str, hook_uid: str) -> Response:
    """Changes a REST service."""
    asset, user = _managed(uid)
    hook = _hook(asset, hook_uid)
    _update(hook)
    _log(asset, user, "modify-service", hook)
    return answer(hook_json(asset, hook))


@api.delete("/<hook_uid>/")
def delete(uid: str, hook_uid: str) -> Response:
    """Removes a REST service with its logs."""
    asset, user = _managed(uid)
    hook = _hook(asset, hook_uid)
    hook.active = False
    server().sender.hooks(asset).remove(hook)
    _log(asset, user, "delete-service", hook, active=True)
    return empty()


@api.get("/<hook_uid>/logs/")
def logs(uid: str, hook_uid: str) -> Response:
    """What was sent, newest first; `status` narrows it."""
    asset, _ = _managed(uid)
    hook = _hook(asset, hook_uid)
    status = request.args.get("status")
    shown = [log for log in reversed(hook.logs) if status is None or str(int(log.status)) == status]
    return page(shown, lambda log: log_json(asset, hook, log))


@api.get("/<hook_uid>/logs/<log_uid>/")
def log(uid: str, hook_uid: str, log_uid: str) -> Response:
    """The sending of one submission."""
    asset, _ = _managed(uid)
    hook = _hook(asset, hook_uid)
    return answer(log_json(asset, hook, _one_log(hook, log_uid)))


@api.patch("/<hook_uid>/retry/")
def retry_failed(uid: str, hook_uid: str) -> Response:
    """Sends everything again that failed; 304 when nothing did."""
    asset, _ = _managed(uid)
    hook = _hook(asset, hook_uid)
    if not hook.active:
        raise Refusal(400, {"detail": "Can not retry on disabled hooks"})
    pending = server().sender.retry_failed(asset, hook)
    if not pending:
        return answer(None, 304)
    return answer({"detail": "Task successfully scheduled", "pending_uids": pending})


@api.patch("/<hook_uid>/logs/<log_uid>/retry/")
@unlocked
def retry_one(uid: str, hook_uid: str, log_uid: str) -> Response:
    """Sends one submission again and waits for the outcome."""
    with server().lock:
        asset, _ = _managed(uid)
        hook = _hook(asset, hook_uid)
        one_log = _one_log(hook, log_uid)
        if not server().sender.may_retry(one_log):
            raise Refusal(400, _BUSY)
    server().sender.retry_now(asset, hook, one_log)
    sent = one_log.status == Status.SUCCESS
    message = one_log.message if sent else f"HTTP {one_log.status_code} - {one_log.message}"
    return answer({"detail": message, "status_code": one_log.status_code}, 200 if sent else 400)


def _managed(uid: str) -> tuple[Asset, User | None]:
    """Editors who see submissions; everybody else is told that there is nothing."""
    asset, user = asset_for(uid, "change_asset", hidden=True)
    asset_for(uid, "view_submissions", hidden=True)
    return asset, user


def _hook(asset: Asset, uid: str) -> Hook:
    found = next((hook for hook in server().sender.hooks(asset) if hook.uid == uid), None)
    if found is None:
        raise not_found()
    return found


def _one_log(hook: Hook, uid: str) -> Log:
    found = hook.log(uid)
    if found is None:
        raise not_found()
    return found


def _update(hook: Hook) -> None:
    try:
        hook.update(body(), store().clock())
    except HookInvalid as error:
        raise Refusal(400, error.errors) from error


def _log(asset: Asset, user: User | None, action: str, hook: Hook, *, active: bool | None = None) -> None:
    about = {"uid": hook.uid, "active": hook.active if active is None else active, "endpoint": hook.endpoint}
    store().log(asset, someone(user), action, hook=about)
