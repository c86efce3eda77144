"""What all answers share: who asks, addresses, pages, refusals. One `Server` stands behind every request."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, urlencode

from flask import Response, current_app, g, request
from werkzeug.datastructures import Authorization

from connector.sandbox.hooks import HookSender
from connector.sandbox.query import BadParameter
from connector.sandbox.rights import ANONYMOUS
from connector.sandbox.store import Asset, Store, User
from connector.sandbox.turns import OneAtATime

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

REALM = "DJANGO"
PAGE, MOST = 100, 1000
GONE = (
    "The V1 API has been removed. Please read the migration article at "
    "https://support.kobotoolbox.org/migrating_api.html"
)
T = TypeVar("T")


class Refusal(Exception):
    """An answer other than the expected one: status, JSON body (None for an empty one), headers."""

    def __init__(self, status: int, body: object = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def not_found() -> Refusal:
    """404, also said to those who may not know that something exists."""
    return Refusal(404, {"detail": "Not found."})


def forbidden() -> Refusal:
    """403, said to those who see the thing but may not do this."""
    return Refusal(403, {"detail": "You do not have permission to perform this action."})


@dataclass
class Server:
    """What the views work on."""

    store: Store
    sender: HookSender
    lock: AbstractContextManager[object]
    import_polls: int = 0


class SandboxFlask(OneAtATime):
    """The application of a sandbox that plays KoboToolbox."""

    server: Server


def server() -> Server:
    """The server of the present request."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - the documented way
    assert isinstance(app, SandboxFlask)  # noqa: S101 - the views are registered nowhere else
    return app.server


def store() -> Store:
    """The state of the present request's server."""
    return server().store


def user_of(known: Store, environ: WSGIEnvironment) -> str | None:
    """The name of who asks, None when nobody is recognised; for the log of requests."""
    try:
        user = _authenticated(known, Authorization.from_header(environ.get("HTTP_AUTHORIZATION")), environ)
    except Refusal:
        return None
    return user.name if user else None


def caller() -> User | None:
    """Who asks, None when nobody logs in.

    Raises:
        Refusal: 401, a token or password that is not right.
    """
    user: User | None = _authenticated(store(), request.authorization, request.environ)
    g.user = user
    return user


def member() -> User:
    """Who asks, and somebody must.

    Raises:
        Refusal: 401.
    """
    user = caller()
    if user is None:
        raise Refusal(401, {"detail": "Authentication credentials were not provided."}, {"WWW-Authenticate": "Session"})
    return user


def asset_for(uid: str, codename: str, *, hidden: bool = False) -> tuple[Asset, User | None]:
    """The project *uid* and who asks, who holds *codename* there.

    Args:
        hidden: whoever lacks the permission is told 404 even when they see the project.

    Raises:
        Refusal: 404 unknown or not to be seen, 403 seen but not allowed.
    """
    user = caller()
    asset = store().assets.get(uid)
    name = user.name if user else ANONYMOUS
    if asset is None:
        raise not_found()
    if asset.rights.has(name, codename):
        return asset, user
    seen = asset.rights.has(name, _seen_with(codename))
    raise forbidden() if seen and not hidden else not_found()


def someone(user: User | None) -> User:
    """The account to note in the history: the public has one too."""
    return user or store().users[ANONYMOUS]


def address(path: str) -> str:
    """The absolute address of *path*, which carries the request's `format` on, as KoboToolbox does."""
    wanted = request.args.get("format")
    return f"{host()}{path}" + (f"?format={wanted}" if wanted else "")


def host() -> str:
    """Scheme and host that the request was sent to."""
    return request.host_url.rstrip("/")


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    text = "" if body is None else json.dumps(body, ensure_ascii=False, default=str)
    response = Response(text, status, dict(headers or {}), content_type="application/json")
    return named(response)


def created(body: Mapping[str, object], *, location: bool = True) -> Response:
    """201, with the new thing's address."""
    return answer(body, 201, {"Location": str(body["url"])} if location else None)


def empty() -> Response:
    """204."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return named(response)


def named(response: Response) -> Response:
    """Adds the header that says who was recognised."""
    user = g.get("user")
    if user is not None:
        response.headers["X-KoBoNaUt"] = user.name
    return response


def refused(error: Exception) -> Response:
    """The answer of a `Refusal` or a `BadParameter`."""
    if isinstance(error, BadParameter):
        return answer({error.name: str(error)}, 400)
    assert isinstance(error, Refusal)  # noqa: S101 - registered for nothing else
    return answer(error.body, error.status, error.headers)


def body() -> dict[str, object]:
    """The JSON object or the form fields of the request; empty when there is neither."""
    if request.is_json:
        sent = request.get_json(silent=True)
        if not isinstance(sent, dict):
            raise Refusal(400, {"detail": "JSON parse error"})
        return sent
    return dict(request.form.items())


def positive(name: str, default: int, *, zero: bool = False) -> int:
    """A number of the query.

    Raises:
        Refusal: 400, it is none, or not positive.
    """
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isdecimal() or (int(text) == 0 and not zero):
        raise Refusal(400, {name: "A positive integer is required"})
    return int(text)


def page(items: Sequence[T], shown: Callable[[T], object]) -> Response:
    """A page of *items* by `start` and `limit`."""
    start, limit = positive("start", 0, zero=True), min(positive("limit", PAGE), MOST)
    results = [shown(item) for item in items[start : start + limit]]
    return answer(paged(len(items), results, start, limit))


def paged(count: int, results: Sequence[object], start: int, limit: int) -> dict[str, object]:
    """The envelope of a page, with links to the next and the previous one."""
    after = _link(limit, start + limit) if start + limit < count else None
    before = _link(limit, start - limit) if start > 0 else None
    return {"count": count, "next": after, "previous": before, "results": list(results)}


def challenge() -> str:
    """The Digest challenge of the OpenRosa side."""
    nonce, opaque = f"{datetime.now(UTC).timestamp()}:{secrets.token_hex(16)}", secrets.token_hex(16)
    return f'Digest realm="{REALM}", qop="auth", nonce="{nonce}", opaque="{opaque}", algorithm="MD5", stale="false"'


def _link(limit: int, start: int) -> str:
    fields = {key: value for key, value in parse_qsl(request.query_string.decode()) if key != "start"}
    fields["limit"] = str(limit)
    if start > 0:
        fields["start"] = str(start)
    return f"{request.base_url}?{urlencode(sorted(fields.items()))}"


def _seen_with(codename: str) -> str:
    return "view_submissions" if codename.endswith("_submissions") else "view_asset"


def _authenticated(known: Store, sent: Authorization | None, environ: Mapping[str, object]) -> User | None:
    if sent is None:
        return None
    if sent.type == "token":
        user = known.user_by_token(sent.token or "")
        if user is None:
            raise Refusal(401, {"detail": "Invalid token."}, {"WWW-Authenticate": "Session"})
        return user
    named_user = known.users.get(sent.username or "")
    right = named_user is not None and (
        sent.password == named_user.password if sent.type == "basic" else _digest_right(sent, named_user, environ)
    )
    if not right:
        raise Refusal(401, {"detail": "Invalid username/password."}, {"WWW-Authenticate": "Session"})
    return named_user


def _digest_right(sent: Authorization, user: User, environ: Mapping[str, object]) -> bool:
    """Whether a Digest answer was made with the user's password (RFC 2617, qop auth)."""
    field = sent.parameters
    one = _md5(f"{user.name}:{REALM}:{user.password}")
    two = _md5(f"{environ['REQUEST_METHOD']}:{field.get('uri')}")
    asked = f"{field.get('nonce')}:{field.get('nc')}:{field.get('cnonce')}:{field.get('qop')}"
    return sent.type == "digest" and field.get("response") == _md5(f"{one}:{asked}:{two}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def from_base64(text: str) -> bytes:
    """The bytes of a `data:…;base64,…` or `base64,…` text.

    Raises:
        Refusal: 400.
    """
    try:
        return base64.b64decode(text.rpartition("base64,")[2], validate=True)
    except binascii.Error as error:
        raise Refusal(400, {"base64Encoded": ["Invalid Base64 content"]}) from error
