"""Translations of the forms: gettext PO files, one a language, English being the source text.

    python -m forms.translations missing ar [--form FORM] > todo.json     {"English text": ""}
    python -m forms.translations merge ar todo.json                       after filling in the right-hand sides

Several people may merge at the same time: the folder is locked while a file is read, changed and put in place.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polib

from forms.errors import Finding, FormError
from forms.tables import FORMS, LANGUAGES, TEXT_COLUMNS, FormDefinition, form_ids, load

TRANSLATED = tuple(code for code in LANGUAGES if code != "en")
"""Languages that have a PO file."""

_HEADER = """Forms of Silah in {language}.
machine-drafted, not yet reviewed by a native practitioner
msgid is the English text of a table; markdown, ${{references}} and line breaks must survive."""
_WIDTH = 110
_REFERENCE = re.compile(r"\$\{[^}]*\}")
_MARKDOWN = re.compile(r"\*\*|__|(?m:^#{1,6} )|(?m:^[-*] )|</?[a-z]+|\]\([^)]*\)|\n")


@dataclass(frozen=True)
class Merged:
    """What a merge did: how many texts it wrote, and those it refused because a part of the English was lost."""

    written: int
    refused: tuple[Finding, ...]


def source_texts(form_id: str, root: Path = FORMS) -> tuple[str, ...]:
    """Every English text of a form that a person reads, in the form's order, each once."""
    return texts_in(load(form_id, root))


def missing(language: str, root: Path = FORMS, forms: Sequence[str] = ()) -> list[str]:
    """English texts of *forms* (all of them when empty) that have no translation into *language* yet."""
    known = texts(language, root)
    wanted = dict.fromkeys(text for form_id in forms or form_ids(root) for text in source_texts(form_id, root))
    return [text for text in wanted if text not in known]


def unused(language: str, root: Path = FORMS) -> list[str]:
    """Texts of the PO file that stand in no form any more."""
    wanted = {text for form_id in form_ids(root) for text in source_texts(form_id, root)}
    return [text for text in texts(language, root) if text not in wanted]


def texts(language: str, root: Path = FORMS) -> Mapping[str, str]:
    """English text -> translation, without those that are empty. English itself: an empty mapping."""
    if language == "en":
        return {}
    path = _po_path(language, root)
    if not path.is_file():
        return {}
    return read_po(path)


def read_po(path: Path) -> Mapping[str, str]:
    """English text -> translation as one PO file has them, without those that are empty."""
    state = path.stat()
    return _read_once(path, state.st_mtime_ns, state.st_size)


def texts_in(form: FormDefinition) -> tuple[str, ...]:
    """Every English text of *form*, its country pack laid over it, in the form's order, each once."""
    return tuple(dict.fromkeys(text for _, text in _texts_of(form)))


def texts_of(form: FormDefinition, language: str) -> Mapping[str, str]:
    """English text -> translation as *form* has it: the forms' own PO file with those of its country pack laid over it.

    A language of the pack alone takes what it does not say from its fallback.
    """
    fallback = form.pack.fallback.get(language)
    known = dict(texts_of(form, fallback)) if fallback else {}
    if language in TRANSLATED:
        known.update(texts(language, form.root))
    for path in form.pack.po_files(form.root, language):
        known.update(read_po(path))
    return known


def merge(language: str, translated: Mapping[str, str], root: Path = FORMS) -> Merged:
    """Writes translations into the PO file; a later one replaces an earlier one, an empty one changes nothing."""
    refused = [
        fault for msgid, msgstr in translated.items() if msgstr and (fault := lost_parts(language, msgid, msgstr))
    ]
    bad = {fault.column for fault in refused}
    good = {msgid: msgstr for msgid, msgstr in translated.items() if msgstr.strip() and msgid not in bad}
    with _locked(root):
        _write(language, root, {**_read(_po_path(language, root)), **good})
    return Merged(len(good), tuple(refused))


def tidy(language: str, root: Path = FORMS) -> int:
    """Takes the texts that stand in no form any more out of the PO file; how many they were."""
    with _locked(root):
        gone = set(unused(language, root))
        kept = {msgid: msgstr for msgid, msgstr in _read(_po_path(language, root)).items() if msgid not in gone}
        _write(language, root, kept)
    return len(gone)


def lost_parts(language: str, msgid: str, msgstr: str) -> Finding | None:
    """A fault when the translation lost or gained a `${reference}`, a piece of markdown or a line break."""
    for what, pattern in (("references", _REFERENCE), ("markdown or line breaks", _MARKDOWN)):
        before, after = Counter(pattern.findall(msgid)), Counter(pattern.findall(msgstr))
        if before != after:
            return Finding(
                f"translations/{language}.po",
                0,
                msgid,
                "translation_differs",
                f"The translation does not have the same {what}: {_named(before)} in English, {_named(after)} in {language}.",
                "Keep them as they are in English.",
            )
    return None


def _named(parts: Counter[str]) -> str:
    return ", ".join(repr(part) for part in sorted(parts.elements())) or "none"


def _texts_of(form: FormDefinition) -> Iterator[tuple[str, str]]:
    """(file, text) for every text of a form."""
    yield f"{form.form_id}/settings.toml", form.settings.title
    for row in form.rows:
        for column in TEXT_COLUMNS:
            if row[column]:
                yield row.replaced.get(column, row.source).file, row[column]
    for choice_list in form.choices.values():
        for choice in choice_list.choices:
            yield choice.source.file, choice.label


def _po_path(language: str, root: Path) -> Path:
    if language not in TRANSLATED:
        raise FormError("forms.unknown_language", language, f"Languages with translations: {', '.join(TRANSLATED)}.")
    return root / "translations" / f"{language}.po"


@lru_cache(maxsize=16)
def _read_once(path: Path, _changed: int, _size: int) -> Mapping[str, str]:
    """Time and size are part of the key, so that a merge in between is seen."""
    return _read(path)


def _read(path: Path) -> Mapping[str, str]:
    return {entry.msgid: entry.msgstr for entry in _open(path) if entry.msgstr and not entry.obsolete}


def _open(path: Path) -> polib.POFile:
    if not path.is_file():
        return polib.POFile()
    try:
        return polib.pofile(str(path), wrapwidth=_WIDTH)
    except OSError as error:
        raise FormError("forms.po_unreadable", path.name, f"Mend the PO file: {error}.") from error


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    folder = root / "translations"
    folder.mkdir(exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def merge_into(folder: Path, language: str, names: Mapping[str, str], translated: Mapping[str, str]) -> None:
    """Writes translations into the PO file of *language* in *folder*; *names*: code → the language's name in the forms."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{language}.po"
    _save(path, language, names[language], {**_read(path), **translated})


def _write(language: str, root: Path, translated: Mapping[str, str]) -> None:
    _save(_po_path(language, root), language, LANGUAGES[language], translated)


def _save(path: Path, language: str, name: str, translated: Mapping[str, str]) -> None:
    """Sorted, without dates, and put in place at once: the same texts always give the same bytes.

    A header that is there is kept: it is where a reviewer signs.
    """
    po = polib.POFile(wrapwidth=_WIDTH)
    po.header = _open(path).header or _HEADER.format(language=name)
    po.metadata = {
        "Language": language,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
    }
    for msgid in sorted(translated):
        po.append(polib.POEntry(msgid=msgid, msgstr=translated[msgid]))
    new = path.with_suffix(".po.new")
    po.save(str(new))
    new.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """For translators: lists what is missing as JSON, takes the filled-in JSON back. 1 when a text was refused."""
    parser = argparse.ArgumentParser(prog="python -m forms.translations", description=main.__doc__)
    parser.add_argument("action", choices=("missing", "merge", "tidy"))
    parser.add_argument("language", choices=TRANSLATED)
    parser.add_argument("file", nargs="?", type=Path, help="merge: JSON object, English text to translation")
    parser.add_argument("--form", action="append", default=[], help="missing: only the texts of this form")
    chosen = parser.parse_args(arguments)
    if chosen.action == "merge" and chosen.file is None:
        parser.error("merge needs a FILE.json")
    try:
        return _run(chosen)
    except FormError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(chosen: argparse.Namespace) -> int:
    if chosen.action == "missing":
        todo = dict.fromkeys(missing(chosen.language, forms=chosen.form), "")
        sys.stdout.write(json.dumps(todo, ensure_ascii=False, indent=1) + "\n")
        return 0
    if chosen.action == "tidy":
        sys.stdout.write(f"{tidy(chosen.language)} texts taken out\n")
        return 0
    merged = merge(chosen.language, json.loads(chosen.file.read_text(encoding="utf-8")))
    sys.stdout.write(f"{merged.written} texts written, {len(merged.refused)} refused\n")
    for finding in merged.refused:
        sys.stdout.write(f"{finding}\n")
    return 1 if merged.refused else 0


if __name__ == "__main__":
    sys.exit(main())
