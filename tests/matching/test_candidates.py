"""Working with candidates: offered with reasons, two people confirm, ruled out is remembered, nothing leaves by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from connector import comparing, pairs
from connector.cli import main
from connector.comparing import Comparing, Watch
from connector.disclosure import Approvals, Merged, Release, Stamp, clear, clear_merged
from connector.erasing import erase
from connector.filing import filing_of
from connector.ledger.audit import export
from connector.ledger.candidates import Candidate, Candidates, has_likely_duplicate
from connector.ledger.flow import Case
from connector.ledger.schema import candidates
from connector.model import Answer, Audience, Cautions, Consent, Recipient
from connector.previews import explain
from forms.policy import policy
from forms.tables import load
from tests.conftest import TIERS, Node, eventually
from tests.matching.records import CHILD, NOW, REFERRAL, REQUEST, SOUGHT, record, submission
from webhooks.edge import create_app

OTHER: dict[str, Answer] = {**REQUEST, "case_code": "101-OTHER", "enq_phone": "+96170999999"}


class Desk:
    """A node with records in its ledger, and one index beside it."""

    def __init__(self, node: Node) -> None:
        self.node, self._orders = node, 0
        node.clock.moment = NOW
        self.comparing = Comparing(node.flow)
        self.pairs = Candidates(node.flow.ledger)

    def keep(self, form: str, name: str, answers: dict[str, Answer], version: str = "1") -> Case:
        """Takes a submission in and compares it."""
        self._orders += 1
        self.node.clock.forward(seconds=1)
        one = submission(form, name, answers, self._orders, version)
        self.node.flow.keep_all("kobo", [one])
        self.look()
        case = self.node.flow.ledger.case(one.root_id)
        assert case is not None
        return case

    def look(self) -> None:
        self.comparing.catch_up()

    def all(self) -> list[Candidate]:
        return self.pairs.all()

    def one(self, kind: str) -> Candidate:
        [found] = [one for one in self.all() if one.kind == kind]
        return found

    def kinds(self) -> list[str]:
        return sorted(one.kind for one in self.all())


@pytest.fixture(params=TIERS)
def tier(request: pytest.FixtureRequest) -> str:
    """Every test of a desk holds on both tiers."""
    return str(request.param)


@pytest.fixture(name="desk")
def _desk(node: Node) -> Desk:
    return Desk(node)


def _confirmed(desk: Desk, one: Candidate) -> None:
    assert [None, None] == [desk.pairs.confirm(one.id, user) for user in ("amal", "bassam")]


def test_a_child_and_its_mother_are_offered(desk: Desk) -> None:
    """The person looked for and the registered child, the enquirer and the child's mother; with codes of reasons."""
    desk.keep("tracing_request", "request", REQUEST)
    desk.keep("child_registration", "child", CHILD)
    assert ["family", "found"] == desk.kinds()
    found = desk.one("found")
    assert {("sought", 1), ("child", 1)} == {(side.role, side.number) for side in (found.left, found.right)}
    assert {"sex.agrees", "birth.agrees"} <= set(found.reasons)
    assert "proposed" == found.state


def test_nothing_is_linked_or_sent_by_a_match(desk: Desk) -> None:
    """Deliveries are the same before a candidate, after it was offered, and after two people confirmed it."""
    desk.keep("tracing_request", "request", REQUEST)
    before = desk.node.states()
    desk.keep("child_registration", "child", CHILD)
    for one in desk.all():
        _confirmed(desk, one)
    assert before == desk.node.states()


def test_people_of_a_referral_are_in_no_pair(desk: Desk) -> None:
    """Whoever is referred is offered to nobody, whatever else is known of them."""
    desk.keep("tracing_request", "request", REQUEST)
    questions = load("referral").questions
    named: dict[str, Answer] = {name: "Karim Youssef Alhomsi" for name in questions if name.endswith("full_native")}
    agreed = {name: answer for name, answer in REFERRAL.items() if name in questions}
    desk.keep("referral", "referral", {**agreed, **named})
    assert [] == desk.all()


def test_a_message_reaches_its_addressee(desk: Desk) -> None:
    """Whom a message is for and a person known: the enquirer of a request."""
    desk.keep("tracing_request", "request", REQUEST)
    questions = load("family_message").questions
    taken: dict[str, Answer] = {
        **{name: answer for name, answer in REFERRAL.items() if name in questions},
        "rcm_event": "collected",
        "rcm_no": "RCM-7",
        "codes_only": "no",
        "snd_name_full_native": "Yousef Homsi",
        "adr_name_full_native": "Salma Yousef Alhomsi",
    }
    desk.keep("family_message", "message", taken)
    assert ["addressee"] == desk.kinds()


def test_two_different_people_confirm(desk: Desk) -> None:
    """One is not enough, the same one twice is refused, and a third word is not open."""
    desk.keep("tracing_request", "request", REQUEST)
    desk.keep("child_registration", "child", CHILD)
    one = desk.one("found")
    assert None is desk.pairs.confirm(one.id, "amal")
    assert "confirmed_by_one" == desk.one("found").state
    assert "same_user" == desk.pairs.confirm(one.id, "amal")
    assert None is desk.pairs.confirm(one.id, "bassam")
    assert ("confirmed", "not_open") == (desk.one("found").state, desk.pairs.confirm(one.id, "carla"))
    assert "unknown" == desk.pairs.confirm("mt_none", "amal")


def test_what_was_ruled_out_is_not_offered_again(desk: Desk) -> None:
    """Not at the next version, not after a restart; only who takes it back sees it again."""
    desk.keep("tracing_request", "request", REQUEST)
    desk.keep("child_registration", "child", CHILD)
    one = desk.one("found")
    assert None is desk.pairs.rule_out(one.id, "amal")
    assert ["family"] == desk.kinds()
    desk.comparing = Comparing(desk.node.restart())
    desk.pairs = Candidates(desk.node.flow.ledger)
    desk.keep("child_registration", "child", {**CHILD, "ch_marks": "", "ch_known_as": "Kimo"}, version="2")
    assert ["family"] == desk.kinds()
    assert None is desk.pairs.undo(one.id, "bassam")
    assert ["family", "found"] == desk.kinds()
    assert "not_open" == desk.pairs.undo(one.id, "bassam")


def test_an_edit_takes_back_what_it_made_wrong(desk: Desk) -> None:
    """A proposed pair goes when the next version tells of somebody else; a confirmed one stays for people to undo."""
    desk.keep("tracing_request", "request", REQUEST)
    desk.keep("child_registration", "child", CHILD)
    _confirmed(desk, desk.one("family"))
    desk.keep("child_registration", "child", {**CHILD, "ch_name_full_native": "Dilovan Barzani"}, version="2")
    assert ["family"] == desk.kinds()


@pytest.mark.parametrize("how", ["erase", "withdraw"])
def test_who_left_is_offered_no_more(desk: Desk, how: str) -> None:
    """Erased or withdrawn: in no list, found by nobody who comes later; erased, also in no row."""
    desk.keep("tracing_request", "request", REQUEST)
    case = desk.keep("child_registration", "child", CHILD)
    desk.node.clock.forward(seconds=1)
    if how == "erase":
        erase(desk.node.flow, case, "test")
        with desk.node.flow.ledger.database.reading() as connection:
            assert [] == connection.execute(select(candidates)).all()
    else:
        desk.node.flow.withdraw(case, None, "asked", "test")
    assert [] == desk.all()
    desk.look()
    other = {**SOUGHT, "sought/s_birth_year": "2015"}
    desk.keep("tracing_request", "second", {**OTHER, "enq_name_full_native": "Omar Haddad", "sought": (other,)})
    assert {"sought_twice"} == set(desk.kinds())


def test_a_restart_finds_the_same(desk: Desk) -> None:
    """The index is derived anew from the sealed rows; what came in meanwhile is compared with all of it."""
    desk.keep("tracing_request", "request", REQUEST)
    desk.comparing = Comparing(desk.node.restart())
    desk.pairs = Candidates(desk.node.flow.ledger)
    desk.keep("child_registration", "child", CHILD)
    assert ["family", "found"] == desk.kinds()


def test_who_is_not_wanted_is_kept_away_without_a_trace(desk: Desk) -> None:
    """No pair, no row, no word in the audit."""
    desk.keep("tracing_request", "request", REQUEST)
    desk.keep("child_registration", "child", {**CHILD, "does_not_want_contact_with": "my aunt Salma"})
    with desk.node.flow.ledger.database.reading() as connection:
        assert [] == connection.execute(select(candidates)).all()
        assert set() == {row["event"] for row in export(connection) if "match" in str(row["event"])}


# Duplicates


def _duplicates(desk: Desk, **changed: Answer) -> tuple[Case, Case]:
    first = desk.keep("tracing_request", "request", REQUEST)
    return first, desk.keep("tracing_request", "again", {**OTHER, **changed})


def test_one_request_made_twice_warns_and_blocks_nothing(desk: Desk) -> None:
    """The same enquirer looks for the same person: a warning where a record is first looked at, and it goes all the same."""
    first, again = _duplicates(desk)
    assert ["duplicate"] == desk.kinds()
    assert has_likely_duplicate(desk.node.flow.ledger, again.id)
    assert ["matching.likely_duplicate"] == explain(desk.node.flow, first, "national")["warnings"]
    desk.node.dispatch()
    assert 2 == len(desk.node.received())
    desk.pairs.rule_out(desk.one("duplicate").id, "amal")
    assert "warnings" not in explain(desk.node.flow, first, "national")


def test_two_enquirers_for_one_person_are_no_duplicate(desk: Desk) -> None:
    """Two relatives look for one man: worth knowing, and two requests."""
    _duplicates(desk, enq_name_full_native="Omar Haddad", enq_sex="male")
    assert ["sought_twice"] == desk.kinds()


def test_merged_duplicates_keep_the_stricter_consent_until_undone(desk: Desk) -> None:
    """R28: what one of both does not agree to does not go; undone, each stands by itself again."""
    desk.node.targets = {"icrc": {"recipient": "icrc", "release": "auto"}}
    desk.node.restart()
    desk = Desk(desk.node)
    _duplicates(desk, c_share_icrc="no")
    one = desk.one("duplicate")
    _confirmed(desk, one)
    desk.node.dispatch()
    assert [] == desk.node.received("icrc")
    assert None is desk.pairs.undo(one.id, "amal")
    desk.node.dispatch()
    assert 1 == len(desk.node.received("icrc"))


def test_a_merge_with_who_was_erased_opens_nothing(desk: Desk) -> None:
    """Nobody can say any more what the other agreed to: it waits, in the queue and in the list, until a person undoes the
    merge; then it goes by its own consent."""
    first, again = _duplicates(desk)
    one = desk.one("duplicate")
    _confirmed(desk, one)
    assert [] == desk.pairs.merges_left()
    erase(desk.node.flow, again, "test")
    desk.node.dispatch()
    assert [] == [sent for sent in desk.node.received() if sent["id"] == first.record_id]
    assert ("waiting", "merge.erased") in desk.node.states()
    assert [one.id] == [left.id for left in desk.pairs.merges_left(first.id)]
    assert None is desk.pairs.undo(one.id, "amal")
    desk.node.dispatch()
    assert [first.record_id] == [sent["id"] for sent in desk.node.received() if sent["action"] == "upsert"]
    assert [] == desk.pairs.merges_left()


def test_who_holds_one_of_two_merged_is_not_told_to_remove_it_by_an_erasure(desk: Desk) -> None:
    """A person decides that: what was delivered of the other stays, also when it is edited."""
    first, again = _duplicates(desk)
    desk.node.dispatch()
    _confirmed(desk, desk.one("duplicate"))
    erase(desk.node.flow, again, "test")
    desk.keep("tracing_request", "request", {**REQUEST, "enq_phone": "+96170555555"}, version="2")
    desk.node.dispatch()
    told = [(sent["id"], sent["action"]) for sent in desk.node.received()]
    assert {(first.record_id, "upsert"), (again.record_id, "upsert"), (again.record_id, "withdraw")} == set(told)


def test_nobody_confirms_against_a_wish(desk: Desk) -> None:
    """A child says afterwards who shall not come: the second word on that pair is refused as if there were no pair."""
    desk.keep("tracing_request", "request", REQUEST)
    desk.keep("child_registration", "child", CHILD)
    one = desk.one("found")
    assert None is pairs.confirm(desk.node.flow, one.id, "amal")
    desk.keep("child_registration", "child", {**CHILD, "does_not_want_contact_with": "my aunt Salma"}, version="2")
    assert "unknown" == pairs.confirm(desk.node.flow, one.id, "bassam")
    assert "confirmed_by_one" == desk.one("found").state


def test_a_restricted_duplicate_warns_its_own_case_worker_alone(desk: Desk) -> None:
    """Others do not see that somebody else looks for the same person."""
    first, _ = _duplicates(desk, search_not_there="HIDDEN-PLACE")
    assert "warnings" not in explain(desk.node.flow, first, "national")
    assert "warnings" not in explain(desk.node.flow, first, "national", "amal")
    assert ["matching.likely_duplicate"] == explain(desk.node.flow, first, "national", "V-07")["warnings"]


_CODES = st.frozensets(st.sampled_from(["TR-RC", "SY-RC", "unicef", "icrc"]), max_size=3)
_CONSENTS = st.builds(
    Consent,
    collected=st.booleans() | st.just(True),
    notice_given=st.just(True) | st.booleans(),
    giver_named=st.just(True) | st.booleans(),
    given_on=st.dates(NOW.date() - timedelta(days=500), NOW.date() + timedelta(days=2)),
    review_on=st.none() | st.dates(NOW.date() - timedelta(days=5), NOW.date() + timedelta(days=5)),
    shares=st.dictionaries(st.sampled_from(list(Recipient)), _CODES),
    confirmed=st.none() | st.booleans(),
    risk_explained=st.booleans(),
    basis=st.sampled_from(["consent", "consent", "best_interests"]),
    basis_complete=st.booleans(),
)
_CAUTIONS = st.builds(
    Cautions,
    danger=st.booleans(),
    restricted=st.booleans(),
    detention=st.booleans(),
    supervisor=st.booleans(),
    child=st.booleans(),
    never_tell=_CODES,
    never_send=st.frozensets(st.sampled_from(["location", "name", "contact", "photo"]), max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(_CONSENTS, _CAUTIONS, _CONSENTS, _CAUTIONS, st.sampled_from(list(Recipient)), st.booleans(), st.booleans())
def test_a_merge_never_widens(
    mine: Consent, my_cautions: Cautions, theirs: Consent, their_cautions: Cautions, to: Recipient, review: bool, said: bool
) -> None:  # fmt: skip
    """R28: whatever both agreed to, a merge lets go only what each would alone, and no field more."""
    told = record("tracing_request", REQUEST)
    stamp, rules = Stamp("r", 1, "SY-RC", "k", NOW), policy("tracing_request")
    audience = Audience("t", to, "TR-RC", review=review)
    approvals = Approvals(users=frozenset({"one", "two"} if said else ()))
    each = [
        told.model_copy(update={"consent": consent, "cautions": cautions})
        for consent, cautions in ((mine, my_cautions), (theirs, their_cautions))
    ]
    merged = clear_merged(each[0], [Merged(theirs, their_cautions)], rules, audience, stamp, approvals, NOW)
    alone = [clear(one, rules, audience, stamp, approvals, NOW) for one in each]
    if isinstance(merged, Release):
        for one in alone:
            assert isinstance(one, Release)
            assert _leaves(merged.fields) <= _leaves(one.fields)
            assert set(merged.photos) <= set(one.photos)


def _leaves(value: object, at: str = "") -> set[str]:
    if isinstance(value, dict):
        return {leaf for key, inner in value.items() for leaf in _leaves(inner, f"{at}.{key}")}
    if isinstance(value, list):
        return {leaf for inner in value for leaf in _leaves(inner, at)}
    return {f"{at}={value}"}


# The background


def test_matching_is_built_beside_and_ready_says_so(desk: Desk) -> None:
    """`/readyz` is 200 all the time; until everybody is filed it names what is unfinished, and no longer."""
    desk.keep("tracing_request", "request", REQUEST)
    filing_of(desk.node.flow.ledger).reached((-1, 0))  # as after a move to this tier; in memory it is so at every start
    watch = Watch(desk.node.flow, enabled=True)
    door = create_app(desk.node.flow, unfinished=watch.reasons).test_client()
    assert (200, ["matching.building"]) == (
        door.get("/readyz").status_code,
        door.get("/readyz").get_json()["unfinished"],
    )
    watch.start()
    eventually(lambda: door.get("/readyz").get_json() == {"status": "ready"})
    watch.stop()


def test_switched_off_nothing_is_compared(desk: Desk) -> None:
    """`[matching] enabled = false`: nothing to make ready, nothing runs."""
    watch = Watch(desk.node.flow, enabled=False)
    watch.start()
    assert () == watch.reasons()
    watch.stop()


def test_no_score_ever_leaves(desk: Desk) -> None:
    """With candidates offered and confirmed, no body to any target holds a score, a reason or the id of a pair."""
    desk.node.targets = {"national": {}, "icrc": {"recipient": "icrc", "release": "auto"}}
    desk.node.restart()
    desk = Desk(desk.node)
    _duplicates(desk)
    desk.keep("child_registration", "child", CHILD)
    pairs = desk.all()
    for one in pairs:
        _confirmed(desk, one)
    desk.node.dispatch()
    sent = b"".join(one.raw for name in ("national", "icrc") for one in desk.node.attempts(name)).decode()
    assert sent
    forbidden = {
        "score",
        "strength",
        "match",
        *(one.id for one in pairs),
        *(code for one in pairs for code in one.reasons),
    }
    assert [] == [word for word in sorted(forbidden) if word in sent]


# The command line

Silah = Callable[..., Any]


@pytest.fixture(name="silah")
def _silah(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Silah:
    """`silah(words, as_=user)`: the command on the desk's node, with that user's second factor; its exit status and output."""
    from connector.ledger.users import Users

    ledger = desk.node.flow.ledger
    users = Users(ledger.database, ledger.master, ledger.now)
    secrets: dict[str, str] = {}
    for name, role in (
        ("amal", "case_worker"),
        ("bassam", "case_worker"),
        ("V-07", "case_worker"),
        ("dana", "supervisor"),
        ("dpo", "dpo"),
    ):
        secrets[name] = users.add(name, role, "test").partition("secret=")[2].partition("&")[0]

    def run(words: Sequence[str], as_: str | None = None) -> tuple[int, str]:
        more = ["--as", as_] if as_ else []
        code = pyotp.TOTP(secrets[as_]).now() if as_ else ""
        config = desk.node.home / "silah.json"
        done = CliRunner().invoke(main, ["--config", str(config), *words, *more], input=code + "\n")
        return done.exit_code, done.output

    monkeypatch.setattr("connector.config.load", lambda *_: desk.node.flow.config)
    monkeypatch.setattr("connector.app.assemble", lambda *_: desk.node.flow)
    monkeypatch.setattr(desk.node.flow.ledger.database, "close", lambda: None)
    return run


def test_the_list_shows_the_minimum_and_the_look_is_noted(desk: Desk, silah: Silah) -> None:
    """Case codes, roles, names and reasons in the language asked for; no phone, no score; each look is in the audit."""
    request = desk.keep("tracing_request", "request", REQUEST)
    desk.keep("child_registration", "child", CHILD)
    status, output = silah(["match", "--record", request.root_id, "--json", "--language", "ar"])
    told = json.loads(output)
    assert (0, {"found", "family"}) == (status, {one["kind"] for one in told})
    assert {"id", "kind", "state", "people", "reasons"} == set(told[0])
    assert {"record", "case_code", "role", "number", "name"} == set(told[0]["people"][0])
    assert {"101-REQ", "101-CHILD"} == {side["case_code"] for side in told[0]["people"]}
    assert "+96" not in output
    with desk.node.flow.ledger.database.reading() as connection:
        seen = [row for row in export(connection) if row["event"] == "match_seen"]
    assert 4 == len(seen)
    assert "Karim" not in json.dumps(seen)


def test_confirming_asks_for_two_second_factors(desk: Desk, silah: Silah) -> None:
    """Two users with their codes; the same one twice and an unknown id exit 1; rule-out and undo go the same way."""
    desk.keep("tracing_request", "request", REQUEST)
    desk.keep("child_registration", "child", CHILD)
    one = desk.one("found").id
    assert (0, f"{one} is confirmed_by_one\n") == silah(["match", "confirm", one], "amal")
    assert 1 == silah(["match", "confirm", one], "amal")[0]
    assert (0, f"{one} is confirmed\n") == silah(["match", "confirm", one], "bassam")
    assert 1 == silah(["match", "rule-out", one], "amal")[0]
    assert 0 == silah(["match", "undo", one], "amal")[0]
    assert 0 == silah(["match", "rule-out", one], "amal")[0]
    assert 1 == silah(["match", "confirm", "mt_none"], "amal")[0]


def test_who_does_not_work_on_cases_says_nothing_of_a_match(desk: Desk, silah: Silah) -> None:
    """A data protection officer has a second factor too, and no word on who is whom."""
    desk.keep("tracing_request", "request", REQUEST)
    desk.keep("child_registration", "child", CHILD)
    one = desk.one("found").id
    assert [1, 1] == [silah(["match", deed, one], "dpo")[0] for deed in ("confirm", "rule-out")]
    assert "proposed" == desk.one("found").state


def test_a_merge_with_an_erased_record_is_in_the_list(desk: Desk, silah: Silah) -> None:
    """So that somebody finds what to take back."""
    _, again = _duplicates(desk)
    one = desk.one("duplicate")
    _confirmed(desk, one)
    erase(desk.node.flow, again, "test")
    assert f"{one.id} duplicate merge.erased" in silah(["match"])[1]
    [told] = json.loads(silah(["match", "--json"])[1])
    assert ("merge.erased", []) == (told["state"], told["people"])
    assert 0 == silah(["match", "undo", one.id], "amal")[0]


def test_who_is_restricted_is_seen_by_their_own_case_worker_alone(desk: Desk, silah: Silah) -> None:
    """Others see no candidate and cannot speak on it; a supervisor who was given the id can."""
    desk.keep("tracing_request", "request", {**REQUEST, "search_not_there": "HIDDEN-PLACE"})
    desk.keep("child_registration", "child", CHILD)
    one = desk.one("found").id
    assert (0, "no candidates\n") == silah(["match"])
    assert (0, "no candidates\n") == silah(["match"], "amal")
    status, output = silah(["match"], "V-07")
    assert (0, True) == (status, one in output)
    assert 1 == silah(["match", "confirm", one], "amal")[0]
    assert 0 == silah(["match", "confirm", one], "V-07")[0]
    assert 0 == silah(["match", "confirm", one], "dana")[0]


def test_what_is_compared_is_a_closed_table() -> None:
    """A role that seeks meets a role that is known; an enquirer is never compared with an enquirer alone."""
    assert ("found", "addressee") == (comparing.KINDS["sought", "child"], comparing.KINDS["addressee", "enquirer"])  # type: ignore[index]
    assert ("enquirer", "enquirer") not in comparing.KINDS
