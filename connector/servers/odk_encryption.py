"""Submissions of forms with a public key: opened here, in memory, so that no form server ever sees them in clear.

Follows the ODK XForms encryption specification (getodk.github.io/xforms-spec/encryption). Collect and Enketo make, for
every submission, an AES key, encrypt each media file and then the answers with it, and put the key, encrypted with
the form's RSA public key, into an *envelope*: a small XML file that names the other files and carries a signature.

That signature is made with the public key as well. It shows that nothing was changed, cut off or mixed up on the way;
it does not show who filled in the form.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7
from defusedxml.ElementTree import fromstring

from connector.errors import KeyUnavailable, NotASubmission, Refused, SilahError

MOST_ENVELOPE = 1024 * 1024
"""Bytes of an envelope: it holds names and keys alone."""

MOST_FILE = 128 * 1024 * 1024
"""Bytes of one encrypted file; the form servers take 100 MB."""

MOST_MEDIA = 1000
"""Files that one submission may name."""

SUBMISSION = "submission.xml"
_ENC = ".enc"
_LONGEST_NAME = 240  # bytes, with `.enc` within what every file system takes
_AES_KEY = 32  # bytes


class TamperedSubmission(SilahError):
    """The envelope or a file was changed, cut off or mixed up, or the key is another form's: nothing of it is used."""


class IncompleteSubmission(SilahError):
    """Files have not arrived yet; *missing* is how many. The caller waits and tries again."""

    def __init__(self, code: str, where: str, next_step: str, *, missing: int) -> None:
        super().__init__(code, where, next_step)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the clear XML of an encrypted submission says.

    *media* are the names of the media files in the envelope's order, without `.enc`. *key* and *signature* stay in
    base64, as written, because the signature is over that text.
    """

    form_id: str
    version: str
    instance_id: str
    key: str = field(repr=False)
    media: tuple[str, ...]
    signature: str = field(repr=False)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the encrypted files that belong to it, with `.enc`, in the order of their encryption."""
        return tuple(f"{name}{_ENC}" for name in (*self.media, SUBMISSION))


@dataclass(frozen=True, slots=True)
class Decrypted:
    """A submission in clear. *missing* counts the media files that were not there; it is 0 when all was verified."""

    submission_xml: bytes = field(repr=False)
    media: Mapping[str, bytes] = field(repr=False)
    missing: int = 0


def parse_envelope(xml: bytes, where: str = "envelope") -> Envelope:
    """The envelope of an encrypted submission.

    Raises:
        NotASubmission: `encryption.not_an_envelope` (no usable XML), `encryption.in_clear` (a submission that was not
            encrypted: form servers take those for an encrypted form too, which somebody has to hear of).
        TamperedSubmission: `encryption.damaged_envelope` (a part is missing, double or too long),
            `encryption.unsafe_name` (a file name that is a path, or stands twice).
    """
    root = _root(xml, where)
    if root.get("encrypted") != "yes":
        raise NotASubmission("encryption.in_clear", where, "Check on the form server why it came in unencrypted.")
    envelope = Envelope(
        form_id=root.get("id", ""),
        version=root.get("version", ""),
        instance_id=_only_text(root, "instanceID", where),
        key=_only_text(root, "base64EncryptedKey", where),
        media=tuple(_media(root, where)),
        signature=_only_text(root, "base64EncryptedElementSignature", where),
    )
    if not envelope.form_id or _only_text(root, "encryptedXmlFile", where) != SUBMISSION + _ENC:
        raise _damaged(where)
    return envelope


def decrypt(
    envelope: Envelope,
    files: Mapping[str, bytes],
    private_key: RSAPrivateKey,
    *,
    partly: bool = False,
    where: str = "submission",
) -> Decrypted:
    """The answers and media of a submission, verified against the envelope's signature.

    Args:
        files: the encrypted files by the names of `Envelope.files`; others are not looked at.
        partly: open it although media files are missing. Without all of them the signature cannot be checked; instead
            the answers must be the XML of that form and that submission.

    Raises:
        IncompleteSubmission: `encryption.incomplete`; the answers themselves are never dispensable.
        TamperedSubmission: `encryption.key_does_not_open` (changed, or another form's key), `encryption.changed`,
            `encryption.too_large`.
    """
    missing = sum(name not in files for name in envelope.files)
    if missing and (not partly or envelope.files[-1] not in files):
        raise IncompleteSubmission("encryption.incomplete", where, "Wait until all files are there.", missing=missing)
    key = _opened(envelope.key, private_key, where)
    if len(key) != _AES_KEY:
        raise _changed(where)
    clear = dict(_in_clear(envelope, files, key, where))
    if missing:
        _check_identity(envelope, clear[SUBMISSION], where)
    else:
        _check_signature(envelope, clear, private_key, where)
    answers = clear.pop(SUBMISSION)
    return Decrypted(answers, clear, missing)


def decrypt_one(
    key: str, instance_id: str, place: int, encrypted: bytes, private_key: RSAPrivateKey, where: str
) -> bytes:
    """One media file in clear, the *place*-th of its envelope (from 0) with that *key* and *instance_id*.

    No signature is looked at: the caller knows what has to come out. Raises `TamperedSubmission`.
    """
    opened = _opened(key, private_key, where)
    if len(opened) != _AES_KEY:
        raise _changed(where)
    start = next(islice(_starts(instance_id, opened), place, None))
    return _one_in_clear(encrypted, opened, start, where)


def load_private_key(data: bytes, passphrase: str | None = None, where: str = "private key") -> RSAPrivateKey:
    """The RSA private key of a form, from PEM or DER (PKCS#8 or PKCS#1), with a *passphrase* if it has one.

    Raises:
        KeyUnavailable: `encryption.passphrase` (missing, wrong, or not needed), `encryption.not_a_private_key`,
            `encryption.weak_key` (under 2048 bits).
    """
    load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
    try:
        key = load(data, passphrase.encode() if passphrase else None)
    except TypeError:
        raise KeyUnavailable("encryption.passphrase", where, "Give its passphrase, or none if it has none.") from None
    except (ValueError, UnsupportedAlgorithm):
        if passphrase:
            raise KeyUnavailable("encryption.passphrase", where, "Check the passphrase and the key file.") from None
        raise _not_a_private_key(where) from None
    if not isinstance(key, RSAPrivateKey):
        raise _not_a_private_key(where)
    if key.key_size < 2048:  # noqa: PLR2004 - bits; shorter keys can be broken
        raise KeyUnavailable("encryption.weak_key", where, "Make a new pair of 2048 bits or more for the form.")
    return key


def open_folder(folder: Path, key_path: Path, out_dir: Path, passphrase: str | None = None) -> None:
    """Opens one submission as it was downloaded and writes it in clear to the new directory *out_dir*.

    *folder* has the envelope as `submission.xml` and the `.enc` files it names beside it. All of it is written, readable
    by its owner alone, or nothing: a failure leaves no clear text behind.

    Raises:
        KeyUnavailable: `encryption.no_key_file`, or as `load_private_key`.
        IncompleteSubmission: `encryption.incomplete`, also when there is no envelope.
        Refused: `encryption.out_exists` (there is something in *out_dir*), `encryption.cannot_read`,
            `encryption.cannot_write`.
        NotASubmission, TamperedSubmission: as `parse_envelope` and `decrypt`.
    """
    _check_free(out_dir)
    private_key = load_private_key(_key_file(key_path), passphrase, str(key_path))
    where = str(folder)
    xml = _read(folder / SUBMISSION, MOST_ENVELOPE, where)
    if xml is None:
        raise IncompleteSubmission("encryption.incomplete", where, "Put its submission.xml into the folder.", missing=1)
    envelope = parse_envelope(xml, where)
    found = ((name, _read(folder / name, MOST_FILE, where)) for name in envelope.files)
    decrypted = decrypt(envelope, {name: data for name, data in found if data is not None}, private_key, where=where)
    try:
        _write_all({**decrypted.media, SUBMISSION: decrypted.submission_xml}, out_dir)
    except OSError:
        raise Refused("encryption.cannot_write", str(out_dir), "Nothing was kept: check rights and space.") from None


# ---- the envelope --------------------------------------------------------------------------------------------------


def _root(xml: bytes, where: str) -> Element:
    if len(xml) <= MOST_ENVELOPE:
        try:
            root: Element = fromstring(xml, forbid_dtd=True)
        except (ParseError, ValueError, LookupError):  # broken, a DTD or an entity, an encoding nobody knows
            pass
        else:
            return root
    raise NotASubmission("encryption.not_an_envelope", where, "Download the submission's XML again.")


def _local(tag: str) -> str:
    """A tag without its namespace: the specification changed it once, and old envelopes stay readable."""
    return tag.rpartition("}")[2]


def _texts(root: Element, name: str) -> list[str]:
    return [(element.text or "").strip() for element in root.iter() if _local(element.tag) == name]


def _only_text(root: Element, name: str, where: str) -> str:
    texts = _texts(root, name)
    if len(texts) != 1 or not texts[0]:
        raise _damaged(where)
    return texts[0]


def _media(root: Element, where: str) -> Iterator[str]:
    names = [text for media in root.iter() if _local(media.tag) == "media" for text in _texts(media, "file")]
    if len(names) > MOST_MEDIA:
        raise _damaged(where)
    taken = {SUBMISSION}
    for name in names:
        clear_name = name.removesuffix(_ENC)
        if clear_name == name or not _is_plain(clear_name) or clear_name.casefold() in taken:
            raise TamperedSubmission("encryption.unsafe_name", where, "Do not open it: report it to your admin.")
        taken.add(clear_name.casefold())
        yield clear_name


def _is_plain(name: str) -> bool:
    """Whether a name is a file's name and no way to another folder, on any system."""
    return (
        name not in {"", ".", ".."}
        and name.isprintable()
        and not set(name) & set('/\\:"<>|?*')
        and len(name.encode()) <= _LONGEST_NAME
    )


# ---- decryption ----------------------------------------------------------------------------------------------------


def _opened(text: str, private_key: RSAPrivateKey, where: str) -> bytes:
    """What a base64 field holds, RSA-OAEP with SHA-256 for the label and the mask (Java's default would be SHA-1)."""
    try:
        encrypted = b64decode(text, validate=True)
        if b64encode(encrypted).decode() == text:  # one text for one value, so that no bit is left to play with
            return private_key.decrypt(encrypted, OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None))
    except ValueError:
        pass
    raise TamperedSubmission("encryption.key_does_not_open", where, "Use the private key that belongs to this form.")


def _in_clear(envelope: Envelope, files: Mapping[str, bytes], key: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    """Clear name and clear bytes of every file that is there; one that is missing uses up its turn all the same."""
    for name, start in zip((*envelope.media, SUBMISSION), _starts(envelope.instance_id, key), strict=False):
        encrypted = files.get(f"{name}{_ENC}")
        if encrypted is None:
            continue
        if len(encrypted) > MOST_FILE:
            raise TamperedSubmission("encryption.too_large", where, "Look at the file on the form server.")
        yield name, _one_in_clear(encrypted, key, start, where)


def _starts(instance_id: str, key: bytes) -> Iterator[bytes]:
    """The initialisation vectors, one a file: before each, the next byte in turn is raised by one, for good."""
    seed = bytearray(_md5(instance_id.encode() + key))
    turn = 0
    while True:
        seed[turn % len(seed)] = (seed[turn % len(seed)] + 1) % 256
        yield bytes(seed)
        turn += 1


def _one_in_clear(encrypted: bytes, key: bytes, start: bytes, where: str) -> bytes:
    decryptor, unpadder = Cipher(AES(key), CFB(start)).decryptor(), PKCS7(AES.block_size).unpadder()
    try:
        return unpadder.update(decryptor.update(encrypted) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise _changed(where) from None


def _check_signature(envelope: Envelope, clear: Mapping[str, bytes], private_key: RSAPrivateKey, where: str) -> None:
    lines = [envelope.form_id, envelope.version, envelope.key, envelope.instance_id]
    lines += [f"{name}::{_md5(clear[name]).hex()}" for name in (*envelope.media, SUBMISSION)]
    signed = "".join(f"{line}\n" for line in lines if line)  # a form without a version has no line for it
    if not hmac.compare_digest(_md5(signed.encode()), _opened(envelope.signature, private_key, where)):
        raise _changed(where)


def _check_identity(envelope: Envelope, submission_xml: bytes, where: str) -> None:
    """Without the signature: bytes that decrypted to nonsense are no XML of that form and submission."""
    try:
        root: Element = fromstring(submission_xml, forbid_dtd=True)
    except (ParseError, ValueError, LookupError):
        raise _changed(where) from None
    if root.get("id") != envelope.form_id or envelope.instance_id not in _texts(root, "instanceID"):
        raise _changed(where)


def _md5(data: bytes) -> bytes:
    """The specification's hash; it guards against accidents, and is never relied on for more."""
    return hashlib.md5(data, usedforsecurity=False).digest()


# ---- files ---------------------------------------------------------------------------------------------------------


def _key_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise KeyUnavailable("encryption.no_key_file", str(path), "Check the path and the rights.") from None


def _read(path: Path, most: int, where: str) -> bytes | None:
    """A file's bytes; None when it is not there. Links are not followed: a download has none."""
    if path.is_symlink() or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError:
        raise Refused("encryption.cannot_read", where, "Check the rights of the folder's files.") from None
    if len(data) > most:
        raise TamperedSubmission("encryption.too_large", where, "Look at the file on the form server.")
    return data


def _check_free(out_dir: Path) -> None:
    """Refuses a directory with anything in it, and what is no directory."""
    try:
        free = not any(out_dir.iterdir()) and not out_dir.is_symlink()
    except FileNotFoundError:
        free = not out_dir.is_symlink()
    except OSError:
        free = False
    if not free:
        raise Refused("encryption.out_exists", str(out_dir), "Name a directory that does not exist yet.")


def _write_all(files: Mapping[str, bytes], out_dir: Path) -> None:
    """Writes into a directory beside *out_dir* that only its owner can enter, and renames it when all is there."""
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".silah-", dir=out_dir.parent))
    try:
        for name, data in files.items():
            with os.fdopen(os.open(unfinished / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
        unfinished.rename(out_dir)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


# ---- refusals ------------------------------------------------------------------------------------------------------


def _damaged(where: str) -> TamperedSubmission:
    return TamperedSubmission("encryption.damaged_envelope", where, "Download it again; if it stays so, report it.")


def _changed(where: str) -> TamperedSubmission:
    return TamperedSubmission("encryption.changed", where, "Download it again; if it stays so, report it.")


def _not_a_private_key(where: str) -> KeyUnavailable:
    return KeyUnavailable("encryption.not_a_private_key", where, "Give the RSA private key as PEM or DER.")
