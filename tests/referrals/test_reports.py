"""Report exchange: a month's counts between partners, without identity, small cells hidden, on the same road."""

from __future__ import annotations

import json
from datetime import date
from uuid import uuid4

import pytest

from connector.errors import Refused
from connector.figures.facts import Fact
from connector.ledger.referrals import Terms
from connector.referrals import envelope
from connector.referrals.reports import CountRow
from connector.reporting import month_of
from tests.referrals.nodes import Machine, Pair, Sent

ROW = CountRow(branch="101", service="referral.sent", unit="events", sex="total", age_group="total", count=12)


def _send(pair: Pair) -> list[str]:
    reports = pair.sender.exchange.reports
    partner = pair.sender.exchange.referrals.partner("shelter")
    due = reports.due(partner, 10)
    return [pair.sender.exchange.attempt_report(partner, pair.to_receiver, one) for one in due]  # type: ignore[arg-type]


def _kept(machine: Machine) -> list[tuple[str, str, str, tuple[CountRow, ...]]]:
    return [(one.partner, one.direction, one.period, one.rows) for one in machine.exchange.reports.all()]


def test_counts_arrive_once(pair: Pair) -> None:
    """Signed, encrypted, acknowledged; a repeated message changes nothing; an outage only delays."""
    pair.sender.exchange.report("shelter", "2026-10", [ROW], "test")
    pair.to_receiver.cut_after = True
    assert ["due"] == _send(pair)
    pair.to_receiver.cut_after = False
    pair.clock.forward(minutes=6)
    assert ["sent"] == _send(pair)

    assert [("police", "in", "2026-10", (ROW,))] == _kept(pair.receiver)
    assert [("shelter", "out", "2026-10", (ROW,))] == _kept(pair.sender)
    assert b"referral.sent" not in pair.to_receiver.log[0].body
    assert [] == _send(pair)


def test_the_counts_of_a_month_hide_small_cells(pair: Pair) -> None:
    """What the figures of the month publish and nothing else: cells of 1 to 4 stay hidden, and no case code is in them."""
    ledger, month = pair.sender.flow.ledger, date(2026, 10, 5)
    sexes = ["female"] * 7 + ["male"] * 2
    facts = [
        (
            f"r{number}",
            [Fact(month, "101", "service_delivery.housing", "people", sex, "18-59", case_code=f"code{number}")],
        )
        for number, sex in enumerate(sexes)
    ]
    ledger.database.write(lambda connection: ledger.fact_book.keep(connection, facts))
    found = month_of(pair.sender.flow.config, ledger, "2026-10")
    rows = [CountRow.model_validate({name: getattr(one, name) for name in CountRow.model_fields}) for one in found.rows]
    pair.sender.exchange.report("shelter", "2026-10", rows, "test")
    assert ["sent"] == _send(pair)

    [(_, _, _, arrived)] = _kept(pair.receiver)
    counts = {row.sex: row.count for row in arrived}
    assert counts["male"] is None
    assert [] == [row for row in arrived if row.count is not None and 0 < row.count < 5]
    assert "code0" not in pair.receiver.opened(pair.to_receiver.log[0])


def test_a_month_that_is_not_over_is_not_sent(pair: Pair) -> None:
    """Two reports of one month would tell of single people by their difference."""
    for month in (f"{pair.clock.moment:%Y-%m}", "2026-13", "soon"):
        with pytest.raises(Refused, match=r"report\.(month_not_over|not_a_month)"):
            month_of(pair.sender.flow.config, pair.sender.flow.ledger, month)


def test_a_small_cell_is_neither_sent_nor_taken(pair: Pair) -> None:
    """The sender's own gate refuses; and a partner that sends one all the same is refused, and nothing is kept."""
    small = ROW.model_copy(update={"count": 3})
    with pytest.raises(Refused, match=r"report\.small_cell"):
        pair.sender.exchange.report("shelter", "2026-10", [small], "test")
    assert [] == _kept(pair.sender)

    keys, to = pair.sender.exchange.keys, pair.receiver.exchange.keys
    id_ = str(uuid4())
    told = {
        "id": id_,
        "sender": keys.fingerprint,
        "recipient": to.fingerprint,
        "period": "2026-10",
        "rows": [small.model_dump()],
    }
    told["format"] = "silah-report/1"
    body = envelope.seal(json.dumps(told).encode(), pair.receiver.exchange.export().encryption_key)
    sent = Sent(
        f"/webhooks/partners/{keys.fingerprint}", envelope.signed_headers(keys, id_, pair.sender.now(), body), body
    )
    answer = pair.to_receiver.post(sent)
    assert (422, {"error": "report.small_cell"}) == (answer.status, json.loads(answer.body))
    assert [] == _kept(pair.receiver)


def test_a_partner_without_a_node_gets_none(pair: Pair) -> None:
    """Refused in words; its figures are handed over by hand."""
    pair.sender.exchange.referrals.add_by_hand("aman", Terms(None, ("age1",), "out"), None, "test")
    with pytest.raises(Refused, match=r"partner\.no_node"):
        pair.sender.exchange.report("aman", "2026-10", [ROW], "test")
