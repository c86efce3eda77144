"""`silah receipt`: whoever received something is on the person's copy, in the person's language, without an answer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from connector.erasing import erase
from connector.ledger import audit
from connector.papers.page import LANGUAGES, Language, word
from connector.papers.receipt import Receipt, give, language_of, page, receipt_of
from forms.policy import CLASSES, RECIPIENTS
from forms.tables import form_ids, load
from tests.care.test_erase import case_of
from tests.conftest import FillIn, Node
from tests.people import MARKS, request

EVERYBODY: dict[str, dict[str, Any]] = {
    "national": {},
    "icrc": {"recipient": "icrc", "release": "auto"},
    "partner": {"recipient": "national_society", "society": "TR-RC", "release": "auto"},
    "ngo": {"recipient": "ngo", "agency": "some_ngo", "release": "auto"},
    "authority": {"recipient": "authorities", "agency": "police"},
}


def copy_of(node: Node, submission: dict[str, object]) -> Receipt:
    return receipt_of(node.flow, case_of(node, submission))


def test_every_recipient_is_on_it(node: Node, fill_in: FillIn) -> None:
    """R22: each target that got the record is named with day, purpose and classes; each that did not, with why."""
    node.targets = EVERYBODY
    submission = node.take_in(fill_in(request()))
    received = {name for name in EVERYBODY if node.received(name)}
    copy = copy_of(node, submission)

    assert {"national", "icrc", "partner"} == received == {one.who.rpartition(":")[2] for one in copy.shared}
    assert {"ngo": "why.consent", "authority": "why.consent"} == {
        who.rpartition(":")[2]: why for who, why in copy.refused
    }
    for one in copy.shared:
        assert ((node.clock().date().isoformat(),), ("tracing",), True) == (
            one.days,
            one.purposes,
            "identity" in one.classes,
        )
        assert not set(one.classes) & set(one.kept_back)
    [partner] = [one for one in copy.shared if one.who.endswith("partner")]
    assert "national_society:TR-RC:partner" == partner.who


def test_the_classes_are_those_that_left(node: Node, fill_in: FillIn) -> None:
    """The own society got the telephone number, the statistics did not; the copy says so of each."""
    node.targets = {"national": {}, "partner": {"recipient": "statistics"}}
    submission = node.take_in(fill_in(request()))
    own, counted = copy_of(node, submission).shared
    assert ("contact" in own.classes, "contact" in counted.kept_back) == (True, True)
    assert {"case", "count"} >= set(counted.classes)


def test_sent_and_never_confirmed_is_on_it(node: Node, fill_in: FillIn) -> None:
    """A target whose answer was lost may have it: the person is told that."""
    node.receivers["national"].faults.next(".*", status=500, times=1)
    submission = node.take_in(fill_in(request()))
    [one] = copy_of(node, submission).shared
    assert () == one.days
    assert word("copy.unsure", "en") in page(copy_of(node, submission), "en")


@pytest.mark.parametrize("how", ["withdrawn", "erased"])
def test_it_can_be_given_when_all_is_gone(node: Node, fill_in: FillIn, how: str) -> None:
    """After a withdrawal or an erasure the copy still names who received it, and whether they confirmed the word."""
    submission = node.take_in(fill_in(request()))
    case = case_of(node, submission)
    if how == "erased":
        erase(node.flow, case, "test")
    else:
        node.flow.withdraw(case, None, "asked", "test")
    [one] = copy_of(node, submission).shared
    assert "telling" == one.removal
    node.dispatch()

    copy = copy_of(node, submission)
    [one] = copy.shared
    assert (node.clock().date().isoformat(), ("tracing",)) == (one.removal, one.purposes)
    assert ["copy.erased" if how == "erased" else "copy.taken_back"] == [name for name, _ in copy.events]


def test_a_target_that_is_not_configured_any_more_is_on_it(node: Node, fill_in: FillIn) -> None:
    """Who received it stays on the copy when the target was taken out of the configuration."""
    node.targets = {"national": {}, "partner": {"recipient": "national_society", "society": "TR-RC", "release": "auto"}}
    submission = node.take_in(fill_in(request()))
    node.targets = {"national": {}}
    node.restart()
    assert {"own_society::national", "national_society:TR-RC:partner"} == {
        one.who for one in copy_of(node, submission).shared
    }


def test_it_speaks_the_persons_language(node: Node, fill_in: FillIn) -> None:
    """Salma's conversation was in Arabic: so is her copy, from right to left; another language can be asked for."""
    submission = node.take_in(fill_in(request()))
    case = case_of(node, submission)
    assert "ar" == language_of(node.flow, case)
    text = give(node.flow, case, None, "test")
    assert ('<html lang="ar" dir="rtl">' in text, word("copy.title", "ar") in text) == (True, True)
    assert '<html lang="fr" dir="ltr">' in give(node.flow, case, "fr", "test")


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_answer_is_on_it(node: Node, fill_in: FillIn, language: Language) -> None:
    """The sheet may be found by somebody else: classes alone, no name, no number; nothing is fetched from a network."""
    node.targets = EVERYBODY
    submission = node.take_in(fill_in(request()))
    text = give(node.flow, case_of(node, submission), language, "test")
    for mark in MARKS:
        assert mark not in text
    assert [] == re.findall(r"https?://|<script|<img|src=", text)
    assert [] == re.findall(r"(?:class|copy|recipient|purpose|why)\.[a-z_]+", text.partition("</style>")[2])
    assert "{" not in text.partition("</style>")[2]


def test_that_it_was_given_is_in_the_audit(node: Node, fill_in: FillIn) -> None:
    """R21: a look at what was shared is itself on record."""
    submission = node.take_in(fill_in(request()))
    give(node.flow, case_of(node, submission), "fa", "officer")
    with node.flow.ledger.database.reading() as connection:
        given = [row for row in audit.export(connection) if row["event"] == "receipt"]
    assert [("officer", {"language": "fa"})] == [(row["actor"], row["detail"]) for row in given]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_words(language: Language) -> None:
    """Every recipient, every class of data and every purpose of a form is said in all four languages."""
    keys = [f"recipient.{one}" for one in RECIPIENTS] + [f"class.{one}" for one in CLASSES]
    keys += [f"purpose.{load(form).purpose}" for form in form_ids()]
    assert [] == [key for key in keys if not word(key, language)]
