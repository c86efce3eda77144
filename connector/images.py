"""Photos before they leave: decoded, turned upright, made small and written anew as a plain JPEG.

A phone writes into a photo where and when it was taken, with which device, and a small copy of the picture before it
was cropped. None of that is filtered out here: only the pixels are kept, and a new file is made of them. Colour
profiles are not applied, so that colours can be slightly paler than on the phone.

All of it happens in memory. Sound has its own module, `connector.audio`.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from io import BytesIO

from PIL import Image

from connector.errors import SilahError
from connector.model import File

# At its most talkative it would log what a photo hides, its place for one.
logging.getLogger("PIL").setLevel(logging.WARNING)

LONGEST_SIDE = 2000
"""Pixels; enough to recognise a face and to read an identity card."""

GOOD_SIZE = 2 * 1024 * 1024
"""Bytes; the quality is lowered step by step until a photo is no larger, since it travels over slow links."""

MOST_BYTES = 32 * 1024 * 1024
"""Bytes of a photo as it came in; no phone makes larger ones."""

MOST_PIXELS = 56_000_000
"""Pixels that are ever decoded: phone cameras have up to 50 million, and more would fill a small machine's memory."""

_QUALITIES = (85, 75, 65, 50)
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_FOREIGN = (b"%pdf-", b"<html", b"<script", b"<!doctype", b"<?php")


class Unreadable(SilahError):
    """An attachment cannot be cleaned: it does not leave, and a person has to look at it on the form server."""


def clean_image(data: bytes, where: str = "attachment") -> File:
    """A new JPEG with the pixels of *data*, upright, at most 2000 pixels long, and nothing else of the old file.

    Reads JPEG, PNG, WebP and GIF (its first picture), told by their bytes and not by a name. What is transparent
    becomes white. The same bytes give the same file, named `<sha256 of its bytes>.jpg`.

    Raises:
        Unreadable: `image.unknown_type`, `image.heic` (not decoded here), `image.too_large` (bytes or pixels),
            `image.two_types` (it can also be opened as an archive, a PDF or a page), `image.damaged`.
    """
    kind = _kind(data, where)
    if len(data) > MOST_BYTES:
        raise _too_large(where)
    if _reads_as_something_else(data):
        raise Unreadable("image.two_types", where, "Look at the file on the form server: it may be an attack.")
    jpeg = _as_jpeg(_pixels(data, kind, where))
    return named(jpeg, "jpg", "image/jpeg")


def named(data: bytes, suffix: str, media_type: str) -> File:
    """A clean file, named by the hash of its bytes, so that the name says nothing either."""
    return File(f"{hashlib.sha256(data).hexdigest()}.{suffix}", media_type, data)


def _kind(data: bytes, where: str) -> str:
    """Pillow's name of the format whose first bytes these are."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        raise Unreadable("image.heic", where, "Set the phone's camera to JPEG (most compatible) and take it again.")
    raise Unreadable("image.unknown_type", where, "Attach a photo as JPEG, PNG, WebP or GIF.")


def _reads_as_something_else(data: bytes) -> bool:
    """Whether a program could take the file for a PDF, a web page or a ZIP archive.

    A video or a second picture behind a photo is what phones write themselves (motion photos); it is just left out.
    """
    if any(mark in data[:1024].lower() for mark in _FOREIGN):
        return True
    end = data.rfind(b"PK\x05\x06", -(22 + 0xFFFF))  # a ZIP archive is found from its end record, and read backwards
    directory = end - int.from_bytes(data[end + 12 : end + 16], "little")
    return end >= 0 and directory >= 0 and data[directory : directory + 4] in {b"PK\x01\x02", b"PK\x05\x06"}


def _pixels(data: bytes, kind: str, where: str) -> Image.Image:
    """The picture, upright, without transparency, no larger than it will be sent."""
    try:
        with Image.open(BytesIO(data), formats=[kind]) as image:
            small_enough = image.width * image.height <= MOST_PIXELS
            if small_enough:
                return _upright(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(where) from None
    except Exception:  # noqa: BLE001 - a decoder meets hostile bytes here, and tells of it by any kind of exception
        raise Unreadable("image.damaged", where, "The photo is cut off or broken: ask for it again.") from None
    raise _too_large(where)


def _upright(image: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(_orientation(image))
    image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # lets a JPEG be decoded at a fraction of its size
    plain = _without_transparency(image)
    plain.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return plain.transpose(turn) if turn is not None else plain


def _orientation(image: Image.Image) -> int:
    """How the camera was held; 1 (upright) where a damaged EXIF block does not say."""
    with suppress(Exception):
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _without_transparency(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, of which a JPEG keeps 8
        image = image.convert("I").point(lambda grey: grey * (1 / 257)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _as_jpeg(picture: Image.Image) -> bytes:
    """The pixels alone as JPEG, in the best quality that keeps it small.

    Pure noise of 2000 x 2000 pixels is 1.9 MB in the third quality, so that the steps suffice for any photo.
    """
    pixels = Image.frombytes("RGB", picture.size, picture.tobytes())  # Pillow would write back what it read beside them
    jpeg = b""
    for quality in _QUALITIES:
        written = BytesIO()
        pixels.save(written, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        jpeg = written.getvalue()
        if len(jpeg) <= GOOD_SIZE:
            break
    return jpeg


def _too_large(where: str) -> Unreadable:
    return Unreadable("image.too_large", where, "Take the photo again in a lower resolution.")
