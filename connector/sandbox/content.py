"""What a form asks: an .xlsx read into the JSON that KoboToolbox keeps, and that JSON turned into .xlsx and XForm.

A `Content` is a form without the project around it. Translated cells are lists with one entry a language; `$xpath` is
the path under which a question's answer stands in the data.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TypeAlias
from zipfile import BadZipFile

from openpyxl import Workbook, load_workbook
from openpyxl.utils.exceptions import InvalidFileException
from pyxform.errors import PyXFormError
from pyxform.xls2xform import convert

Row: TypeAlias = dict[str, object]
Cells: TypeAlias = dict[str, str]

_TRANSLATED = (
    *("label", "hint", "guidance_hint", "constraint_message", "required_message"),
    *("media::image", "media::audio", "media::video", "media::big-image", "image", "audio", "video"),
)
_LISTED = ("select_one", "select_multiple", "rank")
_FROM_FILE = ("select_one_from_file", "select_multiple_from_file")
_GEO = frozenset({"geopoint", "geotrace", "geoshape"})
_MEDIA = frozenset({"image", "audio", "video", "file", "background-audio", "audit"})
_CLOCK = frozenset({"start", "end", "today"})
_ALPHABET = string.ascii_letters + string.digits


class ImportRefused(Exception):
    """A file that cannot become a form; *error_type* is the word that the import task reports."""

    def __init__(self, message: str, error_type: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class NotDeployable(Exception):
    """The form does not compile; the message is the compiler's."""


@dataclass(frozen=True)
class Content:
    """One version of a form's questions, choices and settings.

    Args:
        survey: rows in order, with `$kuid`, `$autoname` and `$xpath` filled in.
        translations: languages in order of appearance; None stands for cells without a language.
    """

    survey: tuple[Row, ...]
    choices: tuple[Row, ...]
    settings: Mapping[str, object]
    translations: tuple[str | None, ...] = (None,)
    translated: tuple[str, ...] = ("label",)

    def json(self) -> Row:
        """The `content` of an asset."""
        return {
            "schema": "1",
            "survey": list(self.survey),
            "choices": list(self.choices),
            "settings": dict(self.settings),
            "translated": list(self.translated),
            "translations": list(self.translations),
        }

    def flattened(self) -> Row:
        """The answer of `…/content/`: one cell a language, types written as on the sheet."""
        return {
            "survey": [self._flat(row) for row in self.survey],
            "choices": [self._flat(row) for row in self.choices],
            "settings": [dict(self.settings)],
        }

    def paths(self, *types: str) -> frozenset[str]:
        """The paths of all questions, groups or repeats of one of *types*."""
        return frozenset(str(row["$xpath"]) for row in self.survey if row["type"] in types and "$xpath" in row)

    @property
    def repeats(self) -> frozenset[str]:
        """Paths of the repeats."""
        return self.paths("begin_repeat")

    @property
    def media(self) -> frozenset[str]:
        """Paths of the questions that are answered with a file."""
        return self.paths(*_MEDIA)

    @property
    def encrypted(self) -> bool:
        """Whether the device encrypts what it sends."""
        return bool(self.settings.get("public_key"))

    def hash(self) -> str:
        """Equal for equal questions, whatever their `$kuid`."""
        bare = {**self.json(), "survey": _without_kuid(self.survey), "choices": _without_kuid(self.choices)}
        return hashlib.sha1(json.dumps(bare, sort_keys=True).encode(), usedforsecurity=False).hexdigest()

    def summary(self) -> Row:
        """What an asset says of its content at a glance."""
        questions = [row for row in self.survey if not _is_bracket(row)]
        counted = [row for row in questions if row["type"] not in _CLOCK]
        columns = {key: None for row in questions for key in row if not key.startswith("$")}
        languages = [language for language in self.translations if language is not None]
        quality = {"ok": 0, "bad": 0, "good": len(counted), "total": len(counted), "firsts": {}}
        return {
            "geo": any(row["type"] in _GEO for row in self.survey),
            "labels": [_first(row["label"]) for row in questions if "label" in row][:5],
            "columns": list(columns),
            "lock_all": False,
            "lock_any": False,
            "languages": languages,
            "row_count": len(counted),
            "name_quality": quality,
            "default_translation": languages[0] if languages else None,
        }

    def xlsx(self) -> bytes:
        """The form as a workbook again."""
        book = Workbook()
        book.remove(book.worksheets[0])
        for title, rows in self._sheets().items():
            sheet = book.create_sheet(title)
            columns = _columns(rows)
            sheet.append(columns)
            for row in rows:
                sheet.append([row.get(column, "") for column in columns])
        out = BytesIO()
        book.save(out)
        return out.getvalue()

    def xform(self, root: str, title: str, *, form_id: str | None = None, version: str | None = None) -> str:
        """The form as an XForm whose instance is called *root*.

        Raises:
            NotDeployable: pyxform refuses it.
        """
        own = self.settings
        settings = {
            **{key: str(value) for key, value in own.items() if key not in ("id_string", "version")},
            "form_id": form_id or str(own.get("id_string", root)),
            "form_title": title,
        }
        if version is not None:
            settings["version"] = version
        try:
            sheets = {**self._sheets(), "settings": [settings]}
            headers = {f"{name}_header": [dict.fromkeys(_columns(rows))] for name, rows in sheets.items()}
            return str(convert(xlsform=sheets | headers, form_name=root, pretty_print=True).xform)
        except PyXFormError as error:
            raise NotDeployable(str(error)) from error

    def with_version_question(self, version_uid: str) -> Content:
        """The same form with the `__version__` that a deployment appends."""
        row: Row = {"type": "calculate", "name": "__version__", "calculation": f"'{version_uid}'"}
        return Content((*self.survey, row), self.choices, self.settings, self.translations, self.translated)

    def _sheets(self) -> dict[str, list[Cells]]:
        survey = [_plain(self._flat(row)) for row in self.survey]
        choices = [_plain(self._flat(row)) for row in self.choices]
        return {"survey": survey, "choices": choices, "settings": [_plain(dict(self.settings))]}

    def _flat(self, row: Row) -> Row:
        flat: Row = {}
        for key, value in row.items():
            if isinstance(value, list):
                flat |= {_header(key, lang): text for lang, text in zip(self.translations, value, strict=True) if text}
            elif key not in ("select_from_list_name", "file"):
                flat[key] = "true" if value is True else value
        listed = row.get("select_from_list_name") or row.get("file")
        if listed and "type" in row:
            flat["type"] = f"{row['type']} {listed}"
        return flat


def read_xlsx(data: bytes) -> Content:
    """The form in a workbook.

    Raises:
        ImportRefused: it is no workbook, has no survey sheet, or two rows share a name.
    """
    try:
        book = load_workbook(BytesIO(data), read_only=False, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, OSError, ValueError) as error:
        raise ImportRefused("Unsupported format, or corrupt file", "XlsFormatException") from error
    sheets = {sheet.title.strip().lower(): list(_cells(sheet.iter_rows(values_only=True))) for sheet in book.worksheets}
    if "survey" not in sheets:
        raise ImportRefused("A survey sheet is required", "XlsFormatException")
    return _from_sheets(sheets["survey"], sheets.get("choices", []), sheets.get("settings", []))


def read_json(content: Mapping[str, object]) -> Content:
    """The form in the `content` of a request; rows may lack everything the server fills in."""
    languages = content.get("translations")
    return Content(
        survey=tuple(_numbered(_rows(content.get("survey")))),
        choices=tuple({"$kuid": _kuid(), **row} for row in _rows(content.get("choices"))),
        settings=_settings(content.get("settings")),
        translations=tuple(languages) if isinstance(languages, list) and languages else (None,),
    )


def _from_sheets(survey: list[Cells], choices: list[Cells], settings: list[Cells]) -> Content:
    headers = {header: None for row in (*survey, *choices) for header in row}
    split = {header: _split_header(header) for header in headers}
    languages = tuple({lang: None for name, lang in split.values() if name in _TRANSLATED}) or (None,)
    translated = tuple({name: None for name, _ in split.values() if name in _TRANSLATED})
    names = [row["name"] for row in survey if row.get("name")]
    _refuse_bad_names(names)
    return Content(
        survey=tuple(_numbered(_typed(_folded(row, split, languages)) for row in survey if row.get("type"))),
        choices=tuple(_choice(_folded(row, split, languages)) for row in choices if row.get("list_name")),
        settings=_settings(settings[0] if settings else {}),
        translations=languages,
        translated=translated,
    )


def _cells(rows: Iterable[tuple[object, ...]]) -> Iterator[Cells]:
    """The rows below the header, without their empty cells."""
    lines = iter(rows)
    headers = [str(cell).strip() if cell is not None else "" for cell in next(lines, ())]
    for line in lines:
        row = {header: _text(cell) for header, cell in zip(headers, line, strict=False) if header and cell is not None}
        if row := {header: text for header, text in row.items() if text}:
            yield row


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _split_header(header: str) -> tuple[str, str | None]:
    """`label::English (en)` → (`label`, `English (en)`)."""
    for name in _TRANSLATED:
        if header.startswith(f"{name}::"):
            return name, header[len(name) + 2 :].strip()
    return header, None


def _header(name: str, language: str | None) -> str:
    return name if language is None else f"{name}::{language}"


def _folded(row: Cells, split: Mapping[str, tuple[str, str | None]], languages: tuple[str | None, ...]) -> Row:
    folded: Row = {}
    for header, text in row.items():
        name, language = split[header]
        if name in _TRANSLATED:
            cells = folded.setdefault(name, [None] * len(languages))
            assert isinstance(cells, list)  # noqa: S101 - only made here
            cells[languages.index(language)] = text
        else:
            folded[name] = text
    return folded


def _typed(row: Row) -> Row:
    kind, _, rest = str(row["type"]).strip().partition(" ")
    if kind in ("begin", "end") and rest:
        row["type"] = f"{kind}_{rest.strip()}"
    elif kind in _LISTED and rest:
        row |= {"type": kind, "select_from_list_name": rest.strip()}
    elif kind in _FROM_FILE:
        row |= {"type": kind, "file": rest.strip()}
    if str(row.get("required", "")).lower() in ("yes", "true", "true()"):
        row["required"] = True
    return row


def _choice(row: Row) -> Row:
    return {**row, "$kuid": _kuid(), "$autovalue": row.get("name")}


def _numbered(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows with the identifiers that the server adds, and each question's path."""
    groups: list[str] = []
    for row in rows:
        kind, name = str(row["type"]), row.get("name")
        if kind.startswith("end_"):
            groups = groups[:-1]
            yield {"type": kind, "$kuid": _kuid()}
            continue
        added: Row = {} if name is None else {"$xpath": "/".join([*groups, str(name)]), "$autoname": name}
        yield {**row, "$kuid": row.get("$kuid") or _kuid(), **added}
        if kind.startswith("begin_"):
            groups = [*groups, str(name)]


def _refuse_bad_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ImportRefused(f"Duplicate node name: {name}", "DuplicateNameException")
        if not (name[0].isalpha() or name[0] == "_") or any(mark.isspace() for mark in name):
            raise ImportRefused(f"Invalid node name: {name}", "InvalidNameException")
        seen.add(name)


def _settings(row: object) -> Row:
    settings = dict(row) if isinstance(row, Mapping) else {}
    if "form_id" in settings:
        settings["id_string"] = settings.pop("form_id")
    return settings


def _rows(value: object) -> list[Row]:
    return [dict(row) for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _plain(row: Row) -> Cells:
    return {key: str(value) for key, value in row.items() if not key.startswith("$") and value is not None}


def _columns(rows: Iterable[Cells]) -> list[str]:
    """All columns of a sheet, in order of appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _first(cells: object) -> object:
    return next((cell for cell in cells if cell), None) if isinstance(cells, list) else cells


def _is_bracket(row: Row) -> bool:
    return str(row["type"]).startswith(("begin_", "end_"))


def _without_kuid(rows: Iterable[Row]) -> list[Row]:
    return [{key: value for key, value in row.items() if key != "$kuid"} for row in rows]


def _kuid() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(9))
