"""A power cut, as a database sees one: of what SQLite wrote only that is sure which it had asked the disk to sync.

SQLite reaches its files through a table of functions, its VFS (https://sqlite.org/vfs.html). Here `xWrite`, `xTruncate`
and `xSync` of this process's own SQLite are noted on their way to the disk. After a cut a file is what was synced, and
of every later write nothing, all or a part in sectors of 512 bytes, as chance wills.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, cast
from dataclasses import dataclass, field
from pathlib import Path

_SECTOR = 512
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(Structure):
    """The head of `sqlite3_vfs`."""

    _fields_ = (
        ("iVersion", c_int), ("szOsFile", c_int), ("mxPathname", c_int), ("pNext", c_void_p), ("zName", c_char_p),
        ("pAppData", c_void_p), ("xOpen", c_void_p),
    )  # fmt: skip


class _Methods(Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = (
        ("iVersion", c_int), ("xClose", c_void_p), ("xRead", c_void_p), ("xWrite", c_void_p), ("xTruncate", c_void_p),
        ("xSync", c_void_p), ("rest", c_void_p * 13),
    )  # fmt: skip


@dataclass
class _File:
    """*synced*: what the disk surely holds; *since*: (place, bytes) of every write after that, None for a truncation."""

    synced: bytearray
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.since:
            _apply(self.synced, *change)
        self.since.clear()

    def after_a_cut(self, chance: random.Random) -> bytes:
        image = bytearray(self.synced)
        for place, data in self.since:
            if data is None:
                if chance.random() < 0.5:
                    _apply(image, place, None)
                continue
            for start in range(0, len(data), _SECTOR):
                if chance.random() < 0.5:
                    _apply(image, place + start, data[start : start + _SECTOR])
        return bytes(image)


def _apply(image: bytearray, place: int, data: bytes | None) -> None:
    if data is None:
        del image[place:]
        return
    image.extend(bytes(max(0, place + len(data) - len(image))))
    image[place : place + len(data)] = data


class Disk:
    """What became of the files under *folder* that this process's SQLite wrote."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self.syncs = 0
        self._folder = str(folder)
        self._files: dict[str, _File] = {}
        self._names: dict[int, str] = {}
        self._methods: dict[int, _Methods] = {}
        self._open = _OPEN(self._opened)
        self._write, self._truncate, self._sync = _WRITE(self._written), _TRUNCATE(self._truncated), _SYNC(self._synced)
        library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        library.sqlite3_vfs_find.argtypes = [c_char_p]
        self._vfs = library.sqlite3_vfs_find(None).contents
        self._before = int(self._vfs.xOpen)
        self._original = _OPEN(self._before)

    def begin(self) -> None:
        self._vfs.xOpen = cast(self._open, c_void_p).value

    def end(self) -> None:
        self._vfs.xOpen = self._before

    def cut(self, to: Path, chance: random.Random) -> None:
        """Writes what is there after a power cut at this moment."""
        with self.lock:
            images = {name: file.after_a_cut(chance) for name, file in self._files.items()}
        to.mkdir()
        for name, image in images.items():
            (to / Path(name).name).write_bytes(image)

    def _opened(self, vfs: int, name: int, file: int, flags: int, out: int) -> int:
        done = int(self._original(vfs, name, file, flags, out))
        place = ctypes.string_at(name).decode() if name else ""
        if done == 0 and place.startswith(self._folder) and place.endswith((".db", "-wal")):
            self._watch(file, place)
        return done

    def _watch(self, file: int, place: str) -> None:
        with self.lock:
            pointer = cast(file, POINTER(c_void_p))
            theirs = int(pointer[0] or 0)
            if theirs not in self._methods:
                mine = _Methods.from_buffer_copy(cast(theirs, POINTER(_Methods)).contents)
                self._theirs = _Methods.from_buffer_copy(mine)
                mine.xWrite = cast(self._write, c_void_p).value
                mine.xTruncate = cast(self._truncate, c_void_p).value
                mine.xSync = cast(self._sync, c_void_p).value
                self._methods[theirs] = mine
            pointer[0] = ctypes.addressof(self._methods[theirs])
            self._names[file] = place
            self._files.setdefault(place, _File(bytearray(Path(place).read_bytes())))

    def _written(self, file: int, data: int, size: int, place: int) -> int:
        with self.lock:
            done = int(_WRITE(self._theirs.xWrite)(file, data, size, place))
            self._files[self._names[file]].since.append((place, ctypes.string_at(data, size)))
        return done

    def _truncated(self, file: int, size: int) -> int:
        with self.lock:
            done = int(_TRUNCATE(self._theirs.xTruncate)(file, size))
            self._files[self._names[file]].since.append((size, None))
        return done

    def _synced(self, file: int, flags: int) -> int:
        with self.lock:
            done = int(_SYNC(self._theirs.xSync)(file, flags))
            self._files[self._names[file]].sync()
            self.syncs += 1
        return done


@contextmanager
def watched(folder: Path) -> Iterator[Disk]:
    """Every database that is opened under *folder* meanwhile is watched; they are to be closed before the end."""
    disk = Disk(folder)
    disk.begin()
    try:
        yield disk
    finally:
        disk.end()
