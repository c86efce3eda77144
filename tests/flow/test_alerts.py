"""The admin hears of what needs a person: once a matter and hour, in their language, and nothing of anybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connector.alerts import Alerts
from connector.doctor import examine
from connector.errors import Misconfigured, SilahError
from connector.ledger.schema import partners, referrals
from tests.conftest import FillIn, Node
from tests.flow.test_crashes import bells
from tests.flow.test_faults import unwritable
from tests.mail_server import PASSWORD, USER, MailServer
from tests.people import MARKS


@pytest.fixture(name="told")
def _told(node: Node, fill_in: FillIn, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node whose alerts go to the machine of another target, and whose target refuses for good."""
    monkeypatch.setenv("ALERT_TOKEN", "of-the-chat")
    node.extra = {"alerts": {"url": node.urls["ngo"].removesuffix("/rfl") + "/chat", "token_env": "ALERT_TOKEN"}}
    node.receivers["national"].faults.next(".*", status=422, times=50)
    bells(node, fill_in, 1)
    node.pull()
    node.dispatch()
    node.receivers["ngo"].faults.next("/chat", status=204, times=50)
    return node


def heard(node: Node) -> list[list[dict[str, Any]]]:
    """The matters of each message."""
    return [one.body["matters"] for one in node.attempts("ngo")]


def test_a_parked_delivery_is_told_once(told: Node) -> None:
    """Target, code and count; with the token; not again within the hour, and not by the next process."""
    for _ in range(3):
        Alerts(told.flow).look()
    [matter] = heard(told)[0]
    assert {"kind": "parked", "where": "national", "code": "target.http_422", "number": 1} == matter
    assert "Bearer of-the-chat" == told.attempts("ngo")[0].headers["Authorization"]
    assert 1 == len(heard(told))


def test_what_grows_is_told_after_an_hour_and_what_lasts_once_a_day(told: Node, fill_in: FillIn) -> None:
    """At most one message for a matter and hour."""
    alerts = Alerts(told.flow)
    alerts.look()
    bells(told, fill_in, 2, start=1)
    told.pull()
    told.dispatch()
    numbers = []
    for minutes in (10, 51, 10, 1380, 61):
        told.clock.forward(minutes=minutes)
        told.pull()
        numbers.append([one.number for one in alerts.look()])
    assert [[], [3], [], [], [3]] == numbers


def test_a_message_that_did_not_arrive_is_sent_again(told: Node) -> None:
    """Nobody was told: it is said with a code and tried at the next look."""
    told.receivers["ngo"].faults.clear()
    told.receivers["ngo"].faults.next("/chat", status=500, times=1)
    with pytest.raises(SilahError, match=r"^alerts\.http_500"):
        Alerts(told.flow).look()
    told.receivers["ngo"].faults.next("/chat", status=204, times=1)
    assert 1 == len(Alerts(told.flow).look())


def test_a_sweep_that_stopped_or_is_late_is_told(told: Node) -> None:
    """The vanish guard and silence, with the server and the form."""
    told.server = {"vanish_limit": 0}
    told.restart()
    alerts = Alerts(told.flow)
    alerts.look()
    told.clock.forward(minutes=50)
    assert ["sweep_late"] == [one.kind for one in alerts.look()]
    told.kobo.delete(
        told.asset, *(str(one.order) for one in told.flow.ledger.known("kobo", "tracing_request", -1, None))
    )
    told.pull()
    assert [("sweep_stopped", "kobo tracing_request", "vanish_guard")] == [
        (one.kind, one.where, one.code) for one in alerts.look() if one.kind != "parked"
    ]


def test_an_overdue_referral_is_told(told: Node) -> None:
    """By the partner's name here, never by a case code."""
    at = int(told.clock().timestamp() * 1000)
    row = {"id": "r1", "partner": "f" * 8, "direction": "out", "case_code": "10112345672", "state": "received",
           "due_at": at - 1, "made_at": at, "changed_at": at}  # fmt: skip
    partner = {"fingerprint": "f" * 8, "name": "jordan", "url": "http://127.0.0.1:1", "exported": "{}", "added_at": at}

    def job(connection: Any) -> None:
        connection.execute(partners.insert().values(partner))
        connection.execute(referrals.insert().values(row))

    told.flow.ledger.database.write(job)
    Alerts(told.flow).look()
    assert {"kind": "overdue", "where": "jordan", "code": "referral.overdue", "number": 1} in heard(told)[0]
    assert "10112345672" not in told.attempts("ngo")[0].raw.decode()


def test_a_ledger_that_cannot_be_written_is_told(told: Node) -> None:
    """Once, although nothing of it can be kept."""
    alerts = Alerts(told.flow)
    alerts.look()
    with unwritable(told):
        alerts.look()
        alerts.look()
    assert [["parked"], ["ledger"]] == [[one["kind"] for one in matters] for matters in heard(told)]


@pytest.fixture(name="mail", params=[True, False], ids=["smtps", "starttls"])
def _mail(told: Node, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    server = MailServer(told.home, implicit=request.param)
    monkeypatch.setenv("MAIL_USER", USER)
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    told.extra = {
        "alerts": {
            "smtp": server.url, "sender": "silah@example.org", "to": ["admin@example.org"], "language": "ar",
            "username_env": "MAIL_USER", "password_env": "MAIL_PASSWORD", "ca_file": server.ca.name,
        }
    }  # fmt: skip
    told.restart()
    yield server
    server.close()


def test_mail_goes_over_tls_in_the_admins_language(told: Node, mail: MailServer) -> None:
    """One message with the code and what to do, in Arabic; no answer of a form in it."""
    Alerts(told.flow).look()
    [message] = mail.messages
    text = message.get_content()
    assert ("admin@example.org", "auto-generated") == (message["To"], message["Auto-Submitted"])
    assert "صلة SY-RC" in message["Subject"]
    assert "target.http_422" in text
    assert "national" in text
    assert [] == [mark for mark in MARKS if mark in text]


def test_check_goes_the_way_of_an_alert(told: Node, mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`silah check` logs in and names sender and receiver, sends nothing, and says what is wrong."""
    assert [True] == road(told)
    mail.refuses.add("admin@example.org")
    assert ["mail.refused"] == road(told)
    mail.refuses.clear()
    monkeypatch.setenv("MAIL_PASSWORD", "wrong")
    assert ["mail.unauthorized"] == road(told)
    told.extra = {"alerts": {**told.extra["alerts"], "ca_file": None}}
    assert ["mail.no_tls"] == road(told)
    mail.close()
    assert ["mail.unreachable"] == road(told)
    mail.close = lambda: None  # type: ignore[method-assign]
    assert [] == mail.messages


def road(node: Node) -> list[bool | str]:
    """What `check` says of the alerts."""
    node.close()
    return [one.code or one.ok for one in examine(node.flow.config) if one.what == "alerts"]


def test_check_reaches_the_webhook(told: Node) -> None:
    """Anything below 500 but 401 and 403 will do, and no message is sent."""
    told.receivers["ngo"].faults.clear()
    assert [True] == road(told)
    told.receivers["ngo"].faults.next("/chat", status=403, times=1)
    assert ["alerts.http_403"] == road(told)
    assert [] == told.attempts("ngo")


@pytest.mark.parametrize("alerts", [{"smtp": "smtps://mail"}, {"smtp": "mail:25", "sender": "a@b", "to": ["c@d"]}])
def test_half_a_mail_server_is_refused(node: Node, alerts: dict[str, Any]) -> None:
    """Before anything is served, with the key."""
    node.extra = {"alerts": alerts}
    with pytest.raises(Misconfigured, match="smtp"):
        assert node.flow
