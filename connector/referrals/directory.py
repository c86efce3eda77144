"""The service directory as data: who offers what to whom, and how many places are free. No address is ever read.

It comes from Open Referral HSDS 3 (JSON: services with their organisation, taxonomy terms and capacities) or from a
table (.csv, .xlsx) with one service a row. Locations are not read at all, confidential or not: a shelter's place cannot
leave a directory that does not hold it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from connector.errors import Refused
from connector.referrals.referral import Code, Opening

COLUMNS = (
    "code", "name", "track", "branch", "status", "accepts_referrals", "min_age", "max_age", "serves_sex", "places",
    "agreement", "agreement_until",
)  # fmt: skip
_TAXONOMY = "silah"
_YES = frozenset({"yes", "true", "1", "active"})


def _blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


Number = Annotated[Annotated[int, Field(ge=0, le=100_000)] | None, BeforeValidator(_blank)]
Text = Annotated[Annotated[str, Field(max_length=200)] | None, BeforeValidator(_blank)]


class Service(BaseModel):
    """One service as one organisation offers it. *places* is how many there are in all; None: not counted."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    code: Code
    name: Annotated[str, Field(min_length=1, max_length=200)]
    track: Text = None
    branch: Annotated[str, Field(max_length=60)] = ""
    active: bool = True
    min_age: Number = None
    max_age: Number = None
    serves_sex: Annotated[Literal["female", "male"] | None, BeforeValidator(_blank)] = None
    places: Number = None
    agreement: Text = None
    agreement_until: Annotated[date | None, BeforeValidator(_blank)] = None


def read_directory(file: Path) -> list[Service]:
    """The services of an HSDS 3 JSON file or a table; raises `Refused`, which names the row and the column."""
    readers = {".json": _hsds, ".csv": _csv, ".xlsx": _xlsx}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise Refused("directory.unknown_format", str(file), "Give HSDS 3 as .json, or a table as .csv or .xlsx.")
    try:
        rows = list(reader(file))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refused(
            "directory.unreadable", str(file), "docs/referrals.md shows what each kind of file holds."
        ) from None
    services = [_service(row, number) for number, row in enumerate(rows, 1)]
    places = [(one.code, one.branch) for one in services]
    if len(set(places)) < len(places):
        raise Refused("directory.twice", str(file), "Each service stands once for each branch.")
    return services


def _service(row: Mapping[str, object], number: int) -> Service:
    try:
        return Service.model_validate(row)
    except ValidationError as error:
        column = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise Refused("directory.bad_row", f"service {number}, `{column}`", "Mend that cell.") from None


def _table(rows: Iterable[Mapping[str, object]]) -> Iterable[Mapping[str, object]]:
    for row in rows:
        plain = {key: "" if value is None else str(value).strip() for key, value in row.items() if key in COLUMNS}
        active = all(plain.get(key, "yes").lower() in _YES for key in ("status", "accepts_referrals"))
        until = plain.get("agreement_until", "")[:10]
        yield {**plain, "active": active, "agreement_until": until}


def _csv(file: Path) -> Iterable[Mapping[str, object]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        yield from _table(csv.DictReader(lines))


def _xlsx(file: Path) -> Iterable[Mapping[str, object]]:
    from openpyxl import load_workbook

    book = load_workbook(file, read_only=True, data_only=True)
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        head = [str(cell or "") for cell in next(rows, ())]
        yield from _table([dict(zip(head, row, strict=False)) for row in rows if any(cell is not None for cell in row)])
    finally:
        book.close()


def _hsds(file: Path) -> Iterable[Mapping[str, object]]:
    """HSDS 3 `service` objects; our code is the term of the taxonomy `silah`, the rest are HSDS's own properties."""
    data = json.loads(file.read_text(encoding="utf-8"))
    for service in data["services"] if isinstance(data, dict) else data:
        terms = [one["taxonomy_term"] for one in service.get("attributes", [])]
        ours = [
            term["code"]
            for term in terms
            if (term.get("taxonomy_detail") or {}).get("name", term.get("taxonomy")) == _TAXONOMY
        ]
        counted = [one["available"] for one in service.get("capacities", []) if "available" in one]
        yield {
            "code": ours[0] if ours else "", "name": service["name"], "active": service["status"] == "active",
            "track": (service.get("program") or {}).get("name"), "min_age": service.get("minimum_age"),
            "max_age": service.get("maximum_age"), "places": sum(counted) if counted else None,
            "serves_sex": service.get("serves_sex"), "agreement": service.get("agreement"),
            "agreement_until": service.get("agreement_until"),
        }  # fmt: skip


def refusal(
    services: Iterable[Service], opening: Opening, taken: Mapping[str, int], today: date
) -> tuple[str, str] | None:
    """Why this directory cannot serve *opening* today, as a code and the service; None when it can.

    Args:
        services: everything one organisation offers; empty: nothing is known of it, and nothing is refused.
        taken: how many places of each service are taken.
    """
    known = list(services)
    for code in opening.services_requested if known else ():
        offers = [one for one in known if one.code == code]
        reasons = [_closed(one, opening, taken.get(code, 0), today) for one in offers] or ["directory.no_such_service"]
        if all(reasons):
            return str(reasons[0]), code
    return None


def _closed(service: Service, opening: Opening, taken: int, today: date) -> str | None:
    if not service.active:
        return "directory.closed"
    if service.agreement_until is not None and today > service.agreement_until:
        return "directory.agreement_over"
    if service.serves_sex and opening.client_sex in {"female", "male"} and opening.client_sex != service.serves_sex:
        return "directory.not_eligible"
    youngest, oldest = ages(opening.age_group)
    if (service.max_age is not None and youngest > service.max_age) or (
        service.min_age is not None and oldest < service.min_age
    ):
        return "directory.not_eligible"
    if service.places is not None and taken >= service.places:
        return "directory.no_places"
    return None


def ages(group: str) -> tuple[int, int]:
    """The youngest and the oldest of an age group; everybody when it says nothing."""
    numbers = [int(one) for one in re.findall(r"\d+", group)]
    if len(numbers) > 1:
        return numbers[0], numbers[1]
    return (numbers[0], 200) if numbers else (0, 200)
