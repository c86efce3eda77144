"""A Release is defined and made in disclosure.py alone, and nothing else can stand where one is due."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector import disclosure
from connector.disclosure import Release, Stamp, retract
from connector.model import Action

ROOT = Path(__file__).parents[2]
PRODUCT = [path for package in ("connector", "webhooks", "forms") for path in sorted((ROOT / package).rglob("*.py"))]


def test_nobody_else_makes_one() -> None:
    """No product file but disclosure.py calls Release(), reaches for its seal, or copies one with other contents."""
    found = []
    for path in PRODUCT:
        if path.name == "disclosure.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) == "Release":
                found.append(f"{path}:{node.lineno} Release()")
            if (
                isinstance(node, (ast.Name, ast.Attribute))
                and _name(node) in {"_MAKER", "_make"}
                and "disclosure" in ast.unparse(node)
            ):
                found.append(f"{path}:{node.lineno} seal")
            if (
                isinstance(node, ast.Call)
                and _name(node.func) == "replace"
                and node.args
                and "release" in ast.unparse(node.args[0]).lower()
            ):
                found.append(f"{path}:{node.lineno} replace(release)")
    assert [] == found


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def test_the_constructor_refuses_everybody_else() -> None:
    """Without the gate's seal there is no Release at run time either."""
    made = retract("tracing_request", "tracing", Stamp("id", 1, "SY-RC", "key", datetime.now(UTC)))
    values = {field.name: getattr(made, field.name) for field in dataclasses.fields(Release) if field.name != "maker"}
    assert Action.WITHDRAW is made.action
    with pytest.raises(TypeError):
        Release(**values)


def test_a_target_cannot_be_given_a_record(tmp_path: Path) -> None:
    """A type checker refuses a Record where a Release is due."""
    snippet = tmp_path / "wrong.py"
    snippet.write_text(
        "from connector.targets import Target\n"
        "from connector.transforms.record import Record\n"
        "def leak(target: Target, record: Record) -> None:\n"
        "    target.deliver(record)\n",
        encoding="utf-8",
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--no-incremental",
        str(snippet),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 'has incompatible type "Record"; expected "Release"' in done.stdout, done.stdout + done.stderr


def test_the_gate_stands_at_sending() -> None:
    """clear() is called in the pipeline's attempt and nowhere earlier in the flow."""
    callers = []
    for path in PRODUCT:
        text = path.read_text(encoding="utf-8")
        names = {"disclosure.clear"} | ({"clear"} if "from connector.disclosure import clear" in text else set())
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        callers += [path.name for node in calls if ast.unparse(node.func) in names]
    assert ["pipeline.py"] == callers
    assert callable(disclosure.clear)
