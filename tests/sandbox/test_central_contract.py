"""The sandbox answers as a real ODK Central did: every recorded exchange is compared, or stands in the table below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tests.sandbox.central_replay import CentralReplay, exchanges, load, masked_token, rows

_ENTITIES = (
    "entities that a form makes, their history, conflicts and OData: the connector writes its list over the API alone"
)
_TABLES = "a repeat's own table and $metadata: the connector reads repeats from the XML"
_EXPORTS = "CSV exports, differences and everybody's history: the connector asks for none of them"
_SERVER_KEYS = "keys that the server holds: the connector opens what devices encrypted with the society's own key"
_CLIENT = "calls of another client, of which only summaries were recorded"

_HTTPS = "a proxy's word that the request came over HTTPS: the sandbox speaks plain HTTP and is told nothing else"


def _all_of(number: str) -> list[str]:
    return [one for one in exchanges() if one.startswith(number)]


# What the connector asks of entity lists: made, given properties, filled, changed, filtered by branch, seen by a device.
_LIST_STEPS = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 54, 56, 57, 58, 59, 61)
LISTS = [f"06[{at}]" for at in _LIST_STEPS]

NOT_COMPARED: dict[str, str] = {
    "01[9]": _HTTPS,
    "02[17]": _ENTITIES,
    **dict.fromkeys(("04[1]", "04[37]", "04[39]", "04[40]", "04[41]", "04[43]"), _TABLES),
    **dict.fromkeys(("05[20]", "05[33]", "05[35]", "05[36]"), _EXPORTS),
    **dict.fromkeys([one for one in _all_of("06") if one not in LISTS], _ENTITIES),
    **{f"07[{at}]": _SERVER_KEYS for at in (*range(2, 8), *range(10, 22), *range(23, 28), 35, 40)},
    "07[28]": _ENTITIES,
    **dict.fromkeys(_all_of("08"), _CLIENT),
    **dict.fromkeys(("09[7]", "09[8]", "09[9]"), _ENTITIES),
    **dict.fromkeys(("11[13]", "11[14]", "11[15]"), _ENTITIES),
    **{f"12[{at}]": _SERVER_KEYS for at in range(4)},
}

VIEWER = ("connector@example.org", "connector-password-77")
ADMIN = ("admin@example.org", "admin-password-1")
HOOK, KEY = "http://127.0.0.1:8999/", "s3cret"


def _accounts_and_forms(replay: CentralReplay) -> None:
    replay.play("01", *range(9), *range(10, 14))
    replay.play("02", 0)
    replay.now = datetime(2026, 11, 21, 21, 13, 28, 840000, tzinfo=UTC)
    replay.sandbox.add_list(1, "cases", "status", "enquirer_name", "case_no")  # the first form makes it
    replay.play("02", *range(1, 12))
    replay.sandbox.skip_numbers(actors=2)
    replay.play("02", 12, 13, 14, 15, 16, 18, 19, 20)
    for number in ("08", "09"):
        replay.log_in(number, *VIEWER)


def _submissions(replay: CentralReplay) -> None:
    replay.play("03", *range(12))
    for row in reversed(rows("04", 3)[:5]):
        _send_row(replay, row)
    replay.play("04", 0, *range(2, 6), 7, 8, *range(10, 37), 42, *range(44, 49))
    replay.play("05", *range(20), *range(21, 33), 34, *range(37, 42))


def _lists(replay: CentralReplay) -> None:
    replay.play("06", *(at for at in _LIST_STEPS if at < 55))
    replay.sandbox.say_of_device(replay.known[masked_token("06")], branch="KE")
    replay.play("06", *(at for at in _LIST_STEPS if at > 55))


def _own_key(replay: CentralReplay) -> None:
    replay.play("07", 0, 1)
    replay.sandbox.skip_numbers(actors=3, keys=3)
    replay.play("07", 8, 9)
    replay.sandbox.skip_numbers(actors=2)
    replay.play("07", *range(29, 35), *range(36, 40))


def _tags_and_sweep(replay: CentralReplay) -> None:
    replay.log_in("15", *ADMIN)
    replay.play("11", *range(12))
    replay.log_in("91", *ADMIN)
    as_device, as_person = replay.known[masked_token("06")], replay.known[masked_token("91")]
    for at in range(10):
        in_path = "/v1/key/" in load("13")[at]["request"]["path"]
        replay.known[masked_token("91")] = as_device if in_path else as_person
        replay.play("13", at)


def _webhook(replay: CentralReplay) -> None:
    """The requests were not recorded, only what they led to: they are made again from that."""
    steps, key = load("09"), masked_token("06")
    replay.sandbox.hook(HOOK, KEY)
    first = steps[0]["deliveries"][0]["body"]
    root, xml = first["id"], first["data"]["xml"]
    version = steps[3]["deliveries"][0]["body"]["id"]
    edited = xml.replace(root, version).replace("</instanceID>", f"</instanceID><deprecatedID>{root}</deprecatedID>")
    place = f"/v1/projects/1/forms/rfl_tracing/submissions/{root}"
    person = {"Authorization": f"Bearer {masked_token('01')}"}
    json_body = {**person, "Content-Type": "application/json"}
    acts: dict[int, Callable[[], object]] = {
        0: lambda: _send_xml(replay, key, xml),
        1: lambda: _send_xml(replay, key, xml),
        2: lambda: replay.send("PUT", place, {**person, "Content-Type": "application/xml"}, edited.encode()),
        3: lambda: replay.send("PATCH", place, json_body, b'{"reviewState": "approved"}'),
        4: lambda: replay.send("PATCH", place, json_body, b'{"reviewState": "hasIssues"}'),
        5: lambda: replay.send("PATCH", place, json_body, b'{"reviewState": "approved"}'),
        6: lambda: replay.send("DELETE", place, person, None),
        10: lambda: _send_xml(replay, key, steps[10]["deliveries"][0]["body"]["data"]["xml"]),
        11: lambda: _send_xml(replay, key, steps[11]["deliveries"][0]["body"]["data"]["xml"]),
        12: lambda: _unreachable(replay, key, xml),
    }
    for at, act in acts.items():
        replay.posted.clear()
        act()
        told = steps[at]["deliveries"]
        expected = [
            {"body": one["body"], "key": KEY, "status": one["central_api_status_for_that_id_at_delivery_time"]}
            for one in told
        ]
        replay.differences[f"09[{at}]"] = [] if expected == replay.posted else [f"{expected} / {replay.posted}"]
    replay.sandbox.hook(None)


def _unreachable(replay: CentralReplay, key: str, xml: str) -> None:
    """Nobody listens: the submission is there all the same."""
    replay.sandbox.hook(None)
    root = "uuid:6d1f9f0a-8b8e-4c6e-9d3b-2a0f5f0c7e11"
    sent = re.sub(r"uuid:[0-9a-f-]{36}", root, xml)
    _send_xml(replay, key, sent)
    place = f"/v1/projects/1/forms/rfl_tracing/submissions/{root}"
    there = replay.send("GET", place, {"Authorization": f"Bearer {masked_token('01')}"}, None)
    assert there.status_code == 200


def _send_xml(replay: CentralReplay, key: str, xml: str) -> None:
    boundary = "b0undary"
    part = 'Content-Disposition: form-data; name="xml_submission_file"; filename="submission.xml"'
    data = f"--{boundary}\r\n{part}\r\nContent-Type: text/xml\r\n\r\n{xml}\r\n--{boundary}--\r\n".encode()
    headers = {"X-OpenRosa-Version": "1.0", "Content-Type": f"multipart/form-data; boundary={boundary}"}
    headers["User-Agent"] = "org.odk.collect.android/v2026.3.1 Dalvik/2.1.0"
    answer = replay.send("POST", f"/v1/key/{key}/projects/1/submission", headers, data)
    assert answer.status_code == 201, answer.text


def _send_row(replay: CentralReplay, row: dict) -> None:
    """A submission that the recording made but did not keep, from what a list says of it."""
    replay.now = replay._times["created", row["__id"]]
    _send_xml(replay, masked_token("06"), _record(row))


def _record(row: dict) -> str:
    longitude, latitude, altitude = row["last_seen"]["coordinates"]
    point = f"{latitude} {longitude} {altitude}.0 {row['last_seen']['properties']['accuracy']}.0"
    sought = "".join(f"<sought>{_flat(one, 'name', 'dob', 'marks', 'photo')}</sought>" for one in row["sought"])
    meta = f"<instanceID>{row['__id']}</instanceID><instanceName>{row['meta']['instanceName']}</instanceName>"
    label = f"<entity><label>{row['meta']['entity']['label']}</label></entity>"
    return (
        f'<data id="rfl_tracing" version="2026112101"><start>{row["start"]}</start>'
        f"<end>2026-11-21T20:05:00.000+00</end>{_flat(row, 'deviceid')}"
        f"<enquirer>{_flat(row['enquirer'], 'full_name', 'phone', 'consent')}</enquirer>{sought}"
        f"<last_seen>{point}</last_seen>{_flat(row, 'n_children', 'case_no', 'status')}"
        f"<meta>{label}{meta}</meta></data>"
    )


def _flat(values: dict, *names: str) -> str:
    return "".join(f"<{name}>{values[name] or ''}</{name}>" for name in names)


@pytest.fixture(scope="module")
def differences() -> Iterator[dict[str, list[str]]]:
    """The whole recording, played once."""
    replay = CentralReplay()
    try:
        for part in (_accounts_and_forms, _submissions, _lists, _own_key, _webhook, _tags_and_sweep):
            part(replay)
        yield replay.differences
    finally:
        replay.close()


def test_every_exchange_is_compared_or_listed(differences: dict[str, list[str]]) -> None:
    """Nothing recorded is passed over in silence, and nothing stands in the table that is compared."""
    assert sorted(exchanges()) == sorted([*differences, *NOT_COMPARED])


@pytest.mark.parametrize("exchange", [one for one in exchanges() if one not in NOT_COMPARED])
def test_answers_as_recorded(exchange: str, differences: dict[str, list[str]]) -> None:
    """The same request gets the same status, headers and body."""
    assert [] == differences[exchange]
