"""Reads an XForm back into rows, as far as two versions of a form have to be compared.

A server that keeps XForms alone (ODK Central) shows what devices have in no other way. Names, types, groups, repeats,
choices, conditions and the English labels are read; both sides of a comparison go through this same reading.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from forms.compiler import Sheet, write_sheets
from forms.differences import Cells, Rows
from forms.engines import convert
from forms.errors import FormError
from forms.tables import LANGUAGES

_CONTROLS = {
    "select1": "select_one",
    "select": "select_multiple",
    "rank": "rank",
    "upload": "file",
    "trigger": "acknowledge",
}
_TYPES = {"string": "text", "int": "integer"}
_CONDITIONS = ("relevant", "constraint", "required", "calculate")
_META = "meta"


def convert_sheets(form_id: str, sheets: Mapping[str, Sheet]) -> str:
    """The XForm of a build; raises `FormError` when pyxform refuses it or warns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{form_id}.xlsx"
        with path.open("wb") as stream:
            write_sheets(stream, sheets)
        return convert(path)


def rows_of_xform(xml: bytes) -> Rows:
    """An XForm as sheets.

    Raises:
        FormError: `forms.not_an_xform`.
    """
    try:
        reading = _Reading(fromstring(xml))
    except (ValueError, SyntaxError, IndexError, StopIteration) as error:
        raise FormError(
            "forms.not_an_xform", "what the server sent", "Look whether the form there is whole."
        ) from error
    return {"survey": [*reading.survey()], "choices": [*reading.choices()], "settings": [reading.settings()]}


class _Reading:
    """One XForm: its model (instance and bindings), its controls and its texts."""

    def __init__(self, root: Element) -> None:
        self._root = root
        model = next(root.iterfind(_any("model")))
        instances = [*model.findall("{*}instance")]
        self._primary = instances[0][0]
        self._lists = {one.get("id", ""): one for one in instances[1:]}
        self._binds = {one.get("nodeset", ""): one for one in model.findall("{*}bind")}
        self._submission = model.find("{*}submission")
        self._texts = _texts(model)
        body = next(root.iterfind(_any("body")))
        self._repeats = {one.get("nodeset", "") for one in body.iterfind(_any("repeat"))}
        self._controls = {ref: one for one in body.iter() if (ref := one.get("ref")) and _bare(one) != "label"}

    def survey(self) -> Iterator[Cells]:
        yield from self._within(self._primary, f"/{_bare(self._primary)}")

    def _within(self, element: Element, path: str) -> Iterator[Cells]:
        seen: set[str] = set()
        for node in element:
            name = _bare(node)
            here = f"{path}/{name}"
            if name == _META or name in seen:  # a repeat stands twice, once as its template
                continue
            seen.add(name)
            if len(node):
                kind = "repeat" if here in self._repeats else "group"
                yield {"type": f"begin_{kind}", "name": name}
                yield from self._within(node, here)
                yield {"type": f"end_{kind}"}
            else:
                yield self._question(name, here)

    def _question(self, name: str, path: str) -> Cells:
        bind, control = self._binds.get(path), self._controls.get(path)
        cells = {"type": self._type(bind, control), "name": name}
        label = control.find("{*}label") if control is not None else None
        if label is not None and (text := self._text(label)):
            cells[f"label::{LANGUAGES['en']}"] = text
        if bind is not None:
            cells |= {key: bind.get(key, "") for key in _CONDITIONS if bind.get(key)}
        return cells

    def _type(self, bind: Element | None, control: Element | None) -> str:
        stated = (bind.get("type", "string") if bind is not None else "string").rpartition(":")[2]
        if control is None:
            return "calculate" if bind is not None and bind.get("calculate") else "hidden"
        kind = _CONTROLS.get(_bare(control), "")
        if kind in ("select_one", "select_multiple", "rank"):
            name, external = self._list_of(control)
            return f"{kind}_from_file {name}" if external else f"{kind} {name}"
        if kind == "file":
            return control.get("mediatype", "file").partition("/")[0]
        if bind is not None and bind.get("readonly") == "true()":
            return "note"
        return kind or _TYPES.get(stated, stated)

    def _list_of(self, control: Element) -> tuple[str, bool]:
        """(list, whether it is an attached file); a list of its own is called after the question."""
        itemset = control.find("{*}itemset")
        if itemset is None:
            return control.get("ref", "").rpartition("/")[2], False
        name = itemset.get("nodeset", "").partition("instance('")[2].partition("'")[0]
        external = self._lists[name].get("src", "") if name in self._lists else ""
        return (external.rpartition("/")[2], True) if external else (name, False)

    def choices(self) -> Iterator[Cells]:
        for name, instance in self._lists.items():
            for item in instance.iterfind(_any("item")):
                value = item.find("{*}name")
                yield {"list_name": name, "name": (value.text if value is not None else "") or ""}
        for ref, control in self._controls.items():
            for item in control.findall("{*}item"):
                value = item.find("{*}value")
                yield {"list_name": ref.rpartition("/")[2], "name": (value.text if value is not None else "") or ""}

    def settings(self) -> Cells:
        key = self._submission.get("base64RsaPublicKey", "") if self._submission is not None else ""
        cells = {"version": self._primary.get("version", ""), "public_key": key}
        return {name: text for name, text in cells.items() if text}

    def _text(self, label: Element) -> str:
        """A label in English; the text with its references left out where it stands in the label itself."""
        ref = label.get("ref", "")
        if "itext('" in ref:
            return self._texts.get(ref.partition("itext('")[2].partition("'")[0], "")
        return "".join(label.itertext())


def _texts(model: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for translation in model.iterfind(_any("translation")):
        if translation.get("lang") == LANGUAGES["en"]:
            for text in translation:
                value = next((one for one in text if one.get("form") is None), None)
                found[text.get("id", "")] = "".join(value.itertext()) if value is not None else ""
    return found


def _any(name: str) -> str:
    return f".//{{*}}{name}"


def _bare(element: Element) -> str:
    return element.tag.rpartition("}")[2]
