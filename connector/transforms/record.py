"""How a Record is declared: pydantic models whose fields name the questions they come from.

    class Person(Part):
        family: Annotated[str | None, Q("{p}family")] = None

`{p}` is the prefix of the block; `Within(prefix)` nests a part, `Each(repeat, prefix)` one for each entry of a repeat,
`Born(prefix)` and `Dated(prefix)` a date with its calendar as an interval. The same marks tell the gate which question a value came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from connector.model import Cautions, Consent
from connector.transforms import dates
from connector.transforms.values import Entry, FileName, Value


@dataclass(frozen=True, slots=True)
class Q:
    """The field holds the answer to this question."""

    question: str


@dataclass(frozen=True, slots=True)
class Within:
    """The field is a part whose questions carry *prefix*."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Each:
    """The field has one part for each entry of *repeat*."""

    repeat: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Born:
    """The field is a date of birth as it was said, from the block `birth` with *prefix*."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Dated:
    """The field is another date as it was said, from the block `date` with *prefix*."""

    prefix: str


class Part(BaseModel):
    """A piece of a Record. Fields that were not answered are None or empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Photo(Part):
    """A file of the submission: *name* as the form names it; what leaves carries the hash of the cleaned bytes."""

    name: str


class SaidDate(Part):
    """A date as it was said and the Gregorian days it can mean (ISO 8601, both ends included).

    *approximate* is whatever is not one exact day; *readings* has each calendar's interval when more than one fits.
    """

    kind: Literal["exact", "year_month", "year", "age", "range", "unknown", "pnts"]
    calendar: Literal["gregorian", "hijri", "jalali"] | None = None
    year: int | None = None
    month: int | None = None
    day: int | None = None
    age: int | None = None
    age_min: int | None = None
    age_max: int | None = None
    age_on: date | None = None
    said: str | None = None
    earliest: date | None = None
    latest: date | None = None
    approximate: bool = True
    doubts: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()


class Record(Part):
    """What became of one version of a submission. The fields of each kind are in the module of its form.

    *consent*, *cautions* and *counts* are for the gate and the figures; they are never part of what leaves.
    """

    kind: str
    form_version: str | None = None
    consent: Consent
    cautions: Cautions
    branch: str | None = None


INNER = frozenset(Record.model_fields)
"""Fields of a Record that are not data about people: the gate never sends them."""

P = TypeVar("P", bound=Part)
_Mark = Q | Within | Each | Born | Dated
_MARKS = (Q, Within, Each, Born, Dated)


@dataclass(frozen=True, eq=False)  # one object a field: it is its own key
class Field:
    """One field of a part: its name, its mark, the model inside it if any, and whether it is a tuple."""

    name: str
    mark: _Mark
    model: type[Part] | None
    many: bool


@cache
def fields_of(model: type[Part]) -> tuple[Field, ...]:
    """The marked fields of *model*, in order."""
    found = []
    for name, info in model.model_fields.items():
        mark = next((one for one in info.metadata if isinstance(one, _MARKS)), None)
        if mark is not None:
            found.append(Field(name, mark, _inner_model(info), _is_many(info)))
    return tuple(found)


@cache
def questions_of(field: Field, prefix: str) -> tuple[str, ...]:
    """The questions that a leaf field comes from, with their prefix put in."""
    if isinstance(field.mark, Q):
        return (field.mark.question.replace("{p}", prefix),)
    if isinstance(field.mark, Born | Dated):
        return tuple(_date_names(field.mark, prefix).values())
    return ()


def walk(model: type[Part], prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """(path, questions) of every leaf of *model*: `sought[].name.full` comes from `s_name_full_native`."""
    for field in fields_of(model):
        if isinstance(field.mark, Within | Each) and field.model is not None:
            mark = "[]" if isinstance(field.mark, Each) else ""
            inner = field.mark.prefix.replace("{p}", prefix)
            yield from ((f"{field.name}{mark}.{path}", questions) for path, questions in walk(field.model, inner))
        else:
            yield field.name, questions_of(field, prefix)


def build(model: type[P], entry: Entry, stated_on: date, prefix: str = "", **known: object) -> P:
    """Makes *model* from typed answers; *stated_on* is the day on which ages and dates were said."""
    return model.model_validate({**_collect(model, entry, stated_on, prefix), **known})


def _collect(model: type[Part], entry: Entry, stated_on: date, prefix: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for field, question in _sources(model, prefix):
        answer = entry.values.get(question) if question else None
        value = _inner(field, entry, stated_on, prefix) if question is None else _plain(answer, field)
        if value is not None:
            values[field.name] = value
    return values


@cache
def _sources(model: type[Part], prefix: str) -> tuple[tuple[Field, str | None], ...]:
    """The fields of *model*, each with the one question that it comes from, or None where it is made of several."""
    return tuple((one, questions_of(one, prefix)[0] if isinstance(one.mark, Q) else None) for one in fields_of(model))


def _inner(field: Field, entry: Entry, stated_on: date, prefix: str) -> object:
    mark = cast("Within | Each | Born | Dated", field.mark)
    inner = mark.prefix.replace("{p}", prefix)
    if isinstance(mark, Born | Dated):
        return _said_date(entry, mark, prefix, stated_on)
    model = cast("type[Part]", field.model)
    if isinstance(mark, Each):
        entries = entry.repeats.get(mark.repeat.replace("{p}", prefix), ())
        return [_collect(model, one, stated_on, inner) for one in entries] or None  # no entry: the part stays absent
    return _collect(model, entry, stated_on, inner) or None


def _plain(value: Value | None, field: Field) -> object:
    if value is None:
        return None
    if isinstance(value, FileName):
        return {"name": value.name}
    if isinstance(value, date):
        return value.isoformat()
    if field.many and isinstance(value, str):
        return (value,)
    return value


def _said_date(entry: Entry, mark: Born | Dated, prefix: str, stated_on: date) -> dict[str, object] | None:
    """The date block of *mark*, or None when it was not asked; raises `TransformError` for a date that cannot be."""
    names = _date_names(mark, prefix)
    stated = stated_date(entry, mark, prefix)
    if stated is None:
        return None
    interval = dates.interval(stated, stated_on, of_birth=isinstance(mark, Born), where=names["kind"])
    return {
        "kind": entry.text(names["kind"]), "calendar": str(stated.calendar) if stated.calendar else None,
        "year": stated.year, "month": stated.month, "day": stated.day, "age": stated.age,
        "age_min": stated.age_min, "age_max": stated.age_max, "age_on": stated.age_on, "said": stated.raw or None,
        "earliest": interval.earliest if interval.known else None, "latest": interval.latest if interval.known else None,
        "approximate": interval.earliest != interval.latest,
        "doubts": tuple(sorted(str(doubt) for doubt in interval.doubts)),
        "readings": tuple(f"{one.calendar} {one.earliest}/{one.latest}" for one in interval.alternatives),
    }  # fmt: skip


def stated_date(entry: Entry, mark: Born | Dated, prefix: str = "") -> dates.StatedDate | None:
    """A date as the block holds it: Gregorian days as one date, other calendars in numbers."""
    names = _date_names(mark, prefix)
    kind = entry.text(names["kind"])
    if kind is None:
        return None
    if kind == "pnts":
        return dates.StatedDate(dates.Kind.UNKNOWN)
    whole = entry.day(names["day_of"])
    if kind == "exact" and whole is not None:
        return dates.StatedDate.on(whole, raw=entry.text(names["raw"]) or "")
    calendar = entry.text(names["year_calendar"]) or entry.text(names["calendar"])
    return dates.StatedDate(
        dates.Kind(kind), dates.Calendar(calendar) if calendar else None,
        year=_number(entry, names["year_alone"]) or _number(entry, names["year"]),
        month=_number(entry, names["month"]), day=_number(entry, names["day"]),
        age=_number(entry, names["age"]), age_on=entry.day(names["age_on"]),
        age_min=_number(entry, names["age_min"]), age_max=_number(entry, names["age_max"]),
        raw=entry.text(names["raw"]) or "",
    )  # fmt: skip


def _number(entry: Entry, question: str) -> int | None:
    value = entry.values.get(question)
    if isinstance(value, str) and value.isdigit():  # a calculated month
        return int(value)
    return value if isinstance(value, int) else None


@cache
def _date_names(mark: Born | Dated, prefix: str) -> Mapping[str, str]:
    """The block's question for each piece of a date."""
    start = mark.prefix.replace("{p}", prefix)
    date_ = f"{start}dob" if isinstance(mark, Born) else f"{start}date"
    ages = (
        {piece: f"{start}{piece}" for piece in ("age", "age_on", "age_min", "age_max")}
        if isinstance(mark, Born)
        else {}
    )
    alone = (
        {"year_alone": f"{start}birth_year", "year_calendar": f"{start}birth_year_cal"}
        if isinstance(mark, Born)
        else {}
    )
    same = {"year_alone": f"{date_}_year", "year_calendar": f"{date_}_cal"}
    none = dict.fromkeys(("age", "age_on", "age_min", "age_max"), f"{date_}_raw") if isinstance(mark, Dated) else {}
    return {
        "kind": f"{date_}_kind", "calendar": f"{date_}_cal", "day_of": date_, "year": f"{date_}_year",
        "month": f"{date_}_month", "day": f"{date_}_day", "raw": f"{date_}_raw", **same, **alone, **none, **ages,
    }  # fmt: skip


def _inner_model(info: FieldInfo) -> type[Part] | None:
    return next((one for one in _parts_in(info.annotation)), None)


def _parts_in(annotation: Any) -> Iterator[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts_in(inner)


def _is_many(info: FieldInfo) -> bool:
    kinds = get_args(info.annotation) if get_origin(info.annotation) in {Union, UnionType} else (info.annotation,)
    return any(get_origin(kind) is tuple for kind in kinds)
