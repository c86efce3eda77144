"""Why two people were scored as they were: a code, a weight, and a sentence in four languages.

A reason never carries a name, a date or a place of the people compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["LANGUAGES", "Reason"]

LANGUAGES = ("en", "ar", "fa", "fr")


@cache
def _sentences() -> dict[str, dict[str, str]]:
    lines = files(__package__).joinpath("reasons.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return {code: dict(zip(LANGUAGES, sentences, strict=True)) for code, *sentences in rows}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: its stable *code* (`birth.near`) and its *weight* in nats, negative if it speaks against."""

    code: str
    weight: float

    def sentence(self, language: str) -> str:
        """What a case worker reads, in one of `LANGUAGES`; English for any other."""
        sentences = _sentences()[self.code]
        return sentences.get(language, sentences["en"])
