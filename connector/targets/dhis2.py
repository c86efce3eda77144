"""A target of type `dhis2`: aggregate data values, never a person.

DHIS2 keeps one number for each data element, month, organisation unit and category option combination, and a new number
replaces the old one. So this target keeps a tally: which record was counted where (keys and codes, no answer in words).
Each delivery sends the new totals of the numbers it changes, then notes it; a repeat sends the same totals again. The
receipt says how the record is counted, so that a tally that was lost is made again from the ledger.

The mapping is the admin's, as every instance has its own identifiers:

    [values.branch]
    101 = "DiszpKrYNg8"                                         # organisation unit
    [values.sex]
    male = "HllvX50cXC0"                                        # category option combination
    [tracing_request]
    to = "lyLU2wR22tC"                                          # data set
    [tracing_request.fields]
    orgUnit = { from = "interview.branch", values = "branch" }
    fbfJHSPpUQD = { from = "enquirer.sex", values = "sex" }     # data element = in which combination one more is counted
    [[tracing_request.rows]]
    to = "people"
    from = "sought"
    fields = { cYeuwXTCPkU = { from = "sex", values = "sex" } }
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from connector.config import Target
from connector.disclosure import Release
from connector.errors import Misconfigured, TargetError
from connector.model import JSON, Action, Receipt
from connector.outbound import Answer, Caller, Unreachable
from connector.targets import Effect, Health, Remembered, Removal
from connector.targets.folder import Folder
from connector.targets.mapping import KindMapping, read_mapping
from connector.targets.replies import health_of, json_of, refused, unhealthy, unreachable

_UID = re.compile(r"[A-Za-z][A-Za-z0-9]{10}")
_PLACE = "orgUnit"
_TALLY = "tally.jsonl"
_CONFLICT, _NOT_FOUND = 409, 404


class Cell(NamedTuple):
    """Where one number stands in DHIS2."""

    element: str
    period: str
    place: str
    combination: str


class Dhis2:
    """The numbers of one DHIS2 that come from Silah alone."""

    effect: Effect = "key honoured"
    removal: Removal = "removed"

    def __init__(self, name: str, config: Target, memory: Callable[[], Iterable[Remembered]] = tuple) -> None:
        self.name = name
        self._memory = memory
        path = config.at_home(cast("Path", config.mapping))
        self._mapping = read_mapping(path, config.accepts)
        _check_elements(path, self._mapping)
        self._folder = Folder(name, config.at_home(cast("Path", config.folder)))
        self._tally = _Tally()
        headers = {
            "Accept": "application/json",
            "User-Agent": "Silah",
            "Authorization": f"ApiToken {config.secret('token')}",
        }
        self._http = Caller(f"{config.url}/api", headers=headers, timeout=config.timeout, pool=config.concurrency)

    def deliver(self, release: Release) -> Receipt:
        with self._folder.held():
            self._read_tally()
            before = self._tally.counted.get(release.record_id)
            if before is not None and before.version >= release.version:
                return Receipt(before.written())
            entry = self._entry(release, before)
            changed = self._tally.change(entry)
            if changed:
                self._send(changed)
            self._tally.write(self._folder, entry)
        return Receipt(entry.written())

    def _read_tally(self) -> None:
        """The tally as it stands; one that is not there (a first start, a lost disk) as the receipts say."""
        path = self._folder.path / _TALLY
        if not path.is_file():
            self._tally = _Tally()
            for record_id, version, told in self._memory():
                entry = _Entry.read(record_id, version, told)
                if entry is not None:
                    self._tally.write(self._folder, entry)
        self._tally.read(path)

    def check(self) -> Health:
        """Signs in, and asks for each data element of the mapping."""
        try:
            self._folder.check()
            for mapping in self._mapping.values():
                for element in _elements(mapping):
                    answer = self._call("GET", f"/dataElements/{element}?fields=id")
                    if answer.status == _NOT_FOUND:
                        return Health(
                            ok=False, code="target.element_missing", next_step=f"DHIS2 has no data element {element}."
                        )
                    health = health_of(answer, "`token_env`")
                    if not health.ok:
                        return health
        except TargetError as error:
            return unhealthy(error)
        return Health(ok=True)

    def _entry(self, release: Release, before: _Entry | None) -> _Entry:
        """Where the record is to be counted from now on; it stays in the month in which it was first counted."""
        period = before.period if before is not None else f"{release.made_at:%Y%m}"
        if release.action is Action.WITHDRAW:
            return _Entry(release.record_id, release.version, period, ())
        return _Entry(release.record_id, release.version, period, tuple(self._cells(release, period)))

    def _cells(self, release: Release, period: str) -> Iterator[Cell]:
        mapping = self._mapping[release.kind]
        day = release.made_at.date()
        made = mapping.of(release.fields, day)
        place = made.pop(_PLACE, None)
        if place is None:
            raise self._parked(
                "target.no_org_unit", "Give the record's branch an organisation unit in the mapping file, then replay."
            )
        rows = [row for one in mapping.rows for row in one.of(release.fields, day)]
        for counted in [made, *rows]:
            for element, combination in counted.items():
                if combination is not None:
                    yield Cell(element, period, self._uid(place), self._uid(combination))

    def _uid(self, value: JSON) -> str:
        """Only identifiers of DHIS2 leave; whatever else a mapping yields might be an answer."""
        if not isinstance(value, str) or not _UID.fullmatch(value):
            raise self._parked(
                "target.not_a_uid", "A line of the mapping gives something else than a DHIS2 identifier: use `values`."
            )
        return value

    def _send(self, totals: Mapping[Cell, int]) -> None:
        values: list[JSON] = [
            {"dataElement": cell.element, "period": cell.period, "orgUnit": cell.place, "categoryOptionCombo": cell.combination, "value": str(total)}
            for cell, total in sorted(totals.items())
        ]  # fmt: skip
        answer = self._call("POST", "/dataValueSets?importStrategy=CREATE_AND_UPDATE", {"dataValues": values})
        if not answer.ok and answer.status != _CONFLICT:
            raise refused(self.name, answer)
        summary = json_of(self.name, answer)
        if isinstance(summary, Mapping) and isinstance(summary.get("response"), Mapping):  # so since DHIS2 2.38
            summary = summary["response"]
        if not isinstance(summary, Mapping) or not isinstance(summary.get("importCount"), Mapping):
            raise TargetError("target.not_json", f"target {self.name}", "Look whether the address is that of DHIS2.")
        count = cast("Mapping[str, JSON]", summary["importCount"])
        if answer.status == _CONFLICT or summary.get("status") == "ERROR" or count.get("ignored"):
            raise self._parked(
                "target.values_refused", "Look there whether the month is open and the data set assigned, then replay."
            )

    def _call(self, method: str, path: str, body: JSON = None) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else {}
        try:
            return self._http.call(method, path, headers=headers, body=data)
        except Unreachable as error:
            raise unreachable(self.name, error) from None

    def _parked(self, code: str, advice: str) -> TargetError:
        return TargetError(code, f"target {self.name}", advice, permanent=True)


@dataclass(frozen=True, slots=True)
class _Entry:
    """How one record is counted."""

    record_id: str
    version: int
    period: str
    cells: tuple[Cell, ...]

    def written(self) -> str:
        """The month and the cells, for the receipt: identifiers of DHIS2 alone."""
        return "|".join([self.period, *(f"{cell.element}.{cell.place}.{cell.combination}" for cell in self.cells)])

    @classmethod
    def read(cls, record_id: str, version: int, told: str) -> _Entry | None:
        """What a receipt said; None where an older version of Silah said nothing."""
        period, *cells = told.split("|")
        parts = [cell.split(".") for cell in cells]
        if not re.fullmatch(r"[0-9]{6}", period) or any(len(part) != len(Cell._fields) - 1 for part in parts):
            return None
        return cls(record_id, version, period, tuple(Cell(one, period, place, made) for one, place, made in parts))


@dataclass
class _Tally:
    """Every record that was counted and the totals: a file of lines, the last one on a record counts."""

    counted: dict[str, _Entry] = field(default_factory=dict)
    totals: Counter[Cell] = field(default_factory=Counter)
    _read_to: int = 0

    def read(self, path: Path) -> None:
        """Lines that this process has not seen; a line without its end was never acknowledged."""
        if not path.is_file():
            return
        with path.open("rb") as stream:
            stream.seek(self._read_to)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                record_id, version, period, cells = json.loads(line)
                self._keep(_Entry(record_id, version, period, tuple(Cell(*cell) for cell in cells)))
                self._read_to += len(line)

    def change(self, entry: _Entry) -> dict[Cell, int]:
        """The new totals of the numbers that *entry* changes."""
        before = self.counted.get(entry.record_id)
        difference = Counter(entry.cells)
        difference.subtract(before.cells if before is not None else ())
        return {cell: self.totals[cell] + more for cell, more in difference.items() if more}

    def write(self, folder: Folder, entry: _Entry) -> None:
        line = json.dumps([entry.record_id, entry.version, entry.period, entry.cells]).encode() + b"\n"
        folder.append(_TALLY, line, self._read_to)
        self._keep(entry)
        self._read_to += len(line)

    def _keep(self, entry: _Entry) -> None:
        before = self.counted.get(entry.record_id)
        self.totals.subtract(before.cells if before is not None else ())
        self.totals.update(entry.cells)
        self.counted[entry.record_id] = entry


def _elements(mapping: KindMapping) -> set[str]:
    rules = [*mapping.rules, *(rule for rows in mapping.rows for rule in rows.rules)]
    return {rule.to for rule in rules} - {_PLACE}


def _check_elements(path: Path, mappings: Mapping[str, KindMapping]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for kind, mapping in mappings.items():
        if not any(rule.to == _PLACE for rule in mapping.rules):
            raise Misconfigured(
                "mapping.no_org_unit", f"[{kind}.fields] in {path}", "Write `orgUnit = { from = …, values = … }`."
            )
        for element in _elements(mapping):
            if not _UID.fullmatch(element):
                raise Misconfigured(
                    "mapping.not_a_uid",
                    f"`{element}` in {path}, line {next((n for n, text in enumerate(lines, 1) if element in text), 1)}",
                    "A data element is named by its 11 characters.",
                )
