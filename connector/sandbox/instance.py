"""One filled-in form as XML: who it is, which files it names, and how KoboToolbox rewrites it on an edit.

Reading refuses a DOCTYPE and control characters. Paths are those of the data API: `group/question`, without the root.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from xml.dom import Node
from xml.dom.minidom import Document, Element
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.minidom import parseString

from connector.sandbox.records import Answer, kobo_answers

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>\s*")
_STEP = re.compile(r"([^\[\]/]+)(?:\[(\d+)\])?")
_PROTECTED = ("__version__", "formhub", "meta")


class BadXml(ValueError):
    """The bytes are not an XML document that a server should read."""


class Instance:
    """The XML of one submission, parsed.

    Raises:
        BadXml: not well formed, with a DOCTYPE, or with control characters.
    """

    def __init__(self, xml: bytes) -> None:
        if _CONTROL.search(xml):
            raise BadXml("control characters")
        try:
            self._document: Document = parseString(xml, forbid_dtd=True)  # type: ignore[arg-type]  # bytes are taken too
        except (ExpatError, DefusedXmlException, ValueError) as error:
            raise BadXml(str(error)) from error
        root = self._document.documentElement
        if root is None:
            raise BadXml("no root")
        self._root: Element = root
        self.xml = xml

    @property
    def form_id(self) -> str:
        """The root's `id`."""
        return self._root.getAttribute("id")

    @property
    def encrypted(self) -> bool:
        """Whether this is only the envelope of an encrypted submission."""
        return self._root.getAttribute("encrypted") == "yes"

    @property
    def submitted_at(self) -> datetime | None:
        """The root's `submissionDate`, which overrides the server's clock."""
        stated = self._root.getAttribute("submissionDate")
        return datetime.fromisoformat(stated) if stated else None

    @property
    def formhub_uuid(self) -> str | None:
        """Which project it says it belongs to."""
        return self._text("formhub", "uuid")

    def meta(self, name: str) -> str | None:
        """A value of the `meta` block, `instanceID` for one, whatever prefix the block carries; None when absent."""
        return self._text("meta", name)

    @property
    def uuid(self) -> str | None:
        """The instanceID without `uuid:`."""
        return _bare(self.meta("instanceID"))

    @property
    def root_uuid(self) -> str | None:
        """The rootUuid it states, without `uuid:`."""
        return _bare(self.meta("rootUuid"))

    @property
    def deprecated_uuid(self) -> str | None:
        """The instanceID that this one replaces, without `uuid:`."""
        return _bare(self.meta("deprecatedID"))

    def answers(self, repeats: Collection[str]) -> dict[str, Answer]:
        """Answers under Kobo's keys; of an envelope its own elements, prefixes kept."""
        if self.encrypted:
            return _envelope(self._root, "")
        return kobo_answers(self.xml, repeats)

    def file_paths(self, media: Collection[str], repeats: Collection[str]) -> dict[str, str]:
        """File name → path of the media question that names it, repeats numbered: `relatives[1]/rel_photo`."""
        return {
            text: numbered for path, numbered, text in _leaves(self._root, "", "", frozenset(repeats)) if path in media
        }

    def text(self) -> str:
        """The document without its XML declaration."""
        return _DECLARATION.sub("", self.xml.decode())

    def pretty(self, keep: Collection[str] = ()) -> bytes:
        """Indented, as the XML hook sends it; with *keep* only the named questions and groups."""
        root: Element = self._root.cloneNode(deep=True)  # type: ignore[assignment]
        _strip_blank(root)
        if keep:
            _prune(root, "", keep)
        body = root.toprettyxml(indent="  ")
        return f"<?xml version='1.0' encoding='utf-8'?>\n{body}".encode()

    def edited(self, answers: Mapping[str, str], new_uuid: str, root_uuid: str) -> bytes:
        """The XML after a bulk update: *answers* set (made when missing), the identity moved on by one version."""
        old = self.meta("instanceID")
        for path, text in answers.items():
            if path.split("/")[0] not in _PROTECTED:
                self._set(path, text)
        self._set("meta/instanceID", f"uuid:{new_uuid}")
        self._set("meta/deprecatedID", old or "")
        self._set("meta/rootUuid", f"uuid:{root_uuid}")
        return self._root.toxml().encode()

    def duplicated(self, new_uuid: str, now: datetime) -> bytes:
        """The XML of a copy: a new identity, started and ended *now*."""
        meta = self._child(self._root, "meta")
        for name in ("deprecatedID", "rootUuid"):
            node = None if meta is None else self._child(meta, name)
            if meta is not None and node is not None:
                meta.removeChild(node)
        stamp = now.isoformat(timespec="milliseconds")
        for name in ("start", "end"):
            if self._child(self._root, name) is not None:
                self._set(name, stamp)
        self._set("meta/instanceID", f"uuid:{new_uuid}")
        return self._root.toxml().encode()

    def _text(self, *path: str) -> str | None:
        node: Element | None = self._root
        for name in path:
            node = None if node is None else self._child(node, name)
        return None if node is None else _content(node) or None

    def _child(self, node: Element, name: str, number: int = 1) -> Element | None:
        named = [child for child in _elements(node) if _local(child) == name]
        return named[number - 1] if len(named) >= number else None

    def _set(self, path: str, text: str) -> None:
        node = self._root
        for name, number in _STEP.findall(path):
            child = self._child(node, name, int(number or 1))
            if child is None:
                child = self._document.createElement(name)
                node.appendChild(child)
            node = child
        for old in list(node.childNodes):
            node.removeChild(old)
        node.appendChild(self._document.createTextNode(text))


def from_json(form_id: str, submission: Mapping[str, object]) -> bytes:
    """The XML of a submission that was sent as JSON: keys in order of the alphabet, lists of texts joined by a space."""
    return f'<{form_id} id="{form_id}">\n{_json_children(submission)}</{form_id}>'.encode()


def _json_children(values: Mapping[str, object], indent: str = "") -> str:
    return "".join(_json_node(name, values[name], indent) for name in sorted(values))


def _json_node(name: str, value: object, indent: str) -> str:
    if isinstance(value, Mapping):
        return f"{indent}<{name}>\n{_json_children(value, indent + '  ')}{indent}</{name}>\n"
    if isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        return "".join(_json_node(name, entry, indent) for entry in value)
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{indent}<{name}>{escape(text)}</{name}>\n"


def _elements(node: Element) -> list[Element]:
    return [child for child in node.childNodes if isinstance(child, Element)]


def _local(node: Element) -> str:
    return node.nodeName.rpartition(":")[2]


def _content(node: Element) -> str:
    return "".join(
        child.data for child in node.childNodes if child.nodeType in (Node.TEXT_NODE, Node.CDATA_SECTION_NODE)
    )


def _bare(identifier: str | None) -> str | None:
    return None if identifier is None else identifier.removeprefix("uuid:")


def _leaves(node: Element, key: str, numbered: str, repeats: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """(path, path with the entries of repeats numbered from 1, text) of every answer."""
    counts: dict[str, int] = {}
    for child in _elements(node):
        name = _local(child)
        path, step = f"{key}/{name}" if key else name, f"{numbered}/{name}" if numbered else name
        if path in repeats:
            counts[path] = counts.get(path, 0) + 1
            step += f"[{counts[path]}]"
        if _elements(child):
            yield from _leaves(child, path, step, repeats)
        else:
            yield path, step, _content(child)


def _envelope(node: Element, key: str) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for child in _elements(node):
        path = f"{key}/{child.nodeName}" if key else child.nodeName
        inside: dict[str, Answer] = _envelope(child, path) if _elements(child) else {path: _content(child)}
        if path == "media" and "media/file" in answers:
            answers["media"] = [{"media/file": answers.pop("media/file")}, inside]
        elif isinstance(listed := answers.get(path), list):
            listed.append(inside)
        else:
            answers |= inside
    return answers


def _strip_blank(node: Element) -> None:
    for child in list(node.childNodes):
        if isinstance(child, Element):
            _strip_blank(child)
        elif _elements(node) and not getattr(child, "data", "x").strip():
            node.removeChild(child)


def _prune(node: Element, key: str, keep: Collection[str]) -> bool:
    """Removes what *keep* does not name; True when something of *node* stays."""
    for child in _elements(node):
        path = f"{key}/{_local(child)}" if key else _local(child)
        named = path in keep or _local(child) in keep
        if not named and not (_elements(child) and _prune(child, path, keep)):
            node.removeChild(child)
    return bool(_elements(node))
