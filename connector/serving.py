"""Runs the web edge under waitress with the dispatcher beside it, until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from waitress.server import create_server

from connector.comparing import Watch
from connector.dispatch.chores import Chores
from connector.dispatch.embedded import Dispatcher, Lock
from connector.errors import Refused
from connector.ledger.vault import recovery_confirmed
from connector.pipeline import Pipeline
from connector.referrals.exchange import exchange_of
from connector.referrals.sender import Sender

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("silah.serving")

_THREADS = 16
_OVERLOADED = "webhook.overloaded"
_MOST_WAITING, _MOST_CONNECTIONS = 200, 1000
_STOP_WITHIN = 6.0  # seconds for what is in hand; with the web and the referrals all ends within ten
# A body is held in memory, never in a temporary file in clear; the edge answers 413 above 10 MB.
_MOST_BODY = 24 * 1024 * 1024


class Web:
    """A Flask application on a port, in threads of its own.

    What a proxy says stays in the request: the door believes it of the proxies that an admin wrote down alone, and the
    metrics see by it that somebody else than this machine asks.

    Args:
        most_waiting: webhooks beyond these are answered 503 at once: the form server rings again.
    """

    def __init__(
        self, app: WSGIApplication, host: str, port: int, *, threads: int = _THREADS, most_waiting: int = _MOST_WAITING
    ) -> None:
        self._app, self._most_waiting = app, most_waiting
        try:
            self._server = create_server(
                self._admit, host=host, port=port, threads=threads, ident="Silah", max_request_body_size=_MOST_BODY,
                inbuf_overflow=_MOST_BODY, outbuf_overflow=_MOST_BODY, clear_untrusted_proxy_headers=False,
                connection_limit=_MOST_CONNECTIONS, asyncore_use_poll=True,
            )  # fmt: skip
        except OSError as error:
            raise Refused("serve.port", f"{host}:{port} ({error.strerror})", "Give another one with --port.") from None
        self.host, self.port = host, int(self._server.effective_port)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def _admit(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        waiting = len(self._server.task_dispatcher.queue)
        if waiting <= self._most_waiting or not environ["PATH_INFO"].startswith("/webhooks/"):
            return self._app(environ, start)
        body = f'{{"error": "{_OVERLOADED}"}}'.encode()
        start(
            "503 Service Unavailable",
            [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Retry-After", "5")],
        )
        return [body]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the socket is closed under it when the server stops
            self._server.run()

    def stop(self) -> None:
        self._server.close()
        self._server.task_dispatcher.shutdown(timeout=2)


class _Part(Protocol):
    """What runs beside the web: the embedded dispatcher, or with PostgreSQL only the intake."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def ring(self) -> None: ...


class _Intake:
    """On PostgreSQL every serving process follows bells; `silah work` sends."""

    def __init__(self, flow: Pipeline) -> None:
        self._stopping = threading.Event()
        self._chores = Chores(flow, self._stopping, lambda: None, lambda: False)
        self._thread = self._chores.intake_thread()
        self.start, self.ring = self._thread.start, self._chores.ring

    def stop(self) -> None:
        self._stopping.set()
        self.ring()
        self._thread.join(_STOP_WITHIN)


class _Embedded:
    """Everything in one process: the dispatcher and the sender of referrals, with the lock on the data directory."""

    def __init__(self, flow: Pipeline) -> None:
        self._lock = Lock(flow.config.at_home(flow.config.data_dir))
        self._lock.take()
        self._dispatcher, self._flow = Dispatcher(flow), flow
        self._sender = Sender(exchange_of(flow.config, flow.ledger, flow.tell))
        self.ring = self._dispatcher.ring

    def start(self) -> None:
        self._dispatcher.start()
        self._sender.start()

    def stop(self) -> None:
        self._dispatcher.stop(_STOP_WITHIN)
        self._sender.stop(1)
        self._lock.release()


class _Nothing:
    """`--no-dispatch`: the web alone."""

    def start(self) -> None:
        """Nothing beside the web."""

    stop = ring = start


def serve_forever(flow: Pipeline, host: str, port: int, *, dispatch: bool, say: Callable[[str], object]) -> None:
    """Serves until SIGINT or SIGTERM; what is in hand is finished first, for some seconds.

    Raises `LedgerUnavailable` before anything is served when nothing could be kept.
    """
    from webhooks.edge import create_app

    trouble = flow.ledger.database.trouble()
    if trouble is not None:
        raise trouble
    beside: _Part = _Nothing()
    if dispatch:
        beside = _Embedded(flow) if flow.ledger.database.embedded else _Intake(flow)
    alone = dispatch and flow.ledger.database.embedded
    watch = Watch(flow, enabled=flow.config.matching.enabled, here=alone)
    web = Web(create_app(flow, beside.ring, watch.reasons), host, port)
    told = _on_signals()
    web.start()
    beside.start()
    watch.start()
    say(f"Silah listens on {web.url}")
    if not recovery_confirmed(flow.ledger.database, flow.ledger.master):
        log.warning("keys.not_confirmed: put the recovery sheet into the safe, then `silah keys confirm`")
    _until(told)
    web.stop()
    watch.stop()
    beside.stop()


def work_forever(flow: Pipeline, say: Callable[[str], object]) -> None:
    """Dispatches from PostgreSQL until SIGINT or SIGTERM; raises `Refused` with SQLite."""
    from connector.dispatch.procrastinate import Worker

    worker = Worker(flow, lambda: _leading(flow))
    told = _on_signals()
    worker.start()
    say("Silah works")
    _until(told)
    worker.stop(_STOP_WITHIN)


@contextlib.contextmanager
def _leading(flow: Pipeline) -> Iterator[None]:
    """What one worker does for all: referrals, and looking for people who may be one."""
    sender, watch = (
        Sender(exchange_of(flow.config, flow.ledger, flow.tell)),
        Watch(flow, enabled=flow.config.matching.enabled),
    )
    sender.start()
    watch.start()
    try:
        yield
    finally:
        watch.stop()
        sender.stop(1)


def _until(told: threading.Event) -> None:
    while not told.wait(1):  # a signal that another thread was given is seen within a second
        pass


def _on_signals() -> threading.Event:
    """Set when the process is asked to end."""
    told = threading.Event()

    def handler(_: int, __: FrameType | None) -> None:
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    return told
