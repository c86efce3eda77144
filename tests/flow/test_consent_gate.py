"""The gate, on records that the real engine made: who receives what, and who nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import FillIn, Node
from tests.people import request

EVERYONE = {
    "national": {"recipient": "own_society"},
    "icrc": {"recipient": "icrc", "release": "auto"},
    "partner": {"recipient": "national_society", "society": "TR-RC", "release": "auto"},
    "ngo": {"recipient": "ngo", "agency": "nrc", "release": "auto"},
}
WIDER = {
    "share_wider": "yes", "c_share_un_agency": "no", "c_share_ngo": "yes", "which_ngo": ["nrc"],
    "c_share_state_services": "no", "risk_explained": "no",
}  # fmt: skip


def outcome(node: Node, fill_in: FillIn, answers: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """What becomes of each target's delivery of one tracing request."""
    node.targets = EVERYONE
    node.take_in(fill_in(answers))
    return {target: node.states(target)[0] for target in EVERYONE}


def test_each_recipient_needs_its_own_yes(node: Node, fill_in: FillIn) -> None:
    """R1: the own society, the ICRC and the society named receive; an NGO nobody spoke of receives nothing."""
    became = outcome(node, fill_in, request())

    assert {
        "national": ("delivered", None),
        "icrc": ("delivered", None),
        "partner": ("delivered", None),
        "ngo": ("withheld", "consent.not_for_ngo"),
    } == became
    assert [] == node.received("ngo")


@pytest.mark.parametrize(
    ("changes", "target", "reason"),
    [
        ({"c_share_icrc": "no"}, "icrc", "consent.not_for_icrc"),
        ({"c_share_ns_destination": "no", "ns_destination": None}, "partner", "consent.not_for_national_society"),
        ({"ns_destination": ["GR-RC"]}, "partner", "consent.not_named"),
        ({**WIDER, "which_ngo": ["irc"]}, "ngo", "consent.not_named"),
        ({"consent_confirm": "no"}, "icrc", "consent.not_confirmed"),
    ],
)
def test_a_no_is_a_no(node: Node, fill_in: FillIn, changes: dict[str, Any], target: str, reason: str) -> None:
    """R1, R2: refused, not named or not confirmed: that recipient receives nothing, the own society does."""
    became = outcome(node, fill_in, request(changes))

    assert ("withheld", reason) == became[target]
    assert ("delivered", None) == became["national"]
    assert [] == node.received(target)


def test_only_the_one_that_is_named_receives(node: Node, fill_in: FillIn) -> None:
    """Contract §2: with the wider sharing agreed and this NGO named, this NGO receives its part."""
    became = outcome(node, fill_in, request(WIDER))

    assert ("delivered", None) == became["ngo"]
    [body] = node.received("ngo")
    text = json.dumps(body, ensure_ascii=False)
    assert "كريم يوسف الحمصي" in text
    assert "96170123456" not in text
    assert "عبور الحدود" not in text


def test_nothing_is_collected_from_who_refuses(node: Node, fill_in: FillIn) -> None:
    """Contract §6: c_collect = no ends the form; nobody receives anything, not even the own society."""
    answers = {key: value for key, value in request().items() if key in _BEFORE_CONSENT}
    became = outcome(node, fill_in, {**answers, "c_collect": "no"})

    assert {("withheld", "consent.none")} == set(became.values())


_BEFORE_CONSENT = ("branch_code", "collector_code", "mode", "interview_date", "interview_lang", "interpreter_used",
    "enq_role", "context", "legal_basis", "info_notice_given", "search_danger")  # fmt: skip


@pytest.mark.parametrize("danger", ["yes", "unknown"])
def test_a_dangerous_search_waits_for_a_named_user(node: Node, fill_in: FillIn, danger: str) -> None:
    """Contract §6: danger yes or unknown holds everything but the own society, also for a target set to auto."""
    became = outcome(node, fill_in, request({"search_danger": danger}))

    assert ("waiting", "caution.danger") == became["icrc"]
    assert ("waiting", "caution.danger") == became["partner"]
    assert ("delivered", None) == became["national"]


def test_restrictions_wait_and_are_kept_when_released(node: Node, fill_in: FillIn) -> None:
    """What must never be sent stays out even after somebody released the record."""
    changes = {
        "has_limits": "yes", "restrict_fields": ["contact"], "restrict_text": "لا يبلغ الجيران",
        "withhold_reason": "fear_of_harm", "restrict_recipients": ["community"],
    }  # fmt: skip
    became = outcome(node, fill_in, request(changes))
    assert ("waiting", "caution.restricted") == became["icrc"]

    [row] = node.rows("icrc")
    assert node.flow.ledger.release(row.id, "amal") is None
    node.dispatch()

    [body] = node.received("icrc")
    assert "contact" not in body["fields"]["enquirer"]
    assert "contact" in node.received("national")[0]["fields"]["enquirer"]


def test_detention_is_for_the_own_society_and_the_icrc(node: Node, fill_in: FillIn) -> None:
    """Contract §6: believed detained: others wait for a release, and an NGO never sees where."""
    became = outcome(
        node,
        fill_in,
        request(
            WIDER,
            sought={
                "s_believed_status": "detained",
                "s_detention_place": "سجن",
                "s_detention_since_date_kind": "unknown",
            },
        ),
    )

    assert ("delivered", None) == became["icrc"]
    assert ("waiting", "caution.detention") == became["partner"]
    assert ("waiting", "caution.detention") == became["ngo"]
    [row] = node.rows("ngo")
    node.flow.ledger.release(row.id, "amal")
    node.dispatch()
    assert "سجن" not in json.dumps(node.received("ngo"), ensure_ascii=False)


def test_a_family_dispute_waits_for_a_supervisor(node: Node, fill_in: FillIn) -> None:
    """Causes that a search can be abused for are released by a person first."""
    became = outcome(node, fill_in, request(sought={"s_separation_cause": "family_dispute"}))

    assert ("waiting", "caution.supervisor") == became["icrc"]


def test_authorities_need_two_named_users(node: Node, fill_in: FillIn) -> None:
    """R8: consent, the risk explained, and two different users; one of them twice is one."""
    node.targets = {"authority": {"recipient": "authorities", "agency": "police", "release": "auto"}}
    wider = {**WIDER, "risk_explained": "yes", "c_share_authorities": "yes", "which_authorities": ["police"]}
    node.take_in(fill_in(request(wider)))
    [row] = node.rows("authority")
    assert ("waiting", "release.authorities") == (row.state, row.error)

    assert node.flow.ledger.release(row.id, "amal") is None
    assert node.flow.ledger.release(row.id, "amal") == "same_user"
    node.dispatch()
    assert [] == node.received("authority")

    assert node.flow.ledger.release(row.id, "basim") is None
    node.dispatch()
    [body] = node.received("authority")
    assert "contact" not in json.dumps(body["fields"])


def test_a_consent_ends_and_nothing_is_withdrawn(node: Node, fill_in: FillIn) -> None:
    """R3: a year after the day of consent nothing new leaves; who has it keeps it."""
    node.targets = {"icrc": {"recipient": "icrc", "release": "auto"}}
    xml = fill_in(request())
    node.take_in(xml)
    node.clock.forward(days=370)
    [row] = node.rows("icrc")
    node.flow.ledger.replay(row.id, "test")
    node.dispatch()

    assert [("withheld", "consent.expired")] == node.states("icrc")
    assert ["upsert"] == [body["action"] for body in node.received("icrc")]


def test_a_consent_of_the_future_is_none(node: Node, fill_in: FillIn) -> None:
    """R3: a day of consent that lies ahead lets nothing out."""
    node.clock.forward(days=-30)
    node.targets = {"national": {}}
    node.take_in(fill_in(request()))

    assert [("withheld", "consent.not_yet")] == node.states()


def test_a_question_without_a_policy_line_goes_to_nobody(
    node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R5: what nobody decided on stays, for the own society as well."""
    from dataclasses import replace
    from types import MappingProxyType

    from connector import pipeline
    from forms.policy import policy

    rules = policy("tracing_request")
    undecided = {question: name for question, name in rules.line_of.items() if question != "s_name_full_native"}
    monkeypatch.setattr(pipeline, "policy", lambda _: replace(rules, line_of=MappingProxyType(undecided)))
    node.take_in(fill_in(request()))

    [body] = node.received()
    assert "كريم" not in json.dumps(body, ensure_ascii=False)
    assert "سلمى" in json.dumps(body, ensure_ascii=False)
