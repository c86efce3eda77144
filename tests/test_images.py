"""Photos leave as pixels alone: nothing a phone wrote beside them, upright, small, and never a decoder's crash."""

from __future__ import annotations

import hashlib
import math
import random
import struct
import zlib
from io import BytesIO
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.ExifTags import IFD
from PIL.PngImagePlugin import PngInfo

from connector import images
from connector.images import Unreadable, clean_image

MARKER = b"S3CRET-PLACE"
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(width: int = 64, height: int = 32) -> Image.Image:
    """Red at the upper left, green at the upper right, blue at the lower left, white at the lower right."""
    picture = Image.new("RGB", (width, height), WHITE)
    picture.paste(RED, (0, 0, width // 2, height // 2))
    picture.paste(GREEN, (width // 2, 0, width, height // 2))
    picture.paste(BLUE, (0, height // 2, width // 2, height))
    return picture


def written(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    picture = Image.open(BytesIO(data))
    picture.load()
    return picture


def colour(picture: Image.Image, x: int, y: int) -> tuple[int, int, int]:
    red, green, blue = picture.convert("RGB").crop((x, y, x + 1, y + 1)).tobytes()
    return red, green, blue


def corners(data: bytes) -> list[str]:
    """The colours of the four quarters, named; JPEG changes them a little."""
    picture = opened(data)
    names = {RED: "red", GREEN: "green", BLUE: "blue", WHITE: "white"}
    seen = [colour(picture, x * picture.width // 4, y * picture.height // 4) for y in (1, 3) for x in (1, 3)]
    return [names[min(names, key=lambda name: math.dist(name, pixel))] for pixel in seen]


def exif(orientation: int = 1) -> bytes:
    """EXIF as a phone writes it: place, device, and an owner's name, each with the marker."""
    tags = Image.Exif()
    tags[0x010F] = MARKER.decode() + "-maker"
    tags[0x0112] = orientation
    tags[0x9C9B] = (MARKER.decode() + "-title").encode("utf-16-le")
    gps = tags.get_ifd(IFD.GPSInfo)
    gps[1], gps[2] = "N", (33.0, 30.0, 49.68)
    gps[3], gps[4] = "E", (36.0, 16.0, 35.4)
    gps[29] = MARKER.decode()
    tags.get_ifd(IFD.Exif)[0x9286] = b"ASCII\0\0\0" + MARKER
    return tags.tobytes()


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with more marker segments behind its first two bytes."""
    extra = b"".join(struct.pack(">BBH", 0xFF, mark, len(body) + 2) + body for mark, body in segments)
    return jpeg[:2] + extra + jpeg[2:]


def a_phones_jpeg() -> bytes:
    """A photo with EXIF and GPS, a thumbnail, XMP, a maker's segment, a comment, a colour profile and a video behind."""
    thumbnail = with_segments(written(quarters(16, 8), "JPEG"), (0xFE, MARKER + b"-thumbnail"))
    plain = written(
        quarters(), "JPEG", exif=exif(), comment=MARKER + b"-comment", icc_profile=MARKER + b"-profile" * 20
    )
    crowded = with_segments(
        plain,
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + MARKER + b"</x:xmpmeta>"),
        (0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + thumbnail),
        (0xED, b"Photoshop 3.0\0" + MARKER),
        (0xEB, MARKER),
    )
    return crowded + b"\0\0\0\x18ftypmp42" + MARKER


def a_crowded_png() -> bytes:
    text = PngInfo()
    text.add_text("Author", MARKER.decode())
    text.add_text("Comment", MARKER.decode(), zip=True)
    text.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{MARKER.decode()}</x:xmpmeta>")
    return written(quarters(), "PNG", pnginfo=text, exif=exif(), icc_profile=MARKER + b"-profile" * 20) + MARKER


def a_crowded_webp() -> bytes:
    return written(quarters(), "WEBP", lossless=True, exif=exif(), xmp=MARKER, icc_profile=MARKER * 20)


def a_crowded_gif() -> bytes:
    return written(quarters(), "GIF", comment=MARKER, save_all=True, append_images=[Image.new("RGB", (64, 32), RED)])


CROWDED = {"jpeg": a_phones_jpeg, "png": a_crowded_png, "webp": a_crowded_webp, "gif": a_crowded_gif}


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# ---- what leaves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CROWDED)
def test_only_pixels_leave(kind: str) -> None:
    """Place, device, names, thumbnails, comments and whatever stands behind the picture are gone; the picture is not."""
    data = CROWDED[kind]()
    assert MARKER in data or kind == "png"

    clean = clean_image(data)

    assert MARKER not in clean.data
    assert MARKER.decode().encode("utf-16-le") not in clean.data
    assert b"Exif" not in clean.data
    assert clean.data.endswith(b"\xff\xd9")
    assert corners(clean.data) == ["red", "green", "blue", "white"]
    assert {"jfif", "jfif_version", "jfif_unit", "jfif_density"} == set(opened(clean.data).info)


@pytest.mark.parametrize("kind", CROWDED)
def test_the_file_is_named_by_its_bytes(kind: str) -> None:
    """Name and type are those of the new file, and the same photo gives the same file."""
    data = CROWDED[kind]()
    clean = clean_image(data)

    assert f"{hashlib.sha256(clean.data).hexdigest()}.jpg" == clean.name
    assert (clean.media_type, opened(clean.data).format) == ("image/jpeg", "JPEG")
    assert clean == clean_image(data)


@pytest.mark.parametrize("turned", range(1, 9))
def test_photos_stand_upright(turned: int) -> None:
    """Each of the eight ways to hold a phone gives the picture as it was seen."""
    data = written(quarters(), "JPEG", exif=exif(turned), quality=95)
    as_seen = ImageOps.exif_transpose(opened(data))

    clean = clean_image(data)

    assert as_seen.size == opened(clean.data).size
    assert corners(written(as_seen, "PNG")) == corners(clean.data)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_does_not_lose_the_photo() -> None:
    """What the camera wrote beside the picture may be broken; the picture is read all the same."""
    data = with_segments(written(quarters(), "JPEG"), (0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff" + MARKER))

    assert corners(clean_image(data).data) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "CMYK"])
def test_every_way_to_store_pixels(mode: str) -> None:
    """Grey, 16-bit grey, palettes, transparency and print colours become an ordinary picture of the same tone."""
    if mode == "I;16":
        picture = Image.frombytes("I;16", (8, 8), struct.pack("<H", 153 * 257) * 64)
    else:
        picture = Image.new("RGB", (8, 8), (153, 153, 153)).convert("L" if mode == "LA" else "RGB").convert(mode)
    data = written(picture, "TIFF" if mode == "PA" else "JPEG" if mode == "CMYK" else "PNG")
    if mode == "PA":
        data = written(picture.convert("RGBA"), "WEBP", lossless=True)

    tone = colour(opened(clean_image(data).data), 4, 4)

    assert mode == "1" or all(abs(channel - 153) <= 2 for channel in tone)


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("WEBP", "RGBA"), ("PNG", "LA")])
def test_what_is_transparent_becomes_white(kind: str, mode: str) -> None:
    """Behind a picture without background stands white, and the colour hidden under full transparency is gone."""
    hidden = Image.new("RGBA", (16, 16), (255, 0, 0, 0)).convert(mode)
    clean = clean_image(written(hidden, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {})))

    assert colour(opened(clean.data), 8, 8) == WHITE


def test_a_palette_with_a_transparent_colour() -> None:
    """GIF's transparent colour becomes white too."""
    picture = Image.new("P", (16, 16), 0)
    picture.putpalette([200, 0, 0, 0, 0, 200])

    assert colour(opened(clean_image(written(picture, "GIF", transparency=0)).data), 8, 8) == WHITE


@pytest.mark.parametrize(
    ("size", "expected"), [((4000, 3000), (2000, 1500)), ((100, 5000), (40, 2000)), ((2000, 10), (2000, 10))]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_photos_become_small(kind: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    """The longest side is 2000 pixels at most, the shape stays."""
    assert expected == opened(clean_image(written(Image.new("RGB", size, RED), kind)).data).size


def test_the_worst_photo_is_small_too() -> None:
    """Noise, which no coder can make small, still comes out below 2 MB."""
    noise = Image.frombytes("RGB", (2000, 2000), random.Random(4).randbytes(12_000_000))
    clean = clean_image(written(noise, "JPEG", quality=95))

    assert len(clean.data) <= images.GOOD_SIZE


# ---- what is refused -----------------------------------------------------------------------------------------------


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it has 100 000 x 100 000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def with_an_archive(data: bytes) -> bytes:
    archive = BytesIO(data)
    archive.seek(0, 2)
    with ZipFile(archive, "a") as opened_archive:
        opened_archive.writestr("run.js", "alert(1)")
    return archive.getvalue()


def text_bomb() -> bytes:
    text = zlib.compress(b"x" * 100_000_000)
    plain = written(quarters(), "PNG")
    return plain[:33] + png_chunk(b"zTXt", b"Comment\0\0" + text) + plain[33:]


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("image.unknown_type", b""),
        ("image.unknown_type", b"GIF90a"),
        ("image.unknown_type", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("image.unknown_type", b"%PDF-1.7"),
        ("image.unknown_type", b"\0\0\0\x20ftypavif" + bytes(40)),
        ("image.unknown_type", written(quarters(), "BMP")),
        ("image.unknown_type", written(quarters(), "TIFF")),
        ("image.heic", b"\0\0\0\x18ftypheic" + bytes(40)),
        ("image.heic", b"\0\0\0\x18ftypmif1" + bytes(40)),
        ("image.too_large", bomb()),
        ("image.too_large", written(Image.new("1", (8000, 7001)), "PNG")),
        ("image.two_types", with_an_archive(written(quarters(), "JPEG"))),
        ("image.two_types", with_an_archive(written(quarters(), "PNG"))),
        ("image.two_types", with_segments(written(quarters(), "JPEG"), (0xFE, b"%PDF-1.7"))),
        ("image.two_types", written(quarters(), "GIF", comment=b"<SCRIPT>alert(1)</SCRIPT>")),
        ("image.damaged", text_bomb()),
        ("image.damaged", b"\xff\xd8\xff"),
        ("image.damaged", b"RIFF\0\0\0\0WEBPVP8 "),
    ],
)
def test_what_is_no_photo_is_refused_with_a_code(code: str, data: bytes) -> None:
    """Other types, bombs, files of two types and broken ones are told apart, and where it was is said."""
    with pytest.raises(Unreadable) as refused:
        clean_image(data, where="photo 1")

    assert (code, "photo 1") == (refused.value.code, refused.value.where)


def test_too_many_bytes() -> None:
    """A file that no phone makes is not even decoded."""
    with pytest.raises(Unreadable) as refused:
        clean_image(written(quarters(), "JPEG") + bytes(images.MOST_BYTES))

    assert refused.value.code == "image.too_large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_half_a_photo_is_refused(kind: str, part: float) -> None:
    """A photo that was cut off on its way is asked for again instead of sent half grey."""
    noise = Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(3 * 64 * 64))
    data = written(noise, kind)
    with pytest.raises(Unreadable, match=r"^image\.damaged"):
        clean_image(data[: int(len(data) * part)])


def cleaned_or_code(data: bytes) -> str:
    """The name of the clean file, or the code of the refusal; any other exception comes through."""
    try:
        return clean_image(data).name
    except Unreadable as refused:
        return refused.code


BEGINNINGS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x18ftypheic"]


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=400))
def test_any_bytes_are_a_photo_or_a_refusal(beginning: bytes, rest: bytes) -> None:
    """Random bytes, also behind the signature of a photo, never make another exception."""
    assert cleaned_or_code(beginning + rest).startswith("image.")


SMALL = {kind: written(quarters(16, 8), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")} | {"crowded": a_phones_jpeg()}


@given(st.sampled_from(sorted(SMALL)), st.data())
def test_any_damage_is_a_photo_or_a_refusal(kind: str, data: st.DataObject) -> None:
    """A photo with some bytes changed, taken out or put in is read or refused, and never gives its comments away."""
    damaged = bytearray(SMALL[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(damaged)))
        damaged[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    answer = cleaned_or_code(bytes(damaged))

    assert answer.startswith("image.") or answer.endswith(".jpg")
