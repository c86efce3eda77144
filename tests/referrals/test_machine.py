"""The table of states, and what holds for every sequence of events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.referrals.machine import (
    FINAL,
    RULES,
    Deed,
    Event,
    Kind,
    Party,
    Priority,
    Standing,
    State,
    refusal,
    stand,
)

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
REASONS = {Deed.REJECT: "no_capacity", Deed.FAIL: "client_left"}
# The published table, written down a second time: state, then who may do what and where it leads.
TABLE = """
draft       requester:request>requested requester:cancel>cancelled
requested   owner:receive>received requester:cancel>cancelled
received    owner:accept>accepted owner:reject>rejected requester:cancel>cancelled
accepted    owner:start>in_progress owner:complete>completed owner:fail>failed requester:cancel>cancelled requester:disclose>accepted
in_progress owner:complete>completed owner:fail>failed owner:hold>on_hold requester:cancel>cancelled requester:disclose>in_progress
on_hold     owner:start>in_progress requester:cancel>cancelled requester:disclose>on_hold
completed
rejected
failed
cancelled
withdrawn
"""


def allowed() -> dict[tuple[State, Party, Deed], State]:
    found = {}
    for line in TABLE.strip().splitlines():
        state, *ways = line.split()
        for way in ways:
            who, _, rest = way.partition(":")
            deed, _, to = rest.partition(">")
            found[State(state), Party(who), Deed(deed)] = State(to)
    under_way = (State.ACCEPTED, State.IN_PROGRESS, State.ON_HOLD)
    found |= {(state, Party.REQUESTER, Deed.SHARE): state for state in under_way}
    found |= {(state, Party.OWNER, Deed.REPORT): state for state in under_way}
    return found | {
        (state, Party.REQUESTER, Deed.WITHDRAW): State.WITHDRAWN for state in State if state is not State.WITHDRAWN
    }


def event(by: Party, number: int, seen: int, deed: Deed, at: datetime = NOW, **codes: str) -> Event:
    return Event(by, number, seen, deed, at, codes.get("reason", REASONS.get(deed)), codes.get("outcome"))


def played(*deeds: str, kind: Kind = Kind.REFERRAL, at: datetime = NOW) -> list[Event]:
    """Deeds one after the other, each side knowing all before it; `deed=code` gives an outcome."""
    events: list[Event] = []
    for text in deeds:
        name, _, code = text.partition("=")
        by = RULES[Deed(name)].by
        counts = {party: sum(one.by is party for one in events) for party in Party}
        events.append(
            event(by, counts[by] + 1, counts[by.other], Deed(name), at, **({"outcome": code} if code else {}))
        )
    return events


def state_of(events: list[Event]) -> State:
    return stand(events, Kind.REFERRAL, Priority.URGENT).state


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("deed", [deed for deed in Deed if deed is not Deed.CONFIRM])
@pytest.mark.parametrize("party", list(Party))
def test_the_table_is_the_published_one(state: State, deed: Deed, party: Party) -> None:
    """From each state each party may do exactly what the published table says, and it leads where it says."""
    standing = Standing(state, NOW + timedelta(hours=1))
    expected = allowed().get((state, party, deed))

    refused = refusal(standing, event(party, 1, 0, deed))

    assert (expected is None) == (refused is not None)
    if expected is not None:
        assert expected == (RULES[deed].to or state)


def test_a_referral_runs_its_course() -> None:
    """Request, receipt, acceptance, identity, work, a pause, work again, completion."""
    events = played("request", "receive", "accept", "disclose", "start", "hold", "start", "complete=completed_full")

    assert State.COMPLETED == state_of(events)


@pytest.mark.parametrize("priority", list(Priority))
def test_late_is_overdue_and_needs_the_senders_word(priority: Priority) -> None:
    """Nothing is accepted after `due_at` before the sender confirms; confirming sets a new time of the same length."""
    hours = {"emergency_24h": 24, "urgent_72h": 72, "normal_2w": 14 * 24}[priority]
    late = NOW + timedelta(hours=hours)
    asked = played("request", "receive")
    standing = stand(asked, Kind.REFERRAL, priority)

    assert late == standing.due_at
    assert not standing.overdue(late - timedelta(seconds=1))
    assert standing.overdue(late)
    assert "referral.overdue" == refusal(standing, event(Party.OWNER, 2, 1, Deed.ACCEPT, late))
    assert refusal(standing, event(Party.OWNER, 2, 1, Deed.REJECT, late)) is None

    confirmed = [*asked, event(Party.REQUESTER, 2, 1, Deed.CONFIRM, late)]
    after = stand(confirmed, Kind.REFERRAL, priority)

    assert late + timedelta(hours=hours) == after.due_at
    assert refusal(after, event(Party.OWNER, 2, 2, Deed.ACCEPT, late)) is None


def test_nothing_is_confirmed_before_it_is_late() -> None:
    """A confirmation is the answer to an alarm and nothing else."""
    standing = stand(played("request", "receive"), Kind.REFERRAL, Priority.URGENT)

    assert "referral.not_overdue" == refusal(standing, event(Party.REQUESTER, 2, 1, Deed.CONFIRM, NOW))


def test_an_answered_referral_is_never_overdue() -> None:
    """The clock asks for an answer, not for the work."""
    standing = stand(played("request", "receive", "accept"), Kind.REFERRAL, Priority.EMERGENCY)

    assert not standing.overdue(NOW + timedelta(days=365))


@pytest.mark.parametrize(
    ("deeds", "holder"),
    [
        (("request", "receive", "accept"), Party.REQUESTER),
        (("request", "receive", "accept", "start"), Party.OWNER),
        (("request", "receive", "accept", "complete=completed_full"), Party.OWNER),
        (("request", "receive", "accept", "complete=client_left"), Party.REQUESTER),
        (("request", "receive", "reject"), Party.REQUESTER),
    ],
)
def test_a_transfer_moves_the_case_when_arrival_is_confirmed(deeds: tuple[str, ...], holder: Party) -> None:
    """Acceptance alone leaves the case with the sender; a referral always does."""
    events = played(*deeds)

    assert holder == stand(events, Kind.TRANSFER, Priority.NORMAL).holder
    assert Party.REQUESTER == stand(events, Kind.REFERRAL, Priority.NORMAL).holder


@pytest.mark.parametrize(
    ("deed", "codes", "refused"),
    [
        (Deed.REJECT, {}, "referral.reason_needed"),
        (Deed.REJECT, {"reason": "because"}, "referral.unknown_reason"),
        (Deed.REJECT, {"reason": "client_left"}, "referral.unknown_reason"),
        (Deed.REJECT, {"reason": "no_capacity"}, None),
        (Deed.ACCEPT, {"reason": "no_capacity"}, "referral.unknown_reason"),
    ],
)
def test_reasons_are_codes_of_the_list(deed: Deed, codes: dict[str, str], refused: str | None) -> None:
    """A rejection needs a reason of its list; words never travel as a reason."""
    standing = stand(played("request", "receive"), Kind.REFERRAL, Priority.NORMAL)
    tried = Event(Party.OWNER, 2, 1, deed, NOW, codes.get("reason"))

    assert refused == refusal(standing, tried)


# Whatever happens

events_of_anybody = st.builds(
    event,
    by=st.sampled_from(Party),
    number=st.integers(1, 5),
    seen=st.integers(0, 5),
    deed=st.sampled_from(Deed),
    at=st.integers(0, 400).map(lambda hours: NOW + timedelta(hours=hours)),
)
one_of_each_place = st.lists(events_of_anybody, max_size=10, unique_by=lambda one: one.place)


@given(one_of_each_place, st.data())
def test_order_and_repetition_do_not_matter(events: list[Event], data: st.DataObject) -> None:
    """Replays and re-ordering end in the same state, the same due time, the same events overtaken."""
    again = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events)) if events else st.just([]))))

    assert stand(events, Kind.TRANSFER, Priority.URGENT) == stand(again, Kind.TRANSFER, Priority.URGENT)


@given(one_of_each_place)
def test_only_the_owner_answers_and_only_the_requester_cancels(events: list[Event]) -> None:
    """Whatever was tried, a state was brought about by the party whose it is."""
    standing = stand(events, Kind.REFERRAL, Priority.URGENT)
    brought_by = {
        State.ACCEPTED: Party.OWNER, State.REJECTED: Party.OWNER, State.COMPLETED: Party.OWNER, State.FAILED: Party.OWNER,
        State.CANCELLED: Party.REQUESTER, State.WITHDRAWN: Party.REQUESTER,
    }  # fmt: skip

    if standing.state in brought_by:
        deeds = {
            one.deed for one in events if one.by is brought_by[standing.state] and one.place not in standing.overtaken
        }
        assert standing.state in {RULES[deed].to for deed in deeds}


@given(one_of_each_place)
def test_nothing_is_accepted_that_did_not_arrive(events: list[Event]) -> None:
    """No acceptance counts before a request and its receipt."""
    standing = stand(events, Kind.REFERRAL, Priority.URGENT)
    counted = {one.deed for one in events if one.place not in standing.overtaken}

    if Deed.ACCEPT in counted:
        assert {Deed.REQUEST, Deed.RECEIVE} <= counted


@given(one_of_each_place, events_of_anybody)
def test_final_states_absorb_all_but_a_withdrawal(events: list[Event], later: Event) -> None:
    """After the end nothing changes, except that consent can always be taken back."""
    standing = stand(events, Kind.REFERRAL, Priority.URGENT)
    last = replace(later, number=6, seen=5)
    after = stand([*events, last], Kind.REFERRAL, Priority.URGENT)

    if standing.state in FINAL and not (last.deed is Deed.WITHDRAW and last.by is Party.REQUESTER):
        assert standing.state == after.state


@given(one_of_each_place)
def test_consent_can_be_taken_back_in_any_state(events: list[Event]) -> None:
    """A withdrawal by the requester ends everything, also what is finished."""
    last = event(Party.REQUESTER, 6, 5, Deed.WITHDRAW)

    assert State.WITHDRAWN == state_of([*events, last])


moves = st.lists(
    st.one_of(
        st.tuples(st.just("act"), st.sampled_from(Party), st.sampled_from(Deed)),
        st.tuples(st.just("deliver"), st.sampled_from(Party), st.just(None)),
        st.tuples(st.just("wait"), st.integers(1, 60), st.just(None)),
    ),
    max_size=40,
)


@given(moves)
def test_two_sides_that_act_at_once_end_alike(script: list[tuple[str, object, Deed | None]]) -> None:
    """Each side does what its own view allows, messages arrive late but in order: in the end both views are one."""
    now = NOW
    views: dict[Party, list[Event]] = {Party.REQUESTER: [], Party.OWNER: []}
    on_the_way: dict[Party, list[Event]] = {Party.REQUESTER: [], Party.OWNER: []}

    def deliver(receiver: Party) -> None:
        if on_the_way[receiver]:
            views[receiver].append(on_the_way[receiver].pop(0))

    for what, who, deed in script:
        if what == "wait":
            now += timedelta(hours=int(str(who)))
        elif what == "deliver":
            deliver(Party(str(who)))
        else:
            party = Party(str(who))
            count = {side: sum(one.by is side for one in views[party]) for side in Party}
            tried = event(party, count[party] + 1, count[party.other], Deed(str(deed)), now)
            if refusal(stand(views[party], Kind.REFERRAL, Priority.URGENT), tried) is None:
                views[party].append(tried)
                on_the_way[party.other].append(tried)
    while on_the_way[Party.OWNER] or on_the_way[Party.REQUESTER]:
        deliver(Party.OWNER)
        deliver(Party.REQUESTER)

    asked, done = (stand(views[party], Kind.REFERRAL, Priority.URGENT) for party in Party)
    assert asked == done
