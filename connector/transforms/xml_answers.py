"""The XML record of a filled-in form as answers by path. Pure.

The same answers whichever server kept the record: every answer is a text; what was not answered is absent; a key is
the path of groups and name, `sought/identity/s_dob`; a repeat is a tuple of mappings whose keys repeat the full path,
and is absent when nothing in it was answered.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from connector.model import Answer, Answers


class NotXml(ValueError):
    """The bytes are not an XML document that may be read: not well formed, or with entities."""


def parse(xml: bytes) -> Element:
    """The root of a record; raises `NotXml`."""
    try:
        root: Element = fromstring(xml)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise NotXml(type(error).__name__) from None
    return root


def answers_in(node: Element, repeats: Collection[str], path: str = "") -> Answers:
    """The answers under *node*, in the record's order.

    Args:
        node: the record's root, whatever it is called.
        repeats: full paths of the form's repeats, `sought/s_alias`. They are known by their names, which a form has
            once: a record of an earlier version may have them in another group.
        path: where *node* stands; the root stands nowhere.
    """
    return _answers(node, frozenset(repeat.rpartition("/")[2] for repeat in repeats), path)


def _answers(node: Element, repeats: Collection[str], path: str) -> Answers:
    answers: dict[str, Answer] = {}
    for child in node:
        key = path_of(path, child)
        if len(child) == 0:
            if child.text:
                answers[key] = child.text
            continue
        inside = _answers(child, repeats, key)
        if key.rpartition("/")[2] not in repeats:
            answers |= inside
        elif inside:
            entries = answers.get(key, ())
            answers[key] = (*entries, inside) if isinstance(entries, tuple) else (inside,)
    return answers


def path_of(path: str, node: Element) -> str:
    """The path of *node*, which stands under *path*; namespaces do not count."""
    name = node.tag.rpartition("}")[2]
    return f"{path}/{name}" if path else name
