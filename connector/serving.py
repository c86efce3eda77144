"""Runs the web edge under waitress with the dispatcher beside it, until it is told to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from waitress.server import create_server

from connector.comparing import Watch
from connector.dispatch.embedded import Dispatcher, Lock
from connector.errors import Refused
from connector.pipeline import Pipeline
from connector.referrals.exchange import exchange_of
from connector.referrals.sender import Sender

if TYPE_CHECKING:
    from flask import Flask

_THREADS = 16
# A body is held in memory, never in a temporary file in clear; the edge answers 413 above 10 MB.
_MOST_BODY = 24 * 1024 * 1024


class Web:
    """A Flask application on a port, in threads of its own."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        try:
            self._server = create_server(
                app, host=host, port=port, threads=_THREADS, ident="Silah", max_request_body_size=_MOST_BODY,
                inbuf_overflow=_MOST_BODY, outbuf_overflow=_MOST_BODY, clear_untrusted_proxy_headers=True,
            )  # fmt: skip
        except OSError as error:
            raise Refused("serve.port", f"{host}:{port} ({error.strerror})", "Give another one with --port.") from None
        self.host, self.port = host, int(self._server.effective_port)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

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
        self._server.task_dispatcher.shutdown(timeout=5)


def serve_forever(flow: Pipeline, host: str, port: int, *, dispatch: bool, say: Callable[[str], object]) -> None:
    """Serves until SIGINT or SIGTERM; what is in hand is finished first."""
    from webhooks.edge import create_app

    lock = Lock(flow.config.at_home(flow.config.data_dir))
    dispatcher, sender = Dispatcher(flow), Sender(exchange_of(flow.config, flow.ledger))
    if dispatch:
        lock.take()
    watch = Watch(flow, enabled=dispatch and flow.config.matching.enabled)
    web = Web(create_app(flow, dispatcher.ring, watch.reasons), host, port)
    told = threading.Event()
    _on_signals(told.set)
    web.start()
    if dispatch:
        dispatcher.start()
        sender.start()
    watch.start()
    say(f"Silah listens on {web.url}")
    while not told.wait(1):  # a signal that another thread was given is seen within a second
        pass
    web.stop()
    watch.stop()
    if dispatch:
        dispatcher.stop()
        sender.stop()
    lock.release()


def _on_signals(stop: Callable[[], None]) -> None:
    def handler(_: int, __: FrameType | None) -> None:
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
