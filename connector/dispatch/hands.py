"""Threads that do what is given to them, and never keep a process from ending.

A target that hangs would hold a `ThreadPoolExecutor` until its time-out; what these threads leave behind is still due
in the ledger and goes out again with the same key.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar, cast

T = TypeVar("T")


_Given = tuple[Callable[[], object], Future[object]]


class Hands:
    """*threads* of one target. Jobs wait in order; whoever gives them bounds how many."""

    def __init__(self, threads: int, name: str) -> None:
        self._waiting: queue.SimpleQueue[bool] = queue.SimpleQueue()  # one for each job, or False: the end
        self._jobs: deque[_Given] = deque()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Callable[[], T], *, first: bool = False) -> Future[T]:
        """*first*: before all that wait."""
        future: Future[T] = Future()
        given = (job, cast("Future[object]", future))
        if first:
            self._jobs.appendleft(given)
        else:
            self._jobs.append(given)
        self._waiting.put(True)
        return future

    def _run(self) -> None:
        while self._waiting.get():
            job, future = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except Exception as error:  # noqa: BLE001 (whoever gave the job sees it)
                future.set_exception(error)

    def close(self, seconds: float) -> bool:
        """Begins nothing more; waits at most *seconds* for what is in hand. Whether all of it was finished."""
        self._forget()
        for _ in self._threads:
            self._waiting.put(False)
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _forget(self) -> None:
        with contextlib.suppress(queue.Empty):
            while self._waiting.get_nowait():
                self._jobs.popleft()[1].cancel()
