"""A form server whose forms are encrypted on the phone: the same promises, with the answers opened here, in memory.

It stands in front of an adapter and knows nothing of the adapter's wire. Nothing of what it opens is kept: media are
opened a second time when they are sent, out of what the form server holds, and compared with what was read at first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mimetypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from connector.config import FormKey, Server
from connector.errors import NotASubmission, ServerError, SilahError
from connector.model import JSON, Answers, AttachmentRef, Bell, Listed, Review, Submission, bare_uuid
from connector.servers import FormServer, Revoked, Rights
from connector.servers.odk_encryption import (
    SUBMISSION,
    Decrypted,
    Envelope,
    IncompleteSubmission,
    TamperedSubmission,
    decrypt,
    decrypt_one,
    load_private_key,
    parse_envelope,
)
from connector.transforms.xml_answers import NotXml, answers_in, parse
from forms.tables import load

log = logging.getLogger("silah.unsealing")

_READERS = 4
_MARK = "sealed:"
_NO_ANSWERS = ("meta/", "formhub/", "__version__", "_version_")


@dataclass(frozen=True, slots=True)
class _SealedFile:
    """Where a media file of an opened submission is, and how it opens again; it stands in `AttachmentRef.ref`.

    *place* is its number in the envelope, from 0; *key* the envelope's encrypted key; *clear* the SHA-256 of what it
    held when the whole submission was verified.
    """

    ref: str
    place: int
    key: str
    instance_id: str
    clear: str

    def text(self) -> str:
        return _MARK + json.dumps(asdict(self))


class Unsealing:
    """An adapter behind private keys, as `FormServer`.

    Args:
        keys: form -> its private key; a form without one passes through as it is.
        may_be_clear: forms that may come in unencrypted although they have a key.
        wait: how long the files of a submission may take to arrive before it is shown as incomplete.
        now: the clock.
    """

    def __init__(
        self,
        inner: FormServer,
        keys: Mapping[str, RSAPrivateKey],
        may_be_clear: Sequence[str],
        wait: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self.name = inner.name
        self._inner, self._keys, self._may_be_clear = inner, keys, frozenset(may_be_clear)
        self._wait, self._now = wait, now

    def bell(self, body: JSON) -> Bell:
        return self._inner.bell(body)

    def own_account(self) -> str | None:
        return self._inner.own_account()

    def rights(self, form_id: str) -> Rights:
        return self._inner.rights(form_id)

    def listing(self, form_id: str, after: int = -1) -> Iterator[list[Listed]]:
        return self._inner.listing(form_id, after)

    def review_of(self, form_id: str, order: int) -> Review:
        return self._inner.review_of(form_id, order)

    def set_on_hold(self, form_id: str, order: int, *, on_hold: bool) -> None:
        self._inner.set_on_hold(form_id, order, on_hold=on_hold)

    def delete(self, form_id: str, orders: Sequence[int]) -> None:
        self._inner.delete(form_id, orders)

    def senders(self, account: str) -> tuple[str, ...]:
        return self._inner.senders(account)

    def revoke(self, account: str) -> Revoked:
        return self._inner.revoke(account)

    def read(self, form_id: str, orders: Sequence[int]) -> list[Submission]:
        """Those that wait for a file are left out, as if they had not arrived."""
        found = self._inner.read(form_id, orders)
        if form_id not in self._keys:
            return found
        with ThreadPoolExecutor(_READERS) as pool:
            return [one for one in pool.map(self._opened, found) if one is not None]

    def read_root(self, form_id: str, root_id: str) -> Submission | None:
        found = self._inner.read_root(form_id, root_id)
        return self._opened(found) if found is not None and form_id in self._keys else found

    def attachment(self, form_id: str, order: int, attachment: AttachmentRef) -> bytes:
        """Raises also `TamperedSubmission`, when the file is not the one that was verified at first."""
        if not attachment.ref.startswith(_MARK):
            return self._inner.attachment(form_id, order, attachment)
        told = _SealedFile(**json.loads(attachment.ref.removeprefix(_MARK)))
        sealed = self._inner.attachment(form_id, order, replace(attachment, ref=told.ref))
        where = f"a file of form {form_id} on {self.name}"
        clear = decrypt_one(told.key, told.instance_id, told.place, sealed, self._key(form_id), where)
        if _mark(clear) != told.clear:
            raise TamperedSubmission(
                "encryption.changed", where, "Compare with the phone; `silah queue replay` tries again."
            )
        return clear

    def _key(self, form_id: str) -> RSAPrivateKey:
        if form_id not in self._keys:
            advice = "Name the form's private key again: what was read with it is still to be sent."
            raise SilahError("encryption.no_key", f"form {form_id} on {self.name}", advice)
        return self._keys[form_id]

    def _opened(self, one: Submission) -> Submission | None:
        """*one* with its answers; None while files may still be on their way."""
        if one.envelope is None:
            allowed = one.form_id in self._may_be_clear
            return one if allowed else replace(one, fault="encryption.in_clear")
        where = f"form {one.form_id} on {self.name}"
        try:
            return self._open(one, parse_envelope(one.envelope, where), where)
        except IncompleteSubmission as error:
            return None if self._now() - one.submitted_at < self._wait else replace(one, fault=error.code)
        except (NotASubmission, TamperedSubmission) as error:
            return replace(one, fault=error.code)

    def _open(self, one: Submission, envelope: Envelope, where: str) -> Submission:
        if bare_uuid(envelope.instance_id) != one.instance_id:
            raise TamperedSubmission("encryption.another_submission", where, "Compare with the phone.")
        refs = {file.name: file for file in one.attachments}
        files = {name: data for name in envelope.files for data in self._fetched(one, refs.get(name))}
        decrypted = decrypt(envelope, files, self._keys[one.form_id], where=where)
        answers, version = _answers(one.form_id, envelope, decrypted, where)
        media = tuple(
            _reference(refs[f"{name}.enc"].ref, place, envelope, name, decrypted.media[name])
            for place, name in enumerate(envelope.media)
        )
        return replace(
            one, answers=answers, attachments=media, form_version=version or one.form_version, encrypted=False
        )

    def _fetched(self, one: Submission, ref: AttachmentRef | None) -> Iterator[bytes]:
        """The file's bytes, or nothing when it cannot be had: one broken file must not hold up the others' reading."""
        if ref is None:
            return
        try:
            yield self._inner.attachment(one.form_id, one.order, ref)
        except ServerError as error:
            log.warning("%s for a file of record %s", error.code, one.record_id)


def form_keys(name: str, config: Server) -> Mapping[str, RSAPrivateKey]:
    """Form -> its private key, as the server's table names them; raises `KeyUnavailable`."""
    everywhere = _loaded(f"servers.{name}.private_key", config)
    keys = dict.fromkeys(config.forms, everywhere)
    keys |= {form: _loaded(f"servers.{name}.form_keys.{form}", key) for form, key in config.form_keys.items()}
    return {form: key for form, key in keys.items() if key is not None}


def _loaded(where: str, named: FormKey) -> RSAPrivateKey | None:
    pem = named.secret("private_key")
    return load_private_key(pem.encode(), named.secret("private_key_passphrase"), f"`{where}`") if pem else None


def _reference(ref: str, place: int, envelope: Envelope, name: str, clear: bytes) -> AttachmentRef:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    sealed = _SealedFile(ref, place, envelope.key, envelope.instance_id, _mark(clear))
    return AttachmentRef(name, sealed.text(), kind)


def _answers(form_id: str, envelope: Envelope, decrypted: Decrypted, where: str) -> tuple[Answers, str | None]:
    """Answers and version of the form out of the record's own XML."""
    try:
        root = parse(decrypted.submission_xml)
    except NotXml:
        raise TamperedSubmission(
            "encryption.not_a_record", f"{where}: {SUBMISSION}", "Compare with the phone."
        ) from None
    answers = answers_in(root, load(form_id).repeats)
    if answers.get("meta/instanceID") != envelope.instance_id:
        raise TamperedSubmission("encryption.another_submission", where, "Compare with the phone.")
    return {key: answer for key, answer in answers.items() if not key.startswith(_NO_ANSWERS)}, root.get("version")


def _mark(clear: bytes) -> str:
    return hashlib.sha256(clear).hexdigest()
