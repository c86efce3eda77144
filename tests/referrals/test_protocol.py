"""The published documents say what the product does, and a partner's words are read by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connector.referrals.machine import RULES, Deed
from connector.referrals.protocol import documents
from tests.referrals.nodes import Pair

PUBLISHED = Path(__file__).parents[2] / "docs" / "partners"


@pytest.mark.parametrize("name", documents())
def test_the_published_documents_are_not_stale(name: str) -> None:
    """docs/partners/ holds what the models give; `python -m connector.referrals.protocol docs/partners` writes it anew."""
    assert documents()[name] == (PUBLISHED / name).read_text(encoding="utf-8")


def test_nothing_but_the_documents_is_published() -> None:
    """A document that is no longer made is found."""
    assert set(documents()) == {path.name for path in PUBLISHED.iterdir()}


def test_every_deed_is_in_the_published_table() -> None:
    """The state machine of the OpenAPI document is the product's."""
    table = json.loads((PUBLISHED / "openapi.json").read_text(encoding="utf-8"))["x-state-machine"]

    assert [(str(deed), str(rule.by)) for deed, rule in RULES.items()] == [(row["deed"], row["by"]) for row in table]


def test_what_is_sent_fits_the_published_schema(pair: Pair) -> None:
    """Every message of a whole loop has the schema's keys and values, and no others."""
    referral_id = pair.delivered()
    pair.receiver.do(referral_id, "accept")
    pair.settle()
    pair.receiver.do(referral_id, "complete", outcome="completed_full")
    pair.settle()
    schema = json.loads((PUBLISHED / "message.schema.json").read_text(encoding="utf-8"))
    sent = [pair.receiver.opened(one) for one in pair.to_receiver.log] + [
        pair.sender.opened(one) for one in pair.to_sender.log
    ]
    messages = [json.loads(one) for one in sent]

    assert {Deed.REQUEST, Deed.DISCLOSE, Deed.ACCEPT, Deed.COMPLETE} == {Deed(one["deed"]) for one in messages}
    for message in messages:
        assert [] == misfits(message, schema["$defs"]["Message"], schema["$defs"])


def misfits(value: object, schema: dict[str, Any], defs: dict[str, Any]) -> list[str]:
    """Where *value* has keys that its schema does not name, or lacks those it requires."""
    if "$ref" in schema:
        return misfits(value, defs[schema["$ref"].rpartition("/")[2]], defs)
    for choice in schema.get("anyOf", []):
        if choice.get("type") != "null":
            return misfits(value, choice, defs)
    if not isinstance(value, dict):
        return [] if value in schema.get("enum", [value]) else [str(value)]
    found = sorted(set(value) - set(schema["properties"]))
    return found + [
        one
        for key, inner in value.items()
        if key in schema["properties"]
        for one in misfits(inner, schema["properties"][key], defs)
    ]


def test_an_export_is_public(pair: Pair) -> None:
    """Address, fingerprint and two public keys; nothing private, and the other side takes it as it is."""
    exported = json.loads(pair.sender.exchange.export().model_dump_json())

    assert {"format", "url", "fingerprint", "signing_key", "encryption_key"} == set(exported)
    assert {"kty", "crv", "x", "use"} == set(exported["signing_key"]) == set(exported["encryption_key"])
