"""Plays recorded exchanges of a real KoboToolbox server against the sandbox, in their order, and notes every difference.

Identifiers and addresses differ between the two; they are learned where both sides first show one, and from then on the
recorded one always has to stand for the same one here. Times are compared by their form. Everything else has to be equal.
"""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path

import requests
from openpyxl import Workbook

from connector.sandbox.kobo import KoboSandbox, serve
from connector.sandbox.web import RunningServer

FIXTURES = Path(__file__).parents[1] / "fixtures" / "kobo"
RECORDED_HOST, RECORDED_LISTENER = "http://127.0.0.1:8890", "127.0.0.1:8899"
PASSWORD = "RflPass!2026x"

_BASE57 = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_UID = rf"(?<![{_BASE57}])(?:att|org|hl|af|pd|[avhipue])[{_BASE57}]{{21}}(?![{_BASE57}])"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_HEX = r"(?<![0-9a-f:])(?:[0-9a-f]{40}|[0-9a-f]{32})(?![0-9a-f])"
_IDENTIFIER = re.compile(rf"{_UUID}|{_UID}|{_HEX}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
_FRACTION = re.compile(r"(<time>)\.\d{3,6}")
_FORM_HASH = re.compile(r"<hash>md5:[0-9a-f]{32}</hash>")
_HEADERS = ("location", "content-type", "x-openrosa-version", "x-openrosa-accept-content-length", "x-kobonaut")
_UNORDERED = ("columns", "effective_permissions", "actions")
_KUID = "$kuid"


class Listener:
    """A REST target that answers as the recording's did: `{"ok": true}` unless told otherwise."""

    def __init__(self) -> None:
        self.received: dict[str, list[tuple[dict[str, str], bytes]]] = {}
        self.next: list[int] = []
        self._running = RunningServer(self._answer, "127.0.0.1", 0)
        self.address = self._running.url.removeprefix("http://")

    def close(self) -> None:
        self._running.close()

    def _answer(self, environ, start_response):
        path = environ["PATH_INFO"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {key[5:].replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
        headers |= {key.replace("_", "-"): environ.get(key, "") for key in ("CONTENT_TYPE", "CONTENT_LENGTH")}
        self.received.setdefault(path, []).append((headers, body))
        status = self.next.pop(0) if path == "/plain" and self.next else 200
        text = b"" if status == 204 else b'{"ok": true}' if status < 300 else f"nope {status}".encode()
        extra = [("Location", "/redirected")] if status == 302 else []
        start_response(f"{status} Recorded", [("Content-Type", "application/json"), *extra])
        return [text]


class Replay:
    """One sandbox with the accounts of the recording, and the differences found so far, by recording."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 21, 3, tzinfo=UTC)
        self.time_out_next = False
        self.sandbox = KoboSandbox(
            clock=lambda: self.now, hook_retry_delays=(0, 0, 0, 0), hook_post=self._post, resolve=_resolve
        )
        for digit, user in enumerate(("rfl_owner", "enumerator", "connector"), start=1):
            self.sandbox.add_user(user, PASSWORD, token=str(digit) * 40)
        self.listener = Listener()
        self.running = serve(self.sandbox)
        self.known: dict[str, str] = {RECORDED_HOST: self.running.url, RECORDED_LISTENER: self.listener.address}
        self.differences: dict[str, list[str]] = {}
        self.last: requests.Response | None = None

    def close(self) -> None:
        self.sandbox.close()
        self.running.close()
        self.listener.close()

    def play(self, name: str) -> None:
        """Sends a recorded request and compares the answer."""
        recording = load(name)
        request, response = recording["request"], recording["response"]
        self.now = parsedate_to_datetime(response["headers"]["Date"].replace("UTC", "GMT"))
        answer = self.send(
            request["method"], request["url"], request["headers"], _body_of(request), stated=_truncated(request)
        )
        self.sandbox.drain_hooks()
        self.differences[name] = list(self._compared(response, answer))

    def compare(self, name: str, answer: requests.Response) -> None:
        """Compares an answer with the recorded one."""
        self.differences[name] = list(self._compared(load(name)["response"], answer))

    def hook(self, name: str, path: str, number: int = -1) -> None:
        """Compares what a hook posted with what the recording's listener received."""
        recording = load(name)
        headers, body = self.listener.received[path][number]
        found = []
        for key, value in recording["headers"]:
            ours = headers.get(key.upper(), "")
            if key != "Content-Length" and self._ours(value, ours) != ours:
                found.append(f"header {key}: {value!r} / {ours!r}")
        json_sent = recording["body_raw"].startswith("{")
        theirs: object = json.loads(recording["body_raw"]) if json_sent else recording["body_raw"]
        sent: object = json.loads(body) if json_sent else body.decode()
        self.differences[name] = [*found, *self._unequal(theirs, sent, "body")]

    def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        *,
        stated: int | None = None,
    ) -> requests.Response:
        """Sends a request in which recorded identifiers stand for ours."""
        wanted = {"Content-Type", "Authorization", "X-OpenRosa-Version"}
        sent = {key: value for key, value in (headers or {}).items() if key in wanted}
        data = self._translated(body) if body is not None else None
        if data is not None and stated is not None:
            data = _completed(data, stated + len(data) - len(body or b""), sent["Content-Type"])
        with requests.Session() as session:
            prepared = requests.Request(method, self._translated_text(url), headers=sent, data=data).prepare()
            self.last = session.send(prepared, allow_redirects=False, timeout=30)
        return self.last

    def api(self, method: str, path: str, token: str = "1", **options: object) -> requests.Response:
        """A request that the recording made but did not keep."""
        headers = {"Authorization": f"Token {token * 40}"} if token else {}
        url = self._translated_text(RECORDED_HOST + path)
        return requests.request(method, url, headers=headers, timeout=30, **options)  # type: ignore[arg-type]

    def submit(self, name: str, uuid: str, user: str = "enumerator") -> None:
        """A submission that the recording made but did not keep: that of *name* under another instanceID."""
        request = load(name)["request"]
        old = re.search(rf"<instanceID>uuid:({_UUID})</instanceID>", str(request["body"]))
        assert old is not None
        body = str(request["body"]).replace(old[1], uuid)
        token = {"rfl_owner": "1", "enumerator": "2", "connector": "3"}[user] * 40
        headers = {**request["headers"], "Authorization": f"Token {token}"}
        self.send("POST", request["url"], headers, body.encode())
        self.sandbox.drain_hooks()

    def learn(self, recorded: str, ours: str) -> None:
        """Lets *recorded* stand for *ours*."""
        self.known[recorded] = ours

    def _post(self, url: str, **options: object) -> requests.Response:
        if self.time_out_next:
            self.time_out_next = False
            raise requests.exceptions.ReadTimeout("Read timed out. (read timeout=30)")
        return requests.post(url, **options)  # type: ignore[arg-type]

    def _compared(self, recorded: dict, answer: requests.Response) -> Iterator[str]:
        if recorded["status"] != answer.status_code:
            yield f"status: {recorded['status']} / {answer.status_code} {answer.text[:200]}"
            return
        yield from self._headers(recorded["headers"], answer)
        body = recorded["body"]
        if isinstance(body, dict) and "__binary_bytes__" in body:
            if not answer.headers["Content-Type"].startswith(_SPREADSHEET):
                yield from self._unequal(body["latin1_head"], answer.content.decode("latin1"), "body")
        elif isinstance(body, str):
            yield from self._text(body, answer)
        else:
            yield from self._unequal(body, answer.json(), "body")

    def _headers(self, recorded: dict[str, str], answer: requests.Response) -> Iterator[str]:
        theirs = {key.lower(): value for key, value in recorded.items()}
        for key in _HEADERS:
            if key == "content-type" and answer.status_code == 304:
                continue  # without a body Flask states no type
            yield from self._unequal(theirs.get(key), answer.headers.get(key), f"header {key}")
        challenge = "www-authenticate"
        if theirs.get(challenge, "").partition(" ")[0] != answer.headers.get(challenge, "").partition(" ")[0]:
            yield f"header {challenge}: {theirs.get(challenge)!r}"

    def _text(self, recorded: str, answer: requests.Response) -> Iterator[str]:
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            return
        if "<h:html" in recorded:
            theirs, ours = xform_facts(recorded), xform_facts(answer.text)
            yield from self._unequal(theirs, ours, "xform")
            return
        theirs, ours = _squeezed(recorded), _squeezed(answer.text)
        if "<xforms" in theirs:
            theirs, ours = _FORM_HASH.sub("<hash/>", theirs), _FORM_HASH.sub("<hash/>", ours)
        yield from self._unequal(theirs, ours, "body")

    def _unequal(self, recorded: object, ours: object, where: str) -> Iterator[str]:
        if isinstance(recorded, dict) and isinstance(ours, dict):
            yield from self._entries(recorded, ours, where)
        elif isinstance(recorded, list) and isinstance(ours, list) and len(recorded) == len(ours):
            if where.rpartition(".")[2] in _UNORDERED:
                recorded, ours = sorted(recorded, key=str), sorted(ours, key=str)
            for index, (one, other) in enumerate(zip(recorded, ours, strict=True)):
                yield from self._unequal(one, other, f"{where}[{index}]")
        elif isinstance(recorded, str) and isinstance(ours, str):
            if _timeless(self._ours(recorded, ours)) != _timeless(ours):
                yield f"{where}: {self._ours(recorded, ours)!r} / {ours!r}"
        elif type(recorded) is not type(ours) or recorded != ours:
            yield f"{where}: {recorded!r} / {ours!r}"

    def _entries(self, recorded: dict, ours: dict, where: str) -> Iterator[str]:
        if _KUID in recorded and _KUID in ours:
            self.known.setdefault(recorded[_KUID], ours[_KUID])
        named = {self.known.get(key, key): key for key in sorted(recorded)}
        for key in sorted(named.keys() | ours.keys()):
            at = f"{where}.{key}"
            if key not in named:
                yield f"{at}: not in the recording"
            elif key not in ours:
                yield f"{at}: missing"
            elif key not in VOLATILE:
                yield from self._unequal(recorded[named[key]], ours[key], at)
            elif not VOLATILE[key](recorded[key], ours[key]):
                yield f"{at}: {recorded[key]!r} / {ours[key]!r}"

    def _ours(self, recorded: str, ours: str) -> str:
        """*recorded* with our identifiers, after learning those that are new and stand in the same place."""
        theirs, found = _IDENTIFIER.findall(recorded), _IDENTIFIER.findall(ours)
        if len(theirs) == len(found):
            for one, other in zip(theirs, found, strict=True):
                if one not in self.known and other not in self.known.values():
                    self.known[one] = other
        return self._translated_text(recorded)

    def _translated_text(self, text: str) -> str:
        for recorded in (RECORDED_HOST, RECORDED_LISTENER):
            text = text.replace(recorded, self.known[recorded])
        if text in self.known:
            return self.known[text]
        return _IDENTIFIER.sub(lambda found: self.known.get(found[0], found[0]), text)

    def _translated(self, body: bytes) -> bytes:
        return self._translated_text(body.decode("latin1")).encode("latin1")


def _same_kind(recorded: object, ours: object) -> bool:
    return type(recorded) is type(ours)


def _pairs(recorded: object, ours: object) -> bool:
    return all(isinstance(entry, list) and len(entry) == 2 for entry in [*recorded, *ours])  # type: ignore[misc]


# What cannot be equal: words of the recording's own machine, of another pyxform, and lists that the sandbox shortens.
VOLATILE: dict[str, Callable[[object, object], bool]] = {
    "source": _same_kind,
    "timestamp": _same_kind,
    "gravatar": _same_kind,
    "sector_choices": _pairs,
    "country_choices": _pairs,
    "interface_languages": _pairs,
    "user_metadata_fields": lambda theirs, ours: {*theirs[0]} == {*ours[0]},  # type: ignore[index]
    "mfa_localized_help_text": _same_kind,
    "custom_password_localized_help_text": _same_kind,
    "error": lambda theirs, ours: _same_kind(theirs, ours) and str(theirs)[:9] in (str(ours)[:9], "There has"),
    "message": lambda theirs, ours: theirs == ours or ("refused" in str(theirs) and "refused" in str(ours)),
}
_SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def load(name: str) -> dict:
    """A recording by name."""
    return json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))


def names() -> list[str]:
    """All recordings."""
    return sorted(path.stem for path in FIXTURES.glob("*.json"))


def workbook(content: dict, **settings: str) -> bytes:
    """An .xlsx of the recorded `content` of a form, as somebody would have written it."""
    languages = [language or "" for language in content["translations"]]
    book = Workbook()
    book.remove(book.worksheets[0])
    own = dict(content["settings"])
    own["form_id"] = own.pop("id_string", "form")
    sheets = {"survey": content["survey"], "choices": content["choices"], "settings": [{**own, **settings}]}
    for title, rows in sheets.items():
        plain = [_sheet_row(row, languages) for row in rows]
        columns = list(dict.fromkeys(column for row in plain for column in row))
        sheet = book.create_sheet(title)
        sheet.append(columns)
        for row in plain:
            sheet.append([row.get(column) for column in columns])
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def xform_facts(text: str) -> dict[str, list[str]]:
    """What a form is made of, whatever its white space: the instance, binds, controls and texts."""
    root = ET.fromstring(text)
    instance = root.find(".//{*}instance/*")
    assert instance is not None
    return {
        "instance": [ET.canonicalize(ET.tostring(instance, encoding="unicode"), strip_text=True)],
        "binds": sorted(str(sorted(bind.attrib.items())) for bind in root.iter("{http://www.w3.org/2002/xforms}bind")),
        "refs": [node.get("ref") or node.get("nodeset") or "" for node in root.find("{*}body").iter()],  # type: ignore[union-attr]
        "texts": [node.text or "" for node in root.iter("{http://www.w3.org/2002/xforms}value")],
    }


def _sheet_row(row: dict, languages: list[str]) -> dict[str, object]:
    cells: dict[str, object] = {}
    for key, value in row.items():
        if key.startswith("$") or key in ("select_from_list_name", "file"):
            continue
        if isinstance(value, list):
            cells |= {f"{key}::{lang}" if lang else key: text for lang, text in zip(languages, value, strict=True)}
        else:
            cells[key] = "yes" if value is True else value
    listed = row.get("select_from_list_name") or row.get("file")
    if listed:
        cells["type"] = f"{row['type']} {listed}"
    return cells


def _timeless(text: str) -> str:
    return _FRACTION.sub(r"\1", _TIME.sub("<time>", text))


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r">\s+<", "><", text)).strip()


def _truncated(request: dict) -> int | None:
    body = request["body"]
    cut = isinstance(body, dict) and "__binary_bytes__" in body and len(body["latin1_head"]) < body["__binary_bytes__"]
    return body["__binary_bytes__"] if cut else None


def _body_of(request: dict) -> bytes | None:
    body = request["body"]
    if body is None:
        return None
    if isinstance(body, dict) and "__binary_bytes__" in body:
        return body["latin1_head"].encode("latin1")
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body).encode()


def _completed(data: bytes, length: int, content_type: str) -> bytes:
    """A multipart body of which the recording kept the head: the last file is filled up with zeros."""
    end = f"\r\n--{content_type.partition('boundary=')[2]}--\r\n".encode()
    return data + bytes(length - len(data) - len(end)) + end


def _resolve(host: str) -> str:
    if host.endswith(".invalid"):
        raise OSError(host)
    return host


def data_url(content: bytes) -> str:
    """A file as a form field."""
    return "data:application/octet-stream;base64," + base64.b64encode(content).decode()
