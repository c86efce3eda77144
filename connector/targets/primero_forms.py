"""What the forms of our account's role let through in Primero, read from `GET /forms` and `GET /lookups`.

Primero drops a field that those forms lack and answers with success; a choice that it does not know refuses the whole
record. Both are told before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from connector.model import JSON
from connector.targets.mapping import KindMapping, Rule

_LOOKUP = "lookup "
# What `as` may make for a field of Primero's that takes one thing alone.
_TAKES: Mapping[str, tuple[str, ...]] = {
    "tick_box": ("tick",),
    "date_field": ("day",),
    "numeric_field": ("age", "plain"),
}
_ALWAYS = frozenset({"id", "module_id", "record_state"})

_Row = Mapping[str, JSON]
Ask = Callable[[str], JSON]


@dataclass(frozen=True, slots=True)
class RoleForms:
    """The fields of one type of record: form -> field -> the choices it takes, None where it takes any value; *types*:
    form -> field -> what Primero calls its type."""

    fields: Mapping[str, Mapping[str, frozenset[str] | None]]
    types: Mapping[str, Mapping[str, str]]

    def missing(self, mapping: KindMapping) -> Iterator[str]:
        """Fields that the mapping writes and no form of the role has, but for optional ones."""
        top = self._top(mapping)
        yield from (rule.to for rule in mapping.rules if not rule.optional and rule.to not in top)
        for rows in mapping.rows:
            inside = self._inside(mapping, rows.to)
            yield from (f"{rows.to}.{rule.to}" for rule in rows.rules if not rule.optional and rule.to not in inside)

    def refused(self, mapping: KindMapping) -> Iterator[str]:
        """`field: choice` for what the mapping may send and the field does not take."""
        top = self._top(mapping)
        yield from (found for rule in mapping.rules for found in _strange(rule, top.get(rule.to), ""))
        for rows in mapping.rows:
            inside = self._inside(mapping, rows.to)
            yield from (found for rule in rows.rules for found in _strange(rule, inside.get(rule.to), f"{rows.to}."))

    def mistyped(self, mapping: KindMapping) -> Iterator[str]:
        """Rules whose `as` makes what a field of that type refuses: where they stand, and the `as` that it takes."""
        subforms = {rows.to for rows in mapping.rows}
        top = {n: kind for form, fields in self.types.items() if form not in subforms for n, kind in fields.items()}
        yield from (told for rule in mapping.rules for told in _mistyped(rule, top.get(rule.to, "")))
        for rows in mapping.rows:
            inside = self.types.get(rows.to, {})
            yield from (told for rule in rows.rules for told in _mistyped(rule, inside.get(rule.to, "")))

    def dropped(self, mapping: KindMapping, wanted: Mapping[str, JSON]) -> Iterator[str]:
        """Of a record that is about to be sent, the fields with a value that would be dropped."""
        top, subforms = self._top(mapping), {rows.to for rows in mapping.rows}
        for name, value in wanted.items():
            if value in (None, False, [], "") or name in _ALWAYS:
                continue
            if name not in top:
                yield name
            elif name in subforms:
                inside = self._inside(mapping, name)
                rows = [row for row in value if isinstance(row, Mapping)] if isinstance(value, Sequence) else []
                found = {key for row in rows for key, one in row.items() if one not in (None, False, [], "")}
                yield from (f"{name}.{key}" for key in sorted(found - set(inside) - {"unique_id"}))

    def _top(self, mapping: KindMapping) -> dict[str, frozenset[str] | None]:
        subforms = {rows.to for rows in mapping.rows}
        return {
            name: takes
            for form, fields in self.fields.items()
            if form not in subforms
            for name, takes in fields.items()
        }

    def _inside(self, mapping: KindMapping, subform: str) -> Mapping[str, frozenset[str] | None]:
        return self.fields.get(subform, {}) if subform in self._top(mapping) else {}


def read_forms(ask: Ask, module: str | None, record_type: str) -> RoleForms:
    """The forms of the role for a module and a type of record; *ask* gives the `data` of a path."""
    forms = _rows(ask(f"/forms?module_id={module}&record_type={record_type}"))
    named = {str(one.get("option_strings_source") or "") for form in forms for one in _rows(form.get("fields"))}
    lookups = _lookups(ask) if any(name.startswith(_LOOKUP) for name in named) else {}
    fields = {str(form.get("unique_id")): _rows(form.get("fields")) for form in forms}
    return RoleForms(
        {form: {str(one.get("name")): _takes(one, lookups) for one in inside} for form, inside in fields.items()},
        {form: {str(one.get("name")): str(one.get("type")) for one in inside} for form, inside in fields.items()},
    )


def _lookups(ask: Ask) -> dict[str, frozenset[str]]:
    return {str(one.get("unique_id")): _ids(one.get("values")) for one in _rows(ask("/lookups?per=1000"))}


def _takes(field: _Row, lookups: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """The choices of a field, of its own or of a lookup; None where there are none, or they are another system's."""
    source = str(field.get("option_strings_source") or "")
    if source.startswith(_LOOKUP):
        return lookups.get(source.removeprefix(_LOOKUP).split(" ")[0])
    own = field.get("option_strings_text")
    if isinstance(own, Mapping):  # by language
        own = next(iter(own.values()), None)
    return _ids(own) or None


def _ids(values: JSON) -> frozenset[str]:
    return frozenset(str(one.get("id")) for one in _rows(values))


def _strange(rule: Rule, takes: frozenset[str] | None, prefix: str) -> Iterator[str]:
    if takes is None or rule.values is None:
        return
    sent = {value for value in rule.values.values() if isinstance(value, str)}
    yield from (f"{prefix}{rule.to}: {value}" for value in sorted(sent - takes))


def _mistyped(rule: Rule, kind: str) -> Iterator[str]:
    takes = _TAKES.get(kind)
    if takes is not None and rule.kind not in takes and rule.values is None:
        yield f'`{rule.to}` ({rule.place}): it is a {kind} there, write `as = "{takes[0]}"`'


def _rows(value: JSON) -> list[_Row]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [one for one in value if isinstance(one, Mapping)]
