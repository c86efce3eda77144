"""A node in the middle of a week: everything that a page can show is there. Synthetic people only."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from connector.comparing import Comparing
from connector.ledger.flow import Case
from connector.model import Answer
from connector.referrals.exchange import Exchange, exchange_of
from connector.referrals.machine import Deed
from tests.conftest import Node, running_node
from tests.matching.records import CHILD, REQUEST, SOUGHT, submission
from tests.referrals.nodes import Line, Machine, case_code, draft

FORMS = ("tracing_request", "child_registration")
_PUBLIC: dict[str, Answer] = {
    "enq_dob_kind": "age", "enq_age": "41", "c_publish_photo_online": "yes",
    "sought": ({**SOUGHT, "sought/s_name_full_native": "يونس مروان صالح", "sought/s_relation": "brother"},),
}  # fmt: skip
_OTHER: dict[str, Answer] = {**SOUGHT, "sought/s_name_full_native": "ليلى عبد الرحمن حداد", "sought/s_sex": "female"}


@dataclass
class Stage:
    """The node, what it exchanges referrals with, and the cases by name."""

    node: Node
    exchange: Exchange
    partner: Machine
    cases: dict[str, Case]
    referrals: dict[str, str]

    def carry(self) -> None:
        """Brings every message of a referral to the other side, both ways."""
        here, there = self.exchange, self.partner
        to_there, to_here = Line(there), Line(_Here(self.node))  # type: ignore[arg-type]
        for _ in range(20):
            out = here.referrals.outgoing(here.referrals.partner("shelter"), 100, ())
            done = [here.attempt(here.referrals.partner("shelter"), to_there, one) for one in out]  # type: ignore[arg-type]
            back = there.exchange.referrals.outgoing(there.exchange.referrals.partner("office"), 100, ())
            done += [there.exchange.attempt(there.exchange.referrals.partner("office"), to_here, one) for one in back]  # type: ignore[arg-type]
            if not done:
                return


class _Here:
    """The node's own edge, as the partner reaches it."""

    def __init__(self, node: Node) -> None:
        from webhooks.edge import create_app

        self.client = create_app(node.flow).test_client()


@contextmanager
def staged(home: Path) -> Iterator[Stage]:
    """The stage in *home*."""
    with running_node(home) as node:
        yield _set(node)


def _set(node: Node) -> Stage:
    other = node.kobo.publish("owner", "child_registration", _xlsx("child_registration"))
    node.kobo.grant(other, "silah_account", "view_submissions", "validate_submissions")
    node.targets = {
        "national": {"accepts": list(FORMS)},
        "partner": {"recipient": "national_society", "society": "TR-RC", "accepts": list(FORMS), "agreement": "MoU 2024",
                    "agreement_until": (node.clock.moment + timedelta(days=20)).date()},
        "ngo": {"recipient": "ngo", "agency": "irc", "accepts": ["tracing_request"]},
        "board": {"recipient": "public", "accepts": ["tracing_request"]},
    }  # fmt: skip
    node.urls["board"] = node.urls["authority"]
    node.server = {"forms": {"tracing_request": node.asset, "child_registration": other}}
    node.extra = {"public_url": "https://office.example.org"}
    published = _published(node)
    node.receivers["national"].faults.next("/", status=422, times=1)
    cases = _cases(node) | published
    Comparing(node.flow).catch_up()
    exchange = exchange_of(node.flow.config, node.flow.ledger)
    partner = Machine(node.home / "shelter", node.clock)  # type: ignore[arg-type]
    exchange.pair(json.loads(partner.exchange.export().model_dump_json()), "shelter", "+962 6 000 0199", "test")
    partner.exchange.pair(json.loads(exchange.export().model_dump_json()), "office", None, "test")
    stage = Stage(node, exchange, partner, cases, {})
    _refer(stage)
    return stage


def _cases(node: Node) -> dict[str, Case]:
    today = node.clock.moment.date()
    wider: dict[str, Answer] = {
        "c_share_ns_destination": "yes", "ns_destination": "TR-RC", "c_share_ngo": "yes", "which_ngo": "irc",
        "enq_phone_safe": "yes", "enq_phone_safe_when": "after six in the evening", "interview_date": today.isoformat(),
    }  # fmt: skip
    told: dict[str, tuple[str, dict[str, Answer]]] = {
        "parked": ("tracing_request", {**REQUEST, **wider}),
        "child": ("child_registration", {**CHILD, "interview_date": today.isoformat()}),
        "twice": ("tracing_request", {**REQUEST, **wider, "case_code": "101-TWICE", "collector_code": "V-08"}),
        "expired": (
            "tracing_request",
            {**REQUEST, **wider, "case_code": "101-LATE", "sought": (_OTHER,), "enq_name_full_native": "هدى سامر ناصر",
             "interview_date": (today - timedelta(days=300)).isoformat(),
             "consent_review_on": (today - timedelta(days=3)).isoformat()},
        ),
        "soon": (
            "tracing_request",
            {**REQUEST, **wider, "case_code": "101-SOON", "sought": (_OTHER,), "enq_name_full_native": "رنا فادي خوري",
             "consent_review_on": (today + timedelta(days=9)).isoformat()},
        ),
        "unreadable": ("tracing_request", {**REQUEST, **wider, "case_code": "101-ODD", "which_ngo": "nobody_knows"}),
    }  # fmt: skip
    return {
        name: _arrives(node, name, form, answers, order)
        for order, (name, (form, answers)) in enumerate(told.items(), 1)
    }


def _arrives(node: Node, name: str, form: str, answers: dict[str, Answer], order: int) -> Case:
    """The case *name* comes in, and goes wherever it may."""
    one = submission(form, name, answers, order)
    node.flow.keep_all("kobo", [one])
    node.dispatch()
    found = node.flow.ledger.case(one.root_id)
    assert found is not None
    return found


def _published(node: Node) -> dict[str, Case]:
    """For everybody to see: one that nobody has proposed yet, one proposed, one published, one that should be down since
    a day and is not."""
    node.clock.forward(hours=-26)
    people = {
        "late": "سمير وليد عيسى",
        "open": "نور بشار قاسم",
        "proposed": "غادة أنس خليل",
        "published": "طارق عمر يوسف",
    }
    day: dict[str, Answer] = {"interview_date": node.clock.moment.date().isoformat()}
    cases = {}
    for order, (state, name) in enumerate(people.items(), 101):
        told: dict[str, Answer] = {
            "case_code": f"101-PUB-{state.upper()}",
            "enq_name_full_native": name,
            "collector_code": "V-11",
        }
        case = _arrives(node, f"public {state}", "tracing_request", {**REQUEST, **_PUBLIC, **day, **told}, order)
        cases[f"public-{state}"] = case
        waiting = next(row.id for row in node.rows("board") if row.root_id == case.root_id)
        for user in {"open": (), "proposed": ("other",)}.get(state, ("other", "case_worker")):
            assert node.flow.ledger.release(waiting, user) is None
            node.clock.forward(minutes=1)
        node.dispatch()
    node.receivers["authority"].faults.next("/", status=422, times=1)
    node.flow.withdraw(cases["public-late"], None, "asked for by the family", "test")
    node.dispatch()
    node.clock.forward(hours=26, minutes=-5)
    return cases


def _refer(stage: Stage) -> None:
    """One of each: asked of us, accepted by us with the identity told, overdue, asked by us, finished."""
    now, codes = stage.node.clock.moment, random.Random(11)
    there = stage.partner.exchange
    for name in ("asked", "accepted", "finished"):
        written = draft("office", now, case_code=case_code(codes))
        stage.referrals[name] = there.new(written, "office", "test").row.id
    sent = draft("shelter", now, case_code=case_code(codes), priority="emergency_24h")
    stage.referrals["sent"] = stage.exchange.new(sent, "shelter", "test").row.id
    stage.carry()
    for name in ("accepted", "finished"):
        stage.exchange.act(stage.referrals[name], Deed.ACCEPT, "test")
    stage.carry()
    stage.exchange.act(stage.referrals["finished"], Deed.COMPLETE, "test", None, "completed_full")
    stage.carry()


def _xlsx(form: str) -> bytes:
    return (Path(__file__).parents[2] / "forms" / "xlsx" / "kobo" / f"{form}.xlsx").read_bytes()
