"""What a dispatching process does beside sending: follows the bells, pulls and purges on a timer, reports back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from connector.alerts import Alerts
from connector.dispatch.timekeeper import LOOKS_EVERY, Timekeeper
from connector.errors import SilahError
from connector.pipeline import Pipeline
from connector.purging import purge
from connector.recounting import recount
from forms.errors import FormError

log = logging.getLogger("silah.dispatch")

LOOK_EVERY = 0.5  # seconds; other processes write to the ledger too
_REPORT_EVERY = 5.0  # seconds
_CASES_EVERY = 3.0  # seconds; a target is polled more rarely, and asked at once after its webhook
_SAYS_AGAIN = 60.0  # seconds
_ALERT_EVERY = 15.0  # seconds
_REST = 0.2  # seconds between batches: intake goes first


class Says:
    """Tells the log of each code once a minute at most: a full disk must not be filled by lines about it."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def error(self, error: SilahError | FormError) -> None:
        now = time.monotonic()
        if now >= self._said.get(error.code, 0.0):
            self._said[error.code] = now + _SAYS_AGAIN
            log.error("%s: %s", error.code, error.next_step)


class Chores:
    """Threads that run until *stopping*.

    Args:
        news: called when something may have become due.
        mine: whether this process is the one that pulls and reports back; the bells are followed by all.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        stopping: threading.Event,
        news: Callable[[], object],
        mine: Callable[[], bool] = lambda: True,
    ) -> None:
        self._pipeline, self._stopping, self._news, self._mine = pipeline, stopping, news, mine
        self._rung = threading.Event()
        self._timekeeper = Timekeeper(pipeline)
        self.says = Says()
        self._whole_at: dict[tuple[str, str], float] = {}  # monotonic seconds

    def ring(self) -> None:
        """Something came in: look now."""
        self._rung.set()

    def threads(self) -> Iterable[threading.Thread]:
        """All of them, not yet started."""
        yield self.intake_thread()
        yield threading.Thread(target=self._reports, name="reports", daemon=True)
        yield threading.Thread(target=self._clock, name="clock", daemon=True)
        if self._pipeline.config.alerts.wanted:
            yield threading.Thread(target=self._alerts, name="alerts", daemon=True)
        yield threading.Thread(target=self._recount, name="recount", daemon=True)
        yield threading.Thread(target=self._cases, name="cases", daemon=True)
        if self._pipeline.config.retention.purge_every:
            yield threading.Thread(target=self._purges, name="purge", daemon=True)
        for server, config in self._pipeline.config.servers.items():
            if config.reconcile_every > timedelta(0) or config.reconcile_on_start:
                yield threading.Thread(target=self._sweeps, args=(server,), name=f"pull-{server}", daemon=True)

    def intake_thread(self) -> threading.Thread:
        return threading.Thread(target=self.loop, args=(self._rung, self._intake), name="intake", daemon=True)

    def loop(self, event: threading.Event, work: Callable[[], bool]) -> None:
        """Runs *work* again and again; when it had nothing to do, after *event* or a while."""
        while not self._stopping.is_set():
            try:
                busy = work()
            except SilahError as error:
                self.says.error(error)
                busy = False
            except Exception as error:  # noqa: BLE001 (a thread must not die; the type tells, values may not be told)
                log.error("unexpected %s in %s", type(error).__name__, work.__name__)  # noqa: TRY400
                busy = False
            if not busy:
                event.wait(LOOK_EVERY)
                event.clear()

    def _intake(self) -> bool:
        followed = self._pipeline.read_back()
        if followed:
            self._news()
        return followed > 0

    def look_at_clock(self) -> None:
        """Once before anything is sent, then again and again; what the gate held back is looked at when there is cause."""
        try:
            self._timekeeper.look()
        except (SilahError, FormError) as error:
            self.says.error(error)

    def _clock(self) -> None:
        while not self._stopping.wait(LOOKS_EVERY):
            if self._mine():
                self.look_at_clock()

    def _alerts(self) -> None:
        """Tells the admin what needs a person."""
        alerts = Alerts(self._pipeline)
        while not self._stopping.wait(_ALERT_EVERY):
            if not self._mine():
                continue
            try:
                alerts.look()
            except SilahError as error:
                self.says.error(error)

    def _reports(self) -> None:
        """Status back to the form servers, a while after something was parked or mended."""
        while not self._stopping.wait(_REPORT_EVERY):
            if not self._mine():
                continue
            try:
                self._pipeline.report_back()
            except SilahError as error:
                log.warning("%s while reporting back: %s", error.code, error.next_step)

    def _cases(self) -> None:
        """The way back: asks the targets how cases go on, and brings the phones' case lists in line."""
        while not self._stopping.wait(_CASES_EVERY):
            if not self._mine():
                continue
            try:
                self._pipeline.answers.work()
                self._pipeline.case_lists.bring()
            except SilahError as error:
                log.warning("%s while following cases: %s", error.code, error.next_step)
            except Exception as error:  # noqa: BLE001 (a thread must not die; the type tells, values may not be told)
                log.error("unexpected %s while following cases", type(error).__name__)  # noqa: TRY400

    def _purges(self) -> None:
        """Lets go what has been kept long enough, on the timer."""
        while not self._stopping.wait(self._pipeline.config.retention.purge_every.total_seconds()):
            if not self._mine():
                continue
            try:
                purge(self._pipeline, "silah")
            except SilahError as error:
                log.warning("%s while purging: %s", error.code, error.next_step)

    def _recount(self) -> None:
        """Once: what an older version did not work out, in small steps beside everything else."""
        while not self._stopping.wait(LOOK_EVERY):
            if not self._mine():
                continue
            try:
                recount(self._pipeline.ledger, lambda: not self._stopping.wait(_REST))
            except SilahError as error:
                log.warning("%s while counting anew: %s", error.code, error.next_step)
            return

    def _sweeps(self, server: str) -> None:
        """Pulls at start and on the timer, as soon as this process is the one that pulls."""
        config = self._pipeline.config.servers[server]
        every = config.reconcile_every.total_seconds()
        wait = 0.0 if config.reconcile_on_start else every
        while not self._stopping.wait(wait):
            wait = LOOK_EVERY
            if self._mine():
                self._sweep(server)
                if not every:
                    return
                wait = every

    def _wants_whole(self, server: str, form: str) -> bool:
        """At the start, and as often as the whole list is to be compared."""
        every = self._pipeline.config.servers[server].reconcile_whole_every.total_seconds()
        last = self._whole_at.get((server, form))
        return last is None or (every > 0 and time.monotonic() - last >= every)

    def _sweep(self, server: str) -> None:
        for form in self._pipeline.config.servers[server].forms:
            if self._stopping.is_set():
                return
            newest = not self._wants_whole(server, form)
            try:
                swept = self._pipeline.reconcile(server, form, newest=newest)
            except SilahError as error:
                log.warning("%s while pulling %s from %s: %s", error.code, form, server, error.next_step)
                continue
            if not newest:
                self._whole_at[server, form] = time.monotonic()
            if swept.stopped:
                log.warning("pull.stopped (%s) for %s on %s: see `silah pull --help`", swept.stopped, form, server)
            self._news()
