"""How a message travels: encrypted to the receiver (JWE), signed by the sender (Standard Webhooks 1.0, `v1a`).

Encryption: JWE compact (RFC 7516), ECDH-ES+A256KW with A256GCM on X25519 (RFC 7518, RFC 8037); nothing else is read.
Signature: Ed25519 over `id.timestamp.body`; the answer to a message is signed in the same way, so an acknowledgement
cannot be made up by whoever stands between.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from connector.errors import NotASubmission, NotAuthentic
from connector.referrals.node import NodeKeys, PublicKey, verifies

MEDIA_TYPE = "application/jose"
_ALGORITHM, _CONTENT = "ECDH-ES+A256KW", "A256GCM"
_TOLERANCE = timedelta(minutes=5)
_SCHEME = "v1a,"


class _Registry(jwe.JWERegistry):
    """Lets through what 32 kB texts need; four of them and their escapes stay far below."""

    max_ciphertext_length = 4 * 1024 * 1024


_REGISTRY = _Registry(algorithms=[_ALGORITHM, _CONTENT])


def seal(message: bytes, recipient: PublicKey) -> bytes:
    """*message* as only the owner of *recipient* can read it."""
    key = OKPKey.import_key({"kty": "OKP", "crv": "X25519", "x": recipient.x})
    return jwe.encrypt_compact({"alg": _ALGORITHM, "enc": _CONTENT}, message, key, registry=_REGISTRY).encode()


def unseal(body: bytes, keys: NodeKeys) -> bytes:
    """Opens what `seal` made for us; raises `NotASubmission`."""
    try:
        plaintext = jwe.decrypt_compact(body, keys.opening_key(), registry=_REGISTRY).plaintext
    except (JoseError, ValueError, TypeError):
        advice = "The partner has an older key of ours: exchange `silah partner export` again."
        raise NotASubmission("partner.does_not_open", "a partner's message", advice) from None
    return plaintext or b""


def signed_headers(keys: NodeKeys, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The Standard Webhooks headers of one attempt."""
    timestamp = str(int(at.timestamp()))
    signature = base64.b64encode(keys.sign(_signed(message_id, timestamp, body))).decode()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": _SCHEME + signature}


def verify(key: PublicKey, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The id of a message that *key* signed within five minutes of *now*; raises `NotAuthentic`."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed = _signed(message_id, timestamp, body)
    if not message_id or not any(
        verifies(key, one, signed) for one in _signatures(headers.get("webhook-signature", ""))
    ):
        raise NotAuthentic("partner.bad_signature", "a partner's message", "Compare both fingerprints aloud.")
    if (
        not timestamp.isascii()
        or not timestamp.isdigit()
        or abs(now.timestamp() - int(timestamp)) > _TOLERANCE.total_seconds()
    ):
        raise NotAuthentic(
            "partner.stale", "a partner's message", "Set the clocks of both machines; five minutes are the limit."
        )
    return message_id


def _signatures(header: str) -> list[bytes]:
    found = []
    for part in header.split():
        if part.startswith(_SCHEME):
            try:
                found.append(base64.b64decode(part.removeprefix(_SCHEME), validate=True))
            except ValueError:  # not base64, or letters that are not ASCII
                continue
    return found


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body
