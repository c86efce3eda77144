"""A made-up language in which every text is bracketed and accented: what stands without brackets is outside translation."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import polib
import pytest

from forms.compiler import PER_LANGUAGE, Sheet, build, sheets
from forms.engines import convert
from forms.linter import check_pack
from forms.tables import BUILDS, FORMS, LANGUAGES, forget, form_ids, load
from forms.translations import texts_in, texts_of

PACK = "pseudo"
NAME = "Pseudo (zxx)"
RIGHT_TO_LEFT = ("ar", "fa", "prs")
_ACCENTED = str.maketrans("aeioucnsyAEIOUCNSY", "áéíóúçñšýÁÉÍÓÚÇÑŠÝ")
_KEPT = re.compile(r"(\$\{[^}]*\}|</?[a-z][^>]*>|\]\([^)]*\))")
_REFERENCE = re.compile(r"\$\{[^}]*\}")
_PIECES = re.compile(r"⟦[^⟦⟧]*⟧", re.DOTALL)
_SHEETS = ("survey", "choices")


def _pseudo(text: str) -> str:
    """`Case code` becomes `⟦Çášé çódé⟧`; references and links stay as they are."""
    parts = _KEPT.split(text)
    return f"⟦{''.join(part if _KEPT.fullmatch(part) else part.translate(_ACCENTED) for part in parts)}⟧"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The forms of the project with a pack that knows the made-up language alone."""
    copy = tmp_path_factory.mktemp("pseudo") / "forms"
    shutil.copytree(FORMS, copy, ignore=shutil.ignore_patterns("xlsx", "packs", "*.py", "__pycache__"))
    (copy / "packs" / PACK / "translations").mkdir(parents=True)
    manifest = f'title = "Pseudo"\n[languages]\nzxx = "{NAME}"\n'
    (copy / "packs" / PACK / "pack.toml").write_text(manifest, encoding="utf-8")
    po = polib.POFile()
    po.metadata = {"Language": "zxx", "Content-Type": "text/plain; charset=UTF-8"}
    for text in sorted({text for form_id in form_ids() for text in texts_in(load(form_id))}):
        po.append(polib.POEntry(msgid=text, msgstr=_pseudo(text)))
    po.save(str(copy / "packs" / PACK / "translations" / "zxx.po"))
    yield copy
    forget()


def _shown(sheet: Sheet) -> Iterator[tuple[str, str]]:
    """(heading, text) of each cell of the made-up language."""
    header, *rows = sheet
    for place, heading in enumerate(header):
        if heading.endswith(f"::{NAME}") and not heading.startswith("media::"):
            yield from ((heading, row[place]) for row in rows if row[place])


def _bare_headings(sheet: Sheet) -> list[str]:
    """Columns that people read and that name no language."""
    return [heading for heading in sheet[0] if heading in PER_LANGUAGE]


@pytest.mark.parametrize("form_id", form_ids())
def test_no_text_of_a_form_is_outside_translation(root: Path, form_id: str) -> None:
    """Every label, hint and message of both builds comes bracketed, as many as English has; none stands without a language."""
    form = load(form_id, root, PACK)
    for server in BUILDS:
        made = sheets(form, server)
        for sheet in (made[name] for name in _SHEETS if name in made):
            texts = list(_shown(sheet))
            assert [] == [text for text in texts if not _PIECES.fullmatch(text[1])]
            assert [] == _bare_headings(sheet)
            assert len(texts) == len([cell for cell in _english(sheet) if cell])


def _english(sheet: Sheet) -> Iterator[str]:
    header, *rows = sheet
    for place, heading in enumerate(header):
        if heading.endswith(f"::{LANGUAGES['en']}") and not heading.startswith("media::"):
            yield from (row[place] for row in rows)


def test_the_made_up_language_is_complete(root: Path) -> None:
    """The check that knows the four languages finds nothing missing in a fifth, nor a lost reference.

    Each text has its own brackets here, so the note that begins with the form's title cannot begin with it.
    """
    found = [finding for finding in check_pack(PACK, root) if finding.code != "title_not_shown"]
    assert [] == [str(finding) for finding in found]


def test_the_engine_shows_no_other_text(root: Path, tmp_path: Path) -> None:
    """After the conversion too: what stands in the form itself is the title and what its list of languages holds."""
    form = fromstring(convert(build("tracing_request", "kobo", tmp_path, root, PACK)))
    body = next(node for node in form if _tag(node) == "body")
    fixed = [node for node in body.iter() if _tag(node) in ("label", "hint") and node.get("ref") is None]
    assert [] == [node.text for node in fixed if (node.text or "").strip()]
    language = next(node for node in form.iter() if _tag(node) == "translation" and node.get("lang") == NAME)
    said = [
        ("".join(value.itertext()).strip(), value.get("form")) for value in language.iter() if _tag(value) == "value"
    ]
    assert [] == [text for text, kind in said if kind is None and not _PIECES.fullmatch(text) and text != "-"]


def _tag(node: Element) -> str:
    return node.tag.rpartition("}")[2]


@pytest.mark.parametrize("form_id", form_ids())
def test_right_to_left_languages_keep_the_references(form_id: str) -> None:
    """In Arabic, Persian and Dari each `${reference}` of the English text stands as often, inside direction isolates."""
    form = load(form_id, pack="ir")
    for language in RIGHT_TO_LEFT:
        known = texts_of(form, language)
        for text in texts_in(form):
            assert sorted(_REFERENCE.findall(text)) == sorted(_REFERENCE.findall(known[text])), (language, text)
            assert [] == _unisolated(known[text]), (language, text)


def _unisolated(text: str) -> list[str]:
    """References outside direction isolates: a number would be shown in the wrong place of the sentence."""
    outside = re.sub("[\u2066\u2067\u2068][^\u2069]*\u2069", "", text)
    return _REFERENCE.findall(outside)


@pytest.mark.parametrize("language", ["ar", "fa", "fr"])
def test_every_po_file_says_that_it_was_drafted_by_a_machine(language: str) -> None:
    """Until a native practitioner has signed in its header: the forms' own files and those of every pack."""
    files = [FORMS / "translations" / f"{language}.po", *FORMS.glob(f"packs/**/{language}.po")]
    assert 5 == len(files)
    for file in files:
        assert "machine-drafted, not yet reviewed by a native practitioner" in polib.pofile(str(file)).header
