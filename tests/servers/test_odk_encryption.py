"""Encrypted submissions: what phones encrypt opens; what was changed, cut off, mixed up or is missing does not."""

from __future__ import annotations

import hashlib
import random
import stat
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import KeyUnavailable, NotASubmission, Refused, SilahError
from connector.servers import odk_encryption
from connector.servers.odk_encryption import (
    Decrypted,
    Envelope,
    IncompleteSubmission,
    TamperedSubmission,
    decrypt,
    load_private_key,
    open_folder,
    parse_envelope,
)

FIXTURE = Path(__file__).parents[1] / "fixtures" / "encryption"
KEY = load_private_key(b64decode((FIXTURE / "throwaway-private-key.der.b64").read_text()))
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ENVELOPE = (FIXTURE / "envelope.xml").read_bytes()
FILES = {name: (FIXTURE / name).read_bytes() for name in ("photo1.jpg.enc", "submission.xml.enc")}
CLEAR = (FIXTURE / "expected-submission.xml").read_bytes()
PHOTO = (FIXTURE / "expected-photo1.jpg").read_bytes()


# ---- an encryptor of our own, written from the specification and not from the product -----------------------------


def sealed(data: bytes) -> str:
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    return b64encode(KEY.public_key().encrypt(data, oaep)).decode()


def cfb(key: bytes, iv: bytes, clear: bytes) -> bytes:
    """AES in cipher feedback, one block after the other, out of the block cipher alone."""
    filling = 16 - len(clear) % 16
    clear += bytes([filling]) * filling
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    before, out = iv, b""
    for at in range(0, len(clear), 16):
        before = bytes(a ^ b for a, b in zip(block.update(before), clear[at : at + 16], strict=True))
        out += before
    return out


def ivs(instance_id: str, key: bytes, count: int) -> list[bytes]:
    """The n-th initialisation vector, told from its number: byte i was raised once for each turn that fell on it."""
    seed = hashlib.md5(instance_id.encode() + key).digest()
    return [
        bytes((byte + len(range(i, number + 1, 16))) % 256 for i, byte in enumerate(seed)) for number in range(count)
    ]


def encrypted(
    answers: bytes,
    media: Mapping[str, bytes],
    *,
    form_id: str = "tracing_request",
    version: str | None = "2026112101",
    instance_id: str = "uuid:11111111-2222-4333-8444-555555555555",
    key: bytes = bytes(range(32)),
) -> tuple[bytes, dict[str, bytes]]:
    """Envelope and files as a phone makes them."""
    clear = [*media.items(), ("submission.xml", answers)]
    vectors = ivs(instance_id, key, len(clear))
    files = {f"{name}.enc": cfb(key, iv, data) for (name, data), iv in zip(clear, vectors, strict=True)}
    sealed_key = sealed(key)
    lines = [form_id, *([version] if version else []), sealed_key, instance_id]
    lines += [f"{name}::{hashlib.md5(data).hexdigest()}" for name, data in clear]
    signature = sealed(hashlib.md5("".join(f"{line}\n" for line in lines).encode()).digest())
    versioned = f" version={quoteattr(version)}" if version else ""
    listed = "".join(f"<media><file>{escape(name)}.enc</file></media>" for name in media)
    envelope = (
        f'<data xmlns="http://opendatakit.org/submissions" encrypted="yes" id={quoteattr(form_id)}{versioned}>'
        f"<base64EncryptedKey>{sealed_key}</base64EncryptedKey>"
        f'<orx:meta xmlns:orx="http://openrosa.org/xforms"><orx:instanceID>{instance_id}</orx:instanceID></orx:meta>'
        f"{listed}<encryptedXmlFile>submission.xml.enc</encryptedXmlFile>"
        f"<base64EncryptedElementSignature>{signature}</base64EncryptedElementSignature></data>"
    )
    return envelope.encode(), files


def answers_of(instance_id: str, form_id: str = "tracing_request") -> bytes:
    return f'<data id="{form_id}"><meta><instanceID>{instance_id}</instanceID></meta></data>'.encode()


# ---- what opens ----------------------------------------------------------------------------------------------------


def test_a_submission_made_by_enketo_opens() -> None:
    """Answers and photo are byte for byte what the browser encrypted."""
    decrypted = decrypt(parse_envelope(ENVELOPE), FILES, KEY)

    assert decrypted == Decrypted(CLEAR, {"photo1.jpg": PHOTO}, missing=0)


def test_the_envelope_is_read() -> None:
    """Form, version, submission and file names stand in the envelope in clear."""
    envelope = parse_envelope(ENVELOPE)

    assert (envelope.form_id, envelope.version) == ("hh_reg", "2026112101")
    assert envelope.instance_id == "uuid:f9976c01-dfce-48b4-8083-9bd5ba3f9373"
    assert envelope.media == ("photo1.jpg",)
    assert envelope.files == ("photo1.jpg.enc", "submission.xml.enc")


def test_an_envelope_of_the_old_namespace_opens() -> None:
    """The specification's first namespace means the same."""
    old = ENVELOPE.replace(b"http://opendatakit.org/submissions", b"http://www.opendatakit.org/xforms/encrypted")

    assert decrypt(parse_envelope(old), FILES, KEY).submission_xml == CLEAR


@settings(max_examples=60, deadline=None)
@given(
    answers=st.binary(max_size=100),
    media=st.dictionaries(st.from_regex(r"\A[a-z0-9]{1,8}\.jpg\Z"), st.binary(max_size=40), max_size=40),
    form_id=st.text(st.characters(categories=("L", "N")), min_size=1, max_size=10),
    version=st.none() | st.sampled_from(["1", "2026112101[encrypted:AbCd]"]),
    instance_id=st.uuids().map(lambda uuid: f"uuid:{uuid}"),
    key=st.binary(min_size=32, max_size=32),
)
def test_whatever_was_encrypted_opens(
    *, answers: bytes, media: dict[str, bytes], form_id: str, version: str | None, instance_id: str, key: bytes
) -> None:
    """Any number of media, empty files, any form name: what an independent encryptor made is read back, verified."""
    envelope, files = encrypted(answers, media, form_id=form_id, version=version, instance_id=instance_id, key=key)

    assert decrypt(parse_envelope(envelope), files, KEY) == Decrypted(answers, media, missing=0)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 40])
def test_vectors_wrap_around(count: int) -> None:
    """A byte of 255 becomes 0 without touching its neighbour, and after 16 files the first byte has its turn again."""
    chance = random.Random(7)
    keys = iter(lambda: chance.randbytes(32), b"")
    key = next(key for key in keys if 255 in hashlib.md5(b"uuid:x" + key).digest()[: count + 1])
    media = {f"{number}.jpg": chance.randbytes(50) for number in range(count)}
    envelope, files = encrypted(b"<data/>", media, instance_id="uuid:x", key=key)

    assert decrypt(parse_envelope(envelope), files, KEY) == Decrypted(b"<data/>", media)


# ---- what is missing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("absent", [{"photo1.jpg.enc"}, {"submission.xml.enc"}, set(FILES)])
def test_what_has_not_arrived_is_waited_for(absent: set[str]) -> None:
    """Missing files are counted, not guessed around."""
    here = {name: data for name, data in FILES.items() if name not in absent}
    with pytest.raises(IncompleteSubmission) as waiting:
        decrypt(parse_envelope(ENVELOPE), here, KEY)

    assert (waiting.value.code, waiting.value.missing) == ("encryption.incomplete", len(absent))


@pytest.mark.parametrize("absent", [{"0.jpg"}, {"1.jpg"}, {"2.jpg"}, {"0.jpg", "2.jpg"}, {"0.jpg", "1.jpg", "2.jpg"}])
def test_a_missing_file_uses_up_its_turn(absent: set[str]) -> None:
    """Asked for what there is, the files behind a missing one open all the same, and the count says what is not."""
    media = {f"{number}.jpg": bytes([number]) * 30 for number in range(3)}
    answers = answers_of("uuid:x")
    envelope, files = encrypted(answers, media, instance_id="uuid:x")
    here = {name: data for name, data in files.items() if name.removesuffix(".enc") not in absent}

    decrypted = decrypt(parse_envelope(envelope), here, KEY, partly=True)

    assert decrypted.submission_xml == answers
    assert decrypted.media == {name: data for name, data in media.items() if name not in absent}
    assert decrypted.missing == len(absent)


def test_answers_are_never_dispensable() -> None:
    """Photos without the answers are not a part of a submission."""
    with pytest.raises(IncompleteSubmission):
        decrypt(parse_envelope(ENVELOPE), {"photo1.jpg.enc": FILES["photo1.jpg.enc"]}, KEY, partly=True)


@pytest.mark.parametrize(
    "answers",
    [b"no xml", answers_of("uuid:y"), answers_of("uuid:x", "other_form"), b'<!DOCTYPE d [<!ENTITY a "b">]><data/>'],
)
def test_a_part_must_be_of_that_form_and_submission(answers: bytes) -> None:
    """Where the signature cannot be checked, the answers must name the envelope's form and submission."""
    envelope, files = encrypted(answers, {"a.jpg": b"a"}, instance_id="uuid:x")
    with pytest.raises(TamperedSubmission, match=r"^encryption\.changed"):
        decrypt(parse_envelope(envelope), {"submission.xml.enc": files["submission.xml.enc"]}, KEY, partly=True)


def test_partly_still_verifies_what_is_whole() -> None:
    """Leave to do without some files is no leave to do without the signature when all are there."""
    other = FILES | {"photo1.jpg.enc": bytes([FILES["photo1.jpg.enc"][0] ^ 1]) + FILES["photo1.jpg.enc"][1:]}
    with pytest.raises(TamperedSubmission):
        decrypt(parse_envelope(ENVELOPE), other, KEY, partly=True)


# ---- what was changed ----------------------------------------------------------------------------------------------


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "change",
    [
        lambda data: flipped(data, 0),
        lambda data: flipped(data, len(data) // 2),
        lambda data: flipped(data, len(data) - 1),
        lambda data: data[:-1],
        lambda data: data[:-16],
        lambda data: data[16:],
        lambda data: data + bytes(16),
        lambda _: b"",
    ],
    ids=["first bit", "middle bit", "last bit", "byte cut", "block cut", "head cut", "block added", "empty"],
)
def test_a_changed_file_is_refused(name: str, change: Callable[[bytes], bytes]) -> None:
    """One bit, one byte, one block more or less in any file, and nothing of the submission is used."""
    with pytest.raises(TamperedSubmission, match=r"^encryption\.changed"):
        decrypt(parse_envelope(ENVELOPE), FILES | {name: change(FILES[name])}, KEY)


def field_of(name: str) -> str:
    text = ENVELOPE.decode()
    return text.split(f"<{name}>")[1].split(f"</{name}>")[0]


CHANGED_FIELDS = {
    "form": ('id="hh_reg"', 'id="hh_res"'),
    "version": ('version="2026112101"', 'version="2026112102"'),
    "no version": (' version="2026112101"', ""),
    "submission": ("uuid:f9976c01", "uuid:f9976c02"),
    "key": (field_of("base64EncryptedKey"), sealed(bytes(32))),
    "short key": (field_of("base64EncryptedKey"), sealed(bytes(5))),
    "key, no base64": (field_of("base64EncryptedKey"), "AA!A"),
    "key, same bytes": (field_of("base64EncryptedKey"), field_of("base64EncryptedKey").replace("g==", "h==")),
    "signature": (field_of("base64EncryptedElementSignature"), sealed(hashlib.md5(b"other").digest())),
    "signature, same bytes": (
        field_of("base64EncryptedElementSignature"),
        field_of("base64EncryptedElementSignature").replace("w==", "x=="),
    ),
    "signature is the key": (field_of("base64EncryptedElementSignature"), field_of("base64EncryptedKey")),
    "no signature": (
        f"<base64EncryptedElementSignature>{field_of('base64EncryptedElementSignature')}</base64EncryptedElementSignature>",
        "",
    ),
    "no key": (f"<base64EncryptedKey>{field_of('base64EncryptedKey')}</base64EncryptedKey>", ""),
    "two keys": ("<base64EncryptedKey>", f"<base64EncryptedKey>{sealed(bytes(32))}</base64EncryptedKey><base64EncryptedKey>"),
    "a second key": ("</base64EncryptedKey>", "</base64EncryptedKey><base64EncryptedKey>AAAA</base64EncryptedKey>"),
    "no submission": ("<instanceID>uuid:f9976c01-dfce-48b4-8083-9bd5ba3f9373</instanceID>", ""),
    "empty submission": ("uuid:f9976c01-dfce-48b4-8083-9bd5ba3f9373", " "),
    "no form": ('id="hh_reg"', ""),
    "no media": ('<media><file type="file">photo1.jpg.enc</file></media>', ""),
    "answers elsewhere": (">submission.xml.enc<", ">photo1.jpg.enc<"),
    "media twice": (
        '<media><file type="file">photo1.jpg.enc</file></media>',
        '<media><file type="file">photo1.jpg.enc</file><file type="file">PHOTO1.jpg.enc</file></media>',
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGED_FIELDS)
def test_a_changed_envelope_is_refused(change: str) -> None:
    """Each field of the envelope, changed, doubled or left out, makes the submission unusable."""
    old, new = CHANGED_FIELDS[change]
    xml = ENVELOPE.replace(old.encode(), new.encode())
    assert xml != ENVELOPE

    with pytest.raises(TamperedSubmission):
        decrypt(parse_envelope(xml), FILES, KEY)


def test_a_renamed_file_is_refused() -> None:
    """The names of media are signed too."""
    xml = ENVELOPE.replace(b"photo1.jpg.enc", b"photo2.jpg.enc")
    with pytest.raises(TamperedSubmission, match=r"^encryption\.changed"):
        decrypt(parse_envelope(xml), FILES | {"photo2.jpg.enc": FILES["photo1.jpg.enc"]}, KEY)


def test_swapped_media_are_refused() -> None:
    """Two photos under each other's name, in the files or in the envelope, are found out."""
    envelope, files = encrypted(b"<data/>", {"a.jpg": b"a" * 40, "b.jpg": b"b" * 40})
    names = envelope.replace(b"a.jpg", b"?").replace(b"b.jpg", b"a.jpg").replace(b"?", b"b.jpg")
    swapped = files | {"a.jpg.enc": files["b.jpg.enc"], "b.jpg.enc": files["a.jpg.enc"]}

    for xml, there in ((envelope, swapped), (names, files), (names, swapped)):
        with pytest.raises(TamperedSubmission, match=r"^encryption\.changed"):
            decrypt(parse_envelope(xml), there, KEY)


def test_another_forms_key_does_not_open() -> None:
    """A wrong private key is told as such."""
    with pytest.raises(TamperedSubmission, match=r"^encryption\.key_does_not_open"):
        decrypt(parse_envelope(ENVELOPE), FILES, OTHER_KEY)


@given(st.data())
@settings(deadline=None)
def test_any_change_of_a_byte_is_refused(data: st.DataObject) -> None:
    """Wherever one byte of the envelope or a file becomes another one, it is read as the same or refused."""
    parts = {"envelope.xml": ENVELOPE, **FILES}
    name = data.draw(st.sampled_from(sorted(parts)))
    at = data.draw(st.integers(0, len(parts[name]) - 1))
    parts[name] = parts[name][:at] + data.draw(st.binary(min_size=1, max_size=1)) + parts[name][at + 1 :]
    try:
        decrypted = decrypt(parse_envelope(parts.pop("envelope.xml")), parts, KEY)
    except (TamperedSubmission, IncompleteSubmission, NotASubmission):
        decrypted = Decrypted(CLEAR, {"photo1.jpg": PHOTO})

    assert decrypted == Decrypted(CLEAR, {"photo1.jpg": PHOTO})


# ---- what is no envelope -------------------------------------------------------------------------------------------

DTD = b'<!DOCTYPE data [<!ENTITY a "b">]>'


@pytest.mark.parametrize(
    ("code", "xml"),
    [
        ("encryption.in_clear", CLEAR),
        ("encryption.in_clear", b"<data/>"),
        ("encryption.in_clear", ENVELOPE.replace(b'encrypted="yes"', b'encrypted="no"')),
        ("encryption.not_an_envelope", b""),
        ("encryption.not_an_envelope", ENVELOPE[:-5]),
        ("encryption.not_an_envelope", b"\x89PNG"),
        ("encryption.not_an_envelope", DTD + ENVELOPE),
        ("encryption.not_an_envelope", b'<?xml version="1.0" encoding="klingon"?>' + ENVELOPE),
        ("encryption.not_an_envelope", ENVELOPE + b" " * odk_encryption.MOST_ENVELOPE),
    ],
)
def test_what_is_no_envelope(code: str, xml: bytes) -> None:
    """Clear answers are told from what cannot be read; no DTD, entity or oversized file is looked into."""
    with pytest.raises(NotASubmission) as refused:
        parse_envelope(xml)

    assert refused.value.code == code


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg.enc", "/etc/evil.enc", "a/b.jpg.enc", "a\\b.jpg.enc", "...enc", "..enc", ".enc", "photo.jpg", "",
        "submission.xml.enc", "Submission.XML.enc", "C:evil.enc", "a\u202egpj.exe.enc", "a\nb.enc", "a" * 300 + ".enc",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    """Only a plain name ending in .enc names a file: no path, nothing invisible, nothing that hides the answers."""
    xml = ENVELOPE.replace(b"photo1.jpg.enc", name.encode())
    with pytest.raises(TamperedSubmission, match=r"^encryption\.unsafe_name"):
        parse_envelope(xml)


def test_too_many_files() -> None:
    """An envelope that names more files than any form has is not opened."""
    listed = b"".join(b"<file>%d.jpg.enc</file>" % number for number in range(odk_encryption.MOST_MEDIA + 1))
    xml = ENVELOPE.replace(b"<media>", b"<media>" + listed)
    with pytest.raises(TamperedSubmission, match=r"^encryption\.damaged_envelope"):
        parse_envelope(xml)


def test_a_file_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond what form servers take is not decrypted."""
    monkeypatch.setattr(odk_encryption, "MOST_FILE", 1000)
    with pytest.raises(TamperedSubmission, match=r"^encryption\.too_large"):
        decrypt(parse_envelope(ENVELOPE), FILES, KEY)


def test_nothing_secret_is_shown() -> None:
    """Neither keys nor answers are in a repr that could reach a log."""
    envelope: Envelope = parse_envelope(ENVELOPE)
    shown = repr(envelope) + repr(decrypt(envelope, FILES, KEY))

    assert envelope.key not in shown
    assert "963944123456" not in shown


# ---- private keys --------------------------------------------------------------------------------------------------

Encoding, Format = serialization.Encoding, serialization.PrivateFormat


def stored(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    encoding: serialization.Encoding = Encoding.PEM,
    passphrase: str | None = None,
    form: serialization.PrivateFormat = Format.PKCS8,
) -> bytes:
    hidden = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(encoding, form, hidden)


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("passphrase", [None, "کلید خانواده"])
@pytest.mark.parametrize("form", [Format.PKCS8, Format.TraditionalOpenSSL])
def test_keys_are_read_as_they_are_stored(
    encoding: serialization.Encoding, passphrase: str | None, form: serialization.PrivateFormat
) -> None:
    """PEM and DER, PKCS#8 and PKCS#1, with and without a passphrase."""
    if form is Format.TraditionalOpenSSL and encoding is Encoding.DER:
        passphrase = None  # PKCS#1 in DER knows no passphrase
    loaded = load_private_key(stored(KEY, encoding, passphrase, form), passphrase)

    assert loaded.private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    ("code", "data", "passphrase"),
    [
        ("encryption.passphrase", stored(KEY, passphrase="right"), "wrong"),
        ("encryption.passphrase", stored(KEY, passphrase="right"), None),
        ("encryption.passphrase", stored(KEY, Encoding.DER, "right"), "wrong"),
        ("encryption.passphrase", stored(KEY), "needless"),
        ("encryption.not_a_private_key", b"", None),
        ("encryption.not_a_private_key", b"-----BEGIN nothing", None),
        ("encryption.not_a_private_key", stored(ec.generate_private_key(ec.SECP256R1())), None),
        (
            "encryption.not_a_private_key",
            KEY.public_key().public_bytes(Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            None,
        ),
        ("encryption.weak_key", stored(rsa.generate_private_key(65537, 1024)), None),
    ],
)
def test_what_is_no_usable_key(code: str, data: bytes, passphrase: str | None) -> None:
    """A wrong or missing passphrase, another kind of key and a weak one are told apart."""
    with pytest.raises(KeyUnavailable) as refused:
        load_private_key(data, passphrase)

    assert refused.value.code == code


# ---- a folder ------------------------------------------------------------------------------------------------------


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """A folder as it was downloaded, with the key beside it."""
    folder = tmp_path / "downloaded"
    folder.mkdir()
    (folder / "submission.xml").write_bytes(ENVELOPE)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (tmp_path / "key.pem").write_bytes(stored(KEY, passphrase="open"))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_opened(downloaded: Path, tmp_path: Path) -> None:
    """Answers and media stand in the new directory, for its owner's eyes alone, and nothing else is left."""
    out = tmp_path / "new" / "out"
    open_folder(downloaded, tmp_path / "key.pem", out, "open")

    assert tree(out) == {"submission.xml": CLEAR, "photo1.jpg": PHOTO}
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert list(out.parent.iterdir()) == [out]


def test_an_empty_directory_may_be_there(downloaded: Path, tmp_path: Path) -> None:
    """A directory made beforehand is used, and closed to others."""
    (tmp_path / "out").mkdir(mode=0o755)
    open_folder(downloaded, tmp_path / "key.pem", tmp_path / "out", "open")

    assert tree(tmp_path / "out") == {"submission.xml": CLEAR, "photo1.jpg": PHOTO}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def refused_with_nothing_written(folder: Path, key: Path, out: Path, passphrase: str | None = "open") -> SilahError:
    """The refusal; and the world around the folder is byte for byte what it was."""
    before, names = tree(folder.parent), sorted(folder.parent.rglob("*"))
    with pytest.raises(SilahError) as refused:
        open_folder(folder, key, out, passphrase)

    assert tree(folder.parent) == before
    assert sorted(folder.parent.rglob("*")) == names
    return refused.value


@pytest.mark.parametrize("name", ["submission.xml", *FILES])
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "link"])
def test_a_damaged_folder_gives_nothing(downloaded: Path, tmp_path: Path, name: str, damage: str) -> None:
    """Whichever file is gone, cut off, changed or a link out of the folder: a refusal, and not one clear byte."""
    file = downloaded / name
    data = file.read_bytes()
    file.unlink()
    if damage == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        file.symlink_to(tmp_path / "elsewhere")
    elif damage != "gone":
        file.write_bytes(
            data[: len(data) // 2]
            if damage == "cut"
            else flipped(data, data.index(b"A") if name == "submission.xml" else 5)
        )
    refusal = refused_with_nothing_written(downloaded, tmp_path / "key.pem", tmp_path / "out")

    assert isinstance(refusal, IncompleteSubmission) == (damage in {"gone", "link"})


@pytest.mark.parametrize(
    ("code", "passphrase", "key"),
    [
        ("encryption.passphrase", "wrong", "key.pem"),
        ("encryption.passphrase", None, "key.pem"),
        ("encryption.no_key_file", "open", "absent.pem"),
        ("encryption.no_key_file", "open", "downloaded"),
        ("encryption.key_does_not_open", None, "other.pem"),
    ],
)
def test_without_the_key_nothing(downloaded: Path, tmp_path: Path, code: str, passphrase: str | None, key: str) -> None:
    """A wrong passphrase, no key file, another form's key: told apart, and nothing is written."""
    (tmp_path / "other.pem").write_bytes(stored(OTHER_KEY))
    refusal = refused_with_nothing_written(downloaded, tmp_path / key, tmp_path / "out", passphrase)

    assert refusal.code == code


@pytest.mark.parametrize("kind", ["full", "file", "link", "dead link", "the folder itself"])
def test_what_is_there_is_not_written_over(downloaded: Path, tmp_path: Path, kind: str) -> None:
    """Only a directory that is new or empty takes clear text."""
    out = tmp_path / "out"
    if kind == "full":
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    elif kind == "file":
        out.write_text("mine")
    elif kind == "link":
        (tmp_path / "target").mkdir()
        out.symlink_to(tmp_path / "target")
    elif kind == "dead link":
        out.symlink_to(tmp_path / "nowhere")
    else:
        out = downloaded
    refusal = refused_with_nothing_written(downloaded, tmp_path / "key.pem", out)

    assert (type(refusal), refusal.code) == (Refused, "encryption.out_exists")


def test_a_path_that_cannot_be_made(downloaded: Path, tmp_path: Path) -> None:
    """Where the directory cannot be made, the refusal says so and leaves nothing."""
    (tmp_path / "file").write_text("mine")
    refusal = refused_with_nothing_written(downloaded, tmp_path / "key.pem", tmp_path / "file" / "out")

    assert refusal.code in {"encryption.out_exists", "encryption.cannot_write"}


def test_failing_half_way_leaves_nothing(tmp_path: Path) -> None:
    """When the second of two files cannot be written, the first one is taken away again."""
    with pytest.raises(OSError, match="name too long"):
        odk_encryption._write_all({"a.jpg": b"clear", "n" * 300: b"clear"}, tmp_path / "out")

    assert list(tmp_path.iterdir()) == []
