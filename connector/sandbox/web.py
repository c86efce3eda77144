"""A WSGI application on a port, with faults on demand and a log of what was asked. Knows nothing of forms."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Self

from waitress import create_server, wasyncore
from waitress.channel import ClientDisconnected

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DROPPED = ClientDisconnected
"""What an application raises so that the server closes the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in: *query* as sent, *user* None when nobody was recognised."""

    method: str
    path: str
    query: str
    user: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: first the delay, then an answer with *status*, a dropped connection, or the normal answer.

    With *after* the request has its effect and only the answer is lost or replaced.
    """

    path: re.Pattern[str]
    method: str | None
    status: int | None
    drop_connection: bool
    delay_seconds: float
    headers: Mapping[str, str]
    body: bytes
    after: bool


@dataclass
class Faults:
    """Faults waiting for the requests that will meet them, in the order in which they were asked for."""

    wait: Callable[[float], None] = time.sleep
    _waiting: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(
        self,
        path: str,
        *,
        status: int | None = None,
        drop_connection: bool = False,
        delay_seconds: float = 0.0,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        method: str | None = None,
        after: bool = False,
    ) -> None:
        """Disturbs the next *times* requests whose path contains the regular expression *path*."""
        fault = Fault(
            re.compile(path), method, status, drop_connection, delay_seconds, dict(headers or {}), body, after
        )
        with self._lock:
            self._waiting.extend([fault] * times)

    def clear(self) -> None:
        """Forgets the faults that have not happened yet."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, used up by it."""
        with self._lock:
            for index, fault in enumerate(self._waiting):
                if fault.method in (None, method) and fault.path.search(path):
                    return self._waiting.pop(index)
        return None


class Disturbed:
    """WSGI middleware: notes every request in *requests* and lets *faults* happen to it."""

    def __init__(
        self,
        app: WSGIApplication,
        faults: Faults,
        requests: list[Asked],
        user_of: Callable[[WSGIEnvironment], str | None],
    ) -> None:
        self._app = app
        self._faults = faults
        self._requests = requests
        self._user_of = user_of

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        self._requests.append(Asked(method, path, environ.get("QUERY_STRING", ""), self._user_of(environ)))
        fault = self._faults.take(method, path)
        if fault is None:
            return self._app(environ, start_response)
        if fault.delay_seconds:
            self._faults.wait(fault.delay_seconds)
        if fault.after:
            self._answer_for_nobody(environ)
        if fault.drop_connection:
            raise DROPPED
        if fault.status is None:
            return self._app(environ, start_response)
        start_response(f"{fault.status} {_phrase(fault.status)}", [*_headers(fault)])
        return [fault.body]

    def _answer_for_nobody(self, environ: WSGIEnvironment) -> None:
        def discard(*_: object) -> Callable[[bytes], object]:
            return len

        answer = self._app(environ, discard)
        try:
            for _ in answer:
                pass
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "Fault"


def _headers(fault: Fault) -> Iterable[tuple[str, str]]:
    yield "Content-Length", str(len(fault.body))
    yield from fault.headers.items()


class RunningServer:
    """An application being served in a thread; a context manager that closes it."""

    def __init__(self, app: WSGIApplication, host: str, port: int, threads: int = 8) -> None:
        self._map: dict[int, object] = {}
        self._server = create_server(app, map=self._map, host=host, port=port, threads=threads)
        self.host = host
        self.port = int(self._server.effective_port)
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.run, name=f"sandbox:{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening, ends open connections and waits for the thread; closing twice is harmless."""
        if self._thread.is_alive():
            with suppress(OSError):  # the thread may wake by itself and be done before it is woken
                self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._map))
            self._thread.join()
            self._server.task_dispatcher.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
