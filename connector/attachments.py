"""Files on their way: fetched at sending, cleaned once, kept sealed until the last delivery is done, then gone.

The spool holds only what is encrypted with the submission's own data key, under names that say nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from connector.config import Config
from connector.disclosure import Release
from connector.errors import Damaged, ServerError
from connector.images import Unreadable, clean_image
from connector.keys import DataKey
from connector.ledger.flow import Due, Ledger
from connector.model import AttachmentRef, File
from connector.servers import FormServer

MOST_FILE = 10 * 1024 * 1024  # contract §4
MOST_DELIVERY = 25 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What is known of a submission's files: where each is, and the server's number of the submission."""

    refs: Mapping[str, AttachmentRef]
    order: int


class Attachments:
    """Puts the photos of a release beside it."""

    def __init__(self, config: Config, ledger: Ledger, servers: Mapping[str, FormServer]) -> None:
        self._config, self._ledger, self._servers = config, ledger, servers
        self._spool = config.at_home(config.data_dir) / "spool"
        self._names = ledger.derive("names in the spool")

    def attach(self, release: Release, delivery: Due) -> Release:
        """*release* with its photos.

        Raises:
            ServerError: a file has not arrived yet, or the form server does not give it; try again.
            Unreadable: a file is no picture, or too large: the delivery needs a person.
        """
        if not release.photos:
            return release
        key = self._ledger.data_key(delivery.record_id)
        raw = self._ledger.raw(delivery.submission_id, delivery.version)
        if key is None:
            return release.with_files({})
        if raw is None:  # its time to be kept was over: where the files are is read again, if the form server has it
            self._wait_for(delivery)
            return release.with_files({})
        waiting = _files(raw)
        files: dict[str, File] = {}
        for name in sorted(set(release.photos)):
            file = self._file(name, waiting, delivery, key)
            if file is not None:
                files[name] = file
        _check_sizes(files.values())
        return release.with_files(files)

    def forget(self, delivery: Due) -> None:
        """Nothing of this submission is to be sent any more: its spooled files go (what cannot, at the next purge)."""
        folder = self._folder(delivery)
        if folder.is_dir() and not self._ledger.has_open(delivery.submission_id):
            with contextlib.suppress(OSError):
                for file in folder.iterdir():
                    file.unlink(missing_ok=True)
                folder.rmdir()

    def erase(self, record_id: str) -> int:
        """Removes whatever of a record is in the spool, half-written files too; how many files."""
        folder = self._spool / self._hidden(record_id)
        files = list(folder.iterdir()) if folder.is_dir() else []
        for file in files:
            file.unlink(missing_ok=True)
        if files or folder.is_dir():
            folder.rmdir()
        return len(files)

    def leftovers(self, in_use: Iterable[str], before: datetime, *, dry_run: bool) -> int:
        """Removes spooled files older than *before* of records that are not *in_use*; how many files. They come from a
        process that was stopped between sending and tidying up."""
        kept = {self._hidden(record_id) for record_id in in_use}
        found = 0
        for folder in self._spool.iterdir() if self._spool.is_dir() else ():
            old = [file for file in folder.iterdir() if file.stat().st_mtime <= before.timestamp()]
            if folder.name in kept or not old:
                continue
            found += len(old)
            for file in [] if dry_run else old:
                file.unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
        return found

    def _file(self, name: str, waiting: _Waiting, delivery: Due, key: DataKey) -> File | None:
        ref = waiting.refs.get(name)
        if ref is None:
            self._wait_for(delivery)
            return None
        spooled = self._folder(delivery) / self._hidden(f"{delivery.record_id}:{ref.ref}:{name}")
        context = f"{delivery.record_id}:{spooled.name}:spool"
        kept = self._kept(spooled, key, context)
        if kept is not None:
            return kept
        data = self._servers[delivery.server].attachment(delivery.form_id, waiting.order, ref)
        file = clean_image(data, where=f"a photo of record {delivery.record_id}")
        self._keep(spooled, key.seal(_packed(file), context))
        return file

    def _kept(self, spooled: Path, key: DataKey, context: str) -> File | None:
        """A file of the spool; one that was damaged is fetched again."""
        try:
            return _unpacked(key.open(spooled.read_bytes(), context)) if spooled.is_file() else None
        except Damaged:
            return None

    def _keep(self, spooled: Path, sealed: bytes) -> None:
        partial = spooled.with_suffix(f".{secrets.token_hex(4)}")  # two targets may fetch the same photo at once
        try:
            spooled.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial.write_bytes(sealed)
            partial.rename(spooled)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            where = f"{spooled.parent.parent} ({error.strerror})"
            raise ServerError(
                "spool.unavailable", where, "Free disk space or mend the rights; it goes on by itself."
            ) from None

    def _wait_for(self, delivery: Due) -> None:
        """Devices send large files after the form: they are waited for, then the record goes without. One that comes
        later is found by a sweep and goes with another delivery of the same version."""
        wait: timedelta = self._config.servers[delivery.server].attachments_wait
        if self._ledger.now() - (delivery.tried_at or self._ledger.now()) < wait:
            self._ledger.read_again(delivery)
            raise ServerError("attachment.not_arrived", f"record {delivery.record_id}", "It is waited for and fetched.")
        self._ledger.went_without(delivery)

    def _folder(self, delivery: Due) -> Path:
        return self._spool / self._hidden(delivery.record_id)

    def _hidden(self, text: str) -> str:
        return hmac.new(self._names, text.encode(), hashlib.sha256).hexdigest()[:32]


def _files(raw: bytes) -> _Waiting:
    kept = cast("dict[str, object]", json.loads(raw))
    rows = cast("list[list[str]]", kept["files"])
    refs = {name: AttachmentRef(name, ref, media_type) for name, ref, media_type in rows}
    return _Waiting(refs, cast("int", kept["order"]))


def _check_sizes(files: Collection[File]) -> None:
    sizes = [len(file.data) for file in files]
    if any(size > MOST_FILE for size in sizes) or sum(sizes) > MOST_DELIVERY:
        raise Unreadable(
            "attachment.too_large", "the photos of a delivery", "Send fewer or smaller photos, then replay."
        )


def _packed(file: File) -> bytes:
    head = json.dumps([file.name, file.media_type]).encode()
    return len(head).to_bytes(2, "big") + head + file.data


def _unpacked(packed: bytes) -> File:
    size = int.from_bytes(packed[:2], "big")
    name, media_type = json.loads(packed[2 : 2 + size])
    return File(name, media_type, packed[2 + size :])
