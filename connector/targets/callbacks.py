"""What the webhooks of targets show to prove who they are; each target says which of these its system does."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import cast

from connector.errors import NotASubmission, NotAuthentic
from connector.model import JSON

_ADVICE = "Write the same secret at the target and into what `webhook_secret_env` names."


def authenticated_by_key(name: str, secrets: str | None, headers: Mapping[str, str], header: str) -> None:
    """A shared key in *header* or as Basic password, compared in constant time; raises `NotAuthentic`."""
    given = [value for key, value in headers.items() if key.lower() == header.lower()]
    given += _basic_password(headers)
    if not any(_same(one, secret) for one in given for secret in (secrets or "").split()):
        raise NotAuthentic("webhook.not_authentic", f"a webhook of target {name}", _ADVICE)


def authenticated_by_signature(name: str, secrets: str | None, headers: Mapping[str, str], body: bytes) -> None:
    """`Signature` (or the older `X-Signature`) is base64 of the webhook's id, a colon and the HMAC-SHA256 of the body.

    Versions of EspoCRM write the digest raw or in hex: both are taken. Raises `NotAuthentic`.
    """
    lower = {key.lower(): value for key, value in headers.items()}
    given = lower.get("signature") or lower.get("x-signature") or ""
    try:
        proof = base64.b64decode(given, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        proof = b""
    for secret in (secrets or "").split():
        digest = hmac.new(secret.encode(), body, hashlib.sha256)
        if hmac.compare_digest(proof, digest.digest()) or hmac.compare_digest(proof, digest.hexdigest().encode()):
            return
    raise NotAuthentic("webhook.not_authentic", f"a webhook of target {name}", _ADVICE)


def json_in(name: str, body: bytes) -> JSON:
    """The body as JSON; raises `NotASubmission`."""
    try:
        return cast("JSON", json.loads(body))
    except (ValueError, RecursionError):
        raise not_ours(name) from None


def not_ours(name: str) -> NotASubmission:
    """A body that names no record."""
    advice = "Point the target's webhook for changed records here, and no other."
    return NotASubmission("webhook.not_a_hint", f"a webhook of target {name}", advice)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _basic_password(headers: Mapping[str, str]) -> list[str]:
    value = next((value for key, value in headers.items() if key.lower() == "authorization"), "")
    kind, _, encoded = value.partition(" ")
    if kind.lower() != "basic":
        return []
    try:
        return [base64.b64decode(encoded, validate=True).decode().partition(":")[2]]
    except (binascii.Error, ValueError):
        return []
