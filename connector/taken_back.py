"""A list beside the database of what was taken back: erasures and withdrawals, as ids, for the day of a restore.

A backup knows nothing of what people took back after it was made. This list does, as long as it outlives the database:
`silah restore` applies it before anything can leave. A line is `erased RECORD_ID` or `withdrawn RECORD_ID RECIPIENT`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connector.errors import Refused

ERASED = "erased"
WITHDRAWN = "withdrawn"
_FILE = "taken-back.txt"


@dataclass(frozen=True, slots=True)
class TakenBack:
    """One thing that was taken back. *recipient* is a class, a target, or `*`; always `*` for an erasure."""

    deed: str
    record_id: str
    recipient: str = "*"


class TakenBackList:
    """The list in a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.file = data_dir / _FILE

    def note(self, one: TakenBack) -> None:
        """Adds *one*, durably. To be called before the deed: a line too many only repeats a word, one too few would
        bring a person back."""
        if one in self.read():
            return
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as out:
            out.write(f"{one.deed} {one.record_id} {one.recipient}\n")
            out.flush()
            os.fsync(out.fileno())

    def begin(self) -> None:
        """Makes the list if there is none, so that an empty one can be told from a lost one."""
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.file.touch(mode=0o600)

    def read(self) -> list[TakenBack]:
        return list(read_list(self.file)) if self.file.is_file() else []


def read_list(file: Path) -> Iterator[TakenBack]:
    """The lines of *file*; raises `Refused` for one that cannot be read, because it may be the one that matters."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise Refused("restore.bad_list", str(file), "Give the list as it was written, whole.") from None
    for number, line in enumerate(lines, 1):
        deed, _, rest = line.partition(" ")
        record_id, _, recipient = rest.partition(" ")
        if deed not in {ERASED, WITHDRAWN} or not record_id or not recipient:
            raise Refused("restore.bad_list", f"{file}, line {number}", "Mend or complete that line.")
        yield TakenBack(deed, record_id, recipient)
