"""A look at everything from a running node: what the doctor finds, and what stands on each form server.

It asks other machines and may take a while, so it is started by a person and runs beside the pages, one at a time.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime

from connector.doctor import Examined, look
from connector.errors import SilahError
from connector.hosts import publisher_of
from connector.pipeline import Pipeline
from connector.publishing import Standing
from forms.errors import FormError

log = logging.getLogger("silah.rounds")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at one time; *silent* names servers whose forms could not be looked at, with the code of why."""

    at: datetime
    examined: tuple[Examined, ...]
    standing: tuple[Standing, ...]
    silent: tuple[tuple[str, str], ...]


class Rounds:
    """The looks of one node; the newest is kept in memory."""

    def __init__(self, flow: Pipeline) -> None:
        self._flow = flow
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.newest: Found | None = None

    @property
    def going(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begins a look unless one is going on."""
        with self._lock:
            if not self.going:
                self._thread = threading.Thread(target=self._look, name="rounds", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        try:
            standing, silent = self._forms()
            self.newest = Found(self._flow.ledger.now(), tuple(look(self._flow)), standing, silent)
        except Exception as error:  # noqa: BLE001 (a thread must not die unheard; values may not be told)
            log.error("unexpected %s on the rounds", type(error).__name__)  # noqa: TRY400

    def _forms(self) -> tuple[tuple[Standing, ...], tuple[tuple[str, str], ...]]:
        standing: list[Standing] = []
        silent: list[tuple[str, str]] = []
        for name in self._flow.config.servers:
            try:
                standing += publisher_of(self._flow.config, name).standing()
            except (SilahError, FormError) as error:
                silent.append((name, error.code))
        return tuple(standing), tuple(silent)
