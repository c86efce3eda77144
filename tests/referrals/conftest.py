"""Two paired nodes for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.referrals.nodes import Pair


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A sender and a receiver in one process, each with its own database, keys and clock."""
    both = Pair(tmp_path)
    yield both
    both.close()
