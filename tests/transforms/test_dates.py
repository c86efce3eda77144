"""Dates in three calendars: what was said, which days it can mean, who is surely an adult, how it is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connector.errors import TransformError
from connector.transforms.dates import (
    Calendar,
    Doubt,
    Interval,
    Kind,
    Reading,
    StatedDate,
    age_group,
    ages,
    in_calendar,
    interval,
    is_adult,
    show,
    to_gregorian,
)

INTERVIEW = date(2026, 11, 21)
GREGORIAN, HIJRI, JALALI = Calendar.GREGORIAN, Calendar.HIJRI, Calendar.JALALI

interviews = st.dates(date(2000, 1, 1), date(2040, 12, 31))
days = st.dates(date(1850, 1, 2), date(2077, 11, 15))
calendars = st.sampled_from(Calendar)


def exact(calendar: Calendar | None, year: int, month: int, day: int, *, document_seen: bool = False) -> StatedDate:
    return StatedDate(Kind.EXACT, calendar, year, month, day, document_seen=document_seen)


def year(calendar: Calendar | None, number: int) -> StatedDate:
    return StatedDate(Kind.YEAR, calendar, number)


def span(earliest: str, latest: str, *doubts: Doubt) -> Interval:
    return Interval(date.fromisoformat(earliest), date.fromisoformat(latest), frozenset(doubts))


# ---- what a stated date can mean -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (exact(GREGORIAN, 1990, 5, 17), span("1990-05-17", "1990-05-17")),
        (exact(HIJRI, 1445, 9, 1), span("2024-03-11", "2024-03-11", Doubt.SIGHTING)),
        (exact(HIJRI, 1435, 7, 16), span("2014-05-15", "2014-05-15", Doubt.SIGHTING)),
        (exact(JALALI, 1398, 12, 29), span("2020-03-19", "2020-03-19")),
        (exact(JALALI, 1395, 12, 30), span("2017-03-20", "2017-03-20")),
        (StatedDate(Kind.YEAR_MONTH, GREGORIAN, 2012, 2), span("2012-02-01", "2012-02-29")),
        (StatedDate(Kind.YEAR_MONTH, GREGORIAN, 2012, 12), span("2012-12-01", "2012-12-31")),
        (StatedDate(Kind.YEAR_MONTH, HIJRI, 1445, 9), span("2024-03-11", "2024-04-09", Doubt.SIGHTING)),
        (StatedDate(Kind.YEAR_MONTH, JALALI, 1395, 12), span("2017-02-19", "2017-03-20")),
        (year(GREGORIAN, 1970), span("1970-01-01", "1970-12-31")),
        (year(HIJRI, 1390), span("1970-03-09", "1971-02-25", Doubt.SIGHTING)),
        (year(JALALI, 1390), span("2011-03-21", "2012-03-19")),
        (year(JALALI, 1405), span("2026-03-21", "2026-11-21")),
    ],
)
def test_a_date_in_its_calendar(stated: StatedDate, expected: Interval) -> None:
    """A date, a month or a year becomes its Gregorian days, never one after the interview."""
    assert expected == interval(stated, INTERVIEW)


def test_before_the_tables_of_umm_al_qura() -> None:
    """A lunar date before 1343 is worked out by rule, and says that it can be two days off."""
    found = interval(year(HIJRI, 1330), INTERVIEW)

    assert span("1911-12-21", "1912-12-09", Doubt.TABULAR) == found
    assert timedelta(days=2) == found.tolerance


def test_the_two_lunar_calendars_join_without_a_gap() -> None:
    """The day before Umm al-Qura's first day is the last one of the tabular calendar."""
    assert date(1924, 8, 1) == to_gregorian(HIJRI, 1343, 1, 1)
    assert in_calendar(date(1924, 7, 31), HIJRI) == (1342, 12, 29)
    assert date(1924, 7, 31) == to_gregorian(HIJRI, 1342, 12, 29)


def test_tabular_stays_within_the_days_it_promises() -> None:
    """Over all 158 years for which both are known, the rule is at most two days beside Umm al-Qura."""
    from connector.transforms.dates import _from_tabular

    apart = {
        abs((_from_tabular(year, month, 1) - to_gregorian(HIJRI, year, month, 1)).days)
        for year in range(1343, 1501)
        for month in range(1, 13)
    }

    assert {0, 1, 2} == apart


@pytest.mark.parametrize("number", [1338, 1350, 1390, 1404, 1405])
def test_a_bare_year_keeps_both_readings(number: int) -> None:
    """A year that is lunar or solar is not guessed: the interval spans both, and both are listed."""
    found = interval(year(None, number), INTERVIEW)
    lunar, solar = interval(year(HIJRI, number), INTERVIEW), interval(year(JALALI, number), INTERVIEW)

    assert found.ambiguous
    assert Doubt.CALENDAR in found.doubts
    assert (lunar.earliest, solar.latest) == (found.earliest, found.latest)
    assert (
        Reading(HIJRI, lunar.earliest, lunar.latest),
        Reading(JALALI, solar.earliest, solar.latest),
    ) == found.alternatives


@pytest.mark.parametrize(
    ("number", "calendar"), [(1990, GREGORIAN), (2026, GREGORIAN), (1300, JALALI), (1406, HIJRI), (1447, HIJRI)]
)
def test_a_bare_year_with_one_reading_is_that(number: int, calendar: Calendar) -> None:
    """Where one calendar alone gives a year that somebody living can remember, it is taken."""
    assert interval(year(calendar, number), INTERVIEW) == interval(year(None, number), INTERVIEW)


def test_a_day_without_calendar_drops_what_is_no_day() -> None:
    """31 of the second month is a day in the solar calendar alone, so there is nothing ambiguous about it."""
    found = interval(exact(None, 1400, 2, 31), INTERVIEW)

    assert Interval(date(2021, 5, 21), date(2021, 5, 21)) == found
    assert interval(exact(None, 1400, 2, 29), INTERVIEW).ambiguous


@pytest.mark.parametrize("month", [1, 7])
@pytest.mark.parametrize(("calendar", "number"), [(GREGORIAN, 1996), (HIJRI, 1417), (JALALI, 1375)])
def test_registration_fillers_are_years(calendar: Calendar, number: int, month: int) -> None:
    """1/1 and 1/7 stand for an unknown day of that year, in each calendar, unless a document was seen."""
    filler = exact(calendar, number, month, 1)
    taken, whole_year = interval(filler, INTERVIEW), interval(year(calendar, number), INTERVIEW)

    assert (whole_year.earliest, whole_year.latest) == (taken.earliest, taken.latest)
    assert Doubt.FILLER in taken.doubts

    seen = interval(replace(filler, document_seen=True), INTERVIEW)
    of_another_event = interval(filler, INTERVIEW, of_birth=False)

    assert to_gregorian(calendar, number, month, 1) == seen.earliest == seen.latest
    assert seen == of_another_event


@pytest.mark.parametrize(("month", "day"), [(2, 1), (1, 2), (7, 2), (12, 1)])
def test_other_first_days_are_days(month: int, day: int) -> None:
    """Only 1/1 and 1/7 are fillers."""
    found = interval(exact(GREGORIAN, 1996, month, day), INTERVIEW)

    assert found == Interval(date(1996, month, day), date(1996, month, day))


@pytest.mark.parametrize(
    ("age", "on", "earliest", "latest"),
    [
        (17, "2026-11-21", "2008-11-22", "2009-11-21"),
        (0, "2026-11-21", "2025-11-22", "2026-11-21"),
        (1, "2024-02-29", "2022-03-01", "2023-02-28"),
        (4, "2024-02-29", "2019-03-01", "2020-02-29"),
        (3, "2023-02-28", "2019-03-01", "2020-02-28"),
        (120, "2026-11-21", "1905-11-22", "1906-11-21"),
    ],
)
def test_an_age_on_a_day(age: int, on: str, earliest: str, latest: str) -> None:
    """An age gives the days from one after the next birthday's year up to this birthday."""
    stated = StatedDate(Kind.AGE, age=age, age_on=date.fromisoformat(on))

    assert span(earliest, latest, Doubt.ESTIMATED) == interval(stated, INTERVIEW)


def test_an_age_without_a_day_is_of_the_interview() -> None:
    """Without `age_on` the age is that of the day of the interview."""
    assert interval(StatedDate(Kind.AGE, age=30, age_on=INTERVIEW), INTERVIEW) == interval(
        StatedDate(Kind.AGE, age=30), INTERVIEW
    )


def test_a_range_of_ages() -> None:
    """From the oldest of the highest age to the youngest of the lowest."""
    stated = StatedDate(Kind.RANGE, age_min=16, age_max=19)

    assert span("2006-11-22", "2010-11-21", Doubt.ESTIMATED) == interval(stated, INTERVIEW)


def test_unknown_is_anybody() -> None:
    """Nothing said is everybody who could be alive, and is marked as not known."""
    found = interval(StatedDate(Kind.UNKNOWN), INTERVIEW)

    assert span("1906-11-21", "2026-11-21", Doubt.UNKNOWN) == found
    assert not found.known


def test_a_stored_day_in_the_calendar_it_was_shown_in() -> None:
    """Collect shows a Persian calendar and stores ISO: 21 March 1996 was tapped as 2 Farvardin, 20 March as 1."""
    assert exact(JALALI, 1375, 1, 2) == StatedDate.on(date(1996, 3, 21), JALALI)
    assert Doubt.FILLER in interval(StatedDate.on(date(1996, 3, 20), JALALI), INTERVIEW).doubts
    assert not interval(StatedDate.on(date(1996, 3, 20)), INTERVIEW).doubts


def test_a_lunar_today_may_be_tomorrow_by_the_table() -> None:
    """Where the month was seen a day early, today's lunar date is not refused as future; two days on is."""
    tomorrow, after = (in_calendar(INTERVIEW + timedelta(days=n), HIJRI) for n in (1, 2))
    found = interval(exact(HIJRI, *tomorrow), INTERVIEW)

    assert (found.earliest, found.latest) == (INTERVIEW, INTERVIEW)
    with pytest.raises(TransformError, match=r"dates\.in_future"):
        interval(exact(HIJRI, *after), INTERVIEW)


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "stated"),
    [
        ("dates.impossible", exact(JALALI, 1398, 12, 30)),
        ("dates.impossible", exact(GREGORIAN, 2023, 2, 29)),
        ("dates.impossible", exact(HIJRI, 1445, 9, 31)),
        ("dates.impossible", exact(HIJRI, 1330, 2, 30)),
        ("dates.impossible", exact(HIJRI, 1330, 13, 1)),
        ("dates.impossible", StatedDate(Kind.YEAR_MONTH, GREGORIAN, 2000, 13)),
        ("dates.impossible", StatedDate(Kind.YEAR_MONTH, JALALI, 1380, 0)),
        ("dates.impossible", year(GREGORIAN, 0)),
        ("dates.impossible", year(GREGORIAN, 9999)),
        ("dates.impossible", year(JALALI, 10**30)),
        ("dates.impossible", year(GREGORIAN, 10**30)),
        ("dates.impossible", year(HIJRI, 1990)),
        ("dates.impossible", year(HIJRI, -5)),
        ("dates.too_early", year(GREGORIAN, 1370)),
        ("dates.too_early", year(JALALI, 79)),
        ("dates.too_early", StatedDate(Kind.AGE, age=3, age_on=date(50, 1, 1))),
        ("dates.in_future", exact(GREGORIAN, 2026, 11, 22)),
        ("dates.in_future", year(JALALI, 1406)),
        ("dates.in_future", year(JALALI, 1990)),
        ("dates.in_future", StatedDate(Kind.AGE, age=3, age_on=date(2026, 11, 22))),
        ("dates.no_calendar_fits", year(None, 79)),
        ("dates.no_calendar_fits", year(None, 2027)),
        ("dates.no_calendar_fits", exact(None, 1990, 2, 30)),
        ("dates.impossible_age", StatedDate(Kind.AGE, age=121)),
        ("dates.impossible_age", StatedDate(Kind.AGE, age=-1)),
        ("dates.impossible_age", StatedDate(Kind.RANGE, age_min=20, age_max=19)),
        ("dates.incomplete", StatedDate(Kind.AGE)),
        ("dates.incomplete", StatedDate(Kind.RANGE, age_min=4)),
        ("dates.incomplete", StatedDate(Kind.YEAR, GREGORIAN)),
        ("dates.incomplete", StatedDate(Kind.YEAR)),
        ("dates.incomplete", StatedDate(Kind.YEAR_MONTH, GREGORIAN, 2000)),
        ("dates.incomplete", StatedDate(Kind.EXACT, GREGORIAN, 2000, 3)),
    ],
)
def test_what_cannot_be_is_refused_with_a_code(code: str, stated: StatedDate) -> None:
    """An impossible, future or incomplete date is parked with a code and the question's path."""
    with pytest.raises(TransformError) as refused:
        interval(stated, INTERVIEW, where="sought/s_dob")

    assert (code, "sought/s_dob") == (refused.value.code, refused.value.where)


def test_a_refusal_says_nothing_of_the_answer() -> None:
    """Neither the error nor anything chained to it repeats what was said."""
    stated = replace(exact(JALALI, 1398, 12, 30), raw="سی اسفند")
    with pytest.raises(TransformError) as refused:
        interval(stated, INTERVIEW)

    assert "1398" not in str(refused.value)
    assert refused.value.__suppress_context__
    assert "اسفند" not in repr(stated)


# ---- ages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "adult"),
    [
        (exact(GREGORIAN, 2008, 11, 21), True),
        (exact(GREGORIAN, 2008, 11, 22), False),
        (year(GREGORIAN, 2007), True),
        (year(GREGORIAN, 2008), False),
        (exact(GREGORIAN, 2008, 7, 1), False),
        (exact(GREGORIAN, 2008, 7, 1, document_seen=True), True),
        (StatedDate(Kind.AGE, age=18), True),
        (StatedDate(Kind.AGE, age=17), False),
        (StatedDate(Kind.RANGE, age_min=16, age_max=19), False),
        (StatedDate(Kind.RANGE, age_min=18, age_max=25), True),
        (year(None, 1390), False),
        (year(HIJRI, 1390), True),
        (StatedDate(Kind.UNKNOWN), False),
    ],
)
def test_only_the_surely_grown_are_adults(stated: StatedDate, adult: bool) -> None:
    """The latest possible birth decides; whoever may be a child is one."""
    assert adult == is_adult(interval(stated, INTERVIEW), INTERVIEW)


def test_the_day_of_doubt_of_a_lunar_birthday_counts_for_the_child() -> None:
    """Born on the lunar date of 18 years ago by the table, the moon may have been a day later."""
    born = exact(HIJRI, *in_calendar(date(2008, 11, 21), HIJRI))

    assert not is_adult(interval(born, INTERVIEW), INTERVIEW)
    assert is_adult(interval(born, INTERVIEW), INTERVIEW + timedelta(days=1))


def test_born_on_29_february_comes_of_age_on_1_march() -> None:
    """In a year without 29 February the later day counts."""
    born = Interval(date(2008, 2, 29), date(2008, 2, 29))

    assert not is_adult(born, date(2026, 2, 28))
    assert is_adult(born, date(2026, 3, 1))


@pytest.mark.parametrize(
    ("youngest", "oldest", "group"),
    [
        (0, 4, "0-4"),
        (5, 11, "5-11"),
        (12, 17, "12-17"),
        (18, 59, "18-59"),
        (60, 110, "60+"),
        (4, 5, "nr"),
        (17, 18, "nr"),
        (59, 60, "nr"),
    ],
)
def test_age_groups(youngest: int, oldest: int, group: str) -> None:
    """A group is given when all possible ages are in it, else it is not recorded."""
    born = interval(StatedDate(Kind.RANGE, age_min=youngest, age_max=oldest), INTERVIEW)

    assert (youngest, oldest) == ages(born, INTERVIEW)
    assert group == age_group(born, INTERVIEW)


# ---- properties ----------------------------------------------------------------------------------------------------


@given(days, calendars)
def test_there_and_back(day: date, calendar: Calendar) -> None:
    """Every day has a date in every calendar that leads back to it."""
    assert day == to_gregorian(calendar, *in_calendar(day, calendar))


@given(days, calendars)
def test_the_next_day_is_a_later_date(day: date, calendar: Calendar) -> None:
    """Dates of a calendar go on as the days do."""
    assert in_calendar(day, calendar) < in_calendar(day + timedelta(days=1), calendar)


@given(interviews, calendars, st.integers(0, 90 * 365), st.booleans())
def test_an_exact_day_lies_in_its_month_and_its_year(
    on: date, calendar: Calendar, days_ago: int, document_seen: bool
) -> None:
    """The less exactly a date is stated, the wider the interval, and it holds the more exact one."""
    stated = StatedDate.on(on - timedelta(days=days_ago), calendar, document_seen=document_seen)
    day, month, whole_year = (
        interval(replace(stated, kind=kind), on) for kind in (Kind.EXACT, Kind.YEAR_MONTH, Kind.YEAR)
    )

    assert whole_year.earliest <= min(day.earliest, month.earliest)
    assert max(day.latest, month.latest) <= whole_year.latest <= on
    if Doubt.FILLER not in day.doubts:
        assert month.earliest <= day.earliest <= day.latest <= month.latest


@given(interviews, st.integers(0, 115 * 365), st.sampled_from([Kind.EXACT, Kind.YEAR_MONTH, Kind.YEAR]), calendars)
def test_without_its_calendar_a_date_still_holds_the_truth(
    on: date, days_ago: int, kind: Kind, calendar: Calendar
) -> None:
    """Whatever calendar a person meant, the interval of the bare date reaches over that reading."""
    stated = replace(StatedDate.on(on - timedelta(days=days_ago), calendar), kind=kind)
    bare, meant = interval(replace(stated, calendar=None), on), interval(stated, on)

    assert bare.earliest <= meant.earliest
    assert meant.latest <= bare.latest


@given(st.dates(date(1910, 1, 1), date(2040, 12, 31)), st.integers(0, 110 * 366))
def test_an_age_holds_the_day_of_birth(born: date, days_old: int) -> None:
    """The interval of a person's true age holds the day of birth, and gives that age back."""
    on = born + timedelta(days=days_old)
    age, _ = ages(Interval(born, born), on)
    found = interval(StatedDate(Kind.AGE, age=age), on)

    assert found.earliest <= born <= found.latest
    assert (age, age) == ages(found, on)


@given(interviews, st.integers(0, 119), st.integers(0, 119))
def test_a_wider_range_never_makes_an_adult(on: date, one: int, other: int) -> None:
    """A child by the lowest age stays a child whatever the highest is."""
    lowest, highest = sorted((one, other))
    found = interval(StatedDate(Kind.RANGE, age_min=lowest, age_max=highest), on)

    assert (lowest >= 18) == is_adult(found, on)


@given(interviews, days)
def test_who_is_grown_stays_grown(on: date, born: date) -> None:
    """Nobody becomes a child again."""
    assume(born <= on)
    person = Interval(born, born)

    assert is_adult(person, on) <= is_adult(person, on + timedelta(days=1))
    assert is_adult(person, on) == (ages(person, on)[0] >= 18)


@given(
    st.builds(
        StatedDate,
        st.sampled_from(Kind),
        st.none() | calendars,
        *[st.none() | st.integers() | st.integers(-1, 2100)] * 3,
        age=st.none() | st.integers(),
        age_on=st.none() | st.dates(),
        age_min=st.none() | st.integers(0, 130),
        age_max=st.none() | st.integers(0, 130),
    ),
    st.dates(date(1990, 1, 1), date(2070, 1, 1)),
)
def test_any_answer_is_an_interval_or_a_refusal(stated: StatedDate, on: date) -> None:
    """No answer, however odd, makes anything but an ordered interval up to the interview or a coded refusal."""
    try:
        found = interval(stated, on)
    except TransformError as error:
        code, found = error.code, Interval(on, on)
    else:
        code = "dates.read"

    assert code.startswith("dates.")
    assert found.earliest <= found.latest <= on
    assert found.ambiguous == (len(found.alternatives) > 1)


# ---- showing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "calendar", "language", "shown"),
    [
        (date(2001, 3, 7), GREGORIAN, "en", "7 March 2001"),
        (date(2001, 3, 1), GREGORIAN, "fr", "1er mars 2001"),
        (date(2001, 1, 7), GREGORIAN, "ar", "7 كانون الثاني / يناير 2001"),
        (date(2001, 3, 7), GREGORIAN, "fa", "۷ مارس ۲۰۰۱"),
        (date(2001, 3, 7), GREGORIAN, "prs", "۷ مارچ ۲۰۰۱"),
        (date(2021, 3, 21), JALALI, "fa", "۱ فروردین ۱۴۰۰ هجری شمسی"),
        (date(2021, 3, 21), JALALI, "prs", "۱ حمل ۱۴۰۰ هجری شمسی"),
        (date(2021, 3, 21), JALALI, "ar", "1 فروردين / الحمل 1400 هجري شمسي"),
        (date(2021, 3, 21), JALALI, "en", "1 Farvardin 1400 Solar Hijri"),
        (date(2021, 3, 21), JALALI, "fr", "1er farvardin 1400 hégirien solaire"),
        (date(2014, 5, 15), HIJRI, "ar", "16 رجب 1435 هجري قمري"),
        (date(2014, 5, 15), HIJRI, "fa", "۱۶ رجب ۱۴۳۵ هجری قمری"),
        (date(2014, 5, 15), HIJRI, "en", "16 Rajab 1435 Hijri (lunar)"),
        (date(2014, 5, 15), HIJRI, "fr", "16 rajab 1435 hégirien (lunaire)"),
        (date(1912, 1, 1), HIJRI, "en", "about 12 Muharram 1330 Hijri (lunar)"),
    ],
)
def test_a_day_in_the_readers_calendar_words_and_digits(
    value: date, calendar: Calendar, language: str, shown: str
) -> None:
    """Month names, digits and the calendar's name are those of the reader."""
    assert shown == show(value, calendar, language)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("region", "month"),
    [
        ("levant", "تموز"),
        ("gulf", "يوليو"),
        ("algeria_tunisia", "جويلية"),
        ("morocco", "يوليوز"),
        ("everywhere", "تموز / يوليو"),
    ],
)
def test_arabic_months_of_a_region(region: str, month: str) -> None:
    """July in Damascus, Cairo, Algiers, Rabat, and in print for all of them."""
    assert f"4 {month} 2001" == show(date(2001, 7, 4), GREGORIAN, "ar", region)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stated", "calendar", "language", "shown"),
    [
        (year(GREGORIAN, 1970), GREGORIAN, "en", "1970"),
        (year(JALALI, 1370), JALALI, "fa", "۱۳۷۰ هجری شمسی"),
        (year(JALALI, 1370), GREGORIAN, "fr", "du 21 mars 1991 au 20 mars 1992"),
        (StatedDate(Kind.YEAR_MONTH, GREGORIAN, 1970, 12), GREGORIAN, "fr", "décembre 1970"),
        (StatedDate(Kind.YEAR_MONTH, JALALI, 1370, 12), JALALI, "prs", "حوت ۱۳۷۰ هجری شمسی"),
        (StatedDate(Kind.YEAR_MONTH, JALALI, 1370, 12), GREGORIAN, "fa", "از ۲۰ فوریه ۱۹۹۲ تا ۲۰ مارس ۱۹۹۲"),
        (StatedDate(Kind.AGE, age=17), GREGORIAN, "en", "from 22 November 2008 to 21 November 2009"),
        (year(None, 1390), JALALI, "fa", "از ۱۸ اسفند ۱۳۴۸ تا ۶ اسفند ۱۳۴۹ هجری شمسی یا ۱۳۹۰ هجری شمسی"),
        (year(HIJRI, 1330), GREGORIAN, "en", "about from 21 December 1911 to 9 December 1912"),
        (StatedDate(Kind.UNKNOWN), GREGORIAN, "ar", "غير معروف"),
    ],
)
def test_an_interval_in_words(stated: StatedDate, calendar: Calendar, language: str, shown: str) -> None:
    """Whole years and months are named as such, everything else from day to day, every reading of a bare year."""
    assert shown == show(interval(stated, INTERVIEW), calendar, language)  # type: ignore[arg-type]


def test_several_whole_years() -> None:
    """Years from January to December are shown without days."""
    assert show(Interval(date(1970, 1, 1), date(1975, 12, 31)), GREGORIAN, "fr") == "de 1970 à 1975"


@given(days, calendars, st.sampled_from(["en", "ar", "fa", "prs", "fr"]))
def test_digits_are_the_readers(day: date, calendar: Calendar, language: str) -> None:
    """Persian and Dari in Persian digits, the rest in 0-9, and never the Arabic-Indic ones; year and day are there."""
    shown = show(day, calendar, language)  # type: ignore[arg-type]
    digits = {sign for sign in shown if sign.isdigit()}
    year_shown, _, day_shown = in_calendar(day, calendar)

    assert digits <= set("۰۱۲۳۴۵۶۷۸۹" if language in {"fa", "prs"} else "0123456789")
    western = shown.translate(str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789"))
    assert str(year_shown) in western
    assert str(day_shown) in western
