"""What all answers of an ODK-Central-compatible server share: who asks, what may be done, how refusals are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1
from typing import TYPE_CHECKING

from flask import Response, current_app, request

from connector.sandbox.central_hooks import HookPoster
from connector.sandbox.central_store import Actor, Form, Project, Store
from connector.sandbox.turns import OneAtATime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

JSON_TYPE = "application/json; charset=utf-8"
_KEY_PREFIX = "/v1/key/"
_KEY = "central.key"


class Problem(Exception):
    """A refusal: the code is the status with a part of its own, `409.1`."""

    def __init__(self, code: float, message: str, details: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @property
    def status(self) -> int:
        """What HTTP says."""
        return int(self.code)


def not_found() -> Problem:
    """404."""
    return Problem(404.1, "Could not find the resource you were looking for.")


def unauthorized() -> Problem:
    """401."""
    return Problem(401.2, "Could not authenticate with the provided credentials.")


def forbidden() -> Problem:
    """403."""
    return Problem(403.1, "The authentication you provided does not have rights to perform that action.")


@dataclass
class Server:
    """What the views work on."""

    store: Store
    hooks: HookPoster
    lock: AbstractContextManager[object]
    files_at: str | None = None


class CentralFlask(OneAtATime):
    """The application of a sandbox that plays ODK Central."""

    server: Server


class KeyInPath:
    """WSGI middleware: a device's token stands in the address, `/v1/key/<token>/projects/…`."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith(_KEY_PREFIX):
            token, _, rest = path.removeprefix(_KEY_PREFIX).partition("/")
            environ = {**environ, "PATH_INFO": f"/v1/{rest}", _KEY: token}
        return self._app(environ, start_response)


def server() -> Server:
    """The server of the present request."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - the documented way
    assert isinstance(app, CentralFlask)  # noqa: S101 - the views are registered nowhere else
    return app.server


def store() -> Store:
    """The state of the present request's server."""
    return server().store


def caller() -> Actor:
    """Who asks, and somebody must.

    Raises:
        Problem: 401; 403 for a device's token that nobody has.
    """
    key = request.environ.get(_KEY)
    sent = request.authorization
    if key is not None:
        session = store().session(key)
        if session is None:
            raise forbidden()
        return session.actor
    if sent is not None and sent.type == "basic":  # taken over HTTPS alone, which is not spoken here
        raise Problem(401.3, "This authentication method is only available over HTTPS")
    session = store().session(sent.token or "") if sent is not None and sent.type == "bearer" else None
    if session is None:
        raise unauthorized()
    return session.actor


def key_in_path() -> str | None:
    """The device's token, when one stands in the address."""
    key: str | None = request.environ.get(_KEY)
    return key


def project_for(number: int, verb: str) -> Project:
    """The project, on which the caller holds *verb*.

    Raises:
        Problem: 404, 403.
    """
    actor = caller()
    project = store().projects.get(number)
    if project is None:
        raise not_found()
    if not store().may(actor, verb, project):
        raise forbidden()
    return project


def form_for(number: int, form_id: str, verb: str) -> Form:
    """The form, on which the caller holds *verb* by a role on it or on its project.

    Raises:
        Problem: 404, 403.
    """
    actor = caller()
    project = store().projects.get(number)
    form = project.forms.get(form_id) if project else None
    if project is None or form is None:
        raise not_found()
    if not store().may(actor, verb, project, form):
        raise forbidden()
    return form


def extended() -> bool:
    """Whether the caller wants what is joined to things as well."""
    return request.headers.get("X-Extended-Metadata") == "true"


def stamp(moment: datetime | None) -> str | None:
    """`2026-11-21T21:13:30.210Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def actor_json(actor: Actor) -> dict[str, object]:
    """As it is joined to what somebody did."""
    return {
        "id": actor.id,
        "type": actor.type,
        "displayName": actor.name,
        "createdAt": stamp(actor.created),
        "updatedAt": None,
        "deletedAt": None,
    }


def body() -> dict[str, object]:
    """The JSON object of the request, empty when there is none."""
    sent = request.get_json(silent=True)
    return sent if isinstance(sent, dict) else {}


def answer(content: object, status: int = 200, content_type: str = JSON_TYPE) -> Response:
    """A JSON answer with a tag of its bytes."""
    response = Response(json.dumps(content, ensure_ascii=False), status, content_type=content_type)
    return _dressed(response)


def success() -> Response:
    """It was done."""
    return answer({"success": True})


def xml_answer(content: bytes) -> Response:
    """An XML document."""
    return _dressed(Response(content, content_type="application/xml; charset=utf-8"))


def tagged(tag: str, content: Callable[[], object]) -> Response:
    """A JSON answer under *tag*; nothing but 304 for whoever knows that tag already."""
    if tag in request.headers.get("If-None-Match", ""):
        response = Response(status=304)
        del response.headers["Content-Type"]
    else:
        response = answer(content())
    response.headers["ETag"] = tag
    return _dressed(response)


def refused(error: Exception) -> Response:
    """The answer of a `Problem`."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for nothing else
    told: dict[str, object] = {"message": error.message}
    if error.code != error.status:
        told["code"] = error.code
    if error.details is not None:
        told["details"] = error.details
    response = answer(told, error.status)
    if ".svc" in request.path:
        response.headers["OData-Version"] = "4.0"
    return response


def _dressed(response: Response) -> Response:
    reads = request.method in {"GET", "HEAD"} and "/sessions" not in request.path
    if request.path.startswith("/v1/"):
        response.headers["Cache-Control"] = "private, no-cache" if reads else "no-store"
    if "ETag" not in response.headers and response.status_code not in {301, 304}:
        data = response.get_data()
        response.headers["ETag"] = f'W/"{len(data):x}-{sha1(data, usedforsecurity=False).hexdigest()[:27]}"'
    return response
