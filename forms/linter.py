"""Checks a form's tables for what no engine tells: pyxform and ODK Validate pass an untranslated cell, a filter on a column
that is not there, a comparison with a choice that does not exist, and they know nothing of data protection.
"""

from __future__ import annotations

import base64
import binascii
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from forms import consent_rules, policy
from forms.errors import Finding, FormError
from forms.expressions import SELF, column_names, compared_literals, instances, pulldata_columns, references
from forms.packs import DEMO, SOURCE, Pack, read_pack
from forms.tables import (
    BEGINS,
    EXPRESSION_COLUMNS,
    FORMS,
    TEXT_COLUMNS,
    TITLE_NOTE,
    FormDefinition,
    Row,
    form_ids,
    load,
    path_of,
    read_table,
    walk,
)
from forms.translations import TRANSLATED, lost_parts, read_po, texts_in, texts_of, unused

_ASKED_TYPES = frozenset(
    [
        "text",
        "integer",
        "decimal",
        "date",
        "time",
        "dateTime",
        "select_one",
        "select_multiple",
        "rank",
        "select_one_from_file",
        "select_multiple_from_file",
        "note",
        "image",
        "audio",
        "video",
        "file",
        "barcode",
        "acknowledge",
        "range",
    ]
)
_KNOWN_TYPES = _ASKED_TYPES | frozenset(
    {"calculate", "hidden", "start", "end", "today", "username", "xml-external", "csv-external"}
)
_REFUSED_TYPES = {
    **dict.fromkeys(
        ("geopoint", "geotrace", "geoshape", "start-geopoint"), "The place of a family can kill: ask for an area code."
    ),
    **dict.fromkeys(
        ("deviceid", "phonenumber", "simserial", "subscriberid", "email", "uri:deviceid"),
        "It points at a person or a phone.",
    ),
    "background-audio": "Nobody is recorded.",
    "audit": "It can record places and device times.",
    "select_one_external": "ODK Web Forms shows a free text box; use select_one_from_file.",
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = frozenset({"meta", "data", "formhub", "entity"})
_CHOICE_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
_COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_VERSION = re.compile(r"\d{10}")
_SENSITIVE = re.compile(
    r"(?:^|_)(?:nationalit(?:y|ies)|citizenships?|religions?|ethnic\w*|tribes?|legal_status|residence_status|immigration\w*|status_kind|"
    r"biometrics?|fingerprints?|iris)(?:_|$)"
)
_BANNED_NAME = re.compile(
    r"(?:^|_)(?:charges|charged_with|accusations?|offences?|offenses?|crimes?|verdicts?|sentences?|treatment|ill_treatment|mistreatment|"
    r"torture|interrogations?|confessions?|was_said|call_content|conversation)(?:_|$)"
)
_BANNED_LABEL = re.compile(
    r"charged with|accused|accusation|convict|offence|interrogat|tortur|mistreat|ill-treat|how (?:is|was|were|are) .{0,40}treated|"
    r"what was said (?:in|during)|what did .{0,40}(?:say|talk about|speak about|tell)|conversation about",
    re.IGNORECASE,
)
_NEVER_NONE = re.compile(r"if\(\$\{(\w+)\} > 0, \$\{\1\}, 1\)")
_RSA_BITS = 2048


def check(form_id: str, root: Path = FORMS, pack: str = DEMO) -> list[Finding]:
    """Every fault of one form, in the order of its tables. A form that cannot be read gives the faults that stop it."""
    try:
        form = load(form_id, root, pack)
    except FormError as error:
        return list(error.findings) or [Finding(form_id, 0, "", error.code, str(error), error.next_step)]
    found = [finding for rule in _RULES for finding in rule(form)]
    return sorted(dict.fromkeys([*found, *policy.findings(form), *consent_rules.check(form)]))


def check_all(root: Path = FORMS) -> list[Finding]:
    """Every fault of every form; what a shared block brings into several forms is told once."""
    found = {finding for form_id in form_ids(root) for finding in check(form_id, root)}
    try:
        return sorted(found.union(_unused_translations(root)))
    except FormError:  # a form that cannot be read: its faults are among those found
        return sorted(found)


def check_pack(pack: str, root: Path = FORMS) -> list[Finding]:
    """Every fault of every form with *pack* laid over it, and those of the pack itself: rows without a source, idle texts."""
    found = {finding for form_id in form_ids(root) for finding in check(form_id, root, pack)}
    try:
        found.update(_sourceless_rows(read_pack(pack, root), root), _idle_texts(pack, root))
    except FormError:  # a pack or form that cannot be read: its faults are among those found
        return sorted(found)
    return sorted(found)


def _sourceless_rows(pack: Pack, root: Path) -> Iterator[Finding]:
    for path in pack.own_tables(root):
        faults: list[Finding] = []
        _, rows = read_table(root, path, faults)
        yield from faults
        for row in rows:
            if not row[SOURCE]:
                mend = "Name the document, or the office, that says so."
                yield row.finding(SOURCE, "source_missing", "The row does not say where it comes from.", mend)


def _idle_texts(pack: str, root: Path) -> Iterator[Finding]:
    forms = [load(form_id, root, pack) for form_id in form_ids(root)]
    asked = {text for form in forms for text in texts_in(form)}
    for path in read_pack(pack, root).own_po_files(root):
        for text in read_po(path).keys() - asked:
            mend = "Take the entry away, or write the text as the table has it."
            file = path.relative_to(root).as_posix()
            yield Finding(file, 0, text, "translation_unused", "The text stands in no form of this pack.", mend)


def _types(form: FormDefinition) -> Iterator[Finding]:
    for row, _ in walk(form.rows):
        if row.type in _REFUSED_TYPES:
            yield row.finding(
                "type", "type_refused", f"The type {row.type!r} is not allowed.", _REFUSED_TYPES[row.type]
            )
        elif row.type not in _KNOWN_TYPES and row.type not in BEGINS:
            yield row.finding(
                "type",
                "unknown_type",
                f"There is no type {row['type']!r}.",
                f"Known: {', '.join(sorted(_KNOWN_TYPES))}.",
            )
        if "or_other" in row["type"].split():
            yield row.finding(
                "type",
                "type_refused",
                "or_other adds an untranslated choice.",
                "Put `other` into the list and a text after it.",
            )
        if row.type == "text" and "numbers" in row["appearance"].split() and "phone" in row.name:
            yield row.finding(
                "appearance", "phone_loses_plus", "ODK Web Forms drops the + of a phone number.", "Take `numbers` away."
            )
        if "search(" in row["appearance"]:
            yield row.finding(
                "appearance", "type_refused", "search() works in ODK Collect alone.", "Use select_one_from_file."
            )


def _names(form: FormDefinition) -> Iterator[Finding]:
    """Names are unique over the whole form, groups included; what each build asks in its own way stands in one place."""
    seen: dict[str, list[tuple[Row, str]]] = {}
    for row, groups in walk(form.rows):
        if not _NAME.fullmatch(row.name) or row.name in _RESERVED:
            mend = "Use small letters, digits and _, beginning with a letter; not meta, data, entity or formhub."
            yield row.finding("name", "bad_name", f"{row.name!r} cannot be a name.", mend)
        if row.name.startswith("c_") and row.name not in consent_rules.CONSENT_NAMES:
            yield row.finding(
                "name", "consent_prefix", f"{row.name!r} begins with c_, which is consent.", "Choose another prefix."
            )
        path = path_of(row, groups)
        for other, other_path in seen.setdefault(row.name, []):
            if other.builds & row.builds:
                mend = "Question names are unique over the whole form, groups included: rename one."
                yield row.finding(
                    "name",
                    "name_twice",
                    f"{row.name!r} is there already ({other.source.file} row {other.source.row}).",
                    mend,
                )
            elif path != other_path:
                yield row.finding(
                    "name",
                    "name_moves",
                    f"{row.name!r} has another path in the other build.",
                    "Put both into the same group.",
                )
        seen[row.name].append((row, path))


def _labels(form: FormDefinition) -> Iterator[Finding]:
    for row, _ in walk(form.rows):
        if row.type in _ASKED_TYPES and not row["label"] and not row["calculation"]:
            yield row.finding("label", "label_missing", f"{row.name!r} has no label.", "Write the question.")
        if row["constraint"] and not row["constraint_message"]:
            yield row.finding(
                "constraint_message",
                "message_missing",
                f"{row.name!r} has a constraint without a message.",
                "Say what is wanted.",
            )
        for column, cell in row.cells.items():
            if "{p}" in cell:
                yield row.finding(column, "prefix_left", "{p} stands outside a block.", "Write the prefix itself.")


def _references(form: FormDefinition) -> Iterator[Finding]:
    names = {build: {row.name for row, _ in walk(form.rows_of(build))} for build in ("kobo", "central")}
    for row, _ in walk(form.rows):
        for column in (*EXPRESSION_COLUMNS, *TEXT_COLUMNS):
            for name in references(row[column]):
                absent = [build for build in sorted(row.builds) if name not in names[build]]
                if absent:
                    where = " and ".join(absent)
                    yield row.finding(
                        column,
                        "unknown_reference",
                        f"${{{name}}} is not in the build {where}.",
                        "Mend the name or use #only.",
                    )


def _literals(form: FormDefinition) -> Iterator[Finding]:
    for row, _ in walk(form.rows):
        for column in EXPRESSION_COLUMNS:
            for name, literal in compared_literals(row[column]):
                question = form.questions.get(row.name if name == SELF else name)
                if question is None or question.list_name is None or not literal:
                    continue
                offered = form.choices[question.list_name].names
                if literal not in offered:
                    message = f"{literal!r} is no choice of {question.name!r} (list {question.list_name})."
                    yield row.finding(column, "choice_unknown", message, f"Its choices: {', '.join(offered)}.")


def _filters(form: FormDefinition) -> Iterator[Finding]:
    for row, _ in walk(form.rows):
        columns = _columns_offered(form, row)
        for name in column_names(row["choice_filter"]):
            if name not in columns:
                message = f"The list has no column {name!r}: nothing would ever be offered."
                yield row.finding(
                    "choice_filter", "filter_column_unknown", message, f"Its columns: {', '.join(columns)}."
                )


def _columns_offered(form: FormDefinition, row: Row) -> tuple[str, ...]:
    if row.list_name:
        return ("name", "label", *form.choices[row.list_name].columns)
    return _header(form.root / "media" / row.file) if row.file else ()


def _choices(form: FormDefinition) -> Iterator[Finding]:
    for choices in form.choices.values():
        counts = Counter(choices.names)
        for choice in choices.choices:
            place = choice.source.file, choice.source.row, "name"
            if choice.name and not _CHOICE_NAME.fullmatch(choice.name):
                yield Finding(
                    *place,
                    "bad_name",
                    f"{choice.name!r} cannot be a choice's name.",
                    "Use letters, digits, _ . + and -.",
                )
            if counts[choice.name] > 1:
                yield Finding(
                    *place, "choice_twice", f"{choice.name!r} is in the list {choices.name} twice.", "Take one away."
                )


def _repeats(form: FormDefinition) -> Iterator[Finding]:
    """A repeat inside a repeat has a number of entries that is never none, and no condition of its own.

    Enketo counts the entries of all outer entries through: it asks a condition on the inner repeat of another outer
    entry, and keeps an answer with another outer entry where one of them shows no inner entry
    (enketo/enketo#103, enketo/enketo#143).
    """
    counted = {row.name for row, _ in walk(form.rows) if _NEVER_NONE.fullmatch(row["calculation"])}
    for row, groups in walk(form.rows):
        if row.type != "begin_repeat" or all(group.type != "begin_repeat" for group in groups):
            continue
        if row["relevant"]:
            mend = "Put the condition on a group around the repeat."
            yield row.finding(
                "relevant", "repeat_condition", "Enketo asks it of another entry of the outer repeat.", mend
            )
        if not counted & {*references(row["repeat_count"])}:
            message = "Enketo keeps answers with another entry of the outer repeat where this one has no entry."
            mend = "Ask for the number, and count by a calculate `if(${number} > 0, ${number}, 1)`."
            yield row.finding("repeat_count", "repeat_uncounted", message, mend)


def _headings(form: FormDefinition) -> Iterator[Finding]:
    """No heading stands twice above one screen, and the first screen says which form it is in every language."""
    for row, groups in walk(form.rows):
        if row.type == "begin_group" and groups and row["label"] and row["label"] == groups[-1]["label"]:
            message = f"The group around it, {groups[-1].name!r}, has the same label: a page prints it twice."
            yield row.finding("label", "heading_twice", message, "Empty one of the two.")
        if row.name == TITLE_NOTE:
            for language in form.languages:
                said = texts_of(form, language).get(row["label"], row["label"])
                if not said.startswith(f"**{form.title(language)}**\n"):
                    mend = "Begin with the title between ** and **, as it is translated, and a new line."
                    message = f"{form.languages[language]}: the first screen does not begin with the form's title."
                    yield row.finding("label", "title_not_shown", message, mend)


def _required(form: FormDefinition) -> Iterator[Finding]:
    for row, _ in walk(form.rows):
        if row["required"] and row["required"] != "no" and _SENSITIVE.search(row.name):
            message = f"{row.name!r} is required, but nobody has to say that."
            yield row.finding("required", "sensitive_required", message, "Empty the cell and offer `pnts`.")


def _banned_topics(form: FormDefinition) -> Iterator[Finding]:
    """No question on charges, on treatment in detention or on what was said; a note may warn of them."""
    for row, _ in walk(form.rows):
        if row.type not in _ASKED_TYPES - {"note"}:
            continue
        mend = "Leave the question out: the answer can harm, and nobody needs it here."
        if _BANNED_NAME.search(row.name):
            yield row.finding(
                "name", "banned_topic", f"{row.name!r} is about charges, treatment or what was said.", mend
            )
        elif _BANNED_LABEL.search(f"{row['label']} {row['hint']}"):
            yield row.finding(
                "label", "banned_topic", f"{row.name!r} asks about charges, treatment or what was said.", mend
            )


def _media(form: FormDefinition) -> Iterator[Finding]:
    file = f"{form.form_id}/settings.toml"
    for name in form.media:
        path = form.root / "media" / name
        if not path.is_file():
            yield Finding(
                file,
                0,
                "media",
                "media_missing",
                f"There is no media/{name}.",
                "Put the file there or take it out of media.",
            )
        elif path.suffix == ".csv":
            yield from _attached_table(path, f"media/{name}")
    for row, _ in walk(form.rows):
        for name in filter(None, (row.file, row["image"])):
            if name not in form.media:
                column = "type" if row.file else "image"
                yield row.finding(
                    column,
                    "media_not_listed",
                    f"{name!r} is not attached to the form.",
                    "Add it to media in settings.toml.",
                )
        if row.file and row.file in form.media:
            yield from _value_columns(form, row)


def _attached_table(path: Path, file: str) -> Iterator[Finding]:
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    header = _header(path)
    for column in header:
        if not _COLUMN_NAME.fullmatch(column):
            mend = "Use letters, digits and _: ODK Web Forms stops at anything else."
            yield Finding(file, 1, column, "media_header", f"{column!r} cannot be a column of an attached file.", mend)
    if "name" not in header:
        yield Finding(
            file, 1, "name", "media_header", "The file has no column `name`.", "Add it, with a code that is there once."
        )
        return
    counts = Counter(line["name"] for line in lines)
    for number, line in enumerate(lines, start=2):
        if counts[line["name"]] > 1 or not line["name"]:
            yield Finding(
                file,
                number,
                "name",
                "media_name_twice",
                f"{line['name']!r} is empty or there twice.",
                "Make it unique.",
            )


def _header(path: Path) -> tuple[str, ...]:
    """Columns of an attached CSV; none when the file is not there (which is a finding of its own)."""
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8", newline="") as stream:
        return tuple(next(csv.reader(stream), []))


def _value_columns(form: FormDefinition, row: Row) -> Iterator[Finding]:
    """A select_one_from_file reads `name` and `label`, or what value= and label= say."""
    given = dict(part.partition("=")[::2] for part in row["parameters"].split())
    header = _header(form.root / "media" / str(row.file))
    for column in (given.get("value", "name"), given.get("label", "label")):
        if header and column not in header:
            yield row.finding(
                "parameters",
                "media_header",
                f"{row.file} has no column {column!r}.",
                f"Its columns: {', '.join(header)}.",
            )


def _lookups(form: FormDefinition) -> Iterator[Finding]:
    """What pulldata() and instance() read is attached, and has the column."""
    stems = {Path(name).stem: name for name in form.media}
    known = {
        *stems,
        *form.choices,
        *(row.name for row, _ in walk(form.rows) if row.type in ("xml-external", "csv-external")),
    }
    for row, _ in walk(form.rows):
        for column in EXPRESSION_COLUMNS:
            for stem, wanted in pulldata_columns(row[column]):
                header = _header(form.root / "media" / stems.get(stem, f"{stem}.csv"))
                if stem not in stems or wanted not in header:
                    message = f"pulldata() finds no column {wanted!r} in {stem}.csv."
                    yield row.finding(
                        column, "lookup_unknown", message, "Attach the file in settings.toml or mend the name."
                    )
            for stem in instances(row[column]):
                if stem not in known:
                    yield row.finding(
                        column,
                        "lookup_unknown",
                        f"There is no instance {stem!r}.",
                        "Attach the file or name a choice list.",
                    )


def _settings(form: FormDefinition) -> Iterator[Finding]:
    file, settings = f"{form.form_id}/settings.toml", form.settings
    if not _VERSION.fullmatch(settings.version):
        yield Finding(
            file,
            0,
            "version",
            "bad_version",
            f"{settings.version!r} is no version.",
            "Write the day and two digits: 2026112101.",
        )
    if form.pack.language not in form.languages:
        mend = f"Its languages: {', '.join(form.languages)}."
        message = f"The forms have no language {form.pack.language!r}."
        yield Finding(f"packs/{form.pack.name}/pack.toml", 0, "language", "bad_value", message, mend)
    names = set(form.questions)
    for name in references(settings.instance_name):
        if name not in names:
            yield Finding(
                file, 0, "instance_name", "unknown_reference", f"There is no question {name!r}.", "Mend the name."
            )
    for entity in settings.entities:
        for name in (name for cell in entity.values() for name in references(cell)):
            if name not in names:
                yield Finding(
                    file, 0, "entities", "unknown_reference", f"There is no question {name!r}.", "Mend the name."
                )
    if settings.public_key and not _is_strong_key(settings.public_key):
        mend = f"Give the base64 text of an RSA public key (DER, {_RSA_BITS} bits or more) on one line."
        yield Finding(file, 0, "public_key", "bad_public_key", "No device could encrypt with this key.", mend)
    if settings.public_key and not settings.submission_url:
        yield Finding(
            file, 0, "submission_url", "missing_key", "An encrypted form needs its submission_url.", "Add it."
        )


def _is_strong_key(text: str) -> bool:
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return False
    return isinstance(key, RSAPublicKey) and key.key_size >= _RSA_BITS


def _languages(form: FormDefinition) -> Iterator[Finding]:
    """Every text stands in every language, with its references, markdown and line breaks."""
    languages = [language for language in form.languages if language != "en"]
    known = {language: texts_of(form, language) for language in languages}
    for place, text in _readable_cells(form):
        absent = [language for language in languages if text not in known[language]]
        if absent:
            names = ", ".join(form.languages[language] for language in absent)
            mend = "List them with `python -m forms.translations missing`, fill them in, merge them."
            yield place("translation_missing", f"No translation into {names}.", mend)
        for language in set(languages) - set(absent):
            fault = lost_parts(language, text, known[language][text])
            if fault:
                yield fault


def _readable_cells(form: FormDefinition) -> Iterator[tuple[Callable[[str, str, str], Finding], str]]:
    """(maker of a finding at that cell, English text) for every cell a person reads."""

    def at(file: str, row: int, column: str) -> Callable[[str, str, str], Finding]:
        return lambda code, message, mend: Finding(file, row, column, code, message, mend)

    yield at(f"{form.form_id}/settings.toml", 0, "title"), form.settings.title
    for row, _ in walk(form.rows):
        for column in TEXT_COLUMNS:
            if row[column]:
                source = row.replaced.get(column, row.source)
                yield at(source.file, source.row, column), row[column]
    for choices in form.choices.values():
        for choice in choices.choices:
            yield at(choice.source.file, choice.source.row, "label"), choice.label


def _unused_translations(root: Path) -> Iterable[Finding]:
    for language in TRANSLATED:
        for text in unused(language, root):
            mend = f"Run `python -m forms.translations tidy {language}`."
            yield Finding(
                f"translations/{language}.po",
                0,
                text,
                "translation_unused",
                "The text stands in no form any more.",
                mend,
            )


_RULES: tuple[Callable[[FormDefinition], Iterator[Finding]], ...] = (
    _types,
    _names,
    _labels,
    _references,
    _literals,
    _filters,
    _choices,
    _repeats,
    _headings,
    _required,
    _banned_topics,
    _media,
    _lookups,
    _settings,
    _languages,
)
