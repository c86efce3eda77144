"""Plays recorded exchanges of a real ODK Central against the sandbox, in their order, and notes every difference.

The sandbox's clock is set to the recorded moment of each exchange. What the server itself makes up (tokens, marks of
lists and of repeats) is learned where both sides first show it, and from then on the recorded one always has to stand
for the same one here. Times may differ by a second and a half; everything else has to be equal.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests

from connector.sandbox.central import CentralSandbox, serve

FIXTURES = Path(__file__).parents[1] / "fixtures" / "central"
RECORDED_HOST = "http://127.0.0.1:8383"
AGENT = "python-urllib3/2.8.0"
MASKED = re.compile(r"THROWAWAYTOKEN\d+x+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_EVENTS = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_INSTANCE = re.compile(rb"<(?:orx:)?instanceID>(uuid:[0-9a-f-]+)<")
_NEAR = timedelta(seconds=1.5)
_HEADERS = (
    *("Cache-Control", "Content-Disposition", "Content-Language", "Content-Type", "Location", "OData-Version"),
    *("X-OpenRosa-Accept-Content-Length", "X-OpenRosa-Version"),
)
# Made up by the server: learned where they first appear.
_LEARNED = frozenset({"token", "csrf", "draftToken", "acteeId", "uuid"})
# What the sandbox leaves out, as its module says: entity lists are joined to a history, roles have a birthday.
_LEFT_OUT = frozenset({"entity"})


def load(number: str) -> list[dict]:
    """The exchanges of the file that begins with *number*."""
    (path,) = FIXTURES.glob(f"{number}-*.json")
    content = json.loads(path.read_text("utf-8"))
    return content["steps"] if isinstance(content, dict) else content


def exchanges() -> list[str]:
    """`04[17]` for every recorded exchange: an entry that has a request and an answer."""
    numbers = sorted(path.name[:2] for path in FIXTURES.glob("*.json"))
    return [f"{number}[{at}]" for number in numbers for at, one in enumerate(load(number)) if _is_exchange(one)]


def _is_exchange(entry: dict) -> bool:
    return bool(entry.get("request") or entry.get("call") or "deliveries" in entry)


class CentralReplay:
    """One sandbox with the recording's first account, and the differences found so far, by exchange."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 21, 13, 27, 66000, tzinfo=UTC)
        self.posted: list[dict] = []
        self.sandbox = CentralSandbox(clock=lambda: self.now, hook_post=self._post)
        self.sandbox.add_user("admin@example.org", "admin-password-1", admin=True)
        self.running = serve(self.sandbox)
        self.known: dict[str, str] = {RECORDED_HOST: self.running.url, "0" * 32: "0" * 32}
        self.differences: dict[str, list[str]] = {}
        self._times = dict(_recorded_times())

    def close(self) -> None:
        self.running.close()

    def play(self, number: str, *indexes: int) -> None:
        """Sends recorded requests and compares the answers."""
        recorded = load(number)
        for index in indexes:
            request, response = recorded[index]["request"], recorded[index]["response"]
            data = body_of(request)
            self.now = self._moment(request, response, data)
            answer = self.send(request["method"], request["path"], request["headers"], data)
            self.differences[f"{number}[{index}]"] = list(self._compared(response, answer))

    def send(self, method: str, path: str, headers: dict[str, str], data: bytes | None) -> requests.Response:
        """A request in which what was learned stands for what was recorded."""
        sent = {key: self._ours(value) for key, value in headers.items() if key not in ("Content-Length", "Date")}
        sent.setdefault("User-Agent", AGENT)
        with requests.Session() as session:
            prepared = requests.Request(method, self.running.url + self._ours(path), headers=sent, data=data).prepare()
            return session.send(prepared, allow_redirects=False, timeout=30)

    def log_in(self, masked: str, email: str, password: str) -> None:
        """A session that the recording opened and did not keep."""
        self.known[masked_token(masked)] = self.sandbox.log_in(email, password)

    def _moment(self, request: dict, response: dict, data: bytes | None) -> datetime:
        """When it happened, to the millisecond where anything recorded tells."""
        told = parsedate_to_datetime(response["headers"]["Date"])
        instance = _INSTANCE.search(data or b"")
        root = request["path"].rpartition("/")[2].partition("?")[0]
        if request["method"] == "POST" and instance and ("created", instance[1].decode()) in self._times:
            return self._times["created", instance[1].decode()]
        if request["method"] == "DELETE" and ("deleted", root) in self._times:
            return self._times["deleted", root]
        body = response["body"].get("json") if response["body"] else None
        for key in ("lastUpdate", "updatedAt", "createdAt"):
            if isinstance(body, dict) and body.get(key) and request["method"] != "GET":
                return _time(body[key])
        return told

    def _post(self, url: str, **sent: object) -> requests.Response:
        """Stands for the receiver of webhooks; notes whether the submission could be read while it was told."""
        name = str(sent["json"]["id"])  # type: ignore[index]
        path = f"/v1/projects/1/forms/rfl_tracing.svc/Submissions('{name}')"
        status = self.send("GET", path, {"Authorization": f"Bearer {masked_token('08')}"}, None).status_code
        self.posted.append({"body": sent["json"], "key": sent["headers"]["X-API-Key"], "status": status})  # type: ignore[index]
        return requests.Response()

    def _compared(self, recorded: dict, answer: requests.Response) -> Iterator[str]:
        if recorded["status"] != answer.status_code:
            yield f"status: {recorded['status']} / {answer.status_code} {answer.text[:200]}"
            return
        for name in _HEADERS:
            yield from self._unequal(recorded["headers"].get(name), answer.headers.get(name), f"header {name}")
        made = "text/csv" in recorded["headers"].get("Content-Type", "")  # of a list's history, not of its bytes
        tags = recorded["headers"].get("ETag", ""), answer.headers.get("ETag", "")
        yield from self._learned(*tags, "header ETag") if made else self._tag(*tags)
        body = recorded["body"]
        if "json" in body:
            yield from self._unequal(body["json"], answer.json(), "body")
        elif "base64" in body:
            if base64.b64decode(body["base64"]) != answer.content:
                yield "body: other bytes"
        else:
            yield from self._unequal(_squeezed(self._ours(body["text"])), _squeezed(answer.text), "body")

    def _tag(self, recorded: str, ours: str) -> Iterator[str]:
        if "eventhash" in recorded:
            yield from self._learned(_EVENTS.findall(recorded), _EVENTS.findall(ours), "header ETag")
        elif recorded and not recorded.startswith("W/"):
            yield from self._unequal(recorded, ours, "header ETag")

    def _learned(self, recorded: object, ours: object, where: str) -> Iterator[str]:
        """The same recorded one always stands for the same one here, and two never for one."""
        one, other = str(recorded), str(ours)
        if one not in self.known and other not in self.known.values():
            self.known[one] = other
        if isinstance(recorded, list) and isinstance(ours, list) and recorded and ours:
            self.known.setdefault(recorded[0], ours[0])
        if self.known.get(one) != other:
            yield f"{where}: {recorded!r} / {ours!r}"

    def _unequal(self, recorded: object, ours: object, where: str) -> Iterator[str]:
        if isinstance(recorded, dict) and isinstance(ours, dict):
            for key in sorted(recorded.keys() | ours.keys()):
                yield from self._entry(recorded, ours, key, f"{where}.{key}")
        elif isinstance(recorded, list) and isinstance(ours, list):
            yield from self._list(recorded, ours, where)
        elif isinstance(recorded, str) and isinstance(ours, str):
            if not _alike(self._ours(recorded), ours):
                yield f"{where}: {self._ours(recorded)!r} / {ours!r}"
        elif (type(recorded) is not type(ours) and not _numbers(recorded, ours)) or recorded != ours:
            yield f"{where}: {recorded!r} / {ours!r}"

    def _list(self, recorded: list, ours: list, where: str) -> Iterator[str]:
        recorded = [one for one in recorded if not (isinstance(one, dict) and _of_entities(one))]
        if where.endswith(".verbs"):
            recorded, ours = sorted(recorded), sorted(ours)
        if len(recorded) != len(ours):
            yield f"{where}: {len(recorded)} / {len(ours)} entries"
            return
        for index, (one, other) in enumerate(zip(recorded, ours, strict=True)):
            yield from self._unequal(one, other, f"{where}[{index}]")

    def _entry(self, recorded: dict, ours: dict, key: str, where: str) -> Iterator[str]:
        if key in _LEFT_OUT or (key == "createdAt" and "verbs" in recorded and ours.get(key) is None):
            return
        if key not in ours or key not in recorded:
            yield f"{where}: only {'recorded' if key in recorded else 'here'}"
        elif recorded[key] is not None and (key in _LEARNED or (key == "__id" and "uuid:" not in recorded[key])):
            yield from self._learned(recorded[key], ours[key], where)
        else:
            yield from self._unequal(recorded[key], ours[key], where)

    def _ours(self, recorded: str) -> str:
        text = MASKED.sub(lambda found: self.known.get(found[0], found[0]), recorded)
        text = text.replace(RECORDED_HOST, self.running.url)
        text = _UUID.sub(lambda found: self.known.get(found[0], found[0]), text)
        return _EVENTS.sub(lambda found: self.known.get(found[0], found[0]), text) if "eventhash" in text else text


def masked_token(number: str) -> str:
    """How the recording writes a token."""
    return f"THROWAWAYTOKEN{number}".ljust(64, "x")


def body_of(request: dict) -> bytes | None:
    """The recorded body as it was sent."""
    body = request["body"]
    if body is None:
        return None
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return json.dumps(body["json"]).encode() if "json" in body else body["text"].encode()


def rows(number: str, index: int) -> list[dict]:
    """The rows of a recorded OData answer."""
    return load(number)[index]["response"]["body"]["json"]["value"]


def _recorded_times() -> Iterator[tuple[tuple[str, str], datetime]]:
    """((`created` or `deleted`, root id), when) from every answer that tells."""
    for path in sorted(FIXTURES.glob("*.json")):
        for one in _objects(json.loads(path.read_text("utf-8"))):
            if "__id" in one and "submissionDate" in one.get("__system", {}):
                yield ("created", one["__id"]), _time(one["__system"]["submissionDate"])
                if one["__system"].get("deletedAt"):
                    yield ("deleted", one["__id"]), _time(one["__system"]["deletedAt"])
            elif "currentVersion" in one and "instanceId" in one:
                yield ("created", one["instanceId"]), _time(one["createdAt"])
                if one.get("deletedAt"):
                    yield ("deleted", one["instanceId"]), _time(one["deletedAt"])


def _objects(value: object) -> Iterator[dict]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _objects(one)


def _of_entities(one: dict) -> bool:
    return str(one.get("action", "")).startswith("entity.")


def _numbers(one: object, other: object) -> bool:
    plain = (int, float)
    return isinstance(one, plain) and isinstance(other, plain) and not isinstance(one, bool) and one == other


def _alike(recorded: str, ours: str) -> bool:
    times, own = _TIME.findall(recorded), _TIME.findall(ours)
    if len(times) != len(own) or _TIME.sub("", recorded) != _TIME.sub("", ours):
        return False
    return all(abs(_time(one) - _time(other)) <= _NEAR for one, other in zip(times, own, strict=True))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r">\s+<", "><", text)).strip()
