"""The parts that the product needs at run time, as a CycloneDX bill of materials, and the rule for their licences."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).parents[2]
_RULE = Path(__file__).with_name("licences.toml")


class _License(BaseModel):
    id: str | None = None
    name: str | None = None


class _Choice(BaseModel):
    license: _License | None = None
    expression: str | None = None

    def text(self) -> str:
        named = self.license or _License()
        return self.expression or named.id or named.name or ""


class Component(BaseModel):
    """One part: a package in one version."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    ref: str = Field(alias="bom-ref")
    name: str
    version: str
    licenses: list[_Choice] = []


class _Needs(BaseModel):
    ref: str
    depends_on: list[str] = Field(default=[], alias="dependsOn")


class Bill(BaseModel):
    """A bill of materials (CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/); what is not looked at here stays in it."""

    model_config = ConfigDict(extra="allow")
    components: list[Component] = []
    dependencies: list[_Needs] = []

    def written(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_unset=True, indent=1) + "\n"


class _Decision(BaseModel):
    licence: str
    why: str


class Rule(BaseModel):
    """Which licences the product may carry: `licences.toml`."""

    model_config = ConfigDict(extra="forbid")
    allowed: frozenset[str]
    also_called: Mapping[str, str]
    decided: Mapping[str, _Decision]


@dataclass(frozen=True)
class Refusal:
    """A part that may not be in the product as things stand."""

    part: str
    version: str
    licence: str

    def __str__(self) -> str:
        return (
            f"{self.part} {self.version}: licence {self.licence or 'not stated'}. "
            f"Choose another library, or read its licence and write the decision into {_RULE.relative_to(ROOT)}"
        )


def rule(text: str | None = None) -> Rule:
    return Rule.model_validate(tomllib.loads(text or _RULE.read_text(encoding="utf-8")))


def environment() -> Bill:
    """All that is installed beside Silah here, with what needs what."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [*command, "--output-reproducible", "--no-validate", sys.executable],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return Bill.model_validate_json(done.stdout)


def of_the_product(everything: Bill, *extras: str) -> Bill:
    """*everything* without what only tests and builds use.

    Args:
        extras: the extras of pyproject.toml that count as product.
    """
    wanted = _closure(Requirement(f"silah[{','.join(extras)}]"))
    kept = [one for one in everything.components if canonicalize_name(one.name) in wanted]
    refs = {one.ref for one in kept} | {"root-component"}
    needs = [
        one.model_copy(update={"depends_on": [ref for ref in one.depends_on if ref in refs]})
        for one in everything.dependencies
        if one.ref in refs
    ]
    return everything.model_copy(update={"components": kept, "dependencies": needs})


def _closure(root: Requirement) -> set[str]:
    """Canonical names of what *root* needs on this machine. (The bill's own graph follows extras that nobody asked for.)"""
    reached: set[tuple[str, str]] = set()
    todo = [root]
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        fresh = {(name, extra) for extra in {"", *one.extras}} - reached
        reached |= fresh
        todo.extend(needed for _, extra in fresh for needed in _needs_of(name, extra))
    return {name for name, _ in reached} - {canonicalize_name(root.name)}


def _needs_of(name: str, extra: str) -> list[Requirement]:
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": extra})]


def refused(bill: Bill, by: Rule) -> list[Refusal]:
    """The parts whose licence nobody has allowed, by name."""
    return [
        Refusal(one.name, one.version, ", ".join(choice.text() for choice in one.licenses))
        for one in sorted(bill.components, key=lambda part: part.name.lower())
        if one.name not in by.decided and not _allowed(one, by)
    ]


def _allowed(one: Component, by: Rule) -> bool:
    """Every licence that is stated must be allowed: metadata that say MIT here and GPL there are a question for a person."""
    stated = [by.also_called.get(choice.text(), choice.text()) for choice in one.licenses]
    return bool(stated) and all(_fits(expression, by.allowed) for expression in stated)


def _fits(expression: str, allowed: frozenset[str]) -> bool:
    """`A OR B` is our choice, `A AND B` is not; brackets and exceptions are for a person to decide."""
    if "(" in expression or " WITH " in expression:
        return False
    return any(all(part in allowed for part in way.split(" AND ")) for way in expression.split(" OR "))
