"""A target of type `handover`: an encrypted file a delivery, for recipients whose system is closed.

    <record>.<version>.<key>.age        a .zip, encrypted (age v1) to the recipient's public keys
    <record>.<version>.<key>.expects    what a receipt must hold, as a hash
    <record>.<version>.<key>.receipt    put there by the recipient: `receipt.txt` from inside the .zip

The .zip holds `record.json` (as a REST target receives it, files included), and unless it withdraws, `record.xlsx` and
the printable `case-file.html`. Only who has opened the file can give its receipt, which closes the delivery. Names of
files say nothing of anybody.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import secrets
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pyrage
from pyrage import x25519

from connector.config import Target
from connector.disclosure import Release
from connector.errors import Misconfigured, TargetError
from connector.model import Action, Receipt
from connector.targets import Effect, Health, Removal
from connector.targets.casefile import case_file
from connector.targets.folder import Folder
from connector.targets.rest import body_of
from connector.targets.spreadsheet import as_xlsx
from connector.targets.table import Table
from connector.targets.wording import Language
from connector.transforms.registry import RECORDS

_MOST_RECEIPT = 1024  # bytes of a receipt that are looked at
_KEY_CHARACTERS = 16
_ROUND = (1980, 1, 1, 0, 0, 0)  # a .zip has no earlier time; the real one stands in record.json


class Handover:
    """The hand-over folder of one recipient."""

    effect: Effect = "key honoured"
    removal: Removal = "told"

    def __init__(self, name: str, config: Target) -> None:
        self.name = name
        self._config = config
        self._folder = Folder(name, config.at_home(cast("Path", config.folder)))
        self._tables = {
            kind: Table(kind, config.recipient, config.language) for kind in config.accepts if kind in RECORDS
        }
        self._keys = [_public_key(name, text) for text in config.public_keys]

    def deliver(self, release: Release) -> Receipt:
        with self._folder.held():
            stem = _stem(release)
            if self._newer_than(release):
                return Receipt()
            if self._folder.read(f"{stem}.expects") is None:
                self._make(stem, release)
            return self._close(stem)

    def check(self) -> Health:
        return self._folder.check()

    def _newer_than(self, release: Release) -> bool:
        """A late repeat of an older version must not take the newer file away."""
        names = self._folder.path.glob(f"{release.record_id}.*.expects")
        return any(int(file.name.split(".")[1]) > release.version for file in names)

    def _make(self, stem: str, release: Release) -> None:
        """Writes the file, then takes away what is older: a recipient finds the newest word on a record alone."""
        token = secrets.token_hex(16)
        sealed = pyrage.encrypt(_bundle(release, token, self._tables[release.kind], self._config.language), self._keys)
        self._folder.write({f"{stem}.age": sealed, f"{stem}.expects": _hashed(token)})
        for file in self._folder.path.glob(f"{release.record_id}.*"):
            if not file.name.startswith(f"{stem}."):
                self._folder.remove(file.name)

    def _close(self, stem: str) -> Receipt:
        """The receipt, when the recipient has opened the file or none is asked for."""
        if self._config.receipt == "none":
            return Receipt(f"{stem}.age")
        given = self._folder.read(f"{stem}.receipt")
        if given is None:
            raise self._open("target.no_receipt", "The recipient has not confirmed yet; it is looked for again.")
        token = given[:_MOST_RECEIPT].decode(errors="replace").strip()
        if not hmac.compare_digest(_hashed(token), self._folder.read(f"{stem}.expects") or b""):
            raise self._open(
                "target.receipt_not_right", f"{stem}.receipt is not receipt.txt of that file: ask for it again."
            )
        self._folder.remove(f"{stem}.age")
        return Receipt(f"{stem}.age")

    def _open(self, code: str, advice: str) -> TargetError:
        return TargetError(code, f"target {self.name}", advice, retry_after=self._config.receipt_every)


def _stem(release: Release) -> str:
    key = hashlib.sha256(release.key.encode()).hexdigest()[:_KEY_CHARACTERS]
    return f"{release.record_id}.{release.version}.{key}"


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).hexdigest().encode()


def _bundle(release: Release, token: str, table: Table, language: Language) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, make in _pieces(release, token, table, language):
            bundle.writestr(zipfile.ZipInfo(name, _ROUND), make())
    return out.getvalue()


def _pieces(
    release: Release, token: str, table: Table, language: Language
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    yield "record.json", lambda: body_of(release)
    if release.action is not Action.WITHDRAW:
        yield "record.xlsx", lambda: as_xlsx([(table, table.lines(release).lines)])
        yield "case-file.html", lambda: case_file(release, language)
    yield "receipt.txt", token.encode


def _public_key(name: str, text: str) -> x25519.Recipient:
    try:
        return x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        where = f"`targets.{name}.public_keys`"
        raise Misconfigured(
            "config.bad_public_key", where, "A key begins with `age1`: the recipient's `age-keygen -y` prints it."
        ) from None
