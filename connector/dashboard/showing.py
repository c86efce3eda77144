"""Times, days and numbers as whoever is signed in reads them: calendar and digits by preference. Times are UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from connector.transforms.dates import Calendar, in_calendar
from connector.words import Language

DIGITS = ("latin", "local")
_OF_LANGUAGE = {
    "ar": str.maketrans("0123456789,", "٠١٢٣٤٥٦٧٨٩٬"),
    "fa": str.maketrans("0123456789,", "۰۱۲۳۴۵۶۷۸۹٬"),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """*local*: digits of the language. Codes, which are typed and read aloud, keep 0 to 9."""

    language: Language = "en"
    calendar: Calendar = Calendar.GREGORIAN
    local: bool = False

    def number(self, value: int) -> str:
        return self._digits(f"{value:,}")

    def day(self, value: date) -> str:
        """`1405-09-01` in the reader's calendar."""
        year, month, day = in_calendar(value, self.calendar)
        return self._digits(f"{year:04}-{month:02}-{day:02}")

    def moment(self, value: datetime) -> str:
        return f"{self.day(value.date())} {self._digits(f'{value:%H:%M}')}"

    def _digits(self, text: str) -> str:
        return text.translate(_OF_LANGUAGE.get(self.language, {})) if self.local else text


def reader(language: Language, calendar: str, digits: str) -> Reader:
    """By preference; without one in Solar Hijri and Persian digits for Persian, else Gregorian and 0 to 9."""
    persian = language == "fa"
    chosen = next((one for one in Calendar if one == calendar), Calendar.JALALI if persian else Calendar.GREGORIAN)
    return Reader(language, chosen, digits == "local" if digits in DIGITS else persian)
