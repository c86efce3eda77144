"""A folder that only our own account may read, and files in it that are whole or not there.

For the targets that write files. Nobody else's data pass through here, and no answer is ever in an error.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from connector.errors import TargetError
from connector.targets import Health

_PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600
_OTHERS = 0o077


class Folder:
    """A private folder of the target *name*. Its names may say nothing of anybody: they are seen by whoever lists it."""

    def __init__(self, name: str, path: Path) -> None:
        self.path = path
        self._name = name

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes meanwhile, in this process or another. Raises `TargetError` when it cannot be written."""
        with self._told(), self._lock_file() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Writes all *files* (name, slashes allowed, to bytes), then gives each its name, in order; durable when it returns."""
        ready: list[tuple[Path, Path]] = []
        for name, data in files.items():
            file = self.path / name
            file.parent.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
            partial = file.with_name(f".{file.name}.new")
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE_FILE), "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            ready.append((partial, file))
        for partial, file in ready:
            partial.rename(file)
        for folder in {file.parent for _, file in ready}:
            _sync(folder)

    def append(self, name: str, data: bytes, at: int) -> None:
        """Puts *data* behind the first *at* bytes of *name*; what stood there was never finished. Durable when it returns."""
        handle = os.open(self.path / name, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
        with os.fdopen(handle, "r+b") as stream:
            stream.truncate(at)
            stream.seek(at)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())

    def read(self, name: str) -> bytes | None:
        """The bytes of *name*, or None when it is not there."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """*name* is gone afterwards; it may have been before."""
        with suppress(FileNotFoundError):
            (self.path / name).unlink()

    def check(self) -> Health:
        """Whether it is there, ours alone, and can be written."""
        try:
            with self.held():
                self.write({".writable": b""})
                self.remove(".writable")
        except TargetError as error:
            return Health(ok=False, code=error.code, next_step=error.next_step)
        return Health(ok=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A full disk or missing rights as the error that is told; the system's own words may hold names."""
        try:
            yield
        except PermissionError:
            raise TargetError(
                "target.folder_not_ours", self._where, "Give our account the folder, mode 0700."
            ) from None
        except OSError:
            raise TargetError(
                "target.folder_not_writable", self._where, "Free space, or mend the folder's path."
            ) from None

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        self.path.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        if self.path.stat().st_mode & _OTHERS:
            self.path.chmod(_PRIVATE_FOLDER)
        lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
        try:
            yield lock
        finally:
            os.close(lock)

    @property
    def _where(self) -> str:
        return f"target {self._name}, folder {self.path}"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
