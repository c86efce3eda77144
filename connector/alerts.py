"""Tells the admin by e-mail or webhook what needs a person: codes, counts and names of targets, nothing of anybody.

One matter is told when it arises or grows, at most once an hour, and once a day while it lasts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import timedelta

from connector import mail
from connector.config import Alerts as Config
from connector.errors import SilahError
from connector.ledger.alarms import Matter
from connector.ledger.database import LedgerUnavailable, milliseconds
from connector.outbound import Caller, Unreachable
from connector.pipeline import Pipeline
from connector.words import explained, said

log = logging.getLogger("silah.alerts")

_HOUR, _DAY = 3_600_000, 86_400_000  # milliseconds
_LATE_AFTER = 3  # times `reconcile_every`
_TIMEOUT = timedelta(seconds=20)
_HOPELESS = frozenset({401, 403})
_SERVER_FAULT = 500


class AlertError(SilahError):
    """Nobody could be told."""


class Alerts:
    """Looks at what needs a person, and tells of it. One process of a node does."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self._ledger, self._config = pipeline, pipeline.ledger, pipeline.config.alerts
        self._in_memory: dict[str, tuple[int, int]] = {}  # where the ledger cannot keep it

    def look(self) -> list[Matter]:
        """Tells of what is new; what was told. Raises `SilahError` when nobody could be told: it is tried again."""
        try:
            matters, before = [*self._ledger.stuck(), *self._sweeps()], {**self._in_memory, **self._ledger.told()}
            trouble = self._ledger.database.trouble()
        except LedgerUnavailable as error:
            matters, before, trouble = [], self._in_memory, error
        matters += [Matter("ledger", "", trouble.code)] if trouble else []
        now = milliseconds(self._ledger.now())
        new = [one for one in matters if _is_news(one, before.get(one.name), now)]
        if new:
            self._tell(new)
        self._keep(matters, before, new, now)
        return new

    def _keep(
        self, matters: Sequence[Matter], before: dict[str, tuple[int, int]], new: Sequence[Matter], now: int
    ) -> None:
        """A matter that is over is remembered for its hour, so that one that comes and goes is told once."""
        told = {name: (at, 0) for name, (at, _) in before.items() if now - at < _HOUR}
        told |= {one.name: before[one.name] for one in matters if one.name in before}
        told |= {one.name: (now, one.number) for one in new}
        self._in_memory = told
        if told != before and not any(one.kind == "ledger" for one in matters):
            self._ledger.tell_of(told)

    def _sweeps(self) -> list[Matter]:
        """Comparisons that wait for a person, or have not happened for too long."""
        found: list[Matter] = []
        now = milliseconds(self._ledger.now())
        for (server, form), (at, stopped) in self._ledger.totals().sweeps.items():
            config = self._pipeline.config.servers.get(server)
            if config is None or form not in config.forms:
                continue
            every = config.reconcile_every // timedelta(milliseconds=1)
            if stopped:
                found.append(Matter("sweep_stopped", f"{server} {form}", str(self._ledger.stopped(server, form))))
            elif every and now - at > _LATE_AFTER * every:
                found.append(Matter("sweep_late", f"{server} {form}", "sweep_late"))
        return found

    def _tell(self, matters: Sequence[Matter]) -> None:
        subject, text = self._words(matters)
        if self._config.smtp:
            mail.send(self._config, subject, text)
        if self._config.url:
            body = {
                "society": self._pipeline.config.society, "text": f"{subject}\n{text}",
                "matters": [
                    {"kind": one.kind, "where": one.where, "code": one.code, "number": one.number} for one in matters
                ],
            }  # fmt: skip
            _post(self._config, json.dumps(body, ensure_ascii=False).encode())

    def _words(self, matters: Sequence[Matter]) -> tuple[str, str]:
        """Subject and text in the admin's language."""
        language = self._config.language
        lines = []
        for one in matters:
            lines.append(said(language, f"alert:{one.kind}", number=one.number, where=one.where))
            lines += [f"  {words}" for words in explained(language, one.code)] + [f"  ({one.code})", ""]
        lines.append(said(language, "alert:where"))
        subject = said(language, "alert:subject", society=self._pipeline.config.society, number=len(matters))
        return subject, "\n".join(lines)


def _is_news(matter: Matter, before: tuple[int, int] | None, now: int) -> bool:
    if before is None:
        return True
    at, number = before
    return (matter.number > number and now - at >= _HOUR) or now - at >= _DAY


def _post(config: Config, body: bytes) -> None:
    answer_status = _status(config, "POST", body)
    if not 200 <= answer_status < 300:  # noqa: PLR2004 (RFC 9110: successful)
        raise AlertError(f"alerts.http_{answer_status}", "the webhook of [alerts]", "Mend `url` or its token.")


def _status(config: Config, method: str, body: bytes | None) -> int:
    token = config.secret("token")
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    caller = Caller(str(config.url), headers=headers, timeout=_TIMEOUT, pool=1)
    try:
        return caller.call(method, "", body=body, most=1 << 20).status
    except Unreachable as error:
        raise AlertError(f"alerts.{error.code}", "the webhook of [alerts]", "Mend `url`, or the network.") from None
    finally:
        caller.close()


def reach(config: Config) -> None:
    """Whether an alert would arrive, without sending one; raises `SilahError`."""
    if config.smtp:
        mail.reach(config)
    if config.url:
        status = _status(config, "HEAD", None)
        if status >= _SERVER_FAULT or status in _HOPELESS:
            raise AlertError(f"alerts.http_{status}", "the webhook of [alerts]", "Mend `url` or its token.")
