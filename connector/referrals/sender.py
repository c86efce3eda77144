"""Sends what is due to partners, in order for each referral, until it is told to stop; and raises the alarm for what is late.

A dead partner keeps only its own threads busy, and is left alone for a moment between attempts: whatever waits for it
goes out as soon as one message gets through.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from connector.errors import SilahError
from connector.ledger.referrals import Outgoing, Partner
from connector.referrals.exchange import Exchange

log = logging.getLogger("silah.referrals")

_LOOK_EVERY = 0.2  # seconds; the command line writes to the same ledger
_ALARM_EVERY = 30.0
_REPORT_EVERY = 5.0
_MOST_REPORTS = 12
_THREADS = 4  # to one partner
_AHEAD = 4  # messages taken for each thread
_PATIENCE = 3  # attempts in a row that fail before the partner is left alone
_FIRST_REST, _LONGEST_REST = 0.5, 15.0


class Sender:
    """The threads that send; one scheduler, a few for each partner."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._lanes: dict[str, _Lane] = {}
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._alarm_at = self._reports_at = 0.0
        self._thread = threading.Thread(target=self._loop, name="referrals", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something may go: look now."""
        self._awake.set()

    def stop(self, seconds: float = 10) -> None:
        """Takes nothing new and finishes what is in hand, for at most *seconds*."""
        self._stopping.set()
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        for lane in self._lanes.values():
            lane.close()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except SilahError as error:
                log.error("%s: %s", error.code, error.next_step)  # noqa: TRY400 (a stack would tell nothing more)
            except Exception as error:  # noqa: BLE001 (a thread must not die; the type tells, values may not be told)
                log.error("unexpected %s while sending referrals", type(error).__name__)  # noqa: TRY400
            self._awake.wait(_LOOK_EVERY)
            self._awake.clear()

    def _look(self) -> None:
        for partner in self.exchange.referrals.partners():
            lane = self._lanes.get(partner.fingerprint)
            if lane is None or lane.partner != partner:
                if lane is not None:
                    lane.close()
                self.exchange.referrals.wake(partner)  # a new start, another address, or a clock that was put right
                lane = self._lanes[partner.fingerprint] = _Lane(self, partner)
            lane.fill()
        self._due_reports()
        if time.monotonic() >= self._alarm_at:
            self._alarm_at = time.monotonic() + _ALARM_EVERY
            self._alarm()

    def _due_reports(self) -> None:
        if time.monotonic() < self._reports_at:
            return
        self._reports_at = time.monotonic() + _REPORT_EVERY
        for lane in self._lanes.values():
            lane.send_reports()

    def _alarm(self) -> None:
        for row in self.exchange.referrals.newly_overdue():
            log.warning(
                "referral.overdue: %s (%s, %s) was not answered in time", row.case_code, row.direction, row.partner
            )


class _Lane:
    """One partner's threads, and which referrals are in their hands."""

    def __init__(self, sender: Sender, partner: Partner) -> None:
        self._sender, self.partner = sender, partner
        self._caller = sender.exchange.caller(partner)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"to-{partner.name}")
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._closed = self._reporting = False
        self._failures = 0
        self._rest_until = 0.0

    def fill(self) -> None:
        """Takes what is due, up to what the threads can chew; of one referral one message at a time."""
        with self._lock:
            busy = frozenset(self._busy)
        room = (1 if self._failures > _PATIENCE else _THREADS * _AHEAD) - len(busy)
        if room <= 0 or self._closed or time.monotonic() < self._rest_until:
            return
        for message in self._sender.exchange.referrals.outgoing(self.partner, room, busy):
            with self._lock:
                self._busy.add(message.referral_id)
            self._pool.submit(self._run, message)

    def send_reports(self) -> None:
        """A month's counts that are due to this partner, one after the other; beside the referrals, which go first."""
        reports = self._sender.exchange.reports
        if self._caller is None or self._reporting or self._closed or not reports.due(self.partner, 1):
            return
        self._reporting = True
        self._pool.submit(self._report)

    def _report(self) -> None:
        exchange = self._sender.exchange
        try:
            for one in exchange.reports.due(self.partner, _MOST_REPORTS):
                if self._caller is not None and not self._closed:
                    exchange.attempt_report(self.partner, self._caller, one)
        except SilahError as error:
            log.error("%s: %s", error.code, error.next_step)  # noqa: TRY400
        except Exception as error:  # noqa: BLE001 (it stays due; values may not be told)
            log.error("unexpected %s while reporting to %s", type(error).__name__, self.partner.name)  # noqa: TRY400
        finally:
            self._reporting = False

    def _run(self, message: Outgoing) -> None:
        try:
            if not self._closed:
                self._told(self._sender.exchange.attempt(self.partner, self._caller, message))
        except SilahError as error:
            log.error("%s: %s", error.code, error.next_step)  # noqa: TRY400
        except Exception as error:  # noqa: BLE001 (the message stays due; values may not be told)
            log.error("unexpected %s while sending to %s", type(error).__name__, self.partner.name)  # noqa: TRY400
        finally:
            with self._lock:
                self._busy.discard(message.referral_id)
            self._sender.wake()

    def _told(self, outcome: str) -> None:
        if outcome == "due":
            self._failures += 1
            beyond = self._failures - _PATIENCE
            rest = min(_FIRST_REST * 2 ** min(beyond, 10), _LONGEST_REST) if beyond > 0 else 0.0
            self._rest_until = time.monotonic() + rest
        elif outcome in {"sent", "parked"} and self._failures:
            rested, self._failures, self._rest_until = self._failures > _PATIENCE, 0, 0.0
            if rested:
                self._sender.exchange.referrals.wake(self.partner)

    def close(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._caller is not None:
            self._caller.close()
