"""Makes the sandbox's filled-in requests: conversations of tests/forms/scenarios, walked through by JavaRosa.

`make samples` writes them anew after the form changed; a test holds them against the form. So `make run` needs no Java.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from connector.sandbox import demo
from forms.compiler import build
from forms.engines import convert
from forms.tables import LANGUAGES
from tests.engines.javarosa import Tries, fill, media_of

SCENARIOS = Path(__file__).parent / "forms" / "scenarios" / "tracing_request"
SAMPLES = Path(demo.__file__).parent / "samples"
_VOLATILE = (
    "start",
    "end",
    "today",
    "consent_ts",
    "case_code",
    "case_code_base",
    "case_code_spoken",
    "instanceID",
    "instanceName",
)


def filled_in(name: str, folder: Path) -> bytes:
    """The record of one conversation."""
    scenario = json.loads((SCENARIOS / f"{name}.json").read_text(encoding="utf-8"))
    path = build("tracing_request", "kobo", folder)
    answers = {question: _answer(value) for question, value in scenario["answers"].items()}
    media = media_of(path.parent / "tracing_request-media")
    result = fill(convert(path), media, answers, LANGUAGES[scenario["language"]])
    assert result.complete, (name, result.stopped_at)
    return result.record


def steady(xml: bytes) -> str:
    """The record without what differs in every fill."""
    text = xml.decode()
    for tag in _VOLATILE:
        text = re.sub(rf"<((?:\w+:)?{tag})(>.*?</\1>| ?/>)", "", text, flags=re.DOTALL)
    return text


def photo() -> bytes:
    """A drawn face with a place hidden in it, as a phone would hide one."""
    image = Image.new("RGB", (240, 300), "#dfe8ea")
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 50, 180, 200), fill="#c79a6b")
    draw.ellipse((90, 110, 105, 125), fill="#333")
    draw.ellipse((135, 110, 150, 125), fill="#333")
    draw.arc((95, 130, 145, 175), 20, 160, fill="#7a3b2e", width=4)
    draw.rectangle((40, 210, 200, 300), fill="#2f5d62")
    exif = Image.Exif()
    exif[0x010E] = "taken at a shelter"
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85, exif=exif)
    return out.getvalue()


def _answer(value: object) -> object:
    if isinstance(value, dict):
        return Tries(value["tries"]) if set(value) == {"tries"} else {name: _answer(one) for name, one in value.items()}
    return [_answer(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    SAMPLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in demo.REQUESTS:
            (SAMPLES / f"{name}.xml").write_bytes(filled_in(name, Path(folder)))
    (SAMPLES / "face.jpg").write_bytes(photo())


if __name__ == "__main__":
    main()
