"""The master key, and the data keys that it wraps. What is stored is AES-256-GCM throughout.

A data key belongs to one submission for ever (its root id): destroying it makes every version, also those in
backups, unreadable. The master key lives outside the database. A sealed value is `nonce (12 bytes) + ciphertext`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from connector.errors import Damaged, KeyUnavailable, Refused

_KEY_BYTES = 32
_NONCE_BYTES = 12
MASTER_PREFIX = "silah-master-1:"
_ADVICE = "Make one with `silah keys new`, or put the one from the recovery sheet there."


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key of one submission. *context* binds a value to its place: moved elsewhere it does not open."""

    secret: bytes = field(repr=False)

    def seal(self, value: bytes, context: str) -> bytes:
        return _seal(self.secret, value, context)

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises `Damaged` when *sealed* is not what was sealed in that place."""
        return _open(self.secret, sealed, context)


class MasterKey:
    """The key that wraps data keys, and those before it while a rotation goes on.

    Args:
        secret: 32 bytes.
        previous: older keys that still open what they wrapped.
        reload: reads the key anew from where it is kept, when something was wrapped by a key that is not known here
            (somebody rotated it beside a running server).
    """

    def __init__(
        self, secret: bytes, previous: Sequence[MasterKey] = (), reload: Callable[[], MasterKey] | None = None
    ) -> None:
        self.secret = secret
        self._known = {self.key_id: self, **{older.key_id: older for older in previous}}
        self._reload = reload

    def __repr__(self) -> str:
        return f"MasterKey({self.key_id})"

    @property
    def key_id(self) -> str:
        """8 hex digits that say which key wrapped something, without telling the key."""
        return hashlib.sha256(b"silah key id" + self.secret).hexdigest()[:8]

    def new_data_key(self) -> DataKey:
        return DataKey(secrets.token_bytes(_KEY_BYTES))

    def wrap(self, key: DataKey, record: str) -> bytes:
        return bytes.fromhex(self.key_id) + _seal(self.secret, key.secret, f"data key of {record}")

    def unwrap(self, wrapped: bytes, record: str) -> DataKey:
        """Raises `Damaged` when a key that is known here wrapped it, else `KeyUnavailable`."""
        wrapper = self._wrapper(wrapped[:4].hex())
        if wrapper is None:
            advice = "The master key is another one; put the one from the recovery sheet, or the backup, in its place."
            raise KeyUnavailable("keys.does_not_open", "a sealed value of the ledger", advice)
        return DataKey(_open(wrapper.secret, wrapped[4:], f"data key of {record}"))

    def wrapped_here(self, wrapped: bytes) -> bool:
        """Whether the newest key wrapped this."""
        return wrapped[:4].hex() == self.key_id

    def _wrapper(self, key_id: str) -> MasterKey | None:
        if key_id not in self._known and self._reload is not None:
            fresh = self._reload()
            self.secret = fresh.secret
            self._known = fresh._known  # noqa: SLF001 (the same key, read anew)
        return self._known.get(key_id)

    def text(self) -> str:
        """The key as its file and the recovery sheet hold it, with a checksum against a slip of the pen."""
        check = hashlib.sha256(self.secret).hexdigest()[:4]
        return f"{MASTER_PREFIX}{base64.b32encode(self.secret).decode().rstrip('=')}-{check}"


def derive(secret: bytes, purpose: str) -> bytes:
    """32 bytes of *secret* for one *purpose* (HKDF-SHA256, RFC 5869)."""
    return HKDF(SHA256(), _KEY_BYTES, None, purpose.encode()).derive(secret)


def parse_master(text: str | None, where: str, reload: Callable[[], MasterKey] | None = None) -> MasterKey:
    """Reads `MasterKey.text()`, and older keys in further lines; raises `KeyUnavailable`, which never holds the text."""
    if not text:
        raise KeyUnavailable("keys.no_master_key", where, _ADVICE)
    newest, *older = [_secret(line, where) for line in re.split(r"[\s,]+", text.strip())]
    return MasterKey(newest, [MasterKey(secret) for secret in older], reload)


def _secret(line: str, where: str) -> bytes:
    body, _, check = line.removeprefix(MASTER_PREFIX).rpartition("-")
    try:
        secret = base64.b32decode(body + "=" * (-len(body) % 8))
    except ValueError:
        raise KeyUnavailable("keys.bad_master_key", where, _ADVICE) from None
    if len(secret) != _KEY_BYTES or hashlib.sha256(secret).hexdigest()[:4] != check:
        raise KeyUnavailable("keys.bad_master_key", where, _ADVICE)
    return secret


def write_master_file(file: Path, keys: Sequence[MasterKey]) -> None:
    """Puts *keys*, the newest first, into *file* at once or not at all (mode 0600)."""
    partial = file.with_suffix(".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        out.writelines(key.text() + "\n" for key in keys)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)


def new_master_file(file: Path) -> MasterKey:
    """Makes a master key in *file* (mode 0600) and never writes over one."""
    key = MasterKey(secrets.token_bytes(_KEY_BYTES))
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        advice = "Keep it: everything in the ledger is sealed with it. `silah keys rotate` makes another."
        raise Refused("keys.exists", str(file), advice) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        out.write(key.text() + "\n")
        out.flush()
        os.fsync(out.fileno())
    return key


def _seal(secret: bytes, value: bytes, context: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(secret).encrypt(nonce, value, context.encode())


def _open(secret: bytes, sealed: bytes, context: str) -> bytes:
    try:
        return AESGCM(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce and a tag
        advice = "It is read again from the form server by itself; if it is not there any more, restore a backup."
        raise Damaged("record.damaged", "a sealed value of the ledger", advice) from None
