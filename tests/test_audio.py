"""Recordings leave as sound alone: every tag of every phone is gone, the sound is the same, and damage is refused."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import audio
from connector.audio import clean_audio
from connector.images import Unreadable

FIXTURES = Path(__file__).parent / "fixtures" / "audio"
MARKER = b"S3CRET-PLACE"
TONES = {path.suffix[1:]: path.read_bytes() for path in FIXTURES.glob("tone.*")}
MEDIA_TYPES = {
    "m4a": "audio/mp4",
    "3gp": "audio/3gpp",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "amr": "audio/amr",
    "wav": "audio/wav",
}

# The clean files that FFmpeg decoded to the same samples as the fixtures.
COMPARED = {
    "m4a": "ff41468577a6a6b1ef50b4bf455b71f28a464822cbbf076d9cd8b201a103e4c5",
    "3gp": "8fefdcc719a10dc769f19519db8d55345da2e3d8eb3f14c8bad4170eb944a898",
    "mp3": "f644654657f2722bbeee58143d17d17dfb34a43646388b29d38839ed82ae6d54",
    "aac": "82e8fef221471d07040b4d62340bad113c20dbb486b9411e592156bd47f465d3",
    "amr": "95757a5c2f1dc27ed5b5f1827e3c7c9e8b9e2410a774d0e7cd0ff7197511c39c",
    "wav": "da429dc178aae820639d1268688a81c6730ca440a621128fe06914d58d672d77",
}


# ---- files, taken apart and put together ---------------------------------------------------------------------------


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    while data:
        length = int.from_bytes(data[:4], "big")
        found.append((data[4:8], data[8:length]))
        data = data[length:]
    return found


def changed(data: bytes, path: list[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """The same boxes, the contents of those at *path* changed."""
    if not path:
        return change(data)
    return b"".join(
        box(name, changed(body, path[1:], change) if name == path[0] else body) for name, body in boxes(data)
    )


def inside(data: bytes, path: list[bytes]) -> bytes:
    for name in path:
        data = dict(boxes(data))[name]
    return data


TRACK = [b"moov", b"trak"]
MEDIA = [*TRACK, b"mdia"]
TABLE = [*MEDIA, b"minf", b"stbl"]


def samples(data: bytes) -> list[bytes]:
    """The sound's samples by the file's own tables, for one chunk or several."""
    offsets = [offset for (offset,) in struct.iter_unpack(">I", inside(data, [*TABLE, b"stco"])[8:])]
    sizes = [size for (size,) in struct.iter_unpack(">I", inside(data, [*TABLE, b"stsz"])[12:])]
    runs = list(struct.iter_unpack(">III", inside(data, [*TABLE, b"stsc"])[8:]))
    found: list[bytes] = []
    for number, offset in enumerate(offsets, 1):
        at = offset
        for _ in range(next(count for first, count, _ in reversed(runs) if first <= number)):
            size = sizes[len(found)]
            found.append(data[at : at + size])
            at += size
    return found


def in_several_chunks(data: bytes) -> bytes:
    """The same sound in chunks of two samples with a secret between them, as tracks of places lie between sound."""
    sound = samples(data)
    mdat, offsets = b"", []
    begin = next(at for at in range(len(data)) if data[at : at + 4] == b"mdat") + 4
    for first in range(0, len(sound), 2):
        offsets.append(begin + len(mdat))
        mdat += b"".join(sound[first : first + 2]) + MARKER
    runs = [(1, 2, 1)] + ([(len(offsets), 1, 1)] if len(sound) % 2 else [])
    data = changed(data, [b"mdat"], lambda _: mdat)
    data = changed(data, [*TABLE, b"stco"], lambda _: struct.pack(f">II{len(offsets)}I", 0, len(offsets), *offsets))
    stsc = struct.pack(">II", 0, len(runs)) + b"".join(struct.pack(">III", *run) for run in runs)
    return changed(data, [*TABLE, b"stsc"], lambda _: stsc)


def with_wide_offsets(data: bytes) -> bytes:
    def widened(table: bytes) -> bytes:
        offsets = [offset for (offset,) in struct.iter_unpack(">I", dict(boxes(table))[b"stco"][8:])]
        co64 = struct.pack(f">II{len(offsets)}Q", 0, len(offsets), *offsets)
        return b"".join(box(b"co64", co64) if name == b"stco" else box(name, body) for name, body in boxes(table))

    return changed(data, TABLE, widened)


def with_another_track(data: bytes, kind: bytes) -> bytes:
    """A second track of that kind, and its secret in the file."""
    track = changed(inside(data, TRACK), [b"mdia", b"hdlr"], lambda body: body[:8] + kind + body[12:])
    return changed(data, [b"moov"], lambda moov: moov + box(b"trak", track)) + box(b"mdat", MARKER)


def with_secrets(data: bytes) -> bytes:
    """Secrets in every box that a phone may write, and at the end of those that are kept."""
    data = changed(data, [b"moov"], lambda body: body + box(b"udta", box(b"\xa9xyz", MARKER)) + box(b"meta", MARKER))
    data = changed(data, TRACK, lambda body: body + box(b"udta", MARKER) + box(b"uuid", MARKER))
    data = changed(data, [*MEDIA, b"hdlr"], lambda body: body + MARKER)
    data = changed(data, [*MEDIA, b"mdhd"], lambda body: body + MARKER)
    data = changed(data, TABLE, lambda body: body + box(b"sgpd", MARKER))
    for table in (b"stts", b"stsc", b"stco", b"stsz"):
        data = changed(data, [*TABLE, table], lambda body: body + MARKER)
    data = changed(
        data,
        [*TABLE, b"stsd"],
        lambda body: body[:8] + changed(body[8:], [b"mp4a"], lambda b: b + box(b"free", MARKER)),
    )
    return data + box(b"free", MARKER) + box(b"uuid", MARKER)


def id3(text: bytes, *, footer: bool = False) -> bytes:
    length = len(text)
    size = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0" + bytes([0x10 if footer else 0]) + size + text + (b"3DI\x04\0\x10" + size if footer else b"")


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


FORMAT = (b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8))
SAMPLES = (b"data", b"\x80\x90\xa0")


# ---- what leaves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_the_sound_is_the_same_and_nothing_else_is_there(kind: str) -> None:
    """What an independent decoder compared is what comes out; it is named by its bytes."""
    clean = clean_audio(TONES[kind])

    assert MARKER not in clean.data
    assert hashlib.sha256(clean.data).hexdigest() == COMPARED[kind]
    assert (clean.name, clean.media_type) == (f"{COMPARED[kind]}.{kind}", MEDIA_TYPES[kind])


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_a_clean_file_stays_as_it_is(kind: str) -> None:
    """Cleaning a clean file changes nothing."""
    clean = clean_audio(TONES[kind])

    assert clean == clean_audio(clean.data)


def test_every_box_that_can_hold_a_secret() -> None:
    """User data, metadata, unknown boxes, names of handlers and the ends of tables: nothing of it comes along."""
    crowded = with_secrets(TONES["m4a"])
    assert crowded.count(MARKER) > 12

    assert clean_audio(TONES["m4a"]) == clean_audio(crowded)


def test_the_times_of_recording_are_gone() -> None:
    """When a file, its track and its sound were made is zero in each header."""
    dated = TONES["m4a"]
    for header in ([b"moov", b"mvhd"], [*TRACK, b"tkhd"], [*MEDIA, b"mdhd"]):
        dated = changed(dated, header, lambda body: body[:4] + b"\xe3\x00\x11\x22" * 2 + body[12:])
    clean = clean_audio(dated)

    assert b"\xe3\x00\x11\x22" not in clean.data
    assert clean_audio(TONES["m4a"]) == clean


def test_chunks_are_taken_out_one_by_one() -> None:
    """What lies between the chunks of the sound is left out, and every sample is found again by the new tables."""
    interleaved = in_several_chunks(TONES["m4a"])
    assert samples(interleaved) == samples(TONES["m4a"])
    assert MARKER in interleaved

    clean = clean_audio(interleaved).data

    assert MARKER not in clean
    assert samples(clean) == samples(TONES["m4a"])


def test_wide_offsets_are_the_same() -> None:
    """64-bit offsets give the file that 32-bit ones give."""
    assert clean_audio(TONES["m4a"]) == clean_audio(with_wide_offsets(TONES["m4a"]))


@pytest.mark.parametrize("kind", [b"meta", b"text", b"sbtl", b"tmcd"])
def test_tracks_of_places_and_words_stay_behind(kind: bytes) -> None:
    """A second track with places or text is left out together with what it holds."""
    clean = clean_audio(with_another_track(TONES["m4a"], kind))

    assert clean_audio(TONES["m4a"]) == clean


@pytest.mark.parametrize("kind", ["mp3", "aac"])
def test_tags_around_frames(kind: str) -> None:
    """ID3 before and behind, with and without a footer, APE and lyrics tags go; the frames stay."""
    frames = clean_audio(TONES[kind]).data
    before = [b"", id3(MARKER), id3(MARKER * 30, footer=True), id3(MARKER) + id3(b"\0" * 300)]
    behind = [
        b"",
        b"TAG" + MARKER.ljust(125, b"\0"),
        b"APETAGEX" + MARKER,
        b"LYRICSBEGIN" + MARKER,
        b"\0" * 99,
        id3(MARKER),
    ]
    cleaned = {clean_audio(first + frames + last).data for first in before for last in behind}

    assert cleaned == {frames}


@pytest.mark.parametrize("kind", ["mp3", "aac", "amr"])
def test_a_recording_that_broke_off_keeps_its_whole_frames(kind: str) -> None:
    """When the battery died in the middle of a frame, what was recorded before it is kept."""
    whole = clean_audio(TONES[kind]).data
    cut = clean_audio(whole[:-3]).data

    assert whole.startswith(cut)
    assert len(whole) * 0.7 < len(cut) < len(whole)


def test_wide_band_amr() -> None:
    """AMR-WB has frames of other lengths and is read by them."""
    recording = b"#!AMR-WB\n" + (b"\x04" + b"w" * 17) * 3 + b"\x7c"

    assert clean_audio(recording).data == recording


def test_wav_keeps_format_and_samples() -> None:
    """INFO lists, broadcast and ID3 chunks, and what stands behind the end, are left out; an odd length is padded."""
    crowded = riff((b"bext", MARKER), FORMAT, (b"LIST", b"INFO" + MARKER), SAMPLES, (b"id3 ", MARKER)) + MARKER

    assert clean_audio(crowded).data == riff(FORMAT, SAMPLES)


def much_out_of_little() -> bytes:
    """Tables that take the same kilobyte out of the file again and again."""
    data = changed(TONES["m4a"], [*TABLE, b"stsz"], lambda _: struct.pack(">3I", 0, 1000, 1000))
    data = changed(data, [*TABLE, b"stsc"], lambda _: struct.pack(">5I", 0, 1, 1, 1, 1))
    return changed(data, [*TABLE, b"stco"], lambda _: struct.pack(">1002I", 0, 1000, *[40] * 1000))


# ---- what is refused -----------------------------------------------------------------------------------------------

M4A = TONES["m4a"]
MP3 = clean_audio(TONES["mp3"]).data


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("audio.unknown_type", b""),
        ("audio.unknown_type", b"hello"),
        ("audio.unknown_type", id3(b"only a tag")),
        ("audio.unknown_type", b"\xff\xd8\xff\xe0"),
        ("audio.unsupported_type", b"OggS" + bytes(40)),
        ("audio.unsupported_type", b"\x1a\x45\xdf\xa3" + bytes(40)),
        ("audio.unsupported_type", M4A + box(b"moof", b"")),
        ("audio.unsupported_type", with_another_track(M4A, b"soun")),
        ("audio.unsupported_type", changed(M4A, [*MEDIA, b"hdlr"], lambda body: body[:8] + b"text" + body[12:])),
        ("audio.unsupported_type", M4A.replace(b"mp4a", b"encv")),
        ("audio.has_pictures", with_another_track(M4A, b"vide")),
        ("audio.too_large", MP3 + bytes(audio.MOST_BYTES)),
        ("audio.damaged", M4A[:100]),
        ("audio.damaged", M4A[:-1]),
        ("audio.damaged", changed(M4A, [b"mdat"], lambda body: body[:100])),
        ("audio.damaged", changed(M4A, [*TABLE, b"stts"], lambda body: body[:4] + b"\xff" * 4 + body[8:])),
        ("audio.damaged", changed(M4A, [*TABLE, b"stsc"], lambda _: struct.pack(">5I", 0, 1, 1, 2**32 - 1, 1))),
        (
            "audio.damaged",
            changed(M4A, [*TABLE, b"stsc"], lambda _: struct.pack(">8I", 0, 2, 1, 1, 1, 2**32 - 1, 1, 1)),
        ),
        ("audio.damaged", changed(M4A, [*TABLE, b"stsc"], lambda _: struct.pack(">5I", 0, 1, 2, 1, 1))),
        ("audio.damaged", changed(M4A, [*TABLE, b"stsc"], lambda _: struct.pack(">5I", 0, 1, 1, 1, 1))),
        ("audio.damaged", changed(M4A, [*TABLE, b"stco"], lambda _: struct.pack(">3I", 0, 1, 2**31))),
        ("audio.damaged", changed(M4A, [*TABLE, b"stsz"], lambda _: struct.pack(">3I", 0, 1, 2**32 - 1))),
        ("audio.damaged", changed(M4A, [b"moov", b"mvhd"], lambda body: body[:50])),
        ("audio.damaged", much_out_of_little()),
        ("audio.damaged", MP3 + MARKER),
        ("audio.damaged", MP3[:400] + MARKER + MP3),
        ("audio.damaged", b"#!AMR\n"),
        ("audio.damaged", TONES["amr"] + b"\xff"),
        ("audio.damaged", riff(FORMAT)),
        ("audio.damaged", riff(SAMPLES)),
        ("audio.damaged", riff(FORMAT, SAMPLES)[:-4]),
    ],
)
def test_what_cannot_be_cleaned_is_refused_with_a_code(code: str, data: bytes) -> None:
    """Videos, other sound, and whatever does not keep to its format: told apart, and nothing of it passed on."""
    with pytest.raises(Unreadable) as refused:
        clean_audio(data, where="voice 1")

    assert (refused.value.code, refused.value.where) == (code, "voice 1")


def cleaned_or_code(data: bytes) -> str:
    """The name of the clean file, or the code of the refusal; any other exception comes through."""
    try:
        return clean_audio(data).media_type
    except Unreadable as refused:
        return refused.code


BEGINNINGS = [
    b"",
    b"ID3\x04\0\0\0\0\0\0",
    b"\xff\xfb\x90\0",
    b"\xff\xf1",
    b"#!AMR\n",
    b"RIFF\xff\0\0\0WAVE",
    b"\0\0\0\x10ftypM4A \0\0\0\0",
]


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=300))
def test_any_bytes_are_a_recording_or_a_refusal(beginning: bytes, rest: bytes) -> None:
    """Random bytes, also behind the signature of a recording, never make another exception."""
    assert cleaned_or_code(beginning + rest).startswith("audio")


@given(st.sampled_from(sorted(TONES)), st.data())
def test_any_damage_is_a_recording_or_a_refusal(kind: str, data: st.DataObject) -> None:
    """A recording with some bytes changed, taken out or put in is cleaned or refused."""
    damaged = bytearray(TONES[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(damaged)))
        damaged[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))

    assert cleaned_or_code(bytes(damaged)).startswith("audio")


@given(st.integers(0, len(inside(M4A, [b"moov"])) - 1), st.integers(0, 255))
def test_any_damage_of_the_tables_is_a_recording_or_a_refusal(at: int, byte: int) -> None:
    """One byte of the movie's tables, which say where to read and how much, never leads out of the file."""
    damaged = changed(M4A, [b"moov"], lambda body: body[:at] + bytes([byte]) + body[at + 1 :])

    assert cleaned_or_code(damaged).startswith("audio")
