"""REST services: every new submission is posted to a project's active hooks, and each sending is logged.

What KoboToolbox does is kept, also where it hurts: nothing is signed, edits and deletions are not sent, only 502, 503,
504 and read time-outs are sent again, and a 301 or 302 turns the post into a GET without a body that counts as sent.
This is somebody else's server at play, hence `requests` directly and not Silah's own way out.
"""

from __future__ import annotations

import heapq
import ipaddress
import itertools
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from time import monotonic
from typing import Protocol
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from connector.sandbox.instance import Instance
from connector.sandbox.store import Asset, Clock, new_uid
from connector.sandbox.submissions import Submission

TIMEOUT_SECONDS = 30
TOO_EARLY = timedelta(seconds=120)
REPEATED = (502, 503, 504)
DELETED = "Submission has been deleted"
_TAG = re.compile(r"<[^>]*>")
_PLACEHOLDER = "%SUBMISSION%"


class Status(IntEnum):
    """States of a log, as numbers on the wire."""

    FAILED = 0
    PENDING = 1
    SUCCESS = 2
    PROCESSING = 3


class HookInvalid(ValueError):
    """A hook that cannot be saved; *errors* is the body of the 400."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(str(errors))
        self.errors = errors


@dataclass
class Log:
    """The sending of one submission by one hook, over all its tries."""

    submission_id: int
    modified: datetime
    tries: int = 0
    status: Status = Status.PENDING
    status_code: int | None = None
    message: str = ""
    uid: str = field(default_factory=lambda: new_uid("hl"))


@dataclass
class Hook:
    """One REST service of a project."""

    name: str
    endpoint: str
    modified: datetime
    active: bool = True
    export_type: str = "json"
    auth_level: str = "no_auth"
    email_notification: bool = True
    settings: dict[str, object] = field(default_factory=dict)
    subset_fields: list[str] = field(default_factory=list)
    payload_template: str | None = None
    logs: list[Log] = field(default_factory=list)
    uid: str = field(default_factory=lambda: new_uid("h"))

    def update(self, values: Mapping[str, object], now: datetime) -> None:
        """Takes what a request says; `settings` is replaced as a whole.

        Raises:
            HookInvalid: no name or endpoint, a scheme that is not http, or a template that is no JSON.
        """
        errors = _errors_in(values, self)
        if errors:
            raise HookInvalid(errors)
        for name in _WRITABLE & values.keys():
            setattr(self, name, values[name])
        self.modified = now

    def count(self, status: Status) -> int:
        """How many logs are in *status*."""
        return sum(log.status == status for log in self.logs)

    def log(self, uid: str) -> Log | None:
        """The log with this uid."""
        return next((log for log in self.logs if log.uid == uid), None)


class Post(Protocol):
    """`requests.post`, or a stand-in with the same arguments."""

    def __call__(
        self, url: str, *, data: bytes, headers: Mapping[str, str], auth: HTTPBasicAuth | None, timeout: float
    ) -> requests.Response:
        """Sends one request and returns the answer at the end of any redirects."""


Read = Callable[[Asset, Submission], dict[str, object]]
Resolve = Callable[[str], str]


class HookSender:
    """Sends in background threads; made with the server, stopped with `close`.

    Args:
        post: how to send.
        resolve: host name to IPv4 address, OSError when there is none.
        retry_delays: seconds before the second, third … try; their number bounds the tries.
        senders: how many threads; with one, submissions are sent in order.
        read: the data JSON of a submission, as its owner would get it now.
        locked: holds the server's state still.
        clock: the time now.
    """

    def __init__(
        self,
        *,
        post: Post,
        resolve: Resolve,
        retry_delays: Sequence[float],
        senders: int,
        read: Read,
        locked: Callable[[], AbstractContextManager[object]],
        clock: Clock,
    ) -> None:
        self._post, self._resolve, self._read = post, resolve, read
        self._delays = tuple(retry_delays)
        self._senders = senders
        self._locked, self._clock = locked, clock
        self._hooks: dict[str, list[Hook]] = {}
        self._due: list[tuple[float, int, Asset, Hook, Log]] = []
        self._order = itertools.count()
        self._unfinished = 0
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closing = False

    def hooks(self, asset: Asset) -> list[Hook]:
        """The hooks of a project, in order of creation."""
        return self._hooks.setdefault(asset.uid, [])

    def submission_arrived(self, asset: Asset, row: Submission) -> None:
        """Queues a new submission for every active hook."""
        for hook in self.hooks(asset):
            if hook.active:
                log = Log(row.id, self._clock())
                hook.logs.append(log)
                self.send(asset, hook, log)

    def send(self, asset: Asset, hook: Hook, log: Log) -> None:
        """Queues a log for its next try, now."""
        log.status = Status.PENDING
        with self._changed:
            self._unfinished += 1
        self._queue(0.0, asset, hook, log)

    def retry_failed(self, asset: Asset, hook: Hook) -> list[str]:
        """Queues all failed logs again; returns their uids, newest first."""
        failed = [log for log in reversed(hook.logs) if log.status == Status.FAILED]
        for log in failed:
            self.send(asset, hook, log)
        return [log.uid for log in failed]

    def may_retry(self, log: Log) -> bool:
        """Whether a person may send this log again: it failed, and not just now."""
        return log.status == Status.FAILED and self._clock() - log.modified >= TOO_EARLY

    def retry_now(self, asset: Asset, hook: Hook, log: Log) -> None:
        """Sends one log again in the calling thread, once."""
        self._try(asset, hook, log, may_repeat=False)

    def drain(self, timeout: float | None = None) -> bool:
        """Waits until nothing is queued, being sent or waiting for its next try; False when *timeout* seconds passed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._unfinished == 0, timeout)

    def close(self) -> None:
        """Gives up what is queued and waits for what is being sent."""
        with self._changed:
            self._closing = True
            self._unfinished -= len(self._due)
            self._due.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _queue(self, delay: float, asset: Asset, hook: Hook, log: Log) -> None:
        with self._changed:
            heapq.heappush(self._due, (monotonic() + delay, next(self._order), asset, hook, log))
            if len(self._threads) < self._senders and not self._closing:
                thread = threading.Thread(target=self._work, name="sandbox hooks", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify_all()

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            asset, hook, log = job
            again = self._try(asset, hook, log, may_repeat=True)
            if again:
                self._queue(self._delays[log.tries - 1], asset, hook, log)
                continue
            with self._changed:
                self._unfinished -= 1
                self._changed.notify_all()

    def _next_job(self) -> tuple[Asset, Hook, Log] | None:
        with self._changed:
            while not self._closing:
                if not self._due:
                    self._changed.wait()
                elif (left := self._due[0][0] - monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    return heapq.heappop(self._due)[2:]
            return None

    def _try(self, asset: Asset, hook: Hook, log: Log, *, may_repeat: bool) -> bool:
        """One try; True when another one has to follow."""
        with self._locked():
            log.status, log.tries = Status.PROCESSING, log.tries + 1
            body = self._body(asset, hook, log)
        if body is None:
            code, message = None, DELETED
        elif not self._allowed(hook.endpoint):
            code, message = None, f"{hook.endpoint} is not allowed"
        else:
            code, message = self._answer(hook, body)
        repeat = may_repeat and code in REPEATED and log.tries <= len(self._delays)
        with self._locked():
            done = Status.SUCCESS if code is not None and code < 300 else Status.FAILED  # noqa: PLR2004 - 2xx
            log.status = Status.PENDING if repeat else done
            log.status_code, log.message, log.modified = code, message, self._clock()
        return repeat

    def _body(self, asset: Asset, hook: Hook, log: Log) -> bytes | None:
        """What to send, read now and not when the submission came; None when there is nothing left to send."""
        row = asset.submissions.find(str(log.submission_id))
        if row is None:
            return None
        if hook.export_type == "xml":
            return Instance(row.xml).pretty(hook.subset_fields)
        chosen = subset(self._read(asset, row), hook.subset_fields)
        if not chosen:
            return None
        text = json.dumps(chosen)
        template = hook.payload_template
        return (json.dumps(json.loads(template.replace(_PLACEHOLDER, text))) if template else text).encode()

    def _answer(self, hook: Hook, body: bytes) -> tuple[int | None, str]:
        secure = hook.auth_level == "basic_auth"
        auth = HTTPBasicAuth(str(hook.settings.get("username")), str(hook.settings.get("password"))) if secure else None
        try:
            answer = self._post(hook.endpoint, data=body, headers=_headers(hook), auth=auth, timeout=TIMEOUT_SECONDS)
        except requests.exceptions.ReadTimeout as error:
            return 504, str(error)
        except requests.exceptions.RequestException as error:
            return None, str(error)
        return answer.status_code, _TAG.sub("", answer.text)

    def _allowed(self, endpoint: str) -> bool:
        """Loopback and public addresses; the first because the sandbox and what it calls share a machine."""
        try:
            address = ipaddress.ip_address(self._resolve(urlsplit(endpoint).hostname or ""))
        except (OSError, ValueError):
            return False
        return address.is_loopback or address.is_global


def subset(document: Mapping[str, object], fields: Sequence[str]) -> dict[str, object]:
    """The top-level keys that *fields* select: a field with `/` is a key, one without is a step of a key's path."""
    if not fields:
        return dict(document)
    steps = {name for name in fields if "/" not in name}
    return {key: value for key, value in document.items() if key in fields or steps & set(key.split("/"))}


_WRITABLE = {
    *("name", "endpoint", "active", "export_type", "auth_level", "email_notification"),
    *("settings", "subset_fields", "payload_template"),
}


def _errors_in(values: Mapping[str, object], hook: Hook) -> dict[str, list[str]]:
    missing = {
        name: ["This field is required."]
        for name in ("name", "endpoint")
        if not (values.get(name) or getattr(hook, name))
    }
    if missing:
        return missing
    if not str(values.get("endpoint", "http")).startswith("http"):
        return {"endpoint": ["Invalid scheme"]}
    template = values.get("payload_template")
    if template:
        try:
            json.loads(str(template).replace(_PLACEHOLDER, "{}"))
        except ValueError:
            return {"payload_template": ["Invalid JSON"]}
    return {}


def _headers(hook: Hook) -> dict[str, str]:
    custom = hook.settings.get("custom_headers")
    return {
        "Content-Type": "application/xml" if hook.export_type == "xml" else "application/json",
        **({str(name): str(value) for name, value in custom.items()} if isinstance(custom, dict) else {}),
        "User-Agent": f"KoboToolbox external service #{hook.uid}",
    }
