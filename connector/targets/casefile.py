"""The printable case file: one record on A4, English beside Arabic, Persian or French, for an upload by hand.

One HTML page that holds everything (style, photos) and asks nothing of the network; any browser prints it or saves it
as PDF. What stands in it is what a `Release` lets out, no more; typefaces are the reader's own.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeAlias

from connector.disclosure import Release
from connector.model import JSON, File
from connector.targets.wording import RIGHT_TO_LEFT, Language, Wording, is_said_date
from connector.transforms.record import INNER, fields_of
from connector.transforms.registry import RECORDS

_STYLE = Path(__file__).with_name("casefile.css")
_ABOVE = "case_code"  # stands at the head of the page
_FOR_MACHINES = "script"  # a reader sees the script
_Leaf: TypeAlias = "tuple[str, JSON]"


@dataclass(frozen=True, slots=True)
class _Section:
    """A piece of the page: the field it comes from, its number where there are several, its leaves."""

    name: str
    number: int | None
    leaves: tuple[_Leaf, ...]


def case_file(release: Release, language: Language) -> bytes:
    """The page of *release* as UTF-8 HTML; with `en` it has one language, otherwise English and *language*."""
    return _Page(release, language).html().encode()


class _Page:
    def __init__(self, release: Release, language: Language) -> None:
        self._release = release
        self._files = {file.name: file for file in release.files}
        self._english = Wording(release.kind, "en")
        self._other = None if language == "en" else Wording(release.kind, language)

    def html(self) -> str:
        style = _STYLE.read_text(encoding="utf-8")
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        sections = "".join(self._section(section) for section in _sections(self._release))
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            f'<meta name="robots" content="noindex"><title>{escape(self._code)}</title><style>{style}</style></head>\n'
            f"<body>{self._head()}{sections}{self._foot()}</body></html>\n"
        )

    @property
    def _code(self) -> str:
        """What names the file without naming anybody: the case code, else the record's key."""
        return str(self._release.fields.get("case_code") or self._release.record_id)

    def _head(self) -> str:
        day = self._release.made_at.date().isoformat()
        facts = (("society", self._release.society), ("prepared", day), ("version", str(self._release.version)))
        told = "".join(self._row(self._both_words(word), (text, text)) for word, text in facts)
        titles = self._halves((self._english.title, self._other.title if self._other else ""), "h1")
        return f"<header>{titles}<p class=code dir=ltr>{escape(self._code)}</p><table>{told}</table></header>\n"

    def _foot(self) -> str:
        return f"<footer>{self._halves(self._both_words('confidential'), 'p')}</footer>"

    def _section(self, section: _Section) -> str:
        rows = "".join(self._leaf(path, value) for path, value in section.leaves)
        photos = "".join(self._photo(value) for _, value in section.leaves if str(value) in self._files)
        number = f" {section.number}" if section.number else ""
        titles = self._halves(tuple(f"{text}{number}" for text in self._titles(section.name)), "h2")
        return f"<section>{titles}{photos}<table>{rows}</table></section>\n"

    def _titles(self, name: str) -> tuple[str, str]:
        if not name:
            return self._both_words("general")
        return self._english.section(name), self._other.section(name) if self._other else ""

    def _leaf(self, path: str, value: JSON) -> str:
        if str(value) in self._files:
            return ""
        headings = (
            self._english.heading(path, inside=True),
            self._other.heading(path, inside=True) if self._other else "",
        )
        texts = self._english.shown(path, value), self._other.shown(path, value) if self._other else ""
        return self._row(headings, texts)

    def _row(self, headings: tuple[str, str], texts: tuple[str, str]) -> str:
        """English heading, value, value, the other heading; a value that is the same in both stands once, in the middle."""
        left = f"<th scope=row dir=ltr lang=en>{escape(headings[0])}</th>"
        if self._other is None:
            return f"<tr>{left}<td dir=auto>{escape(texts[0])}</td></tr>\n"
        right = f"<th scope=row {self._direction}>{escape(headings[1])}</th>"
        if texts[0] == texts[1]:
            return f"<tr>{left}<td colspan=2 class=same dir=auto>{escape(texts[0])}</td>{right}</tr>\n"
        return f"<tr>{left}<td dir=ltr lang=en>{escape(texts[0])}</td><td {self._direction}>{escape(texts[1])}</td>{right}</tr>\n"

    def _halves(self, texts: Sequence[str], tag: str) -> str:
        left = f"<{tag} dir=ltr lang=en>{escape(texts[0])}</{tag}>"
        right = f"<{tag} {self._direction}>{escape(texts[1])}</{tag}>" if self._other else ""
        return f"<div class=halves>{left}{right}</div>"

    @property
    def _direction(self) -> str:
        language = self._other.language if self._other else "en"
        return f"dir={'rtl' if language in RIGHT_TO_LEFT else 'ltr'} lang={language}"

    def _both_words(self, word: str) -> tuple[str, str]:
        return self._english.word(word), self._other.word(word) if self._other else ""

    def _photo(self, name: JSON) -> str:
        file: File = self._files[str(name)]
        data = base64.b64encode(file.data).decode()
        return f'<img alt="{escape(self._english.word("photo"))}" src="data:{escape(file.media_type)};base64,{data}">'


def _sections(release: Release) -> Iterator[_Section]:
    """The record's own leaves and those of parts without a heading first, then each part, in the order of its model."""
    words = Wording(release.kind, "en")
    names = [
        one.name for one in fields_of(RECORDS[release.kind]) if one.name in release.fields and one.name not in INNER
    ]
    parts = [name for name in names if _is_section(release.fields[name]) and words.section(name)]
    alone = {name: release.fields[name] for name in names if name not in parts and name != _ABOVE}
    if alone:
        yield _Section("", None, tuple(_leaves("", alone)))
    for name in parts:
        value = release.fields[name]
        entries = [value] if isinstance(value, Mapping) else [one for one in _listed(value) if isinstance(one, Mapping)]
        for number, entry in enumerate(entries, 1):
            yield _Section(name, number if len(entries) > 1 else None, tuple(_leaves(name, entry)))


def _listed(value: JSON) -> Sequence[JSON]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _is_section(value: JSON) -> bool:
    """Parts and their repeats are sections; dates as they were said and lists of codes are leaves."""
    if isinstance(value, Mapping):
        return not is_said_date(value)
    return any(isinstance(one, Mapping) for one in _listed(value))


def _leaves(path: str, value: Mapping[str, JSON]) -> Iterator[_Leaf]:
    for name, inner in value.items():
        whole = f"{path}.{name}" if path else name
        if isinstance(inner, Mapping) and not is_said_date(inner):
            yield from _leaves(whole, inner)
        elif name != _FOR_MACHINES:
            yield whole, inner
