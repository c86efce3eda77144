"""R23: only receivers that an admin wrote down, as long as the agreement with them holds, and at no other address."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest

from connector.doctor import examine
from connector.errors import Misconfigured
from tests.care.test_erase import case_of
from tests.conftest import FillIn, Node
from tests.people import request

PRODUCT = Path(__file__).parents[2] / "connector"


def until(node: Node, days: int) -> str:
    return (node.clock().date() + timedelta(days=days)).isoformat()


def test_an_agreement_that_ended_stops_deliveries(node: Node, fill_in: FillIn) -> None:
    """The last day still counts; after it nothing new goes, nothing is withdrawn, and the reason is shown."""
    node.targets = {"national": {"agreement": "MoU 7", "agreement_until": until(node, 0)}}
    node.take_in(fill_in(request()))
    node.clock.forward(days=2)
    node.take_in(fill_in(request()))

    assert ["upsert"] == [body["action"] for body in node.received()]
    assert [("delivered", None), ("withheld", "agreement.expired")] == node.states()


def test_it_is_looked_at_when_sending(node: Node, fill_in: FillIn) -> None:
    """An agreement that ends while a delivery waits for its next attempt holds it back; renewed, it goes."""
    node.targets = {"national": {"agreement_until": until(node, 0)}}
    node.receivers["national"].faults.next(".*", status=503, times=1)
    node.take_in(fill_in(request()))
    node.clock.forward(days=2)
    node.dispatch()
    assert ([], [("withheld", "agreement.expired")]) == (node.received(), node.states())

    node.targets = {"national": {"agreement_until": until(node, 30)}}
    node.restart()
    node.dispatch()
    assert 1 == len(node.received())


def test_a_withdrawal_is_told_all_the_same(node: Node, fill_in: FillIn) -> None:
    """The end of an agreement does not end the duty to remove: the word still goes."""
    node.targets = {"national": {"agreement_until": until(node, 0)}}
    submission = node.take_in(fill_in(request()))
    node.clock.forward(days=2)
    node.flow.withdraw(case_of(node, submission), None, "asked", "test")
    node.dispatch()
    assert ["upsert", "withdraw"] == [body["action"] for body in node.received()]


def test_check_names_an_agreement_that_ended(node: Node) -> None:
    """`silah check` says it before a delivery does; a day that is none is refused at the start."""
    node.targets = {
        "national": {"agreement": "MoU 7", "agreement_until": "2020-01-31"},
        "icrc": {"recipient": "icrc", "agreement_until": "2999-12-31"},
    }
    found = {one.what: (one.ok, one.code) for one in examine(node.flow.config) if one.what.startswith("agreement")}
    assert {
        "agreement MoU 7 with national, until 2020-01-31": (False, "agreement.expired"),
        "agreement with icrc, until 2999-12-31": (True, ""),
    } == found
    node.close()
    node.targets = {"national": {"agreement_until": "next year"}}
    with pytest.raises(Misconfigured):
        _ = node.flow


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed_with_a_body(node: Node, fill_in: FillIn, status: int) -> None:
    """A target that sends us elsewhere gets nothing delivered there."""
    node.receivers["national"].faults.next(".*", status=status, times=1, headers={"Location": node.urls["partner"]})
    node.take_in(fill_in(request()))
    assert ([], []) == (node.received("partner"), list(node.attempts("partner")))
    assert "delivered" != node.states()[0][0]


def test_every_address_was_written_by_an_admin() -> None:
    """Each place that calls out takes its address from the configuration, or from a partner that an admin added: none
    from a submission, an answer or a callback."""
    allowed = {"config.url", "str(config.url)", "config.files_url", "partner.node.url"}
    found = {
        (path.name, ast.unparse(_base(node.args[0])))
        for path in PRODUCT.rglob("*.py")
        if "sandbox" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"Caller", "PublicCaller"}
    }
    in_data = {("central.py", "place")}  # by `PublicCaller`: over TLS and to public machines alone
    assert in_data == {one for one in found if one[1] not in allowed}


def _base(address: ast.expr) -> ast.expr:
    """`config.url` of `f"{config.url}/api"`: what stands first, and nothing else may be filled in."""
    if isinstance(address, ast.JoinedStr):
        filled = [part.value for part in address.values if isinstance(part, ast.FormattedValue)]
        if len(filled) == 1:
            return filled[0]
    return address
