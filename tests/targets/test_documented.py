"""docs/targets.md is held to what the targets do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector import config as configuration
from connector.app import TARGETS
from connector.targets.mapping import TURNS

_ROOT = Path(__file__).parents[2]
_DOC = (_ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
_OWN_KEYS = (
    "folder", "language", "case_files", "rewrite_every", "rows", "public_keys", "receipt", "receipt_every", "login", "mapping", "hmac_digest",
)  # fmt: skip


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_every_type_is_described(kind: str) -> None:
    """Each type of target is in the table of guarantees."""
    assert f"| `{kind}` |" in _DOC


@pytest.mark.parametrize("key", _OWN_KEYS)
def test_every_setting_is_described(key: str) -> None:
    """Each setting of these types exists and is shown."""
    assert key in configuration.Target.model_fields
    assert re.search(rf"^{key} = ", _DOC, re.MULTILINE)


def test_every_turn_is_described() -> None:
    """Each word that `as` takes is explained."""
    assert set() == {turn for turn in TURNS if f"`{turn}`" not in _DOC}
