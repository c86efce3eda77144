"""Bytes from outside are answered as promised: the seeds of each aim, cut and turned, and what once was found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.aims import AIMS, Aim

_FOUND = Path(__file__).parents[1] / "fixtures" / "fuzz"


@pytest.mark.parametrize("aim", AIMS, ids=lambda aim: aim.name)
def test_bytes_that_nobody_foresaw_are_answered_as_promised(aim: Aim) -> None:
    """Seeds, their beginnings, single turned bytes, and every input that ever made something fall over."""
    take = aim.prepare()
    for found in sorted((_FOUND / aim.name).glob("*")):
        take(found.read_bytes())
    for seed in aim.seeds:
        take(seed)
        take(seed[: len(seed) // 2])

    @settings(max_examples=25, deadline=None, database=None, derandomize=True)
    @given(st.sampled_from(aim.seeds), st.integers(0, 10_000), st.integers(1, 255))
    def turned(seed: bytes, place: int, by: int) -> None:
        at = place % max(len(seed), 1)
        take(seed[:at] + bytes(byte ^ by for byte in seed[at : at + 1]) + seed[at + 1 :])

    turned()
