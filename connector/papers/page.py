"""Words and HTML that the papers share: one file a page, nothing from the network, print-ready, both directions."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Literal, get_args

Language = Literal["en", "ar", "fa", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_RIGHT_TO_LEFT = frozenset({"ar", "fa"})
_COMMA: Mapping[Language, str] = {"en": ", ", "fr": ", ", "ar": "، ", "fa": "، "}
_HERE = Path(__file__).parent


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    with (_HERE / "words.csv").open(encoding="utf-8", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def word(key: str, language: Language, **values: str) -> str:
    """The text of *key*; *values* fill its holes. A key that is not there is a fault of ours and raises `KeyError`."""
    return _words()[key][language].format(**values)


def has_word(key: str) -> bool:
    return key in _words()


def listed(texts: Iterable[str], language: Language) -> str:
    return _COMMA[language].join(texts)


def html(title: str, language: Language, body: str, *, wide: bool = False) -> str:
    """A whole page. *body* is HTML already; *title* is text."""
    direction = "rtl" if language in _RIGHT_TO_LEFT else "ltr"
    style = (_HERE / "paper.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="{language}" dir="{direction}"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="robots" content="noindex">\n'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{style}</style></head>\n'
        f"<body{' class=wide' if wide else ''}>\n{body}</body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    heads = "".join(f"<th scope=col>{escape(text)}</th>" for text in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{lines}</tbody></table>\n"


def isolated(text: str) -> str:
    """A code, a number or a date that keeps its own direction among words of the other."""
    return f"\N{LEFT-TO-RIGHT ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}" if text else ""
