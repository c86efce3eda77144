"""Country packs: what a country lays over the forms without touching them.

`packs/<name>/` holds pack.toml, `survey.csv` (override rows), `choices/<list_name>.csv`, `places.csv` and
`translations/<language>.po`, each of them optional but the first. `demo` is the forms as their own tables have them.
docs/adding-a-form.md describes the tables.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from forms.errors import Finding, FormError

DEMO = "demo"
"""The pack of made-up branches and places: what the shared tables hold."""
SOURCE = "source"
"""Column of every table of a pack: the document that names what the row says. No server sees it."""
PLACES = "places.csv"

_KEYS: Mapping[str, type] = MappingProxyType(
    {
        "title": str,
        "organisation": str,
        "sex_other": bool,
        "tables": list,
        "keep": dict,
        "language": str,
        "languages": dict,
        "fallback": dict,
    }
)


@dataclass(frozen=True)
class Pack:
    """A country pack.

    Args:
        name: of its folder.
        title: what a person calls it.
        organisation: `org_code` of its records where the branch does not say it: `IR-RCS`, or the country alone.
        sex_other: whether *other* is offered as a sex; in some places it is unsafe to read it aloud.
        tables: shared tables of override rows in `packs/`, laid over before the pack's own survey.csv.
        keep: list name → choices of the shared list that stay beside the pack's own.
        language: in which the forms open, and in which servers and devices show their title.
        languages: code → name in the built forms, for those beside the four.
        fallback: code of such a language → the language whose texts it takes where it has none.
    """

    name: str = DEMO
    title: str = ""
    organisation: str = ""
    sex_other: bool = True
    tables: tuple[str, ...] = ()
    keep: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    language: str = "en"
    languages: Mapping[str, str] = field(default_factory=dict)
    fallback: Mapping[str, str] = field(default_factory=dict)

    def surveys(self, root: Path) -> Iterator[Path]:
        """The tables of override rows, in the order in which they are laid over the forms."""
        yield from (root / "packs" / f"{table}.csv" for table in self.tables)
        own = root / "packs" / self.name / "survey.csv"
        if own.is_file():
            yield own

    def choices(self, root: Path, list_name: str) -> Path | None:
        """The table that stands for the shared list of that name, None where the pack has none."""
        path = root / "packs" / self.name / "choices" / f"{list_name}.csv"
        return path if path.is_file() else None

    def own_tables(self, root: Path) -> tuple[Path, ...]:
        """Every CSV table in the pack's folder."""
        return tuple(sorted((root / "packs" / self.name).rglob("*.csv")))

    def own_po_files(self, root: Path) -> tuple[Path, ...]:
        """Every PO file in the pack's folder."""
        return tuple(sorted((root / "packs" / self.name / "translations").glob("*.po")))

    def po_files(self, root: Path, language: str) -> tuple[Path, ...]:
        """The PO files of *language* that are laid over those of the forms, the pack's own last."""
        folders = (root / "packs" / "translations", root / "packs" / self.name / "translations")
        return tuple(path for folder in folders if (path := folder / f"{language}.po").is_file())


def pack_names(root: Path) -> tuple[str, ...]:
    """Every pack, `demo` first."""
    found = sorted(path.parent.name for path in (root / "packs").glob("*/pack.toml"))
    return (DEMO, *(name for name in found if name != DEMO))


@lru_cache(maxsize=32)
def read_pack(name: str, root: Path) -> Pack:
    """The pack of that name; `demo` needs no folder.

    Raises:
        FormError: `forms.table_faulty` when there is no such pack, or its pack.toml has a fault.
    """
    if name == DEMO:
        return Pack()
    file = f"packs/{name}/pack.toml"
    try:
        found = tomllib.loads((root / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = f"Known packs: {', '.join(pack_names(root))}."
        raise _faulty(file, Finding(file, 0, "", "unknown_pack", f"There is no pack {name!r}.", known)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _faulty(file, Finding(file, 0, "", "not_toml", f"It is no TOML: {error}.", "Mend the syntax.")) from None
    faults = [*_key_faults(file, found)]
    if faults:
        raise _faulty(file, *faults)
    return _pack_from(name, found)


def places(root: Path, pack: Pack) -> bytes:
    """places.csv as the pack's forms carry it: the countries of the shared file and the pack's own places with a code."""
    shared = (root / "media" / PLACES).read_bytes()
    own = root / "packs" / pack.name / PLACES
    if pack.name == DEMO:
        return shared
    reader = csv.DictReader(io.StringIO(shared.decode("utf-8"), newline=""))
    columns = list(reader.fieldnames or ())
    rows = [row for row in reader if row["level"] == "0"]
    if own.is_file():
        with own.open(encoding="utf-8-sig", newline="") as stream:
            rows += [row for row in csv.DictReader(stream) if row["name"]]
    made = io.StringIO(newline="")
    writer = csv.DictWriter(made, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue().encode("utf-8")


def _key_faults(file: str, found: Mapping[str, object]) -> Iterator[Finding]:
    for key, value in found.items():
        expected = _KEYS.get(key)
        if expected is None:
            yield Finding(file, 0, key, "unknown_key", f"There is no key {key!r}.", f"Known: {', '.join(_KEYS)}.")
        elif not isinstance(value, expected):
            mend = "See docs/adding-a-form.md."
            yield Finding(file, 0, key, "bad_value", f"{key} is not a {expected.__name__}.", mend)


def _pack_from(name: str, found: Mapping[str, object]) -> Pack:
    keep, tables, sex_other = found.get("keep"), found.get("tables"), found.get("sex_other")
    return Pack(
        name=name,
        title=str(found.get("title", "")),
        organisation=str(found.get("organisation", "")),
        sex_other=sex_other if isinstance(sex_other, bool) else True,
        tables=tuple(str(table) for table in tables) if isinstance(tables, list) else (),
        keep={key: tuple(map(str, names)) for key, names in keep.items()} if isinstance(keep, dict) else {},
        language=str(found.get("language", "en")),
        languages=_texts(found.get("languages")),
        fallback=_texts(found.get("fallback")),
    )


def _texts(found: object) -> Mapping[str, str]:
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _faulty(file: str, *faults: Finding) -> FormError:
    return FormError("forms.table_faulty", file, "Mend what is listed and try again.", faults)
