"""Dates as people state them: in their own calendar, often only a year or an age, turned into an interval of days.

A date of birth is hardly ever one day. What was said is kept as it was said (`StatedDate`); `interval` says which days
it can mean, what is in doubt about that, and never guesses a calendar. Ages and adulthood are then asked of the
interval, so that doubt always counts in favour of a child.

Calendars: Gregorian; lunar Hijri by Umm al-Qura where its tables reach (1343 to 1500 AH), before that by the tabular
calendar; Solar Hijri, whose months have Iranian and Afghan names. Nothing here reads the clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Literal

import jdatetime
from hijridate import Gregorian as _Gregorian
from hijridate import Hijri as _Hijri

from connector.errors import TransformError

OLDEST_AGE = 120
"""Years. The forms take no higher age, and a year without its calendar is not read as longer ago than this."""

EARLIEST = date(1850, 1, 1)
"""A stated date before this day is the wrong calendar or a slip: 1370 is no Gregorian year of anybody we look for."""

_ONE_DAY = timedelta(days=1)
_UMM_AL_QURA = (date(1924, 8, 1), date(2077, 11, 16))
_UMM_AL_QURA_YEARS = (1343, 1500)


AgeGroup = Literal["0-4", "5-11", "12-17", "18-59", "60+", "nr"]
"""The age groups of the figures; `nr` is not recorded."""

_AGE_GROUPS: tuple[tuple[int, AgeGroup], ...] = ((60, "60+"), (18, "18-59"), (12, "12-17"), (5, "5-11"), (0, "0-4"))
_MONTHS_OF_A_YEAR = 12


class Calendar(StrEnum):
    """The calendar in which a date was said; the forms' `…_cal` questions have the same codes."""

    GREGORIAN = "gregorian"
    HIJRI = "hijri"
    JALALI = "jalali"


class Kind(StrEnum):
    """How exactly a date is known; the forms' `…_dob_kind` questions have the same codes."""

    EXACT = "exact"
    YEAR_MONTH = "year_month"
    YEAR = "year"
    AGE = "age"
    RANGE = "range"
    UNKNOWN = "unknown"


class Doubt(StrEnum):
    """Why an interval is wider, or less sure, than what was said."""

    UNKNOWN = "unknown"
    """Nothing was said: the interval is everybody who could be alive."""
    ESTIMATED = "estimated"
    """It was worked out from an age or a range of ages."""
    FILLER = "filler"
    """1/1 and 1/7 are what offices write when only the year is known: taken as the year."""
    CALENDAR = "calendar"
    """The calendar was not said and more than one fits: see `Interval.alternatives`."""
    SIGHTING = "sighting"
    """A lunar date: the month begins where the moon is seen, up to one day beside Umm al-Qura."""
    TABULAR = "tabular"
    """A lunar date outside the tables of Umm al-Qura, by rule: up to two days beside the true one."""


@dataclass(frozen=True, slots=True)
class StatedDate:
    """A date as it was said, numbers in the calendar it was said in; months and days count from 1.

    Args:
        kind: which of the other fields count: `exact` year, month and day; `year_month` and `year` those;
            `age` the age and `age_on`; `range` both ages and `age_on`; `unknown` none.
        calendar: None when nobody asked. Then all calendars that fit are kept.
        age_on: the day on which the age was true; None is the day of the interview.
        document_seen: a paper with this date was seen, so that 1 January is taken for 1 January.
        raw: what was said, word for word.
    """

    kind: Kind
    calendar: Calendar | None = None
    year: int | None = None
    month: int | None = None
    day: int | None = None
    age: int | None = None
    age_on: date | None = None
    age_min: int | None = None
    age_max: int | None = None
    document_seen: bool = False
    raw: str = field(default="", repr=False)

    @classmethod
    def on(
        cls, day: date, said_in: Calendar = Calendar.GREGORIAN, *, document_seen: bool = False, raw: str = ""
    ) -> StatedDate:
        """An exact date that a device stored as a Gregorian *day* after showing the calendar it was *said_in*."""
        year, month, day_of_month = in_calendar(day, said_in)
        return cls(Kind.EXACT, said_in, year, month, day_of_month, document_seen=document_seen, raw=raw)


@dataclass(frozen=True, slots=True)
class Reading:
    """One calendar's meaning of a date said without its calendar; both days included."""

    calendar: Calendar
    earliest: date
    latest: date


@dataclass(frozen=True, slots=True)
class Interval:
    """The Gregorian days that a stated date can mean, both ends included.

    `alternatives` has every reading when more than one calendar fits (then `earliest` and `latest` span them all),
    otherwise nothing.
    """

    earliest: date
    latest: date
    doubts: frozenset[Doubt] = frozenset()
    alternatives: tuple[Reading, ...] = ()

    @property
    def ambiguous(self) -> bool:
        """More than one calendar fits."""
        return bool(self.alternatives)

    @property
    def known(self) -> bool:
        """Something was said, however vague."""
        return Doubt.UNKNOWN not in self.doubts

    @property
    def tolerance(self) -> timedelta:
        """How far a true day may lie outside the interval, because a lunar calendar cannot say it better."""
        if Doubt.TABULAR in self.doubts:
            return timedelta(days=2)
        return timedelta(days=1 if Doubt.SIGHTING in self.doubts else 0)


def interval(stated: StatedDate, stated_on: date, *, of_birth: bool = True, where: str = "date") -> Interval:
    """Which days *stated* can mean, said on *stated_on*; no day after that one.

    Args:
        of_birth: 1 January and 1 July, in any calendar, are then taken for the year alone unless a document was seen.
            False for other events: a last contact on 1 January was on 1 January.
        where: the question's path, for the error.

    Raises:
        TransformError: `dates.incomplete`, `dates.impossible` (no such day in that calendar), `dates.in_future`,
            `dates.too_early`, `dates.no_calendar_fits`, `dates.impossible_age`.
    """
    if stated.kind is Kind.UNKNOWN:
        return Interval(_years_before(stated_on, OLDEST_AGE), stated_on, frozenset({Doubt.UNKNOWN}))
    if stated.kind in {Kind.AGE, Kind.RANGE}:
        return _of_age(stated, stated_on, where)
    if stated.calendar is None:
        return _of_any_calendar(stated, stated_on, of_birth, where)
    return _of_calendar(stated, stated.calendar, stated_on, of_birth, where)


def is_adult(born: Interval, on: date, years: int = 18) -> bool:
    """Whether a person is surely *years* old on that day: the latest possible day of birth decides, doubt is a child.

    Who was born on 29 February comes of age on 1 March.
    """
    return born.latest + born.tolerance <= _years_before(on, years)


def ages(born: Interval, on: date) -> tuple[int, int]:
    """The lowest and the highest age in full years that a person can have on that day."""
    return _age(born.latest + born.tolerance, on), _age(born.earliest - born.tolerance, on)


def age_group(born: Interval, on: date) -> AgeGroup:
    """The age group for figures; `nr` (not recorded) when the interval reaches over more than one.

    It counts; whether somebody is treated as a child is for `is_adult` to say.
    """
    youngest, oldest = (_group(age) for age in ages(born, on))
    return youngest if youngest == oldest else "nr"


def in_calendar(day: date, calendar: Calendar) -> tuple[int, int, int]:
    """Year, month and day of a Gregorian *day* in *calendar*."""
    if calendar is Calendar.GREGORIAN:
        return day.year, day.month, day.day
    if calendar is Calendar.JALALI:
        solar = jdatetime.date.fromgregorian(date=day)
        return int(solar.year), int(solar.month), int(solar.day)
    if _UMM_AL_QURA[0] <= day <= _UMM_AL_QURA[1]:
        return _Gregorian.fromdate(day).to_hijri().datetuple()
    return _in_tabular(day)


def to_gregorian(calendar: Calendar, year: int, month: int, day: int) -> date:
    """The Gregorian day of a date in *calendar*.

    Raises:
        ValueError: the calendar has no such day, or no rule for that year.
    """
    if calendar is Calendar.GREGORIAN:
        return date(year, month, day)
    if calendar is Calendar.JALALI:
        solar: date = jdatetime.date(year, month, day).togregorian()
        return solar
    if year > _UMM_AL_QURA_YEARS[1]:
        raise ValueError("lunar years after 1500 are not in use")
    if year >= _UMM_AL_QURA_YEARS[0]:
        lunar = _Hijri(year, month, day).to_gregorian()
        return date(lunar.year, lunar.month, lunar.day)
    return _from_tabular(year, month, day)


# The tabular Islamic calendar: years of 354 days and a cycle of 30 years with 11 leap days, in the variant that begins
# on Thursday 15 July 622 (Julian), as given by Reingold and Dershowitz, "Calendrical Calculations". Of the two epochs
# in use this one agrees better with Umm al-Qura: on 59 of 100 months, and its year 1343 begins on the same day, so
# that the two join without a gap.
_TABULAR_EPOCH = 227014


def _tabular_ordinal(year: int, month: int) -> int:
    """The proleptic Gregorian ordinal of the day before the month begins."""
    leap_days = (3 + 11 * year) // 30
    return _TABULAR_EPOCH - 1 + 354 * (year - 1) + leap_days + 29 * (month - 1) + month // 2


def _from_tabular(year: int, month: int, day: int) -> date:
    if not (year >= 1 and 1 <= month <= _MONTHS_OF_A_YEAR):
        raise ValueError("no such month in the tabular calendar")
    begins, ends = _tabular_ordinal(year, month), _tabular_ordinal(*_following_month(year, month))
    if not 1 <= day <= ends - begins:
        raise ValueError("no such day in the tabular calendar")
    return date.fromordinal(begins + day)


def _in_tabular(day: date) -> tuple[int, int, int]:
    ordinal = day.toordinal()
    year = (30 * (ordinal - _TABULAR_EPOCH) + 10646) // 10631  # 10631 days are the 30 years of a cycle
    month = next(month for month in range(_MONTHS_OF_A_YEAR, 0, -1) if _tabular_ordinal(year, month) < ordinal)
    return year, month, ordinal - _tabular_ordinal(year, month)


def _following_month(year: int, month: int) -> tuple[int, int]:
    return (year, month + 1) if month < _MONTHS_OF_A_YEAR else (year + 1, 1)


def _years_before(day: date, years: int) -> date:
    """The same day *years* earlier; 29 February becomes 28 February."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return date(day.year - years, 2, 28)


def _age(born: date, on: date) -> int:
    full = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    return max(full, 0)


def _group(age: int) -> AgeGroup:
    return next(group for youngest, group in _AGE_GROUPS if age >= youngest)


def _of_age(stated: StatedDate, stated_on: date, where: str) -> Interval:
    lowest, highest = stated.age_min, stated.age_max
    if stated.kind is Kind.AGE:
        lowest = highest = stated.age
    if lowest is None or highest is None:
        raise _incomplete(where)
    if not 0 <= lowest <= highest <= OLDEST_AGE:
        raise TransformError("dates.impossible_age", where, f"Ages are 0 to {OLDEST_AGE}, the lower one first.")
    on = stated.age_on or stated_on
    if on > stated_on:
        raise _in_future(where)
    if on < EARLIEST:
        raise _too_early(where)
    earliest = _years_before(on, highest + 1) + _ONE_DAY
    return Interval(earliest, _years_before(on, lowest), frozenset({Doubt.ESTIMATED}))


def _of_calendar(stated: StatedDate, calendar: Calendar, stated_on: date, of_birth: bool, where: str) -> Interval:
    doubts = set[Doubt]()
    if of_birth and _is_filler(stated):
        doubts.add(Doubt.FILLER)
    earliest, latest = _days(stated, calendar, Doubt.FILLER in doubts, where)
    if calendar is Calendar.HIJRI:
        doubts.add(Doubt.SIGHTING if earliest >= _UMM_AL_QURA[0] else Doubt.TABULAR)
    if earliest < EARLIEST:
        raise _too_early(where)
    found = Interval(earliest, latest, frozenset(doubts))
    # Where the moon was seen a day earlier, today's lunar date is tomorrow's by the table.
    if earliest > stated_on + found.tolerance:
        raise _in_future(where)
    return Interval(min(earliest, stated_on), min(latest, stated_on), found.doubts)


def _of_any_calendar(stated: StatedDate, stated_on: date, of_birth: bool, where: str) -> Interval:
    fits = list(_fitting(stated, stated_on, of_birth, where))
    if not fits:
        raise TransformError("dates.no_calendar_fits", where, "Ask for the calendar and the year again.")
    if len(fits) == 1:
        return fits[0][1]
    return Interval(
        min(found.earliest for _, found in fits),
        max(found.latest for _, found in fits),
        frozenset({Doubt.CALENDAR}).union(*(found.doubts for _, found in fits)),
        tuple(Reading(calendar, found.earliest, found.latest) for calendar, found in fits),
    )


def _fitting(stated: StatedDate, stated_on: date, of_birth: bool, where: str) -> Iterator[tuple[Calendar, Interval]]:
    """Every calendar in which the date is a day that somebody living can remember."""
    _check_complete(stated, where)
    for calendar in Calendar:
        try:
            found = _of_calendar(stated, calendar, stated_on, of_birth, where)
        except TransformError:
            continue
        if found.latest >= _years_before(stated_on, OLDEST_AGE):
            yield calendar, found


def _is_filler(stated: StatedDate) -> bool:
    first_of_half_year = stated.day == 1 and stated.month in {1, 7}
    return stated.kind is Kind.EXACT and first_of_half_year and not stated.document_seen


def _days(stated: StatedDate, calendar: Calendar, year_only: bool, where: str) -> tuple[date, date]:
    """First and last day of the stated day, month or year."""
    year, month, day = _check_complete(stated, where)
    try:
        if stated.kind is Kind.EXACT and not year_only:
            exact = to_gregorian(calendar, year, month, day)
            return exact, exact
        if stated.kind is Kind.YEAR_MONTH:
            following = to_gregorian(calendar, *_following_month(year, month), 1)
            return to_gregorian(calendar, year, month, 1), following - _ONE_DAY
        return to_gregorian(calendar, year, 1, 1), to_gregorian(calendar, year + 1, 1, 1) - _ONE_DAY
    except (ValueError, OverflowError):
        raise TransformError("dates.impossible", where, "That calendar has no such day: check it.") from None


def _check_complete(stated: StatedDate, where: str) -> tuple[int, int, int]:
    """Year, month and day; 1 stands for what this kind of date does not have."""
    year, month, day = stated.year, stated.month, stated.day
    if stated.kind is not Kind.EXACT:
        day = 1
    if stated.kind is Kind.YEAR:
        month = 1
    if year is None or month is None or day is None:
        raise _incomplete(where)
    return year, month, day


def _incomplete(where: str) -> TransformError:
    return TransformError("dates.incomplete", where, "A part of the date that its kind needs is missing.")


def _too_early(where: str) -> TransformError:
    return TransformError("dates.too_early", where, "Check the year and its calendar.")


def _in_future(where: str) -> TransformError:
    return TransformError("dates.in_future", where, "The date is after the interview: check it and its calendar.")


# ---- showing dates to a reader -------------------------------------------------------------------------------------

Language = Literal["en", "ar", "fa", "prs", "fr"]
"""prs is Dari: Persian with Afghan months."""

Region = Literal["everywhere", "levant", "gulf", "algeria_tunisia", "morocco"]
"""Whose Gregorian month names an Arabic reader knows; `gulf` is also Egypt, Sudan and Yemen, `levant` also Iraq.
`everywhere` prints the Levantine and the Gulf name, as the United Nations do."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


_LEVANT = _names("كانون الثاني|شباط|آذار|نيسان|أيار|حزيران|تموز|آب|أيلول|تشرين الأول|تشرين الثاني|كانون الأول")
_GULF = _names("يناير|فبراير|مارس|أبريل|مايو|يونيو|يوليو|أغسطس|سبتمبر|أكتوبر|نوفمبر|ديسمبر")
_ARABIC_GREGORIAN: dict[Region, tuple[str, ...]] = {
    "everywhere": tuple(f"{levant} / {gulf}" for levant, gulf in zip(_LEVANT, _GULF, strict=True)),
    "levant": _LEVANT,
    "gulf": _GULF,
    "algeria_tunisia": _names("جانفي|فيفري|مارس|أفريل|ماي|جوان|جويلية|أوت|سبتمبر|أكتوبر|نوفمبر|ديسمبر"),
    "morocco": _names("يناير|فبراير|مارس|أبريل|ماي|يونيو|يوليوز|غشت|شتنبر|أكتوبر|نونبر|دجنبر"),
}
_PERSIAN_HIJRI = _names("محرم|صفر|ربیع‌الاول|ربیع‌الثانی|جمادی‌الاول|جمادی‌الثانی|رجب|شعبان|رمضان|شوال|ذی‌القعده|ذی‌الحجه")
_MONTHS: dict[tuple[Calendar, Language], tuple[str, ...]] = {
    (Calendar.GREGORIAN, "en"): _names("January|February|March|April|May|June|July|August|September|October|November|December"),
    (Calendar.GREGORIAN, "fr"): _names("janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"),
    (Calendar.GREGORIAN, "fa"): _names("ژانویه|فوریه|مارس|آوریل|مه|ژوئن|ژوئیه|اوت|سپتامبر|اکتبر|نوامبر|دسامبر"),
    (Calendar.GREGORIAN, "prs"): _names("جنوری|فبروری|مارچ|اپریل|می|جون|جولای|اگست|سپتمبر|اکتوبر|نومبر|دسمبر"),
    (Calendar.HIJRI, "en"): _names("Muharram|Safar|Rabi al-awwal|Rabi al-thani|Jumada al-ula|Jumada al-akhira|Rajab|Shaban|Ramadan|Shawwal|Dhu al-Qada|Dhu al-Hijja"),
    (Calendar.HIJRI, "fr"): _names("mouharram|safar|rabi al-awwal|rabi ath-thani|joumada al-oula|joumada ath-thania|rajab|chaabane|ramadan|chawwal|dhou al-qi'da|dhou al-hijja"),
    (Calendar.HIJRI, "ar"): _names("محرم|صفر|ربيع الأول|ربيع الآخر|جمادى الأولى|جمادى الآخرة|رجب|شعبان|رمضان|شوال|ذو القعدة|ذو الحجة"),
    (Calendar.HIJRI, "fa"): _PERSIAN_HIJRI,
    (Calendar.HIJRI, "prs"): _PERSIAN_HIJRI,
    (Calendar.JALALI, "en"): _names("Farvardin|Ordibehesht|Khordad|Tir|Mordad|Shahrivar|Mehr|Aban|Azar|Dey|Bahman|Esfand"),
    (Calendar.JALALI, "fr"): _names("farvardin|ordibehesht|khordad|tir|mordad|chahrivar|mehr|aban|azar|dey|bahman|esfand"),
    (Calendar.JALALI, "fa"): _names("فروردین|اردیبهشت|خرداد|تیر|مرداد|شهریور|مهر|آبان|آذر|دی|بهمن|اسفند"),
    (Calendar.JALALI, "prs"): _names("حمل|ثور|جوزا|سرطان|اسد|سنبله|میزان|عقرب|قوس|جدی|دلو|حوت"),
    (Calendar.JALALI, "ar"): _names("فروردين / الحمل|أرديبهشت / الثور|خرداد / الجوزاء|تير / السرطان|مرداد / الأسد|شهريور / السنبلة|مهر / الميزان|آبان / العقرب|آذر / القوس|دي / الجدي|بهمن / الدلو|إسفند / الحوت"),
}  # fmt: skip
_CALENDAR_WORDS: dict[tuple[Calendar, Language], str] = {
    (Calendar.HIJRI, "en"): "Hijri (lunar)",
    (Calendar.HIJRI, "ar"): "هجري قمري",
    (Calendar.HIJRI, "fa"): "هجری قمری",
    (Calendar.HIJRI, "prs"): "هجری قمری",
    (Calendar.HIJRI, "fr"): "hégirien (lunaire)",
    (Calendar.JALALI, "en"): "Solar Hijri",
    (Calendar.JALALI, "ar"): "هجري شمسي",
    (Calendar.JALALI, "fa"): "هجری شمسی",
    (Calendar.JALALI, "prs"): "هجری شمسی",
    (Calendar.JALALI, "fr"): "hégirien solaire",
}
_UNKNOWN: dict[Language, str] = {
    "en": "not known",
    "ar": "غير معروف",
    "fa": "نامعلوم",
    "prs": "نامعلوم",
    "fr": "inconnu",
}
_ABOUT: dict[Language, str] = {"en": "about {}", "ar": "نحو {}", "fa": "حدود {}", "prs": "حدود {}", "fr": "vers {}"}
_OR: dict[Language, str] = {"en": " or ", "ar": " أو ", "fa": " یا ", "prs": " یا ", "fr": " ou "}
_FROM_DAY_TO_DAY: dict[Language, str] = {
    "en": "from {} to {}",
    "ar": "من {} إلى {}",
    "fa": "از {} تا {}",
    "prs": "از {} تا {}",
    "fr": "du {} au {}",
}
_FROM_YEAR_TO_YEAR: dict[Language, str] = _FROM_DAY_TO_DAY | {"fr": "de {} à {}"}
PERSIAN_DIGITS = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


def show(value: date | Interval, calendar: Calendar, language: Language, region: Region = "everywhere") -> str:
    """A day or an interval in the reader's *calendar*, words and digits.

    Whole months and years of that calendar are shown as such; an ambiguous date shows every reading. The calendar is
    named unless it is the Gregorian one. *region* chooses the Arabic names of the Gregorian months.
    """
    script = _Script(calendar, language, region)
    if not isinstance(value, Interval):
        return script.span(value, value)
    if not value.known:
        return _UNKNOWN[language]
    readings = value.alternatives or (value,)
    text = _OR[language].join(script.span(reading.earliest, reading.latest) for reading in readings)
    lunar_by_rule = calendar is not Calendar.HIJRI and Doubt.TABULAR in value.doubts
    return _ABOUT[language].format(text) if lunar_by_rule else text


@dataclass(frozen=True, slots=True)
class _Script:
    """How one reader writes dates."""

    calendar: Calendar
    language: Language
    region: Region

    def span(self, earliest: date, latest: date) -> str:
        text = self._numbers_and_months(earliest, latest)
        if self.language in {"fa", "prs"}:
            text = text.translate(PERSIAN_DIGITS)
        if named := _CALENDAR_WORDS.get((self.calendar, self.language)):
            text = f"{text} {named}"
        by_rule = self.calendar is Calendar.HIJRI and not _UMM_AL_QURA[0] <= earliest <= latest <= _UMM_AL_QURA[1]
        return _ABOUT[self.language].format(text) if by_rule else text

    def _numbers_and_months(self, earliest: date, latest: date) -> str:
        first, last = in_calendar(earliest, self.calendar), in_calendar(latest, self.calendar)
        after = in_calendar(latest + _ONE_DAY, self.calendar)
        if earliest == latest:
            return self._day(*first)
        if first[1:] == (1, 1) and after[1:] == (1, 1):
            return str(first[0]) if first[0] == last[0] else _FROM_YEAR_TO_YEAR[self.language].format(first[0], last[0])
        if first[2] == 1 and after[2] == 1 and first[:2] == last[:2]:
            return f"{self._month(first[1])} {first[0]}"
        return _FROM_DAY_TO_DAY[self.language].format(self._day(*first), self._day(*last))

    def _day(self, year: int, month: int, day: int) -> str:
        first_in_french = self.language == "fr" and day == 1
        return f"{day}{'er' if first_in_french else ''} {self._month(month)} {year}"

    def _month(self, month: int) -> str:
        if self.calendar is Calendar.GREGORIAN and self.language == "ar":
            return _ARABIC_GREGORIAN[self.region][month - 1]
        return _MONTHS[self.calendar, self.language][month - 1]
