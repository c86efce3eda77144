"""The way back from the targets: what changed there is asked for, and becomes one of four states of the case.

    answers.heard()   a webhook: which records changed, kept durably         (webhooks/, no outgoing call)
    answers.poll()    the same without a webhook, now and then
    answers.ask()     reads those records back

A webhook is a hint: it can be lost, repeated or made up by whoever has its secret. What counts is what is read back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from connector.errors import ServerError
from connector.ledger.case_lists import CaseBook, Question
from connector.ledger.flow import Ledger
from connector.targets import Answering

log = logging.getLogger("silah.answers")

_OVERLAP = timedelta(minutes=10)  # a target's clock and a slow transaction of it
_FIRST_LOOK = timedelta(days=30)
_LOOKED_AT_AGAIN = timedelta(hours=6)
_ASK_AGAIN = (5, 30, 120, 600, 3600)  # seconds


class Answers:
    """What the targets that answer say of the cases."""

    def __init__(self, ledger: Ledger, targets: Mapping[str, Answering], every: Mapping[str, timedelta]) -> None:
        self._ledger, self._targets, self._every = ledger, targets, every
        self._book = CaseBook(ledger)
        self._next: dict[str, datetime] = {}

    def known(self, target: str) -> Answering | None:
        """The target of that name, when it is one that answers."""
        return self._targets.get(target)

    def heard(self, target: str, headers: Mapping[str, str], body: bytes) -> int:
        """Keeps durably which records a webhook names; how many of ours have to be asked about that had not to before.

        Raises:
            NotAuthentic, NotASubmission
        """
        return self._book.ask(target, self._targets[target].heard(headers, body))

    def work(self) -> int:
        """Polls what is due, then asks; how many records a target answered about."""
        return sum(self._work(name) for name in self._targets)

    def _work(self, name: str) -> int:
        """One target that does not answer keeps nothing from the others."""
        try:
            self.poll(name)
            return self.ask(name)
        except ServerError as error:
            log.warning("%s while asking %s: %s", error.code, name, error.next_step)
            return 0

    def poll(self, name: str) -> None:
        """Looks what changed at the target since the last look, when it is time."""
        now, every, what = self._ledger.now(), self._every[name], f"polled:{name}"
        if not every or now < self._next.get(name, now):
            return
        self._next[name] = now + every  # also when this look fails: the target may be down for long
        last = self._book.since(what) or now - _FIRST_LOOK
        found = self._targets[name].changed(last - _OVERLAP)
        self._book.ask(name, [one for one, _ in found], [mark for _, mark in found])
        self._book.ask_again(name, now - _LOOKED_AT_AGAIN)
        self._book.done(what, now)

    def ask(self, name: str) -> int:
        """Reads back the records that are asked for; how many."""
        answered = 0
        for question in self._book.questions(name):
            try:
                progress = self._targets[name].progress(question.kind, question.external_id)
            except ServerError as error:
                self._later(question, error.retry_after)
                raise
            self._book.answered(question, progress)
            answered += 1
        return answered

    def _later(self, question: Question, asked: timedelta | None) -> None:
        seconds = _ASK_AGAIN[min(question.attempts, len(_ASK_AGAIN) - 1)]
        self._book.ask_later(question, max(timedelta(seconds=seconds), asked or timedelta(0)))
