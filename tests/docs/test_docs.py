"""The documentation is held against the product: what exists is described, and what is described exists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from connector.app import SERVERS, TARGETS
from connector.cli import main
from connector.config import Alerts, Config, Dispatch, Door, Figures, FormKey, Matching, Retention, Server, Target
from connector.model import Recipient
from connector.sandbox.demo import REQUESTS
from connector.transforms.registry import RECORDS
from forms.tables import form_ids
from tests.docs.codes import ROOT, product_codes, same

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
SETTINGS: dict[str, type[BaseModel]] = {
    "The top of the file": Config,
    "Servers": Server,
    "Targets": Target,
    "Dispatch": Dispatch,
    "Door": Door,
    "Retention": Retention,
    "Figures": Figures,
    "Matching": Matching,
    "Alerts": Alerts,
}
SECTIONS = {
    "servers",
    "targets",
    "dispatch",
    "door",
    "figures",
    "matching",
    "retention",
    "alerts",
}  # tables of their own in the file


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under *heading* up to the next heading of its level or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,6}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no heading {heading!r}"
    return found[2]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row of *text*, but for heads and rules."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def codes_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def leaves(command: click.Command, path: str = "silah") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by what one types."""
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            yield from leaves(inner, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(leaves(main))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_is_described_with_all_it_takes(path: str) -> None:
    """docs/running.md has a section for each command that names its arguments and options."""
    text = section(page("docs/running.md"), f"`{path}`")
    words = {
        name
        for parameter in COMMANDS[path].params
        for name in (
            [one for one in parameter.opts if one.startswith("--")]
            if isinstance(parameter, click.Option)
            else [parameter.make_metavar(click.Context(COMMANDS[path])).strip("[].")]
        )
    }
    assert set() == {word for word in words if word not in text}


def test_no_command_is_described_that_is_not_there() -> None:
    """A heading of a command that was renamed or removed is found."""
    described = re.findall(r"^#+ `(silah [^`]+)`$", page("docs/running.md"), re.MULTILINE)
    assert sorted(COMMANDS) == sorted(described)


@pytest.mark.parametrize("heading", SETTINGS)
def test_every_setting_is_described_with_its_default(heading: str) -> None:
    """docs/running.md has a row for each key of silah.toml, with the default that the product has."""
    described = {
        key: cells[1] for cells in rows(section(page("docs/running.md"), heading)) for key in codes_in(cells[0])
    }
    fields = {name: field for name, field in SETTINGS[heading].model_fields.items() if name not in SECTIONS}
    defaults = {
        name: "needed" if field.is_required() else written(field.get_default(call_default_factory=True))
        for name, field in fields.items()
    }
    assert defaults == described


def test_the_keys_of_an_encrypted_form_are_described() -> None:
    """`[servers.<name>.form_keys.<form>]` has keys of the server's table and no other."""
    described = {key for cells in rows(section(page("docs/running.md"), "Servers")) for key in codes_in(cells[0])}
    assert set() == set(FormKey.model_fields) - described


def written(value: object) -> str:
    """A default as the table writes it."""
    if isinstance(value, timedelta):
        return f"`{duration(value)}`"
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool | int | float):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`'


def duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    size, unit = next(
        (size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if not seconds % size
    )
    return f"{seconds // size}{unit}"


def test_every_code_is_explained() -> None:
    """Each stable code of the source stands in docs/errors.md, so that nobody meets one without advice."""
    explained = [code for cells in rows(page("docs/errors.md")) for code in codes_in(cells[0])]
    assert [] == sorted(code for code in product_codes() if not any(same(code, one) for one in explained))


def test_no_code_is_explained_that_is_not_there() -> None:
    """A row of a code that the product no longer has is found."""
    known = product_codes()
    explained = {
        code
        for cells in rows(page("docs/errors.md"))
        if len(cells) == 4  # tables of codes; those of words have three columns
        for code in codes_in(cells[0])
    }
    assert [] == sorted(code for code in explained if not any(same(one, code) for one in known))


def test_every_form_is_listed() -> None:
    """docs/architecture.md names each form, and says of each whether the connector reads it."""
    described = {cells[0].strip("`"): cells[2] for cells in rows(section(page("docs/architecture.md"), "The forms"))}
    assert {form: "yes" if form in RECORDS else "not yet" for form in form_ids()} == described


def test_every_kind_of_target_and_server_is_listed() -> None:
    """docs/running.md tells of each type whether this version has it."""
    text = section(page("docs/running.md"), "Types")
    described = {cells[0].strip("`"): cells[1] for cells in rows(text)}
    kinds = [*literals(Server), *literals(Target)]
    assert {kind: "yes" if kind in {**SERVERS, **TARGETS} else "not yet" for kind in kinds} == described


def literals(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(model.model_json_schema()["properties"]["type"]["enum"])


def test_every_recipient_is_listed() -> None:
    """docs/data-protection.md says for each class of recipients which question opens it."""
    text = section(page("docs/data-protection.md"), "Which question opens which receiver")
    assert sorted(Recipient) == sorted(cells[0].strip("`") for cells in rows(text))


def test_every_rule_has_its_place() -> None:
    """R1 to R32 stand in docs/data-protection.md; a test that is named there exists."""
    text = page("docs/data-protection.md")
    assert [f"R{number}" for number in range(1, 33)] == re.findall(r"^\| (R\d+) \|", text, re.MULTILINE)
    named = set(re.findall(r"`(test_\w+)`", text))
    there = {
        found
        for path in (ROOT / "tests").rglob("test_*.py")
        for found in [path.stem, *re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))]
    }
    assert set() == named - there


def test_every_release_in_the_changelog_is_a_version_of_the_product() -> None:
    """The newest entry is the version in pyproject.toml."""
    newest = re.search(r"^## \[?([\d.]+)\]?", page("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert tomllib.loads(page("pyproject.toml"))["project"]["version"] == newest[1]


def test_the_captured_table_has_every_request_of_the_sandbox() -> None:
    """What README shows of `make run` is what the sandbox plays."""
    text = page("README.md")
    shown = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│") and line.count("│") == 5]
    told = " ".join(shown)
    assert [] == [name for name in REQUESTS if name.replace("_", " ") not in told]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """A link to a file of the project, or to a heading in one, is not broken."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert [] == broken


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_that_are_named_exist(path: Path) -> None:
    """A page that speaks of `docs/x.md` or `connector/y.py` speaks of a file that is there."""
    named = set(
        re.findall(r"`((?:docs|connector|forms|webhooks|tests)/[\w./-]+\.\w+)`", path.read_text(encoding="utf-8"))
    )
    assert set() == {name for name in named if not (ROOT / name).exists()}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_nothing_of_the_workshop_is_in_the_docs(path: Path) -> None:
    """No address of a package registry and no path of the machine on which it was written."""
    text = path.read_text(encoding="utf-8")
    registries = ["pypi" + ".org", "files.pythonhosted" + ".org", "npmjs" + ".", "registry.", "proxy.golang" + ".org"]
    assert [] == [word for word in [*registries, "/" + "work/", "shared" + "/"] if word in text]
