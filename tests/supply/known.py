"""What is publicly known against the locked versions: asks the OSV database (https://osv.dev) through pip-audit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

_OSV = "https://api.osv.dev/v1/query"


class _Vulnerability(BaseModel):
    id: str
    fix_versions: list[str] = []


class _Audited(BaseModel):
    name: str
    version: str = ""
    skip_reason: str | None = None
    vulns: list[_Vulnerability] = []


class _Answer(BaseModel):
    dependencies: list[_Audited]


@dataclass(frozen=True)
class Known:
    """Attributes:
    findings: one line a vulnerability: part, version, id, where it is mended.
    asked: how many parts the database was asked for.
    unasked: why the database was not asked, or `None`; without an answer nothing is known, which is not good news.
    """

    findings: Sequence[str]
    asked: int
    unasked: str | None = None


def known(lock: Path, osv: str = _OSV) -> Known:
    """Args:
    lock: exact versions, a line each.
    osv: address of an OSV query service.
    """
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--no-deps", "--disable-pip"]
    ways = ["--vulnerability-service", "osv", "--osv-url", osv, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run([*command, *ways], check=False, capture_output=True, text=True)
    if not done.stdout.strip():
        return Known((), 0, (done.stderr.strip().splitlines() or ["no answer"])[-1])
    answer = _Answer.model_validate_json(done.stdout)
    asked = [one for one in answer.dependencies if one.skip_reason is None]
    return Known(
        [line for one in asked for line in _lines(one)], len(asked), None if asked else "no part is known there"
    )


def _lines(one: _Audited) -> list[str]:
    return [
        f"{one.name} {one.version}: {found.id}, mended in {', '.join(found.fix_versions) or 'no version yet'}"
        for found in one.vulns
    ]
