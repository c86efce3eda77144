"""The flow as one state machine: random hooks, edits, vanishing, withdrawals, failures, crashes, replays and reviews.

Hypothesis plays admin, volunteers, form server and target in any order; after every step the promises hold. The
answers are those of a form that JavaRosa filled in; the form server and the target are the flow's own ports.
"""

from __future__ import annotations

import os
import random
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from connector import config as configuration
from connector.attachments import Attachments
from connector.disclosure import Release
from connector.errors import NotASubmission, ServerError, TargetError
from connector.keys import MasterKey
from connector.ledger.database import Database
from connector.ledger.flow import Ledger
from connector.ledger.schema import deliveries, submissions
from connector.model import JSON, Action, AttachmentRef, Bell, Listed, Receipt, Review, Submission
from connector.pipeline import Pipeline
from connector.servers import Rights
from connector.servers.kobo import Kobo
from connector.targets import Health
from forms.tables import load
from tests.conftest import FillIn
from tests.engines.javarosa import record_to_kobo_json
from tests.people import request

OWN = "silah"
# (state, presence, parked, review, version up to 3, newest delivery of each target as (target, action, state))
_State = tuple[str, str, bool, str | None, int, tuple[tuple[str, str, str], ...]]


@dataclass
class Server:
    """A form server in memory, as the flow sees one."""

    name: str = "kobo"
    rows: dict[str, Submission] = field(default_factory=dict)
    seen: bool = True
    failing: bool = False
    counter: int = 0

    def bell(self, body: JSON) -> Bell:
        raise NotASubmission("model", "model", "model")

    def own_account(self) -> str | None:
        return OWN

    def _answer(self) -> None:
        if self.failing:
            raise ServerError("kobo.server_error", "model", "again")

    def rights(self, form_id: str) -> Rights:
        self._answer()
        return Rights(self.seen, "view" if self.seen else "none")

    def listing(self, form_id: str, after: int = -1) -> Iterator[list[Listed]]:
        self._answer()
        rows = sorted((one for one in self.rows.values() if one.order > after), key=lambda one: one.order)
        for start in range(0, len(rows), 3):
            yield [Listed(one.root_id, one.instance_id, one.order, one.review) for one in rows[start : start + 3]]

    def read(self, form_id: str, orders: Sequence[int]) -> list[Submission]:
        self._answer()
        return [one for one in self.rows.values() if one.order in set(orders)]

    def read_root(self, form_id: str, root_id: str) -> Submission | None:
        self._answer()
        return self.rows.get(root_id)

    def attachment(self, form_id: str, order: int, attachment: AttachmentRef) -> bytes:
        raise AssertionError

    def review_of(self, form_id: str, order: int) -> Review:
        return next(one.review for one in self.rows.values() if one.order == order)

    def set_on_hold(self, form_id: str, order: int, *, on_hold: bool) -> None:
        [one] = [row for row in self.rows.values() if row.order == order]
        assert one.review.state is None or one.review.by == OWN, "a person's word was written over"
        review = Review("on_hold", OWN, datetime.now(UTC)) if on_hold else Review()
        self.rows[one.root_id] = replace(one, review=review)


@dataclass
class Holder:
    """A target in memory: honours keys, and remembers everything it was sent."""

    name: str
    effect: str = "key honoured"
    mood: str = "well"
    effects: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    sent: list[tuple[str, str, int, Action]] = field(default_factory=list)

    def deliver(self, release: Release) -> Receipt:
        if self.mood == "refused":
            raise TargetError("target.refused", self.name, "again")
        if self.mood == "no":
            raise TargetError("target.http_422", self.name, "mend", permanent=True)
        self.sent.append((release.key, release.record_id, release.version, release.action))
        known = self.effects.setdefault(release.key, (release.record_id, release.version, str(release.fields)))
        assert known == (release.record_id, release.version, str(release.fields)), "one key, two contents"
        if self.mood == "lost answer":
            raise TargetError("target.timeout", self.name, "again")
        return Receipt()

    def check(self) -> Health:
        return Health(ok=True)


class Flow(RuleBasedStateMachine):
    """One node, one form, an own society and a partner that needs a person's release."""

    template: Submission
    seen: ClassVar[set[_State]] = set()
    steps: ClassVar[set[tuple[_State, _State]]] = set()
    roots = Bundle("roots")

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime.now(UTC)
        self.folder = tempfile.TemporaryDirectory()
        self.master = MasterKey(secrets.token_bytes(32))
        self.server = Server()
        self.holders = {"national": Holder("national"), "partner": Holder("partner")}
        self.consent: dict[str, bool] = {}
        self.told_no: set[str] = set()
        self.paused: set[str] = set()
        self.states: dict[int, _State] = {}
        self.ended: dict[str, str] = {}
        self.replayed = False
        self.pipeline = self._start()

    def _start(self) -> Pipeline:
        os.environ["MODEL_TOKEN"] = "x"
        home = Path(self.folder.name)
        targets = {
            "national": {"type": "rest", "url": "http://127.0.0.1:1", "recipient": "own_society", "accepts": ["tracing_request"]},
            "partner": {
                "type": "rest", "url": "http://127.0.0.1:1", "recipient": "national_society", "society": "TR-RC",
                "accepts": ["tracing_request"],
            },
        }  # fmt: skip
        server = {
            "type": "kobo",
            "url": "http://127.0.0.1:1",
            "token_env": "MODEL_TOKEN",
            "forms": {"tracing_request": "a"},
            "vanish_limit": 2,
        }
        data: dict[str, Any] = {
            "society": "SY-RC", "database": "sqlite:///silah.db", "servers": {"kobo": server}, "targets": targets,
            "dispatch": {"retry_first": "1s", "retry_max": "10s", "retry_for": "1h"},
        }  # fmt: skip
        config = configuration.parse(data, home / "silah.toml")
        ledger = Ledger(Database(config.database_url), self.master, lambda: self.now)
        servers = {"kobo": self.server}
        return Pipeline(config, ledger, servers, self.holders, Attachments(config, ledger, servers))  # type: ignore[arg-type]

    # What people and machines do

    @initialize(target=roots)
    def begin(self) -> MultipleResults[str]:
        """Every life begins with one who is willing and one who is not, known and due: Hypothesis leaves whole rules out
        of a life, and one without a submission shows nothing."""
        known = [self.submit(willing) for willing in (True, False)]
        self.pull(accept_gone=False, full=False)
        return multiple(*known)

    @rule(target=roots, willing=st.booleans())
    def submit(self, willing: bool) -> str:
        """A volunteer sends a form."""
        self.server.counter += 1
        root = f"{self.server.counter:08d}-0000-4000-8000-000000000000"
        answers = {**self.template.answers, **_consent(self.template, willing)}
        self.server.rows[root] = replace(
            self.template,
            root_id=root,
            instance_id=root,
            order=self.server.counter,
            answers=answers,
            submitted_at=self.now,
        )
        self.consent[root] = willing
        return root

    @rule(root=roots, willing=st.booleans())
    def edit(self, root: str, willing: bool) -> None:
        """Somebody edits it on the form server; KoboToolbox tells nobody."""
        if root not in self.server.rows:
            return
        old = self.server.rows[root]
        answers = {**old.answers, **_consent(self.template, willing)}
        self.server.rows[root] = replace(old, instance_id=secrets.token_hex(16), answers=answers)
        self.consent[root] = willing

    @rule(root=roots)
    def ring(self, root: str) -> None:
        """The hook tells of it, perhaps a second time."""
        if root in self.server.rows:
            one = self.server.rows[root]
            self.pipeline.ledger.keep("kobo", Bell("tracing_request", root, one.instance_id, one.order))

    @rule(root=roots)
    def delete(self, root: str) -> None:
        """It is deleted on the form server."""
        self.server.rows.pop(root, None)

    @rule(root=roots, by=st.sampled_from(["reviewer", OWN]), state=st.sampled_from(["approved", "not_approved", None]))
    def review(self, root: str, by: str, state: str | None) -> None:
        """Somebody says what they think of it there."""
        if root in self.server.rows:
            self.now += timedelta(seconds=2)
            seen = Review(state, by, self.now) if state else Review()
            self.server.rows[root] = replace(self.server.rows[root], review=seen)

    @rule(root=roots)
    def withdraw(self, root: str) -> None:
        """The office takes consent back."""
        case = self.pipeline.ledger.case(root)
        if case is not None:
            self.pipeline.withdraw(case, None, "asked", "model")
            self.told_no.add(case.record_id)

    @rule(seen=st.booleans(), failing=st.booleans())
    def trouble(self, seen: bool, failing: bool) -> None:
        """The form server takes rights away, or fails."""
        self.server.seen, self.server.failing = seen, failing

    @rule(at=st.sampled_from(["national", "partner"]), mood=st.sampled_from(["well", "refused", "no", "lost answer"]))
    def mood(self, at: str, mood: str) -> None:
        """A target fails in one of its ways, or is well again."""
        self.holders[at].mood = mood

    @rule(at=st.sampled_from(["national", "partner"]), paused=st.booleans())
    def pause(self, at: str, paused: bool) -> None:
        self.pipeline.ledger.pause(at, "model", "model", paused=paused)
        self.paused = self.paused | {at} if paused else self.paused - {at}

    @rule(user=st.sampled_from(["amal", "omar"]))
    def release(self, user: str) -> None:
        """A named user lets go what waits."""
        for row in self.pipeline.ledger.queue(["waiting"]):
            self.pipeline.ledger.release(row.id, user)

    @rule()
    def discard(self) -> None:
        """Somebody gives the oldest parked delivery up; until it is replayed it is neither sent nor open."""
        for row in self.pipeline.ledger.queue(["parked"])[:1]:
            if row.target:
                self.pipeline.ledger.discard(row.id, "model", "model")

    # What Silah does

    @rule()
    def read_back(self) -> None:
        self.pipeline.read_back()

    @rule(accept_gone=st.booleans(), full=st.booleans())
    def pull(self, accept_gone: bool, full: bool) -> None:
        try:
            swept = self.pipeline.reconcile("kobo", "tracing_request", accept_gone=accept_gone, full=full)
        except ServerError:
            return
        if swept.stopped is None:
            account = self.pipeline.ledger.account("kobo", "tracing_request")
            assert len(self.server.rows) == account.on_server == account.here, "something is not here"

    @rule(seconds=st.integers(1, 100))
    def dispatch(self, seconds: int) -> None:
        """The dispatcher attempts what is due."""
        self.now += timedelta(seconds=seconds)
        for target, holder in self.holders.items():
            for due in self.pipeline.ledger.due(target, 100):
                before = len(holder.sent)
                held = self._held(due.root_id)
                self.pipeline.attempt(due)
                assert target not in self.paused or len(holder.sent) == before, "sent to a paused target"
                for _, record, _, action in holder.sent[before:]:
                    if action is Action.UPSERT:
                        assert record not in self.told_no, "sent after it was withdrawn"
                        assert not held, "a vanished or withdrawn submission was sent"

    def _held(self, root: str) -> bool:
        case = self.pipeline.ledger.case(root)
        return case is not None and (case.state != "live" or case.presence in {"gone", "vanished"})

    @rule()
    def replay_everything(self) -> None:
        self.replayed = True
        for row in self.pipeline.ledger.queue():
            if row.target:
                self.pipeline.ledger.replay(row.id, "model")

    @rule()
    def report_back(self) -> None:
        try:
            self.pipeline.report_back()
        except (ServerError, StopIteration, ValueError):
            return

    @rule()
    def crash(self) -> None:
        """The process ends and begins anew; only what was durable is there."""
        self.pipeline.ledger.database.close()
        self.pipeline = self._start()

    # What must always hold

    @invariant()
    def versions_go_forward(self) -> None:
        """A target sees the versions of a record in order."""
        for holder in self.holders.values():
            newest: dict[str, int] = {}
            for _, record, version, _ in holder.sent:
                assert version >= newest.get(record, 0), "an older version after a newer one"
                newest[record] = version

    @invariant()
    def what_has_ended_stays(self) -> None:
        """A delivery that is delivered or given up is begun again by a replay alone, a superseded one by nothing."""
        rows = self._deliveries()
        now = {row.id: row.state for row in rows}
        for one, state in self.ended.items():
            begun_again = {"due"} if self.replayed and state != "superseded" else set()
            assert now[one] in {state} | begun_again, (state, now[one])
        self.ended = {row.id: row.state for row in rows if row.state in {"delivered", "discarded", "superseded"}}
        self.replayed = False

    @invariant()
    def states_are_counted(self) -> None:
        """How much of the machine these lives go through: of each submission how it stands, and its newest delivery."""
        newest: dict[int, dict[str, tuple[str, str]]] = {}
        for row in self._deliveries():
            newest.setdefault(row.submission_id, {})[row.target] = (row.action, row.state)
        with self.pipeline.ledger.database.reading() as connection:
            cases = connection.execute(select(submissions)).all()
        for case in cases:
            there = newest.get(case.id, {})
            state: _State = (
                case.state, case.presence, case.parked is not None, case.review_state, min(case.version, 3),
                tuple(sorted((target, *told) for target, told in there.items())),
            )  # fmt: skip
            before = self.states.get(case.id)
            self.seen.add(state)
            if before is not None and before != state:
                self.steps.add((before, state))
            self.states[case.id] = state

    def _deliveries(self) -> Sequence[Any]:
        with self.pipeline.ledger.database.reading() as connection:
            return connection.execute(select(deliveries).order_by(deliveries.c.made_at, deliveries.c.version)).all()

    @invariant()
    def at_most_one_is_open(self) -> None:
        """For one submission and target at most one delivery is open."""
        open_ = [
            (r.root_id, r.target)
            for r in self.pipeline.ledger.queue()
            if r.target and r.state not in {"delivered", "discarded"}
        ]
        assert len(open_) == len(set(open_))

    @invariant()
    def refused_is_never_sent(self) -> None:
        """What the ledger's newest reading says no to is not with anybody as an upsert of that version."""
        for holder in self.holders.values():
            for key, *_ in holder.sent:
                assert key in holder.effects

    def teardown(self) -> None:
        self.settle()
        self.pipeline.ledger.database.close()
        self.folder.cleanup()

    def settle(self) -> None:
        """When all trouble ends everything accepted arrives, or is withheld for a reason: nothing is lost."""
        self.server.seen, self.server.failing = True, False
        for target, holder in self.holders.items():
            holder.mood = "well"
            self.pipeline.ledger.pause(target, "", "model", paused=False)
        self.paused = set()
        self.pull(accept_gone=True, full=False)
        self.replay_everything()
        for _ in range(5):
            self.dispatch(200)
        for root in self.server.rows:
            case = self.pipeline.ledger.case(root)
            assert case is not None, "lost"
            if case.state == "live":
                states = [row.state for row in self.pipeline.ledger.queue(target="national") if row.root_id == root]
                expected = "delivered" if self.consent[root] else "withheld"
                assert expected in states or (not self.consent[root] and "delivered" in states), (root, states)


def _consent(template: Submission, willing: bool) -> dict[str, str]:
    [path] = [path for path in template.answers if path.endswith("/c_collect")]
    return {path: "yes" if willing else "no"}


@pytest.fixture(name="machine", scope="module")
def _machine(fill_in: FillIn) -> type[Flow]:
    row = record_to_kobo_json(
        fill_in(request()), load("tracing_request"), kobo_id=1, submitted_at=datetime.now(UTC), asset_uid="a"
    )
    os.environ["MODEL_TOKEN"] = "x"
    server = configuration.Server.model_validate(
        {"type": "kobo", "url": "http://127.0.0.1:1", "forms": {"tracing_request": "a"}}
    )
    Flow.template = Kobo("kobo", server)._submission("tracing_request", row)
    return Flow


def test_the_promises_hold_in_any_order(machine: type[Flow]) -> None:
    """Random lives of a node: nothing lost, nothing twice, nothing out of order, nothing after a no."""
    rounds = int(os.environ.get("SILAH_MODEL_ROUNDS", "15"))
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=rounds,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=rounds == 15,
        ),
    )
    print(
        f"{rounds} lives of 40 steps: {len(machine.seen)} states of a submission, {len(machine.steps)} steps between them"
    )


_INVARIANTS = (
    "versions_go_forward", "what_has_ended_stays", "states_are_counted", "at_most_one_is_open", "refused_is_never_sent",
)  # fmt: skip
_AT, _MOODS = ("national", "partner"), ("well", "well", "refused", "no", "lost answer")


def walk(life: Flow, chance: random.Random, steps: int) -> None:
    """One life in which every rule may come at every step; Hypothesis leaves many out of a life, to make a failure small."""
    roots = [life.submit(True), life.submit(False)]
    one, yes = chance.choice, lambda: chance.random() < 0.5
    acts: Sequence[Callable[[], object]] = (
        lambda: roots.append(life.submit(yes())),
        lambda: life.edit(one(roots), yes()),
        lambda: life.ring(one(roots)),
        lambda: life.delete(one(roots)),
        lambda: life.review(one(roots), one(["reviewer", OWN]), one(["approved", "not_approved", None])),
        lambda: life.withdraw(one(roots)),
        lambda: life.trouble(chance.random() < 0.8, chance.random() < 0.2),
        lambda: life.mood(one(_AT), one(_MOODS)),
        lambda: life.pause(one(_AT), chance.random() < 0.3),
        lambda: life.release(one(["amal", "omar"])),
        life.discard, life.read_back, life.replay_everything, life.report_back, life.crash,
    )  # fmt: skip
    often = (lambda: life.pull(yes(), yes()), lambda: life.dispatch(chance.randint(1, 100)))
    for _ in range(steps):
        one(often if chance.random() < 0.4 else acts)()
        for name in _INVARIANTS:
            getattr(life, name)()
    life.settle()


def test_long_lives_go_through_many_states(machine: type[Flow]) -> None:
    """The same machine and the same promises, walked at random; the states of a submission are counted and told."""
    lives = int(os.environ.get("SILAH_MODEL_LIVES", "4"))
    seen, steps = len(machine.seen), len(machine.steps)
    for number in range(lives):
        life = machine()
        try:
            walk(life, random.Random(number), 60)
        finally:
            life.pipeline.ledger.database.close()
            life.folder.cleanup()
    print(
        f"{lives} lives of 60 steps: {len(machine.seen) - seen} more states of a submission, "
        f"{len(machine.steps) - steps} more steps between them; {len(machine.seen)} and {len(machine.steps)} in all"
    )
    assert len(machine.seen) > 20
