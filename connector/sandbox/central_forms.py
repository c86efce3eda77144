"""What ODK Central reads in a form and in a filled-in one. Pure.

A form is an XForm, or an XLSForm that pyxform turns into one; its fields are those of the primary instance, with the
types of their binds. Reading refuses entities.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING

from pyxform.errors import PyXFormError
from pyxform.xls2xform import convert

from connector.transforms.xml_answers import NotXml, parse, path_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_TEMPLATE = "{http://openrosa.org/javarosa}template"


class NotAForm(ValueError):
    """What was uploaded cannot become a form."""


@dataclass(frozen=True)
class FormField:
    """A question, group or repeat; *path* begins with a slash."""

    path: str
    name: str
    type: str
    multiple: bool = False

    def as_json(self) -> dict[str, object]:
        """As `…/fields` shows it."""
        binary = True if self.type == "binary" else None
        return {
            "path": self.path,
            "name": self.name,
            "type": self.type,
            "binary": binary,
            "selectMultiple": self.multiple or None,
        }


@dataclass(frozen=True)
class XForm:
    """One version of a form.

    Raises:
        NotAForm: it has no primary instance with an id.
    """

    xml: bytes
    from_xlsx: bool = False

    def __post_init__(self) -> None:
        if not self.form_id:
            raise NotAForm("the form has no id")

    @cached_property
    def _root(self) -> Element:
        try:
            return parse(self.xml)
        except NotXml as error:
            raise NotAForm(str(error)) from None

    @cached_property
    def _instance(self) -> Element:
        instance = self._root.find(".//{*}model/{*}instance/*")
        if instance is None:
            raise NotAForm("the form has no primary instance")
        return instance

    @property
    def form_id(self) -> str:
        """The primary instance's `id`."""
        return self._instance.get("id", "")

    @property
    def version(self) -> str:
        """The primary instance's `version`, empty when there is none."""
        return self._instance.get("version", "")

    @property
    def title(self) -> str | None:
        """What people call it."""
        return self._root.findtext(".//{*}head/{*}title")

    @property
    def encrypts(self) -> bool:
        """Whether devices encrypt with a key that the form itself carries."""
        return any(node.get("base64RsaPublicKey") for node in self._root.iterfind(".//{*}model/{*}submission"))

    @property
    def uses_entities(self) -> bool:
        """Whether it makes or changes entities, or shows a list."""
        return self._instance.find(".//{*}meta/{*}entity") is not None

    @property
    def writes_lists(self) -> frozenset[str]:
        """Names of the lists whose entities it makes or changes."""
        nodes = self._instance.iterfind(".//{*}meta/{*}entity")
        return frozenset(node.get("dataset", "") for node in nodes)

    @property
    def saved_to(self) -> frozenset[str]:
        """Names of the properties that its answers become."""
        nodes = self._root.iterfind(".//{*}model/{*}bind")
        found = (value for node in nodes for key, value in node.items() if key.endswith("}saveto"))
        return frozenset(found)

    @property
    def needs_files(self) -> list[str]:
        """Names of the media files that it refers to."""
        nodes = [node.get("src", "") for node in self._root.iterfind(".//{*}model/{*}instance")]
        values = [node.text or "" for node in self._root.iterfind(".//{*}itext//{*}value")]
        named = [text for text in (*nodes, *values) if text.startswith("jr://")]
        return sorted({text.rpartition("/")[2] for text in named if "jr://instance/last-saved" not in text})

    def hashed(self, kind: str) -> str:
        """md5, sha1 or sha256 of the form in hexadecimal digits."""
        return hashlib.new(kind, self.xml, usedforsecurity=False).hexdigest()

    @cached_property
    def fields(self) -> tuple[FormField, ...]:
        """In the order of the form, groups before what is in them."""
        return tuple(self._fields_in(self._instance, ""))

    @cached_property
    def _types(self) -> dict[str, str]:
        binds = self._root.iterfind(".//{*}model/{*}bind")
        return {self._below(bind.get("nodeset", "")): bind.get("type", "unknown").rpartition(":")[2] for bind in binds}

    @cached_property
    def _repeats(self) -> frozenset[str]:
        return frozenset(self._below(node.get("nodeset", "")) for node in self._root.iterfind(".//{*}repeat"))

    @cached_property
    def _multiple(self) -> frozenset[str]:
        return frozenset(self._below(node.get("ref", "")) for node in self._root.iterfind(".//{*}body//{*}select"))

    def _below(self, path: str) -> str:
        """The path without the root's name: `/data/sought/name` → `sought/name`."""
        return path.strip().removeprefix("/").partition("/")[2]

    def _fields_in(self, node: Element, path: str) -> Iterator[FormField]:
        seen: set[str] = set()
        for child in node:
            below = path_of(path, child)
            if below in seen:
                continue
            seen.add(below)
            yield self._field(child, below)
            if below in self._repeats or len(child):
                yield from self._fields_in(child, below)

    def _field(self, node: Element, path: str) -> FormField:
        structural = "repeat" if path in self._repeats else "structure" if len(node) else None
        kind = structural or self._types.get(path, "unknown")
        return FormField(f"/{path}", path.rpartition("/")[2], kind, path in self._multiple)


def from_xlsx(workbook: bytes) -> tuple[XForm, list[str]]:
    """The form that pyxform makes of a workbook, and its warnings; raises `NotAForm` with pyxform's words."""
    try:
        made = convert(xlsform=BytesIO(workbook), file_type=".xlsx")
    except PyXFormError as error:
        raise NotAForm(str(error)) from error
    return XForm(made.xform.encode(), from_xlsx=True), list(made.warnings)


class Record:
    """The XML of one filled-in form, as it was sent.

    Raises:
        NotXml: it cannot be read.
    """

    def __init__(self, xml: bytes) -> None:
        self.xml = xml
        self.root = parse(xml)

    @property
    def form_id(self) -> str:
        """The root's `id`."""
        return self.root.get("id", "")

    @property
    def version(self) -> str:
        """The version of the form that it was filled in with."""
        return self.root.get("version", "")

    @property
    def encrypted(self) -> bool:
        """Whether this is only the envelope of an encrypted one."""
        return self.root.get("encrypted") == "yes"

    @property
    def encrypted_xml(self) -> str | None:
        """The name of the file with the answers of an encrypted one."""
        return self.root.findtext("{*}encryptedXmlFile")

    def meta(self, name: str) -> str | None:
        """A value of the `meta` block, `instanceID` for one; None when absent or empty."""
        return self.root.findtext(f"{{*}}meta/{{*}}{name}") or None

    def files(self, form: XForm) -> list[str]:
        """Names of the files that it refers to, sorted."""
        if self.encrypted:
            named = [node.text or "" for node in self.root.iterfind("{*}media/{*}file")]
            return sorted({*named, self.encrypted_xml or ""} - {""})
        binary = {field.path for field in form.fields if field.type == "binary"}
        return sorted({text for path, text in _leaves(self.root, "") if f"/{path}" in binary})


def _leaves(node: Element, path: str) -> Iterator[tuple[str, str]]:
    for child in node:
        below = path_of(path, child)
        if len(child):
            yield from _leaves(child, below)
        elif child.text:
            yield below, child.text
