"""The page of publications: one person proposes, another confirms, each with their own code."""

from __future__ import annotations

import json
import re
from pathlib import Path

from connector.ledger.releases import publications
from tests.conftest import FillIn, Node
from tests.dashboard.conftest import people_of
from tests.dashboard.stage import staged
from tests.flow.test_flow import picture
from tests.people import MARKS, request

ADULT = {"enq_age": "34", "c_publish_photo_online": "yes", "enq_photo": "salma.jpg"}


def test_two_people_publish_on_the_page(node: Node, fill_in: FillIn) -> None:
    """R10: the page lets one propose and another confirm, names who did, and shows nobody's name or photo."""
    node.targets["board"] = {"recipient": "public"}
    node.urls["board"] = node.urls["ngo"]
    people = people_of(node.flow)
    node.take_in(fill_in(request(ADULT)), {"salma.jpg": picture()})
    [one] = publications(node.flow.ledger, ["board"])
    first, second = people["case_worker"], people["supervisor"]
    for person in (first, second, people["dpo"]):
        person.sign_in()
    assert 403 == people["dpo"].client.get("/publications").status_code

    first.post(f"/publications/{one.id}/propose", code="000000")
    assert "open" == publications(node.flow.ledger, ["board"])[0].state
    first.post(f"/publications/{one.id}/propose", code=first.code())
    first.post(f"/publications/{one.id}/confirm", code=first.code())
    assert "proposed" == publications(node.flow.ledger, ["board"])[0].state
    page = second.client.get("/publications").text
    assert not [mark for mark in MARKS if mark in page]

    second.post(f"/publications/{one.id}/decline", code=second.code(), reason="too early")
    assert "open" == publications(node.flow.ledger, ["board"])[0].state
    first.post(f"/publications/{one.id}/propose", code=first.code())
    second.post(f"/publications/{one.id}/confirm", code=second.code())
    node.dispatch()
    [body] = node.received("ngo")
    assert (1, False) == (len(body["attachments"]), "الحمصي" in json.dumps(body, ensure_ascii=False))


def test_the_page_tells_records_apart_by_their_codes_and_what_is_late(tmp_path: Path) -> None:
    """Each by its case code with the state; the one that should be down since a day is marked, and no longer there as
    published; what nobody may propose is not there."""
    with staged(tmp_path) as stage:
        person = people_of(stage.node.flow)["supervisor"]
        person.sign_in()
        page = person.client.get("/publications").text
    cards = page.split('<li class="card')[1:]
    told = [(re.findall(r"101-[A-Z-]+", card), "down a day ago" in card) for card in cards]
    late = sorted(codes[0] for codes, is_late in told if is_late)
    shown = sorted(code.removeprefix("101-PUB-") for codes, _ in told for code in codes)
    assert (["101-PUB-LATE"], ["LATE", "OPEN", "PROPOSED", "PUBLISHED"]) == (late, shown)
