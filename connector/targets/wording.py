"""Records in a reader's words: what a field is called and what a code means, in four languages.

Headings are short and for the office: they stand in headings.csv, put together from the parts of a field's path. What
has none there is called as its question is. Choices are called as in the form. A code without a label is shown itself.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, cast

from connector.model import JSON
from connector.transforms import dates
from connector.transforms.dates import Calendar, Doubt, Interval, Reading
from connector.transforms.record import SaidDate, walk
from connector.transforms.registry import RECORDS
from forms.tables import FORMS, FormDefinition, Question, load
from forms.translations import texts

Language = Literal["en", "ar", "fa", "fr"]
RIGHT_TO_LEFT = frozenset({"ar", "fa"})
BETWEEN = " – "
_COMMA: Mapping[Language, str] = {"en": ", ", "fr": ", ", "ar": "، ", "fa": "، "}
_HEADINGS = Path(__file__).with_name("headings.csv")
_SAID_DATE = frozenset(SaidDate.model_fields)
_PLAIN_WORDS: Mapping[JSON, str] = {"yes": "Yes", "no": "No", True: "Yes", False: "No"}


class Wording:
    """How records of one *kind* are said in one *language*."""

    def __init__(self, kind: str, language: Language) -> None:
        self.kind, self.language = kind, language
        self._form: FormDefinition = load(kind)
        self._question_of = {
            path.replace("[]", ""): questions[0] for path, questions in walk(RECORDS[kind]) if questions
        }

    @property
    def right_to_left(self) -> bool:
        return self.language in RIGHT_TO_LEFT

    @cached_property
    def title(self) -> str:
        """What the kind of record is called."""
        return self._form.title(self.language)

    def word(self, key: str) -> str:
        """A word of the page itself: `word.<key>` of headings.csv."""
        return _headings(self.language)[f"word.{key}"]

    def section(self, name: str) -> str:
        """The heading of a top field that holds others: `enquirer`."""
        return _headings(self.language).get(name, _plain(name))

    def heading(self, path: str, *, inside: bool = False) -> str:
        """What the field at *path* is called; with *inside* without its section's name."""
        names = path.replace("[]", "").split(".")
        parts = self._parts(names)
        if parts is None:
            parts = [self._label(".".join(names))]
        whole = [self.section(names[0]) if len(names) > 1 and not inside else "", *parts]
        return BETWEEN.join(part for part in whole if part)

    def shown(self, path: str, value: JSON) -> str:
        """*value* of the field at *path* (its brackets do not matter) as one line of text, codes as their labels."""
        plain = path.replace("[]", "")
        if isinstance(value, Mapping):
            return self._date(value) if is_said_date(value) else self._entry(plain, value)
        if isinstance(value, Sequence) and not isinstance(value, str):
            mark = "; " if any(isinstance(one, Mapping) for one in value) else _COMMA[self.language]
            return mark.join(self.shown(plain, one) for one in value)
        return self._word_of(plain, value)

    def _parts(self, names: Sequence[str]) -> list[str] | None:
        """The headings of the path's parts after its section, longest first; None when one of them has none."""
        parts: list[str] = []
        start = 1 if len(names) > 1 else 0
        while start < len(names):
            found = next(((text, end) for text, end in self._known(names, start)), None)
            if found is None:
                return None
            parts.append(found[0])
            start = found[1]
        return parts

    def _known(self, names: Sequence[str], start: int) -> Iterator[tuple[str, int]]:
        table = _headings(self.language)
        for end in range(len(names), start, -1):
            for begin in range(start + 1):
                key = ".".join(names[begin:end])
                if key in table:
                    yield table[key], end

    def _label(self, path: str) -> str:
        question = self._question(path)
        return self._said(question.label) if question and question.label else _plain(path.rpartition(".")[2])

    def _question(self, path: str) -> Question | None:
        return self._form.questions.get(self._question_of.get(path, ""))

    def _word_of(self, path: str, value: JSON) -> str:
        if value is None:
            return ""
        question = self._question(path)
        known = labels(self.kind, question.name, self.language) if question else {}
        if value in known:
            return known[str(value)]
        plain = _PLAIN_WORDS.get(value) if isinstance(value, str | bool) else None
        return self._said(plain) if plain else str(value)

    def _said(self, english: str) -> str:
        return texts(self.language).get(english, english)

    def _entry(self, path: str, entry: Mapping[str, JSON]) -> str:
        return " / ".join(
            text for name, value in entry.items() if name != "script" and (text := self.shown(f"{path}.{name}", value))
        )

    def _date(self, said: Mapping[str, JSON]) -> str:
        """The Gregorian days it can mean, then the calendar and the words in which it was said."""
        days = _interval(said)
        own = Calendar(str(said.get("calendar") or "gregorian"))
        text = dates.show(days, Calendar.GREGORIAN, self.language)
        if own is not Calendar.GREGORIAN and days.known:
            text = f"{text} ({dates.show(days, own, self.language)})"
        age = said.get("age")
        years = str(age).translate(dates.PERSIAN_DIGITS) if self.language == "fa" else str(age)  # as the days beside it
        extra = [f"{self.word('age')} {years}" if age is not None else "", str(said.get("said") or "")]
        return BETWEEN.join(part for part in (text, *extra) if part)


def _plain(name: str) -> str:
    """A field's own name as words, for what nobody has named yet."""
    return name.replace("_", " ").capitalize()


def _interval(said: Mapping[str, JSON]) -> Interval:
    """A `SaidDate` as it leaves, for showing. What lacks a day is not known."""
    first, last = said.get("earliest"), said.get("latest")
    doubts = frozenset(Doubt(str(doubt)) for doubt in cast("Sequence[JSON]", said.get("doubts") or ()))
    if first is None or last is None:
        return Interval(date.min, date.max, doubts | {Doubt.UNKNOWN})
    readings = tuple(_reading(str(one)) for one in cast("Sequence[JSON]", said.get("readings") or ()))
    return Interval(date.fromisoformat(str(first)), date.fromisoformat(str(last)), doubts, readings)


def _reading(text: str) -> Reading:
    calendar, _, days = text.partition(" ")
    first, _, last = days.partition("/")
    return Reading(Calendar(calendar), date.fromisoformat(first), date.fromisoformat(last))


def is_said_date(value: Mapping[str, JSON]) -> bool:
    """Whether a mapping in the fields is a date as it was said, and no part of a record."""
    return "kind" in value and set(value) <= _SAID_DATE


def iso_days(said: Mapping[str, JSON]) -> str:
    """A `SaidDate` as a day, or an interval with a slash (ISO 8601-1 §5.5.2); empty when it is not known."""
    first, last = said.get("earliest"), said.get("latest")
    if first is None or last is None:
        return ""
    return str(first) if first == last else f"{first}/{last}"


@cache
def _headings(language: Language) -> Mapping[str, str]:
    with _HEADINGS.open(encoding="utf-8", newline="") as stream:
        return {row["key"]: row[language] for row in csv.DictReader(stream)}


@cache
def labels(kind: str, question: str, language: Language) -> Mapping[str, str]:
    """Code -> label of a question's choices, also of those that come from a file."""
    form = load(kind)
    asked = form.questions[question]
    if asked.file:
        return _labels_of_file(asked.file)
    known = texts(language)
    return {choice.name: known.get(choice.label, choice.label) for choice in form.choices_of(question)}


@cache
def _labels_of_file(name: str) -> Mapping[str, str]:
    path = FORMS / "media" / name
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return {row["name"]: row["label"] for row in csv.DictReader(stream) if row.get("label")}
