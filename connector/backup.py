"""`silah backup` and `silah restore`: the whole ledger as one encrypted file, and back.

    silah-backup-1 \\n  {"id", "made_at", "key_id", "wrapped"} \\n  then chunks: length (4 bytes), sealed bytes

The file has a key of its own, wrapped by the master key. Each chunk is bound to the head, to its number and to whether
it is the last, so that a file that was cut off, reordered or put together from two does not open. What was taken back
after a backup was made is not in it: `restore` applies the list of taken_back.py, and without one it pauses every target.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from connector.app import assemble, master_key
from connector.config import Config
from connector.errors import KeyUnavailable, Refused
from connector.keys import DataKey, MasterKey
from connector.ledger.care import Care
from connector.ledger.copies import check, copy_of
from connector.ledger.flow import Ledger
from connector.model import JSON
from connector.pipeline import Pipeline
from connector.taken_back import ERASED, TakenBack, TakenBackList, read_list

_MAGIC = b"silah-backup-1\n"
_CHUNK = 1 << 20
_MOST_HEAD = 4096
_ADVICE = "Fetch the file again, or use another backup."


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that was written and opened again. *size* in bytes."""

    file: Path
    made_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. *paused*: targets that wait for a person because no list of what was taken back was there."""

    made_at: datetime
    erased: int
    withdrawn: int
    paused: tuple[str, ...]


def backup(config: Config, ledger: Ledger, file: Path, actor: str) -> BackedUp:
    """Writes the ledger as it is now into the new *file*, beside a running server, and opens it to see that it opens.

    Raises:
        Refused: `backup.exists`, `backup.postgresql`, `backup.cannot_write`, `backup.damaged`, `audit.broken`.
    """
    if not ledger.database.embedded:
        advice = "Use pg_dump, and encrypt what it writes: `pg_dump … | age -r KEY > FILE`."
        raise Refused("backup.postgresql", "the database is PostgreSQL", advice)
    if file.exists():
        raise Refused("backup.exists", str(file), "Name a file that is not there yet.")
    made_at = ledger.now()
    data_dir = config.at_home(config.data_dir)
    TakenBackList(data_dir).begin()
    partial = file.with_name(file.name + ".partial")
    try:
        with copy_of(ledger.database, data_dir) as copy:
            _seal(copy, partial, ledger.master, made_at)
            _same(copy, partial, ledger.master)
        partial.rename(file)
    except OSError:
        raise Refused("backup.cannot_write", str(file), "Check rights and space there; nothing was kept.") from None
    finally:
        partial.unlink(missing_ok=True)
    care = Care(ledger)
    care.backed_up(made_at)
    care.note("backed_up", actor, {"bytes": file.stat().st_size})
    return BackedUp(file, made_at, file.stat().st_size)


def restore(config: Config, file: Path, taken_back: Path | None, actor: str) -> Restored:
    """Puts the ledger in *file* into the place that *config* names; nothing is written there before all was verified.

    Args:
        taken_back: the list of what was taken back since; None for the one in the data directory, if it is there.

    Raises:
        Refused: `restore.exists`, `restore.postgresql`, `restore.bad_list`, `backup.not_a_backup`, `backup.damaged`.
        KeyUnavailable: `backup.other_key`.
    """
    place = _free_place(config)
    listed = TakenBackList(config.at_home(config.data_dir))
    lines = list(read_list(taken_back)) if taken_back else listed.read()
    known = taken_back is not None or listed.file.is_file()
    partial = place.with_name(place.name + ".restoring")
    partial.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        made_at = _unseal(file, partial, master_key(config))
        check(partial)
        done = _apply(config, partial, lines, made_at, actor, pause=not known)
        partial.rename(place)
    finally:
        for name in (partial, *(partial.with_name(partial.name + end) for end in ("-wal", "-shm"))):
            name.unlink(missing_ok=True)
    for line in lines:
        listed.note(line)
    return done


def _free_place(config: Config) -> Path:
    prefix = "sqlite:///"
    if not config.database_url.startswith(prefix):
        raise Refused("restore.postgresql", "the database is PostgreSQL", "Use pg_restore.")
    place = Path(config.database_url.removeprefix(prefix))
    there = [one for one in (place, place.with_name(place.name + "-wal")) if one.exists()]
    if there:
        raise Refused("restore.exists", str(there[0]), "Stop Silah and move the database away first.")
    return place


def _apply(
    config: Config, place: Path, lines: list[TakenBack], made_at: datetime, actor: str, *, pause: bool
) -> Restored:
    """What was taken back since, in the copy, before it becomes the ledger."""
    flow = assemble(config.model_copy(update={"database": f"sqlite:///{place}"}))
    try:
        again = [one for one in lines if _take_back(flow, one, actor)]
        paused = tuple(flow.targets) if pause else ()
        for target in paused:
            flow.ledger.pause(target, "restored", actor, paused=True)
        erased = sum(one.deed == ERASED for one in again)
        told: dict[str, JSON] = {"erased": erased, "withdrawn": len(again) - erased, "made_at": made_at.isoformat()}
        Care(flow.ledger).note("restored", actor, told)
        flow.ledger.database.settle()
        return Restored(made_at, erased, len(again) - erased, paused)
    finally:
        flow.ledger.database.close()


def _take_back(flow: Pipeline, one: TakenBack, actor: str) -> bool:
    """Whether the copy still held what was taken back."""
    case = flow.ledger.case(one.record_id)
    if case is None or case.state == "erased":
        return False
    if one.deed == ERASED:
        Care(flow.ledger).erase(case, actor)
        return True
    recipient = None if one.recipient == "*" else one.recipient
    if (recipient is None and case.state == "withdrawn") or Care(flow.ledger).was_withdrawn(case, one.recipient):
        return False
    flow.withdraw(case, recipient, "restored", actor)
    return True


# The file


def _seal(source: Path, file: Path, master: MasterKey, made_at: datetime) -> None:
    name, key = secrets.token_hex(8), master.new_data_key()
    told = {"id": name, "made_at": made_at.isoformat(), "key_id": master.key_id}
    head = json.dumps({**told, "wrapped": b64encode(master.wrap(key, f"backup {name}")).decode()}).encode() + b"\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out, source.open("rb") as data:
        out.write(_MAGIC + head)
        for number, (chunk, last) in enumerate(_chunks(data)):
            sealed = key.seal(chunk, _context(head, number, last=last))
            out.write(len(sealed).to_bytes(4, "big") + sealed)
        out.flush()
        os.fsync(out.fileno())


def _chunks(data: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    chunk = data.read(_CHUNK)
    while True:
        following = data.read(_CHUNK)
        yield chunk, not following
        if not following:
            return
        chunk = following


def _context(head: bytes, number: int, *, last: bool) -> str:
    return f"{hashlib.sha256(head).hexdigest()}:{number}:{'last' if last else 'more'}"


def _same(source: Path, file: Path, master: MasterKey) -> None:
    """Opens what was written, from the disk, and compares."""
    written = hashlib.sha256()
    with file.open("rb") as sealed:
        for chunk in _opened(sealed, *_head(sealed, master, file), file):
            written.update(chunk)
    with source.open("rb") as data:
        if hashlib.file_digest(data, "sha256").digest() != written.digest():
            raise Refused("backup.damaged", str(file), "The disk does not keep what is written: use another one.")


def _unseal(file: Path, to: Path, master: MasterKey) -> datetime:
    """Writes the database in *file* to *to*; returns when it was made."""
    try:
        with file.open("rb") as sealed:
            head, told = _head(sealed, master, file)
            descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                for chunk in _opened(sealed, head, told, file):
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
    except OSError:
        raise Refused("backup.cannot_read", str(file), "Check its path, the rights, and the space here.") from None
    return datetime.fromisoformat(str(told["made_at"]))


def _head(sealed: BinaryIO, master: MasterKey, file: Path) -> tuple[bytes, Mapping[str, object]]:
    """The head as written and as read, with the opened key as `key`."""
    if sealed.read(len(_MAGIC)) != _MAGIC:
        raise Refused("backup.not_a_backup", str(file), "Give a file that `silah backup` wrote.")
    head = sealed.readline(_MOST_HEAD)
    try:
        told = json.loads(head)
        name, wrapped = str(told["id"]), b64decode(told["wrapped"])
        datetime.fromisoformat(told["made_at"])
    except (ValueError, TypeError, KeyError):
        raise Refused("backup.damaged", str(file), _ADVICE) from None
    try:
        return head, {**told, "key": master.unwrap(wrapped, f"backup {name}")}
    except KeyUnavailable:
        advice = f"It was made with master key {told.get('key_id')}: put that one in place; see the recovery sheet."
        raise KeyUnavailable("backup.other_key", str(file), advice) from None


def _opened(sealed: BinaryIO, head: bytes, told: Mapping[str, object], file: Path) -> Iterator[bytes]:
    """The chunks in clear; raises `Refused` at the first that is not what was written there."""
    key = told["key"]
    assert isinstance(key, DataKey)  # noqa: S101 (put there by _head)
    number, size = 0, sealed.read(4)
    while size:
        chunk = sealed.read(int.from_bytes(size, "big"))
        size = sealed.read(4)
        try:
            yield key.open(chunk, _context(head, number, last=not size))
        except (KeyUnavailable, ValueError):
            raise Refused("backup.damaged", str(file), _ADVICE) from None
        number += 1
    if number == 0:
        raise Refused("backup.damaged", str(file), _ADVICE)
