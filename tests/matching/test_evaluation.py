"""A small frozen evaluation with floors: a change that matches names worse goes red."""

from __future__ import annotations

import pytest

from connector.matching import score_names
from tests.evaluation.names import area_under_curve, hard_cases, pair_sets, recall, scored
from tests.evaluation.names_data import SAMPLE, wikidata
from tests.evaluation.names_pairs import PairSet

FLOORS = {  # recall at 1 % false positives on the sample, held-out side: random, hard
    "Latin-Latin": (0.98, 0.94),
    "Arabic-Latin": (0.985, 0.94),
    "Arabic-Persian spelling": (0.99, 0.99),
    "within Arabic": (0.99, 0.99),
}


@pytest.fixture(scope="module")
def sets() -> dict[str, PairSet]:
    """The pairs of the committed sample, from the side that tuning never saw."""
    return {pairs.name: pairs for pairs in pair_sets(wikidata(SAMPLE), held_out=True, sizes=(400, 1500))}


@pytest.mark.parametrize("kind", FLOORS)
def test_recall_stays_above_its_floor(kind: str, sets: dict[str, PairSet]) -> None:
    """Recall at 1 % false positives, against random people and people of the same first name."""
    pairs = sets[kind]
    same = scored(pairs.same, score_names)
    reached = [recall(same, scored(others, score_names), 0.01) for others in (pairs.random, pairs.hard)]
    assert [True, True] == [value >= floor for value, floor in zip(reached, FLOORS[kind], strict=True)], reached


def test_hand_made_hard_cases_stay_apart() -> None:
    """Kunya, abd-, -zadeh, Urdu, Kurdish, Dari, Turkish, French: the half that tuning never saw."""
    same, others = hard_cases(SAMPLE / "hard_cases.tsv", held_out=True)
    assert area_under_curve(scored(same, score_names), scored(others, score_names)) >= 0.93
