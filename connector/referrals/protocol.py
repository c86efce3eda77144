"""The published partner protocol: OpenAPI and JSON Schema, made from the models that the product reads with.

python -m connector.referrals.protocol docs/partners     writes both documents anew
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic.json_schema import models_json_schema

from connector.model import JSON
from connector.referrals import machine
from connector.referrals.envelope import MEDIA_TYPE
from connector.referrals.messages import Message
from connector.referrals.node import PublicNode
from connector.referrals.referral import SENSITIVE_SERVICES
from connector.referrals.reports import ReportMessage

_JSON_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_VERSION = "1.0.0"
_BODY = (
    "A JWE in compact serialization (RFC 7516): `alg` ECDH-ES+A256KW, `enc` A256GCM, to the receiver's X25519 key. "
    "The plaintext is one `Message` as JSON in UTF-8; its `id` is the `webhook-id`, its `sender` is `node`, its "
    "`recipient` the receiver's fingerprint."
)
_SIGNATURE = (
    "Standard Webhooks 1.0: `v1a,` and the base64 of an Ed25519 signature over `webhook-id`, `.`, `webhook-timestamp`, `.` "
    "and the body as sent, by the node's signing key. Several may stand with spaces between."
)
_ANSWERS = {
    "201": "Kept. The answer is signed like a request, under the same `webhook-id`; without that signature the message counts as not delivered.",
    "200": "This id was kept before and nothing was changed; signed as 201.",
    "401": "Unknown node, bad signature, or a timestamp more than five minutes off. Try again: pairing or a clock may be put right.",
    "413": "More than 10 MB.",
    "422": "Never send this again: it cannot be opened, does not fit the schema, or is not allowed in this state.",
    "503": "Try again later, with a growing pause: an earlier message of this referral is missing, or something unexpected happened.",
}


def message_schema() -> dict[str, JSON]:
    """The JSON Schema of what is inside the encryption and of a node's export."""
    _, defined = models_json_schema(
        [(one, "serialization") for one in (Message, ReportMessage, PublicNode)], ref_template="#/$defs/{model}"
    )
    return {
        "$schema": _JSON_SCHEMA,
        "title": "Silah partner protocol",
        "oneOf": [{"$ref": "#/$defs/Message"}, {"$ref": "#/$defs/ReportMessage"}],
        "$defs": defined["$defs"],
    }


def openapi() -> dict[str, JSON]:
    """The OpenAPI 3.1 document of the one door, with the state machine as a table."""
    _, defined = models_json_schema(
        [(one, "serialization") for one in (Message, ReportMessage, PublicNode)],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Silah partner protocol", "version": _VERSION, "description": "Referrals between nodes; see docs/referrals.md."},
        "paths": {"/webhooks/partners/{node}": {"post": _operation()}},
        "components": {"schemas": defined["$defs"], "headers": {name: _header(name) for name in _SIGNED}},
        "x-state-machine": _table(),
        "x-sensitive-services": sorted(SENSITIVE_SERVICES),
    }  # fmt: skip


_SIGNED: Mapping[str, str] = {
    "webhook-id": "The message's id, the same over all attempts.",
    "webhook-timestamp": "When this attempt was made: seconds since 1970, UTC.",
    "webhook-signature": _SIGNATURE,
}


def _operation() -> dict[str, JSON]:
    parameters: list[JSON] = [
        {
            "name": "node",
            "in": "path",
            "required": True,
            "description": "The sender's fingerprint.",
            "schema": {"type": "string"},
        }
    ]
    parameters += [{"name": name, "in": "header", "required": True, **_header(name)} for name in _SIGNED]
    return {
        "summary": "One message of a partner",
        "operationId": "message",
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "description": _BODY, "contentSchema": {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Message", "ReportMessage")]}}}},
        },
        "responses": {status: _answer(status, text) for status, text in _ANSWERS.items()},
    }  # fmt: skip


def _header(name: str) -> dict[str, JSON]:
    return {"description": _SIGNED[name], "schema": {"type": "string"}}


def _answer(status: str, description: str) -> dict[str, JSON]:
    key = "receipt" if status in {"200", "201"} else "error"
    body: JSON = {"type": "object", "required": [key], "properties": {key: {"type": "string"}}}
    answer: dict[str, JSON] = {"description": description, "content": {"application/json": {"schema": body}}}
    if key == "receipt":
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in _SIGNED}
    return answer


def _table() -> list[JSON]:
    """Each deed: by whom, from which states, where to, with which codes."""
    return [
        {
            "deed": str(deed), "by": str(rule.by), "from": [str(state) for state in machine.State if state in rule.sources],
            "to": str(rule.to) if rule.to else "stays", "reason": sorted(rule.reasons), "reason_required": rule.needs_reason,
            "outcome": sorted(rule.outcomes),
        }
        for deed, rule in machine.RULES.items()
    ]  # fmt: skip


def documents() -> dict[str, str]:
    """File names and their text, as they are published."""
    made = {"openapi.json": openapi(), "message.schema.json": message_schema()}
    return {name: json.dumps(document, ensure_ascii=False, indent=2) + "\n" for name, document in made.items()}


def main(folder: Path) -> None:
    """Writes the documents to *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
