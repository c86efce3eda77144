"""A target of type `rest`: one POST a delivery, JSON, signed as Standard Webhooks say (contract §4).

The body is the same over all attempts, byte for byte; the time of an attempt is in its `webhook-timestamp`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable

from connector.config import Target
from connector.disclosure import Release
from connector.errors import Misconfigured
from connector.model import JSON, Action, Receipt
from connector.outbound import Caller, Unreachable
from connector.targets import Effect, Health, Removal
from connector.targets.replies import health_of, refused, unreachable

_SECRET_PREFIX = "whsec_"  # noqa: S105 (what a secret begins with)
_MOST_ANSWER = 1 << 20
_NOT_PERMANENT = frozenset({408, 425, 429})
_NOT_THIS_METHOD = 501  # it is there and takes POST alone
_HOPELESS = frozenset({401, 403})


class Rest:
    """One REST target. Any 2xx is its receipt; the body of its answer is not looked at."""

    effect: Effect = "key honoured"
    removal: Removal = "told"

    def __init__(self, name: str, config: Target, *, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self._clock = clock
        self._secret = signing_key(name, config.secret("signing_secret"))
        token = config.secret("token")
        headers = {"Content-Type": "application/json", "User-Agent": "Silah"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = Caller(str(config.url), headers=headers, timeout=config.timeout, pool=config.concurrency)

    def deliver(self, release: Release) -> Receipt:
        body = body_of(release)
        try:
            answer = self._http.call("POST", "", headers=self._headers(release.key, body), body=body, most=_MOST_ANSWER)
        except Unreachable as error:
            raise unreachable(self.name, error) from None
        if not answer.ok:
            raise refused(self.name, answer)
        return Receipt()

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        headers = {"Idempotency-Key": key}
        if self._secret is not None:
            timestamp = str(int(self._clock()))
            headers |= {
                "webhook-id": key,
                "webhook-timestamp": timestamp,
                "webhook-signature": sign(self._secret, key, timestamp, body),
            }
        return headers

    def check(self) -> Health:
        try:
            answer = self._http.call("HEAD", "", most=_MOST_ANSWER)
            if answer.status >= 500:  # noqa: PLR2004 (some servers know no HEAD)
                answer = self._http.call("GET", "", most=_MOST_ANSWER)
        except Unreachable as error:
            return Health(ok=False, code=f"target.{error.code}", next_step="Start the target, or mend its `url`.")
        return health_of(answer, "`token_env`")


def body_of(release: Release) -> bytes:
    """The JSON of contract §4, the same bytes for the same release."""
    body: dict[str, JSON] = {
        "id": release.record_id,
        "kind": release.kind,
        "version": release.version,
        "action": str(release.action),
        "purpose": release.purpose,
        "society": release.society,
        "sent_at": release.made_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "fields": {} if release.action is Action.WITHDRAW else release.fields,
        "attachments": [
            {"name": file.name, "media_type": file.media_type, "data": base64.b64encode(file.data).decode()}
            for file in release.files
        ],
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def signing_key(name: str, secret: str | None) -> bytes | None:
    """The key bytes of a `whsec_…` secret (base64); None when there is none."""
    if secret is None:
        return None
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        where = f"`targets.{name}.signing_secret`"
        raise Misconfigured("config.bad_signing_secret", where, "It is `whsec_` followed by base64.") from None


def sign(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The `webhook-signature` header: `v1,` + base64(HMAC-SHA256(secret, id.timestamp.body)) (Standard Webhooks 1.0)."""
    digest = hmac.new(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
