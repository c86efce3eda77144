"""The master key, and the data keys that it wraps. What is stored is AES-256-GCM throughout.

A data key belongs to one submission for ever (its root id): destroying it makes every version, also those in
backups, unreadable. The master key lives outside the database. A sealed value is `nonce (12 bytes) + ciphertext`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from connector.errors import KeyUnavailable, Refused

_KEY_BYTES = 32
_NONCE_BYTES = 12
_PREFIX = "silah-master-1:"


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key of one submission. *context* binds a value to its place: moved elsewhere it does not open."""

    secret: bytes = field(repr=False)

    def seal(self, value: bytes, context: str) -> bytes:
        return _seal(self.secret, value, context)

    def open(self, sealed: bytes, context: str) -> bytes:
        return _open(self.secret, sealed, context)


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The key that wraps data keys; *key_id* (8 hex digits) says which one wrapped, without telling it."""

    secret: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        return hashlib.sha256(b"silah key id" + self.secret).hexdigest()[:8]

    def new_data_key(self) -> DataKey:
        return DataKey(secrets.token_bytes(_KEY_BYTES))

    def wrap(self, key: DataKey, record: str) -> bytes:
        return _seal(self.secret, key.secret, f"data key of {record}")

    def unwrap(self, wrapped: bytes, record: str) -> DataKey:
        return DataKey(_open(self.secret, wrapped, f"data key of {record}"))

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one *purpose* (blind indexes, audit tokens): they change with the master key."""
        return HKDF(SHA256(), _KEY_BYTES, None, purpose.encode()).derive(self.secret)

    def text(self) -> str:
        """The key as its file and the recovery sheet hold it, with a checksum against a slip of the pen."""
        check = hashlib.sha256(self.secret).hexdigest()[:4]
        return f"{_PREFIX}{base64.b32encode(self.secret).decode().rstrip('=')}-{check}"


def parse_master(text: str | None, where: str) -> MasterKey:
    """Reads `MasterKey.text()`; raises `KeyUnavailable`, which never holds the text."""
    advice = "Make one with `silah keys new`, or put the one from the recovery sheet there."
    if not text:
        raise KeyUnavailable("keys.no_master_key", where, advice)
    body, _, check = text.strip().removeprefix(_PREFIX).rpartition("-")
    try:
        secret = base64.b32decode(body + "=" * (-len(body) % 8))
    except ValueError:
        raise KeyUnavailable("keys.bad_master_key", where, advice) from None
    if len(secret) != _KEY_BYTES or hashlib.sha256(secret).hexdigest()[:4] != check:
        raise KeyUnavailable("keys.bad_master_key", where, advice)
    return MasterKey(secret)


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
    except InvalidTag:
        advice = "The master key is another one, or the row was damaged; restore the key or the backup."
        raise KeyUnavailable("keys.does_not_open", "a sealed value of the ledger", advice) from None
