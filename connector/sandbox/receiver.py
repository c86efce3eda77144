"""A target of type `rest` to practise on: takes JSON at any path, honours Idempotency-Key, shows counts and no names.

receiver = ReceiverApp()
with serve(receiver) as running:
    …                                            # Silah delivers to f"{running.url}/rfl"
    receiver.received[0].body["fields"]
    receiver.faults.next("/", status=503, times=2, headers={"Retry-After": "1"})
    receiver.faults.next("/", drop_connection=True, after=True)     # taken in, but the answer is lost
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Flask, Response, render_template_string, request

from connector.sandbox.web import Asked, Disturbed, Faults, RunningServer

_PAGE = """<!doctype html>
<html lang="{{ language }}" dir="{{ 'rtl' if language in ('ar', 'fa') else 'ltr' }}">
<meta charset="utf-8"><title>{{ words.title }}</title>
<style>body{font-family:sans-serif;margin:2rem}td,th{padding:.3rem .8rem;border-bottom:1px solid #ccc;text-align:start}</style>
<h1>{{ words.title }}</h1>
<p>{% for code in languages %}<a href="?lang={{ code }}">{{ code }}</a> {% endfor %}</p>
<table><tr>{% for column in words.columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</table>
</html>
"""
_WORDS: dict[str, Mapping[str, object]] = {
    "en": {"title": "What this target received", "columns": ("Received", "Kind", "Version", "Action", "Fields")},
    "ar": {"title": "ما استلمته هذه الجهة", "columns": ("وقت الاستلام", "النوع", "النسخة", "الإجراء", "عدد الحقول")},
    "fa": {"title": "آنچه این مقصد دریافت کرد", "columns": ("زمان دریافت", "نوع", "نسخه", "اقدام", "تعداد فیلدها")},
    "fr": {"title": "Ce que cette cible a reçu", "columns": ("Reçu", "Type", "Version", "Action", "Champs")},
}


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery that had an effect; *key* is its Idempotency-Key, *raw* the bytes that a signature covers."""

    at: datetime
    path: str
    key: str | None
    headers: Mapping[str, str]
    body: Mapping[str, object]
    raw: bytes


class ReceiverApp:
    """The target.

    Args:
        token: when set, deliveries without `Authorization: Bearer <token>` are answered 401.
        clock: the time now.

    Attributes:
        app: the WSGI application.
        received: deliveries that had an effect, in order; a repeated Idempotency-Key adds none.
        faults: what goes wrong next.
        requests: everything that was asked, repetitions and faults included.
    """

    def __init__(self, *, token: str | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.received: list[Received] = []
        self.faults = Faults()
        self.requests: list[Asked] = []
        self._token = token
        self._clock = clock
        self._keys: set[str] = set()
        self._lock = threading.Lock()
        self.app = self._application()

    def _application(self) -> Flask:
        app = Flask("sample-target", static_folder=None)
        app.add_url_rule("/", "table", self._table, methods=["GET"])
        app.add_url_rule("/", "take", self._take, methods=["POST"])
        app.add_url_rule("/<path:_>", "take below", self._take, methods=["POST"])
        app.wsgi_app = Disturbed(app.wsgi_app, self.faults, self.requests, lambda _: None)  # type: ignore[method-assign]
        return app

    def _take(self, _: str = "") -> tuple[dict[str, object], int]:
        if self._token is not None and request.headers.get("Authorization") != f"Bearer {self._token}":
            return {"error": "unauthorized"}, 401
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            return {"error": "a JSON object is expected"}, 400
        key = request.headers.get("Idempotency-Key")
        with self._lock:
            known = key is not None and key in self._keys
            if not known:
                self._keep(key, body)
        return {"status": "known" if known else "received"}, 200 if known else 201

    def _keep(self, key: str | None, body: dict[str, object]) -> None:
        if key is not None:
            self._keys.add(key)
        headers = dict(request.headers.items())
        self.received.append(Received(self._clock(), request.path, key, headers, body, request.get_data()))

    def _table(self) -> Response:
        wanted = request.args.get("lang") or request.accept_languages.best_match(_WORDS)
        language = wanted if wanted in _WORDS else "en"
        rows = [_row(one) for one in reversed(self.received)]
        words = _WORDS[language]
        return Response(render_template_string(_PAGE, language=language, languages=_WORDS, words=words, rows=rows))


def serve(receiver: ReceiverApp, host: str = "127.0.0.1", port: int = 0) -> RunningServer:
    """Serves the target in a thread, on a free port when *port* is 0; `.url` says where, `.close()` ends it."""
    return RunningServer(receiver.app, host, port)


def _row(one: Received) -> tuple[object, ...]:
    fields = one.body.get("fields")
    count = len(fields) if isinstance(fields, Mapping) else 0
    return (f"{one.at:%Y-%m-%d %H:%M:%S}", one.body.get("kind"), one.body.get("version"), one.body.get("action"), count)


__all__ = ["Received", "ReceiverApp", "RunningServer", "serve"]
