"""Compiles a form's tables to the .xlsx files that KoboToolbox and ODK Central take, four languages each.

The sheets are made as plain cells first (`sheets`): two builds are the same when their cells and media are, whatever
dates a zip file carries.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from openpyxl import Workbook, load_workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from forms.errors import Finding, FormError
from forms.packs import DEMO, PLACES, places
from forms.tables import (
    BUILDS,
    FORMS,
    LANGUAGES,
    SURVEY_COLUMNS,
    TEXT_COLUMNS,
    Build,
    FormDefinition,
    Row,
    form_ids,
    load,
)
from forms.translations import texts_of

Sheet = tuple[tuple[str, ...], ...]
"""Rows of cells, the header first."""

_CENTRAL_ONLY = frozenset({"save_to"})
_NOT_BUILT = frozenset({"#only"})
PER_LANGUAGE = frozenset((*TEXT_COLUMNS, "image"))
"""Columns of a table that become one column a language in the build."""
_WIDTHS = {"type": 28, "name": 26, "relevant": 34, "constraint": 34, "calculation": 34}


def build(form_id: str, build: Build, out_dir: Path | None = None, root: Path = FORMS, pack: str = DEMO) -> Path:
    """Writes `<form_id>.xlsx` and `<form_id>-media/` for one server.

    Args:
        out_dir: folder for both; without it `xlsx/<build>/` under *root*, for a country pack `xlsx/<pack>/<build>/`.
        pack: the country pack that is laid over the form.

    Returns:
        The .xlsx file. A file whose cells are right already is left as it is.
    """
    form = load(form_id, root, pack)
    folder = out_dir or built_path(form_id, build, root, pack).parent
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{form_id}.xlsx"
    wanted = sheets(form, build)
    if _read_sheets(path) != wanted:
        write_sheets(path, wanted)
    _copy_media(form, folder / f"{form_id}-media")
    return path


def build_all(
    out_dir: Path | None = None, root: Path = FORMS, forms: Sequence[str] = (), pack: str = DEMO
) -> list[Path]:
    """Builds *forms* (all when empty) for both servers, under `<out_dir>/<build>/`, a pack's `<out_dir>/<pack>/<build>/`."""
    folder = out_dir or root / "xlsx"
    return [
        build(form_id, server, _folder(folder, pack) / server, root, pack)
        for form_id in forms or form_ids(root)
        for server in BUILDS
    ]


def built_path(form_id: str, build: Build, root: Path = FORMS, pack: str = DEMO) -> Path:
    """Where the build of a form is; that of `demo` is committed."""
    return _folder(root / "xlsx", pack) / build / f"{form_id}.xlsx"


def _folder(folder: Path, pack: str) -> Path:
    return folder if pack == DEMO else folder / pack


def built_is_current(form_id: str, root: Path = FORMS) -> bool:
    """Whether the committed .xlsx files and media say what the tables and translations say."""
    form = load(form_id, root)
    return all(_is_current(form, build) for build in BUILDS)


def sheets(form: FormDefinition, build: Build) -> dict[str, Sheet]:
    """Sheet name -> cells, exactly as the .xlsx file holds them."""
    translated = {name: texts_of(form, language) for language, name in form.languages.items()}
    rows = form.rows_of(build)
    made = {"survey": _survey(rows, build, translated)}
    if any(row.list_name for row in rows):
        made["choices"] = _choices(form, rows, translated)
    made["settings"] = _settings(form)
    if build == "central" and form.settings.entities:
        columns = ("list_name", "label", "entity_id", "create_if", "update_if")
        made["entities"] = _filled(
            (columns, *(tuple(entity.get(column, "") for column in columns) for entity in form.settings.entities))
        )
    return made


def _survey(rows: Iterable[Row], build: Build, translated: Mapping[str, Mapping[str, str]]) -> Sheet:
    left_out = _NOT_BUILT if build == "central" else _NOT_BUILT | _CENTRAL_ONLY
    columns = [column for column in SURVEY_COLUMNS if column not in left_out]
    header = tuple(name for column in columns for name in headings_of(column, translated))
    body = (tuple(cell for column in columns for cell in _cells_of(column, row[column], translated)) for row in rows)
    return _filled((header, *body))


def _choices(form: FormDefinition, rows: Iterable[Row], translated: Mapping[str, Mapping[str, str]]) -> Sheet:
    """The lists that this build uses, in the order of their first use."""
    used = dict.fromkeys(row.list_name for row in rows if row.list_name)
    lists = [form.choices[name] for name in used]
    filters = tuple(dict.fromkeys(column for choices in lists for column in choices.columns))
    own = (name for column in filters for name in headings_of(column, translated))
    header = ("list_name", "name", *headings_of("label", translated), *own)
    body = (
        (
            choices.name,
            choice.name,
            *_cells_of("label", choice.label, translated),
            *(cell for column in filters for cell in _cells_of(column, choice.filters.get(column, ""), translated)),
        )
        for choices in lists
        for choice in choices.choices
    )
    return _filled((header, *body))


def _settings(form: FormDefinition) -> Sheet:
    settings = form.settings
    cells = {
        "form_title": form.title(form.language),
        "form_id": form.form_id,
        "version": settings.version,
        "default_language": form.languages[form.language],
        "style": settings.style,
        "instance_name": settings.instance_name,
        "public_key": settings.public_key,
        "submission_url": settings.submission_url,
    }
    return _filled((tuple(cells), tuple(cells.values())))


def headings_of(column: str, languages: Iterable[str] = LANGUAGES.values()) -> Iterable[str]:
    """Headers that a table's column becomes: one a language (its name) for what a person reads or sees."""
    if column not in PER_LANGUAGE:
        return (column,)
    built = "media::image" if column == "image" else column
    return (f"{built}::{language}" for language in languages)


def _cells_of(column: str, cell: str, translated: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    """Cells of a column, one a language. A text nobody has translated stands in English: it can be asked at least."""
    if column not in PER_LANGUAGE:
        return (cell,)
    return (cell if column == "image" else known.get(cell, cell) for known in translated.values())


def _filled(rows: Sequence[tuple[str, ...]]) -> Sheet:
    """The rows without the columns that are empty throughout."""
    keep = [place for place in range(len(rows[0])) if any(row[place] for row in rows[1:])]
    return tuple(tuple(row[place] for place in keep) for row in rows)


def write_sheets(path: Path | BinaryIO, wanted: Mapping[str, Sheet]) -> None:
    """Writes sheets as a workbook, every cell as text."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in wanted.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(rows, start=1):
            for place, text in enumerate(row, start=1):
                if text:
                    _put(sheet.cell(number, place), text)
        _dress(sheet, rows[0])
    book.save(path)


def _put(cell: object, text: str) -> None:
    """Always as text: a number or a formula would come back as something else."""
    if isinstance(cell, Cell):
        cell.value = text
        cell.data_type = "s"


def _dress(sheet: Worksheet, header: Sequence[str]) -> None:
    sheet.freeze_panes = "C2" if sheet.title != "settings" else "A2"
    for place, name in enumerate(header, start=1):
        sheet.cell(1, place).font = Font(bold=True)
        sheet.cell(1, place).alignment = Alignment(vertical="top")
        sheet.column_dimensions[get_column_letter(place)].width = 44 if "::" in name else _WIDTHS.get(name, 18)


def _read_sheets(path: Path) -> dict[str, Sheet]:
    if not path.is_file():
        return {}
    book = load_workbook(path, read_only=True)
    try:
        return {
            sheet.title: tuple(
                tuple("" if cell is None else str(cell) for cell in row) for row in sheet.iter_rows(values_only=True)
            )
            for sheet in book.worksheets
        }
    finally:
        book.close()


def _is_current(form: FormDefinition, build: Build) -> bool:
    path = built_path(form.form_id, build, form.root)
    folder = path.parent / f"{form.form_id}-media"
    built = {file.name: file.read_bytes() for file in folder.glob("*")}
    return _read_sheets(path) == sheets(form, build) and built == media_files(form)


def media_files(form: FormDefinition) -> dict[str, bytes]:
    """Name -> content of each file that the form attaches, places as its country pack has them."""
    files = [form.root / "media" / name for name in form.media]
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        where = f"{form.form_id}/settings.toml"
        faults = [
            Finding(
                where,
                0,
                "media",
                "media_missing",
                f"There is no media/{name}.",
                "Put the file there or take it out of media.",
            )
            for name in absent
        ]
        raise FormError("forms.media_missing", where, "Add the files listed.", faults)
    return {file.name: places(form.root, form.pack) if file.name == PLACES else file.read_bytes() for file in files}


def _copy_media(form: FormDefinition, folder: Path) -> None:
    """Makes *folder* hold exactly the form's media; no folder when there is none."""
    files = media_files(form)
    if folder.is_dir():
        shutil.rmtree(folder)
    if files:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
