"""Recordings before they leave: the sound as it was coded, without what the phone or a player wrote beside it.

There is nothing here that decodes sound and codes it anew, so the sound itself stays byte for byte what it was: a voice
can be recognised by it. What is copied is found by the rules of each format, and everything that these rules do not
need (titles, places, times, device names, pictures, what stands behind the end) is left out; a file that does not
keep to its format is refused, not passed on.

Formats: M4A and 3GP (ISO/IEC 14496-12), MP3 (ISO/IEC 11172-3), AAC in ADTS (ISO/IEC 13818-7), AMR (RFC 4867), WAV.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, islice, pairwise

from connector.images import Unreadable, named
from connector.model import File

MOST_BYTES = 10 * 1024 * 1024
"""Bytes of a recording; a delivery carries no larger attachment, and sound cannot be made smaller here."""


def clean_audio(data: bytes, where: str = "attachment") -> File:
    """The recording's sound alone, in the format it came in, told by its bytes; named by the hash of its new bytes.

    Raises:
        Unreadable: `audio.unknown_type`, `audio.unsupported_type` (Ogg, WebM and other sound that is not cleaned
            here), `audio.has_pictures` (a video), `audio.too_large`, `audio.damaged`.
    """
    if len(data) > MOST_BYTES:
        raise Unreadable("audio.too_large", where, "Record it again in parts, or in a lower quality.")
    clean, suffix, media_type = _format(data, where)
    try:
        sound = clean(data)
    except _Unsupported:
        raise _unsupported(where) from None
    except _Video:
        raise Unreadable("audio.has_pictures", where, "Record sound only: a video does not leave.") from None
    except (ValueError, KeyError, IndexError, struct.error):
        raise Unreadable("audio.damaged", where, "The recording is cut off or broken: ask for it again.") from None
    return named(sound, suffix, media_type)


class _Unsupported(Exception):
    """A kind of file that its format allows and this module does not clean."""


class _Video(Exception):
    """There are pictures in it."""


def _unsupported(where: str) -> Unreadable:
    return Unreadable("audio.unsupported_type", where, "Record it as M4A, MP3, AMR, AAC or WAV.")


def _format(data: bytes, where: str) -> tuple[Callable[[bytes], bytes], str, str]:
    """How to clean it, the file name's ending, and the media type."""
    if data[4:8] == b"ftyp":
        return (_clean_mp4, "3gp", "audio/3gpp") if data[8:11] == b"3gp" else (_clean_mp4, "m4a", "audio/mp4")
    if data.startswith(b"RIFF") and data[8:12] == b"WAVE":
        return _clean_wav, "wav", "audio/wav"
    if data.startswith((b"#!AMR\n", b"#!AMR-WB\n")):
        return _clean_amr, "amr", "audio/amr"
    if data.startswith((b"OggS", b"\x1a\x45\xdf\xa3", b"fLaC", b"caff", b"FORM")):
        raise _unsupported(where)
    start = _after_id3(data)
    if _mp3_frame(data[start : start + 4]):
        return _clean_mp3, "mp3", "audio/mpeg"
    if _adts_frame(data[start : start + 7]):
        return _clean_adts, "aac", "audio/aac"
    raise Unreadable("audio.unknown_type", where, "Attach a recording as M4A, MP3, AMR, AAC or WAV.")


# ---- streams of frames: MP3, AAC, AMR ------------------------------------------------------------------------------

_TAGS = (b"TAG", b"APETAGEX", b"ID3", b"3DI", b"LYRICSBEGIN")
_KBIT_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBIT_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HERTZ_MPEG_1 = (44100, 48000, 32000)
_AMR_NARROW = {0: 13, 1: 14, 2: 16, 3: 18, 4: 20, 5: 21, 6: 27, 7: 32, 8: 6, 15: 1}
_AMR_WIDE = {0: 18, 1: 24, 2: 33, 3: 37, 4: 41, 5: 47, 6: 51, 7: 59, 8: 61, 9: 6, 14: 1, 15: 1}


def _clean_mp3(data: bytes) -> bytes:
    return _frames(data, _after_id3(data), 4, _mp3_frame)


def _clean_adts(data: bytes) -> bytes:
    return _frames(data, _after_id3(data), 7, _adts_frame)


def _clean_amr(data: bytes) -> bytes:
    wide = data.startswith(b"#!AMR-WB\n")
    head, sizes = (b"#!AMR-WB\n", _AMR_WIDE) if wide else (b"#!AMR\n", _AMR_NARROW)
    return head + _frames(data, len(head), 1, lambda header: _amr_frame(header, sizes))


def _frames(data: bytes, start: int, header: int, length_of: Callable[[bytes], int]) -> bytes:
    """The whole frames from *start* on; behind them only tags, silence or a last frame that was cut off may stand.

    *length_of* says how long the frame is that begins with these *header* bytes, 0 when none does.
    """
    end = start
    while length := length_of(data[end : end + header]):
        if end + length > len(data):
            break
        end += length
    rest = data[end:]
    if end == start or not (length or rest.startswith(_TAGS) or not rest.strip(b"\0")):
        raise ValueError("there is something between the frames")
    return data[start:end]


def _after_id3(data: bytes) -> int:
    """Where the sound begins behind the ID3v2 tags; their length has 7 bits a byte."""
    start = 0
    while data[start : start + 3] == b"ID3" and len(data) >= start + 10:
        length = sum(
            (byte & 0x7F) << shift for byte, shift in zip(data[start + 6 : start + 10], (21, 14, 7, 0), strict=True)
        )
        footer = 10 if data[start + 5] & 0x10 else 0
        start += 10 + length + footer
    return start


def _mp3_frame(header: bytes) -> int:
    """Bytes of an MPEG 1, 2 or 2.5 layer III frame; 0 when it is none, or one without a fixed rate."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # noqa: PLR2004 - bits of the header
        return 0
    version, rate, hertz = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate in {0, 15} or hertz == 3:  # noqa: PLR2004 - reserved values
        return 0
    padding = header[2] >> 1 & 1
    if version == 3:  # noqa: PLR2004 - MPEG 1
        return 144_000 * _KBIT_MPEG_1[rate] // _HERTZ_MPEG_1[hertz] + padding
    slower = 2 if version == 2 else 4  # noqa: PLR2004 - MPEG 2 halves the frequencies, 2.5 halves them again
    return 72_000 * _KBIT_MPEG_2[rate] * slower // _HERTZ_MPEG_1[hertz] + padding


def _adts_frame(header: bytes) -> int:
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:  # noqa: PLR2004 - bits of the header
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length >= 7 else 0  # noqa: PLR2004 - the header counts


def _amr_frame(header: bytes, sizes: Mapping[int, int]) -> int:
    if not header or header[0] & 0x83:  # bits that are always 0
        return 0
    return sizes.get(header[0] >> 3, 0)


# ---- WAV -----------------------------------------------------------------------------------------------------------


def _clean_wav(data: bytes) -> bytes:
    """`fmt`, `fact` and the samples; without LIST, bext, id3 and whatever else stands in a RIFF file."""
    kept = {name: body for name, body in _chunks(data) if name in {b"fmt ", b"fact", b"data"}}
    parts = [_chunk(name, kept[name]) for name in (b"fmt ", b"fact", b"data") if name in kept or name != b"fact"]
    return _chunk(b"RIFF", b"WAVE" + b"".join(parts))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, end = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= end:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise ValueError("a chunk is cut off")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


# ---- M4A and 3GP ---------------------------------------------------------------------------------------------------
# An ISO file is a tree of boxes. Only the boxes that a player needs for one track of sound are copied, each no longer
# than its own counts say; the samples are taken out of the old file chunk by chunk, so that nothing that lay between
# them, or belonged to a track of places or times, comes along.

_CODECS = {b"mp4a": b"esds", b"samr": b"damr", b"sawb": b"damr", b"alac": b"alac"}
_SAMPLE_ENTRY = 28  # bytes of a sound's sample entry before the codec's own box
_SOUND_HANDLER = struct.pack(">II4s12x", 0, 0, b"soun") + b"\0"
_SAME_FILE = struct.pack(">II", 0, 1) + struct.pack(">I4sI", 12, b"url ", 1)

Boxes = Mapping[bytes, bytes]


def _clean_mp4(data: bytes) -> bytes:
    top = dict(_boxes(data))
    if b"moof" in top:
        raise _Unsupported
    movie = list(_boxes(top[b"moov"]))
    track = _only_sound([dict(_boxes(body)) for name, body in movie if name == b"trak"])
    media = dict(_boxes(track[b"mdia"]))
    table = dict(_boxes(dict(_boxes(media[b"minf"]))[b"stbl"]))
    chunks = list(_sound_chunks(data, table))
    file_type = _box(b"ftyp", top[b"ftyp"][:4] + bytes(4) + b"isommp42" + top[b"ftyp"][:4])

    def head(offsets: list[int]) -> bytes:
        return file_type + _movie(dict(movie), track, media, table, offsets)

    begin = len(head([0] * len(chunks))) + 8
    offsets = list(accumulate((len(chunk) for chunk in chunks[:-1]), initial=begin))
    return head(offsets) + _box(b"mdat", *chunks)


def _only_sound(tracks: list[dict[bytes, bytes]]) -> Boxes:
    """The one track of sound; tracks of text, places and times are passed over, pictures are not."""
    kinds = [dict(_boxes(track[b"mdia"]))[b"hdlr"][8:12] for track in tracks]
    if b"vide" in kinds:
        raise _Video
    if kinds.count(b"soun") != 1:
        raise _Unsupported
    return tracks[kinds.index(b"soun")]


def _sound_chunks(data: bytes, table: Boxes) -> Iterator[bytes]:
    """The bytes of every chunk of samples, in order, by the tables of offsets, samples a chunk and sizes."""
    offsets, sizes = _offsets(table), iter(_sizes(table[b"stsz"]))
    counts = _samples_a_chunk(table[b"stsc"], len(offsets))
    whole = 0
    for offset, count in zip(offsets, counts, strict=True):
        lengths = list(islice(sizes, count))
        whole += sum(lengths)
        if len(lengths) < count or offset + sum(lengths) > len(data) or whole > len(data):
            raise ValueError("samples are missing")
        yield data[offset : offset + sum(lengths)]
    if next(sizes, None) is not None:
        raise ValueError("samples are in no chunk")


def _samples_a_chunk(stsc: bytes, chunks: int) -> list[int]:
    """How many samples each of the *chunks* has; the table says it for runs of them, by the first chunk of each."""
    runs = list(struct.iter_unpack(">III", _table(stsc, 12)[8:]))
    firsts = [first for first, _, _ in runs] + [chunks + 1]
    if firsts[0] != 1 or any(first >= following for first, following in pairwise(firsts)):
        raise ValueError("the runs of chunks are out of order")
    return [count for (first, count, _), end in zip(runs, firsts[1:], strict=True) for _ in range(first, end)]


def _offsets(table: Boxes) -> list[int]:
    wide = b"co64" in table
    body = _table(table[b"co64" if wide else b"stco"], 8 if wide else 4)
    return [offset for (offset,) in struct.iter_unpack(">Q" if wide else ">I", body[8:])]


def _sizes(stsz: bytes) -> Iterator[int]:
    every, count = struct.unpack(">II", stsz[4:12])
    if every:
        yield from (every for _ in range(min(count, MOST_BYTES)))
        return
    yield from (size for (size,) in struct.iter_unpack(">I", _table(stsz, 4, 12)[12:]))


def _movie(movie: Boxes, track: Boxes, media: Boxes, table: Boxes, offsets: list[int]) -> bytes:
    sizes = table[b"stsz"]
    sample_sizes = sizes[:12] if sizes[4:8] != bytes(4) else _table(sizes, 4, 12)
    samples = _box(
        b"stbl",
        _box(b"stsd", _sample_entry(table[b"stsd"])),
        _box(b"stts", _table(table[b"stts"], 8)),
        _box(b"stsc", _table(table[b"stsc"], 12)),
        _box(b"stsz", sample_sizes),
        _box(b"stco", struct.pack(f">II{len(offsets)}I", 0, len(offsets), *offsets)),
    )
    information = _box(b"minf", _box(b"smhd", bytes(8)), _box(b"dinf", _box(b"dref", _SAME_FILE)), samples)
    sound = _box(b"mdia", _untimed(b"mdhd", media, 24, 36), _box(b"hdlr", _SOUND_HANDLER), information)
    edits = _edits(track[b"edts"]) if b"edts" in track else b""
    return _box(
        b"moov",
        _untimed(b"mvhd", movie, 100, 112),
        _box(b"trak", _untimed(b"tkhd", track, 84, 96), edits, sound),
    )


def _sample_entry(stsd: bytes) -> bytes:
    """How the sound is coded: one entry of a known codec, with the codec's own box and no other."""
    ((codec, body),) = _boxes(stsd[8:])
    if codec not in _CODECS or body[8:10] != b"\0\0":  # the second version of an entry is QuickTime's
        raise _Unsupported
    settings = dict(_boxes(body[_SAMPLE_ENTRY:]))[_CODECS[codec]]
    return stsd[:8] + _box(codec, body[:_SAMPLE_ENTRY], _box(_CODECS[codec], settings))


def _edits(edts: bytes) -> bytes:
    elst = dict(_boxes(edts))[b"elst"]
    return _box(b"edts", _box(b"elst", _table(elst, 20 if elst[0] else 12)))


def _untimed(name: bytes, boxes: Boxes, length: int, long_length: int) -> bytes:
    """A header box without the times at which it was made and changed."""
    body = boxes[name]
    wide = body[0] == 1
    times = 16 if wide else 8
    body = body[: long_length if wide else length]
    if len(body) != (long_length if wide else length):
        raise ValueError("a header is cut off")
    return _box(name, body[:4], bytes(times), body[4 + times :])


def _table(body: bytes, entry: int, head: int = 8) -> bytes:
    """A table box as long as the count in its head says."""
    length = head + entry * int.from_bytes(body[head - 4 : head], "big")
    if length > len(body):
        raise ValueError("a table is cut off")
    return body[:length]


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes that lie one after the other."""
    at = 0
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        head = 8
        if length == 1:
            (length,), head = struct.unpack(">Q", data[at + 8 : at + 16]), 16
        if length == 0:
            length = len(data) - at
        if length < head or at + length > len(data):
            raise ValueError("a box is cut off")
        yield name, data[at + head : at + length]
        at += length


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body
