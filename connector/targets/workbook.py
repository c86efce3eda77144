"""A target of type `workbook`: a folder of .xlsx files for the office, in its own language, and each as .csv.

    national-2026-11.xlsx                        one sheet a kind of record; after 2 000 rows national-2026-11-2.xlsx
    national-2026-11.tracing_request.csv         the same lines; what is in the folder is read from these
    files/<hash>.jpg                             photos that lines name
    case-files/<record>.html                     a printable page each, where the admin asks for them

A rewrite is dear, so deliveries wait for the next one together and are acknowledged when the new files have their
names. Every cell is text, so that no answer becomes a formula. It is in clear: for the own society alone.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from connector.config import Target
from connector.disclosure import Release
from connector.errors import TargetError
from connector.model import Action, Receipt
from connector.targets import Effect, Health, Removal
from connector.targets.casefile import case_file
from connector.targets.folder import Folder
from connector.targets.spreadsheet import as_csv, as_xlsx, lines_of
from connector.targets.table import RECORD, VERSION, Line, Table
from connector.transforms.registry import RECORDS

_PATIENCE = 300.0  # seconds beyond the rewrite's due time before a delivery is tried again
_PHOTO = re.compile(r"[0-9a-f]{64}\.[a-z0-9]+")


class Workbook:
    """The workbooks of one target."""

    effect: Effect = "upsert"
    removal: Removal = "removed"

    def __init__(self, name: str, config: Target) -> None:
        self.name = name
        self._config = config
        self._folder = Folder(name, config.at_home(cast("Path", config.folder)))
        self._tables = {
            kind: Table(kind, config.recipient, config.language) for kind in config.accepts if kind in RECORDS
        }
        self._shelf = _Shelf(self._folder, name, config.rows)
        self._batches = _Batches(self._write, config.rewrite_every.total_seconds())

    def deliver(self, release: Release) -> Receipt:
        future = self._batches.add(release)
        try:
            return future.result(self._config.rewrite_every.total_seconds() + _PATIENCE)
        except TooLate:
            raise TargetError(
                "target.timeout", f"target {self.name}", "It is tried again; look whether the disk is slow."
            ) from None

    def check(self) -> Health:
        return self._folder.check()

    def hurry(self) -> None:
        """Writes what waits at once, and lets nothing wait any more."""
        self._batches.hurry()

    def _write(self, releases: Sequence[Release]) -> list[Receipt]:
        """All of a batch in one rewrite of each file it touches."""
        with self._folder.held():
            changed: dict[str, _Part] = {}
            receipts = [self._put(release, changed) for release in releases]
            for part in changed.values():
                self._folder.write(part.files(self._tables))
            self._beside(releases)
        return receipts

    def _put(self, release: Release, changed: dict[str, _Part]) -> Receipt:
        stem = self._shelf.place(release)
        if stem is None:  # nothing of it is here, and nothing is to be put here
            return Receipt()
        part = changed.setdefault(stem, self._shelf.part(stem))
        made = self._tables[release.kind].lines(release)
        if part.put(self._tables[release.kind], release, made.lines):
            self._shelf.count(stem, part)
        return Receipt(f"{stem}.xlsx", made.cut)

    def _beside(self, releases: Sequence[Release]) -> None:
        """Photos and printable pages; those of what was withdrawn or replaced go."""
        wanted = {f"files/{file.name}": file.data for release in releases for file in release.files}
        for release in releases:
            page = f"case-files/{release.record_id}.html"
            if release.action is Action.WITHDRAW:
                self._folder.remove(page)
            elif self._config.case_files:
                wanted[page] = case_file(release, self._config.language)
        self._folder.write(wanted)
        self._forget_photos()

    def _forget_photos(self) -> None:
        stored = self._folder.path / "files"
        if not stored.is_dir():
            return
        named = self._shelf.photos()
        for file in stored.iterdir():
            if file.name not in named:
                file.unlink(missing_ok=True)


@dataclass
class _Part:
    """One workbook: its lines by kind, in order."""

    stem: str
    lines: dict[str, list[Line]] = field(default_factory=dict)

    def put(self, table: Table, release: Release, new: Sequence[Line]) -> bool:
        """Replaces the record's lines by *new*; lines too many are blanked, as all are at a withdrawal.

        False when the book holds a newer version: a late repeat of an old delivery changes nothing.
        """
        rows = self.lines.setdefault(release.kind, [])
        places = [index for index, line in enumerate(rows) if line[RECORD] == release.record_id]
        if any(int(rows[index][VERSION]) > release.version for index in places):
            return False
        reason = "withdrawn" if release.action is Action.WITHDRAW else "removed"
        for number, index in enumerate(places):
            rows[index] = new[number] if number < len(new) else table.blank(rows[index], reason, str(release.version))
        rows.extend(new[len(places) :])
        return True

    def files(self, tables: Mapping[str, Table]) -> dict[str, bytes]:
        """The .csv of each kind, which are read again, then the .xlsx."""
        sheets = [(tables[kind], lines) for kind, lines in self.lines.items() if kind in tables]
        kept = {f"{self.stem}.{table.kind}.csv": as_csv(table, lines) for table, lines in sheets}
        return {**kept, f"{self.stem}.xlsx": as_xlsx(sheets)}


class _Shelf:
    """Which workbook of the folder holds which record. Asked only while the folder is held."""

    def __init__(self, folder: Folder, name: str, rows: int) -> None:
        self._folder, self._name, self._rows = folder, name, rows
        self._seen: dict[str, tuple[int, int]] = {}
        self._records: dict[str, str] = {}
        self._photos: dict[str, set[str]] = {}
        self._sizes: dict[str, int] = {}  # of each .csv

    def place(self, release: Release) -> str | None:
        """The workbook that has the record, else that of the delivery's month with room; None for a withdrawal of nothing."""
        self._look()
        if release.record_id in self._records or release.action is Action.WITHDRAW:
            return self._records.get(release.record_id)
        month = f"{self._name}-{release.made_at:%Y-%m}"
        number = 1
        while self._size(stem := month if number == 1 else f"{month}-{number}") >= self._rows:
            number += 1
        self._records[release.record_id] = stem
        return stem

    def part(self, stem: str) -> _Part:
        """A workbook as its .csv files say."""
        part = _Part(stem)
        for file in sorted(self._folder.path.glob(f"{stem}.*.csv")):
            part.lines[file.name.removeprefix(f"{stem}.").removesuffix(".csv")] = lines_of(file.read_bytes())
        return part

    def count(self, stem: str, part: _Part) -> None:
        """How full a workbook is that is about to be written."""
        self._sizes |= {f"{stem}.{kind}.csv": len(lines) for kind, lines in part.lines.items()}

    def _size(self, stem: str) -> int:
        return sum(size for name, size in self._sizes.items() if name.startswith(f"{stem}."))

    def photos(self) -> set[str]:
        """The photos that some line names."""
        self._look()
        return set().union(*self._photos.values())

    def _look(self) -> None:
        """Reads the .csv files that changed since they were last read: another process may write here too."""
        for file in self._folder.path.glob(f"{self._name}-*.csv"):
            state = file.stat()
            if self._seen.get(file.name) == (state.st_mtime_ns, state.st_size):
                continue
            stem = file.name.split(".", 1)[0]
            lines = lines_of(file.read_bytes())
            self._records |= {line[RECORD]: stem for line in lines}
            self._photos[file.name] = {text for line in lines for text in line.values() if _PHOTO.fullmatch(text)}
            self._seen[file.name] = (state.st_mtime_ns, state.st_size)
            self._sizes[file.name] = len(lines)


class _Batches:
    """Gathers releases and writes them together, at most once in *every* seconds."""

    def __init__(self, write: Callable[[Sequence[Release]], Sequence[Receipt]], every: float) -> None:
        self._write, self._every = write, every
        self._waiting: list[tuple[Release, Future[Receipt]]] = []
        self._lock = threading.Lock()
        self._writer: threading.Thread | None = None
        self._hurried = threading.Event()
        self._written = -every

    def hurry(self) -> None:
        self._hurried.set()

    def add(self, release: Release) -> Future[Receipt]:
        """The receipt comes when the batch has been written."""
        future: Future[Receipt] = Future()
        with self._lock:
            self._waiting.append((release, future))
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="workbook", daemon=True)
                self._writer.start()
        return future

    def _run(self) -> None:
        """Writes until nothing waits; the next delivery starts another such thread."""
        while True:
            self._hurried.wait(max(0.0, self._written + self._every - time.monotonic()))
            with self._lock:
                batch, self._waiting = self._waiting, []
                if not batch:
                    self._writer = None
                    return
            self._settle(batch)
            self._written = time.monotonic()

    def _settle(self, batch: Sequence[tuple[Release, Future[Receipt]]]) -> None:
        try:
            receipts = self._write([release for release, _ in batch])
        except Exception as error:  # noqa: BLE001 (whatever it is, whoever waits must hear of it)
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), receipt in zip(batch, receipts, strict=True):
            future.set_result(receipt)
