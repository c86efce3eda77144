"""The stable codes in the product's source, found by reading it and not by running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("connector", "forms", "webhooks")
_ERRORS = {"SilahError", "FormError"}
_REASONS = {"Withheld", "Waiting"}
# Families of codes that stand in the source as plain text, returned or passed on.
_MORE_FAMILIES = {"caution", "content", "mail", "phone", "receipt", "server"}
_LOOKS_LIKE_A_CODE = re.compile(r"[a-z]+\.[a-z0-9_<>.]*[a-z0-9_>]")
_FILES = (".toml", ".json", ".xlsx", ".csv", ".xml", ".txt", ".css", ".tsv", ".html", ".lock", ".key")
# The network's failures, which an adapter puts behind its own name: f"kobo.{error.code}".
_NETWORK = "<error.code>"
# Counters of refused webhooks: the same codes behind a word.
_COUNTERS = {"webhook.<refusal.code>", "webhook.<error.code>"}


def product_codes() -> set[str]:
    """Every code; `<…>` stands for what is filled in when it arises."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in _product_files()]
    errors = _error_classes(trees)
    raised = {code for tree in trees for code in _raised(tree, errors)}
    families = {code.partition(".")[0] for code in raised if "." in code} | _MORE_FAMILIES
    written = {code for tree in trees for code in _written(tree) if code.partition(".")[0] in families}
    network = {str(code) for tree in trees for code in _first_arguments(tree, {"Unreachable"})}
    return {one for code in (raised | written) - _COUNTERS for one in _with_network(code, network)}


def _product_files() -> Iterator[Path]:
    """The sandbox plays the servers' part: its codes are theirs."""
    for package in _PACKAGES:
        yield from (path for path in sorted((ROOT / package).rglob("*.py")) if "sandbox" not in path.parts)


def _error_classes(trees: list[ast.Module]) -> set[str]:
    found = set(_ERRORS)
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while True:
        new = {one.name for one in classes if {ast.unparse(base) for base in one.bases} & found} - found
        if not new:
            return found
        found |= new


def _raised(tree: ast.Module, errors: set[str]) -> Iterator[str]:
    yield from _first_arguments(tree, errors | _REASONS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) == "Refusal":
            yield from _texts(node.args[1])


def _first_arguments(tree: ast.Module, names: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) in names and node.args:
            yield from _texts(node.args[0])


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"<{ast.unparse(part).strip('{}')}>"
            for part in (_hole(one) for one in node.values)
        )
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)


def _hole(part: ast.expr) -> ast.expr:
    return part.value if isinstance(part, ast.FormattedValue) else part


def _written(tree: ast.Module) -> Iterator[str]:
    """Texts that have the shape of a code and are no file, no logger and no piece of a longer text."""
    pieces = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in pieces:
            for text in _texts(node):
                if _LOOKS_LIKE_A_CODE.fullmatch(text) and not text.endswith(_FILES):
                    yield text


def _with_network(code: str, network: set[str]) -> Iterator[str]:
    if code.endswith(_NETWORK):
        yield from (code.replace(_NETWORK, one) for one in network)
    else:
        yield code


def same(code: str, documented: str) -> bool:
    """Whether *documented* explains *code*: a hole of either may be filled in by the other."""
    return bool(_pattern(code).fullmatch(documented) or _pattern(documented).fullmatch(code))


def _pattern(code: str) -> re.Pattern[str]:
    pieces = re.split(r"<[^>]*>", code)
    return re.compile(r"[a-z0-9_<>.]+".join(re.escape(piece) for piece in pieces))
