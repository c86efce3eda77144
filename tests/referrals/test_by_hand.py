"""A partner without a system: an encrypted file, and a link that opens with a code, once, and shows codes alone."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from werkzeug.test import TestResponse

from connector.errors import Refused
from connector.ledger.referrals import Partner, Terms
from connector.referrals.outbox import Outbox
from connector.words import LANGUAGES
from tests.referrals.nodes import CANARIES, Clock, Machine, draft

_ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@dataclass
class Centre:
    """A centre with nothing but a key, a folder and a telephone."""

    machine: Machine
    identity: Any
    partner: Partner

    def send(self) -> list[str]:
        """What is due is handed over."""
        exchange = self.machine.exchange
        due = exchange.referrals.outgoing(self.partner, 100, ())
        return [exchange.attempt(self.partner, exchange.caller(self.partner), one) for one in due]

    def files(self) -> dict[str, dict[str, str]]:
        """Every file in the folder, opened: name -> name inside -> text."""
        found = {}
        for file in sorted((self.machine.folder / "out").glob("*.age")):
            with zipfile.ZipFile(io.BytesIO(pyrage.decrypt(file.read_bytes(), [self.identity]))) as bundle:
                found[file.name] = {name: bundle.read(name).decode() for name in bundle.namelist()}
        return found

    def newest(self) -> dict[str, Any]:
        name = max(self.files(), key=lambda one: int(one.split(".")[1]))
        return dict(json.loads(self.files()[name]["referral.json"]))

    def path(self) -> str:
        return str(self.newest()["answer"]["url"]).removeprefix("https://police.example.org")

    def code(self) -> str:
        return str(self.newest()["answer"]["code"])

    def post(self, code: str | None = None, path: str | None = None, **said: str) -> TestResponse:
        """What the phone sends."""
        sent = {"code": code or self.code(), "language": "ar", **said}
        return self.machine.client.post(path or self.path(), data=sent)

    def new(self, **changes: Any) -> str:
        written = draft("aman", self.machine.now(), **changes)
        referral_id = self.machine.exchange.new(written, "aman", "test").row.id
        self.send()
        return referral_id


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    machine = Machine(tmp_path / "police", Clock())
    identity = pyrage.x25519.Identity.generate()
    terms = Terms(None, (str(identity.to_public()),), "out", "ar")
    machine.exchange.referrals.add_by_hand("aman", terms, "+962 6 000 0199", "test")
    yield Centre(machine, identity, machine.exchange.referrals.partner("aman"))
    machine.close()


def _says_who(text: str) -> list[str]:
    return [word for word in CANARIES.values() if word in text]


def test_the_loop_without_a_system(centre: Centre) -> None:
    """File, link, acceptance on a phone in Arabic; the name in a second file; the outcome back by its link."""
    referral_id = centre.new()
    [first] = centre.files().values()
    shown = centre.post()
    accepted = centre.post(deed="accept")
    assert (200, 200) == (shown.status_code, accepted.status_code)
    assert [] == _says_who(first["referral.json"] + first["referral.html"] + shown.text + accepted.text)
    assert "accepted" == centre.machine.state(referral_id)

    assert ["sent"] == centre.send()
    told = centre.newest()
    assert CANARIES == told["disclosed"]["identity"]
    assert "told" == centre.machine.show(referral_id).result
    reported = centre.post(deed="complete", outcome="completed_partly")
    assert 200 == reported.status_code
    [outcome] = [one.event.outcome for one in centre.machine.show(referral_id).events if one.event.deed == "complete"]
    assert ("completed", "completed_partly") == (centre.machine.state(referral_id), outcome)


def test_the_page_never_says_who_it_is(centre: Centre) -> None:
    """Also after acceptance, on the page for feedback, stand codes alone."""
    centre.new()
    centre.post(deed="accept")
    centre.send()
    page = centre.post()
    assert 200 == page.status_code
    assert [] == _says_who(page.text)
    assert 'dir="rtl"' in page.text


def test_an_answer_uses_the_link_up(centre: Centre) -> None:
    """The second answer, the same or another, is told that the link is over and changes nothing."""
    referral_id = centre.new()
    path, code = centre.path(), centre.code()
    assert [200, 410, 410] == [
        centre.post(code, path, deed="reject", reason_reject="no_capacity").status_code,
        centre.post(code, path, deed="accept").status_code,
        centre.post(code, path).status_code,
    ]
    assert "rejected" == centre.machine.state(referral_id)


def test_work_that_began_still_ends(centre: Centre) -> None:
    """Saying that the work has begun leaves the link for the end."""
    referral_id = centre.new()
    centre.post(deed="accept")
    centre.send()
    states = []
    for said in ({"deed": "start"}, {"deed": "fail", "reason_fail": "client_left"}):
        centre.post(**said)
        states.append(centre.machine.state(referral_id))
    assert ["in_progress", "failed"] == states


def test_a_wrong_code_opens_nothing_and_five_end_the_link(centre: Centre) -> None:
    """Guessing: each wrong code is told, the fifth ends the link even for the right code."""
    referral_id = centre.new()
    wrong = f"{(int(centre.code()) + 1) % 10**10:010d}"
    answers = [centre.post(wrong) for _ in range(5)]
    assert [403] * 5 == [one.status_code for one in answers]
    assert [] == [one for one in answers if "psychosocial" in one.text or "10" + "1" * 9 in one.text]
    assert 410 == centre.post(deed="accept").status_code
    assert "requested" == centre.machine.state(referral_id)
    assert "answer_link_locked" in [one["event"] for one in centre.machine.audit()]


def test_a_link_ends(centre: Centre) -> None:
    """After the time to answer the link is over; `silah referral link` makes a new one and ends the older."""
    referral_id = centre.new()
    old = (centre.code(), centre.path())
    centre.machine.clock.forward(hours=73)
    assert 410 == centre.post(*old, deed="reject", reason_reject="other").status_code

    centre.machine.do(referral_id, "confirm")
    centre.send()
    assert 200 == centre.post(deed="accept").status_code
    assert "accepted" == centre.machine.state(referral_id)


def test_a_new_link_ends_the_older(centre: Centre) -> None:
    """Read aloud by telephone: a new link and code, and the lost one opens nothing any more."""
    referral_id = centre.new()
    old = (centre.code(), centre.path())
    made = centre.machine.exchange.link(referral_id, actor="test")
    path = made.url.removeprefix("https://police.example.org")
    assert (410, 200) == (centre.post(*old).status_code, centre.post(made.code, path, deed="accept").status_code)


def test_the_code_may_be_typed_in_arabic_digits_with_spaces(centre: Centre) -> None:
    """As a phone in Arabic types it."""
    centre.new()
    code = centre.code()
    typed = f"{code[:3]} {code[3:6]} {code[6:]}".translate(_ARABIC)
    assert 200 == centre.post(typed).status_code


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_in_every_language(centre: Centre, language: str) -> None:
    """No key stands for a word, right to left where it is so, and the code is asked for in the body, never in the address."""
    centre.new()
    asked = centre.machine.client.get(f"{centre.path()}?language={language}")
    shown = centre.post(language=language)
    done = centre.post(language=language, deed="reject", reason_reject="out_of_area")
    pages = [asked.text, shown.text, done.text]
    assert [] == [one for page in pages for one in re.findall(r">[^<]*(?:answer|end|refer|told|codes)[:.][^<]*<", page)]
    assert all(f'lang="{language}" dir="{"rtl" if language in {"ar", "fa"} else "ltr"}"' in page for page in pages)
    assert 'method="post"' in asked.text
    assert "<script" not in "".join(pages)


def test_the_page_is_kept_nowhere(centre: Centre) -> None:
    """No cache, no referrer, no frame, no search, nothing from elsewhere; the same for a link that never was."""
    centre.new()
    pages = [
        centre.machine.client.get(centre.path()), centre.machine.client.get("/answer/nothing"), centre.post(),
        centre.post(path="/answer/nothing"),
    ]  # fmt: skip
    for page in pages:
        assert "no-store" == page.headers["Cache-Control"]
        assert "no-referrer" == page.headers["Referrer-Policy"]
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert re.sub('nonce.*|answer/[^"]*', "", pages[0].text) == re.sub('nonce.*|answer/[^"]*', "", pages[1].text)


def test_looking_at_the_link_changes_nothing(centre: Centre) -> None:
    """A scanner that follows links, or a person who only looks, neither acknowledges nor uses anything up."""
    referral_id = centre.new()
    centre.machine.client.get(centre.path())
    centre.post()
    assert "requested" == centre.machine.state(referral_id)
    assert 200 == centre.post(deed="accept").status_code


def test_many_wrong_codes_slow_everybody_down(centre: Centre) -> None:
    """Guessing over many links: after thirty wrong codes in a minute nobody is let in for a while."""
    centre.new()
    statuses = [centre.post(path=f"/answer/{number}").status_code for number in range(31)]
    assert [410] * 30 + [429] == statuses
    assert 429 == centre.post().status_code


def test_what_is_kept_of_a_code_is_a_keyed_hash(centre: Centre) -> None:
    """Neither the database nor the log file of the audit holds the code."""
    centre.new()
    code = centre.code()
    centre.machine.flow.ledger.database.settle()
    kept = b"".join(file.read_bytes() for file in centre.machine.folder.glob("silah.db*"))
    assert code.encode() not in kept
    assert code not in json.dumps(centre.machine.audit(), default=str)


def test_a_reason_is_asked_for_and_the_link_holds(centre: Centre) -> None:
    """A no without a reason is asked again in words, and nothing was changed."""
    referral_id = centre.new()
    assert 422 == centre.post(deed="reject").status_code
    assert 422 == centre.post(deed="reject", reason_reject="made_up").status_code
    assert "requested" == centre.machine.state(referral_id)
    assert 200 == centre.post(deed="reject", reason_reject="wrong_service").status_code


def test_an_answer_cannot_skip_a_step(centre: Centre) -> None:
    """The link for an answer does not report an outcome."""
    referral_id = centre.new()
    assert 422 == centre.post(deed="complete", outcome="completed_full").status_code
    assert "requested" == centre.machine.state(referral_id)


def test_consent_that_ended_keeps_the_name_here(centre: Centre) -> None:
    """The gate of the second step is the same: the second file says that nothing can be told, in words."""
    now = centre.machine.now()
    consent = {"recipient": "aman", "given": now.isoformat(), "expires": (now + timedelta(hours=2)).isoformat()}
    referral_id = centre.new(consent=consent)
    centre.machine.clock.forward(hours=3)
    centre.post(deed="accept")
    centre.send()
    assert "consent_expired" == centre.machine.show(referral_id).result
    assert [] == _says_who(json.dumps(list(centre.files().values()), ensure_ascii=False))


def test_withdrawal_takes_the_files_away_and_says_so(centre: Centre) -> None:
    """What nobody collected is removed, a notice takes its place, and the link opens nothing."""
    referral_id = centre.new()
    path, code = centre.path(), centre.code()
    centre.machine.do(referral_id, "withdraw")
    centre.send()
    [notice] = centre.files().values()
    assert "withdraw" == json.loads(notice["referral.json"])["deed"]
    assert 410 == centre.post(code, path).status_code


def test_the_form_answers_too(centre: Centre) -> None:
    """The partner answered on paper or by telephone; our staff fill in `referral_response`."""
    referral_id = centre.new()
    row = centre.machine.show(referral_id).row
    assert [referral_id] == centre.machine.exchange.referrals.answerable(row.case_code, "")
    assert [referral_id] == centre.machine.exchange.referrals.answerable("", referral_id[:8])
    assert [] == centre.machine.exchange.referrals.answerable("", "")
    assert Outbox(centre.machine.exchange.referrals).knows("aman")


def test_a_partner_without_a_key_of_ours_signs_nothing(centre: Centre) -> None:
    """A message in the name of a partner without a node is not authentic; its number was made up here."""
    path = f"/webhooks/partners/{centre.partner.fingerprint}"
    assert 401 == centre.machine.client.post(path, data=b"x", headers={"webhook-id": "1"}).status_code
    other = Machine(centre.machine.folder.parent / "other", Clock())
    centre.machine.pair(other)
    other.close()
    with pytest.raises(Refused, match=r"partner\.exists"):
        centre.machine.exchange.referrals.add_by_hand("other", Terms(), None, "test")
