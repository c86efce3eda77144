"""Joint case work: two parties, two views; notes with their readers; the sheet for the person; the restricted road."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Refused
from connector.referrals.client_paper import client_paper
from connector.words import LANGUAGES, Language
from tests.referrals.nodes import CANARIES, Clock, Line, Machine, draft

PRIVATE, SHARED, DECIDED = "canary-private of the ministry", "canary-conference words", "canary-decision: a safe room"


class Trio:
    """The ministry refers one case to the police and to a shelter."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.ministry, self.police, self.shelter = (
            Machine(folder / name, self.clock) for name in ("ministry", "police", "shelter")
        )
        self.lines = {one.name: Line(one) for one in (self.ministry, self.police, self.shelter)}
        self.known = {one.name: self.ministry.pair(one) for one in (self.police, self.shelter)}
        self.back = {one.name: one.pair(self.ministry) for one in (self.police, self.shelter)}

    def file(self, **changes: Any) -> dict[str, Any]:
        """One case, two views: the police may learn the name, the shelter everything."""
        now = self.clock.moment
        common = draft("", now)
        yes = {"given": (now - timedelta(days=1)).isoformat(), "expires": (now + timedelta(days=30)).isoformat()}
        for key in ("services_requested", "reason_code", "consent"):
            del common[key]
        parties = [
            {
                "partner": "police", "services_requested": ["police_other_service"], "reason_code": ["legal_help"],
                "tell": ["name"], "consent": yes,
            },
            {
                "partner": "shelter", "services_requested": ["psychosocial_service"], "reason_code": ["counselling"],
                "tell": ["name", "contact", "safe_contact", "free_text"], "consent": yes,
            },
        ]  # fmt: skip
        return {**common, "parties": parties, **changes}

    def open(self, **changes: Any) -> dict[str, str]:
        """The referrals' ids by party, sent."""
        shown = self.ministry.exchange.joint(self.file(**changes), "test")
        self.settle()
        return {one.row.partner: one.row.id for one in shown}

    def accepted(self) -> dict[str, str]:
        ids = self.open()
        self.police.do(ids["police"], "accept")
        self.shelter.do(ids["shelter"], "accept")
        self.settle()
        return ids

    def settle(self) -> None:
        for _ in range(20):
            if not (
                self._send(self.ministry, self.known)
                + self._send(self.police, self.back)
                + self._send(self.shelter, self.back)
            ):
                return
        raise AssertionError("there is no end to what is due")

    def _send(self, machine: Machine, known: dict[str, Any]) -> list[str]:
        done = []
        for name, partner in known.items():
            if machine is not self.ministry and name != machine.name:
                continue
            line = self.lines[name if machine is self.ministry else "ministry"]
            due = machine.exchange.referrals.outgoing(partner, 50, ())
            done += [machine.exchange.attempt(partner, line, one) for one in due]  # type: ignore[arg-type]
        return done

    def read_by(self, name: str) -> str:
        """Everything that ever reached a party, decrypted."""
        machine = {"police": self.police, "shelter": self.shelter, "ministry": self.ministry}[name]
        return "\n".join(machine.opened(one) for one in self.lines[name].log)

    def close(self) -> None:
        for one in (self.ministry, self.police, self.shelter):
            one.close()


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    three = Trio(tmp_path)
    yield three
    three.close()


def _note(**changes: Any) -> dict[str, Any]:
    return {"kind": "note", "text": SHARED, "readers": ["shelter"], **changes}


def test_each_party_has_a_view_of_its_own(trio: Trio) -> None:
    """Other services, other reasons, another part of the identity: nothing of the other's view is ever told."""
    ids = trio.accepted()
    police, shelter = trio.read_by("police"), trio.read_by("shelter")
    told = trio.police.exchange.referrals.disclosed(ids["police"], "test")
    assert told is not None
    assert {"name": CANARIES["name"], "contact": "", "safe_contact": "", "free_text": ""} == told.identity.model_dump()
    assert [] == [
        word for word in ("psychosocial", "counselling", CANARIES["contact"], CANARIES["free_text"]) if word in police
    ]
    assert [] == [word for word in ("police_other_service", "legal_help") if word in shelter]
    whole = trio.shelter.exchange.referrals.disclosed(ids["shelter"], "test")
    assert whole is not None
    assert CANARIES == whole.identity.model_dump()


def test_all_or_none(trio: Trio) -> None:
    """A party that cannot be asked keeps the whole case here: no referral is made for the others."""
    file = trio.file()
    file["parties"][1]["consent"]["expires"] = file["parties"][1]["consent"]["given"]
    with pytest.raises(Refused, match=r"referral\.consent_expired"):
        trio.ministry.exchange.joint(file, "test")
    assert [] == trio.ministry.exchange.referrals.rows()


def test_a_private_note_is_never_told(trio: Trio) -> None:
    """The ministry's own note: not in any message, at any time, not even when a shared one follows."""
    ids = trio.accepted()
    code = trio.ministry.show(ids["police"]).row.case_code
    trio.ministry.exchange.note(code, _note(text=PRIVATE, readers=[]), "social worker")
    trio.ministry.exchange.note(code, _note(), "social worker")
    trio.settle()

    assert [] == [name for name in ("police", "shelter") if PRIVATE in trio.read_by(name)]
    assert SHARED in trio.read_by("shelter")
    assert SHARED not in trio.read_by("police")
    assert [PRIVATE, SHARED] == [one.note.text for one in trio.ministry.exchange.notes.of(code, "test")]
    assert [] == trio.police.exchange.notes.of(code, "test")


def test_a_case_conference_reaches_its_readers(trio: Trio) -> None:
    """Decisions with owners and days stand at both parties; what a party reports comes back to the ministry alone."""
    ids = trio.accepted()
    code = trio.ministry.show(ids["police"]).row.case_code
    conference = {
        "kind": "conference", "text": SHARED, "present": ["ministry", "police", "shelter"],
        "decisions": [{"decision": DECIDED, "owner": "shelter, head", "due": "2026-12-01"}], "readers": ["police", "shelter"],
    }  # fmt: skip
    assert 2 == trio.ministry.exchange.note(code, conference, "chair").passed_on
    trio.settle()
    for machine in (trio.police, trio.shelter):
        [kept] = machine.exchange.notes.of(code, "test")
        assert ("ministry", DECIDED, "shelter, head") == (
            kept.origin, kept.note.decisions[0].decision, kept.note.decisions[0].owner,
        )  # fmt: skip

    trio.shelter.exchange.note(code, {"text": "canary-report of the shelter", "readers": ["ministry"]}, "shelter")
    trio.settle()
    assert {"own", "shelter"} == {one.origin for one in trio.ministry.exchange.notes.of(code, "test")}
    assert "canary-report" not in trio.read_by("police")


def test_a_note_needs_consent_at_that_moment(trio: Trio) -> None:
    """A note about a person is told as the person's name is: with a consent for that party that is good then."""
    ids = trio.accepted()
    code = trio.ministry.show(ids["shelter"]).row.case_code
    trio.ministry.exchange.note(code, _note(), "social worker")
    trio.clock.forward(days=31)
    trio.settle()
    assert SHARED not in trio.read_by("shelter")
    assert "consent_expired" in [one.event.reason for one in trio.shelter.show(ids["shelter"]).events]


def test_only_a_party_reads_notes(trio: Trio) -> None:
    """Before acceptance, after the end, and whoever is not asked at all: refused, and nothing was kept."""
    ids = trio.open()
    code = trio.ministry.show(ids["police"]).row.case_code
    for readers, code_ in ((["shelter"], code), (["nobody"], code), ([], "10112345672")):
        with pytest.raises(Refused, match=r"note\.not_a_party|partner\.unknown|referral\.unknown"):
            trio.ministry.exchange.note(code_, _note(readers=readers), "test")
    assert [] == trio.ministry.exchange.notes.of(code, "test")


def test_withdrawal_destroys_the_notes(trio: Trio) -> None:
    """When the last referral of the case is withdrawn the notes go too, at the ministry and at the parties."""
    ids = trio.accepted()
    code = trio.ministry.show(ids["police"]).row.case_code
    trio.ministry.exchange.note(code, _note(readers=["police", "shelter"]), "chair")
    trio.settle()
    for one in ids.values():
        trio.ministry.do(one, "withdraw")
    trio.settle()
    assert [[], [], []] == [one.exchange.notes.of(code, "test") for one in (trio.ministry, trio.police, trio.shelter)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_person_is_told_who_reads_what(trio: Trio, language: Language) -> None:
    """The sheet names each party, what it sees first and may learn later, the protocol, the notes; and no answer."""
    ids = trio.accepted()
    code = trio.ministry.show(ids["police"]).row.case_code
    trio.ministry.exchange.note(code, _note(text=PRIVATE, readers=[]), "social worker")
    page = client_paper(trio.ministry.exchange, code, language)
    assert ["police", "shelter"] == sorted(re.findall(r"<h2><bdi>(\w+)</bdi></h2>", page))
    assert f'lang="{language}" dir="{"rtl" if language in {"ar", "fa"} else "ltr"}"' in page
    assert [] == [word for word in (*CANARIES.values(), PRIVATE) if word in page]
    assert [] == re.findall(r">[^<]*(?:joint|refer|codes)[:.][^<]*<", page)


def test_authorities_written_by_hand_need_purpose_risk_and_two_people(trio: Trio) -> None:
    """The restricted road: without explained risk and a purpose no referral; then a draft until two users released it."""
    exchange = trio.ministry.exchange
    exported = json.loads(trio.police.exchange.export().model_dump_json())
    exchange.pair(exported, "police", None, "test", "authorities")
    with pytest.raises(Refused, match=r"referral\.restricted_road"):
        exchange.new(draft("police", trio.clock.moment), "police", "test")
    written = draft("police", trio.clock.moment, purpose="protection_order", risk_explained=True)
    id_ = exchange.new(written, "police", "test").row.id
    trio.settle()
    assert ("draft", []) == (trio.ministry.state(id_), trio.lines["police"].log)

    assert "draft" == exchange.referrals.release(id_, "amal")
    with pytest.raises(Refused, match=r"release\.same_user"):
        exchange.referrals.release(id_, "amal")
    trio.settle()
    assert [] == trio.lines["police"].log
    assert "requested" == exchange.referrals.release(id_, "yusuf")
    trio.settle()
    assert "received" == trio.police.state(id_)


def test_a_partner_that_became_an_authority_waits(trio: Trio) -> None:
    """What was written before is held at sending: the second step to authorities waits for two people."""
    ids = trio.open()
    exported = json.loads(trio.police.exchange.export().model_dump_json())
    trio.known["police"] = trio.ministry.exchange.pair(exported, "police", None, "test", "authorities")
    trio.police.do(ids["police"], "accept")
    trio._send(trio.police, trio.back)
    [due] = trio.ministry.exchange.referrals.outgoing(trio.known["police"], 50, ())
    trio.ministry.exchange.attempt(trio.known["police"], trio.lines["police"], due)  # type: ignore[arg-type]
    assert "release.authorities" == trio.ministry.show(ids["police"]).unsent[0].error
    assert CANARIES["name"] not in trio.read_by("police")


@pytest.mark.parametrize(
    "broken",
    [
        {"parties": []},
        {"parties": "police"},
        {"unknown": 1},
        {"case_code": "1"},
    ],
)
def test_a_file_that_is_not_one(trio: Trio, broken: dict[str, Any]) -> None:
    """Refused with the key that is wrong, and no value."""
    with pytest.raises(Refused) as refused:
        trio.ministry.exchange.joint(trio.file(**broken), "test")
    assert CANARIES["name"] not in str(refused.value)
    assert [] == trio.ministry.exchange.referrals.rows()
