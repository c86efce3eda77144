"""The way back to the phones: what stands there of each case is brought in line with the ledger.

    lists.bring()     writes the lines that changed; how many

A line is a case code, a branch and one of four states, made by the gate alone. Its number is derived from the record's
key and says nothing of it. Nothing here makes a delivery or a version.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from connector.disclosure import CaseLine, case_line
from connector.errors import ServerError
from connector.ledger.case_lists import GONE, CaseBook, Standing
from connector.ledger.flow import Ledger
from connector.model import CaseState
from connector.servers.case_lists import STARTS_A_CASE, CaseList
from connector.transforms.registry import from_json

log = logging.getLogger("silah.case_lists")

_ALL = 1_000_000
_AFTER_FAILURE = timedelta(minutes=1)
_LOOK_ANYHOW = timedelta(minutes=1)


class CaseLists:
    """The case lists of all form servers that have one."""

    def __init__(self, ledger: Ledger, lists: Mapping[str, CaseList]) -> None:
        self._ledger, self._lists = ledger, lists
        self._book = CaseBook(ledger)
        self._key = ledger.derive("numbers of case lists")
        self._quiet: dict[str, tuple[tuple[int | None, ...], datetime]] = {}

    @property
    def servers(self) -> frozenset[str]:
        """Form servers that have a list."""
        return frozenset(self._lists)

    def check(self, server: str) -> None:
        """Raises what would keep a line from being written there."""
        self._lists[server].check()

    def bring(self) -> int:
        """Brings every list in line; a server that cannot be reached keeps nothing from the others."""
        return sum(self._bring(name, one) for name, one in self._lists.items())

    def _bring(self, server: str, list_: CaseList) -> int:
        now, pulse = self._ledger.now(), self._book.pulse()
        if self._quiet.get(server, (None, now))[0] == pulse and now - self._quiet[server][1] < _LOOK_ANYHOW:
            return 0
        due = self._book.to_write(server, STARTS_A_CASE, *([_ALL] if list_.whole else []))
        if not due:
            self._quiet[server] = pulse, now  # looking through a large ledger takes a second
        if not due or not self._is_time(server, list_):
            return 0
        lines = {one.submission_id: self._line(one) for one in due}
        shown = [one for one, line in lines.items() if line is not None]
        gone = [self._number(one.record_id) for one in due if lines[one.submission_id] is None and one.shown]
        try:
            list_.write(self._whole(server) if list_.whole else [line for line in lines.values() if line], gone)
        except ServerError as error:
            log.warning("%s while writing the case list of %s: %s", error.code, server, error.next_step)
            self._book.done(_tried(server), self._ledger.now())
            return 0
        self._book.written(due, shown)
        self._book.done(_written(server), self._ledger.now())
        return len(due)

    def _is_time(self, server: str, list_: CaseList) -> bool:
        now = self._ledger.now()
        last, failed = self._book.since(_written(server)), self._book.since(_tried(server))
        if failed and failed > (last or failed) - timedelta(milliseconds=1) and now - failed < _AFTER_FAILURE:
            return False
        return last is None or now - last >= list_.every

    def _whole(self, server: str) -> list[CaseLine]:
        lines = [self._line(one) for one in self._book.all_lines(server, STARTS_A_CASE)]
        return [line for line in lines if line is not None]

    def _line(self, one: Standing) -> CaseLine | None:
        if one.stands == GONE:
            return None
        stored = self._ledger.record(one.submission_id, one.version)
        if stored is None:
            return None
        record = from_json(one.kind, stored)
        return case_line(record, CaseState(one.stands), self._number(one.record_id), self._ledger.now())

    def _number(self, record_id: str) -> UUID:
        """A version-4 UUID, the only kind that Central takes; nobody without our key can tell whose it is."""
        return UUID(bytes=hmac.new(self._key, record_id.encode(), hashlib.sha256).digest()[:16], version=4)


def _written(server: str) -> str:
    return f"case_list.written:{server}"


def _tried(server: str) -> str:
    return f"case_list.failed:{server}"
