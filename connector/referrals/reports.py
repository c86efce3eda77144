"""A month's counts for a partner: without identity, small cells hidden, on the same signed and encrypted road."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Final, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connector.errors import NotASubmission, Refused
from connector.figures.suppression import SMALLEST_SHOWN

FORMAT: Final = "silah-report/1"
_MOST_ROWS = 20_000
Fingerprint = Annotated[str, Field(pattern=r"^[0-9]{5}(-[0-9]{5}){7}$")]
Period = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
_Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]{1,80}$")]


class CountRow(BaseModel):
    """One row of a report as docs/running.md has it; *count* is None where it is hidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    branch: _Code
    service: _Code
    unit: Literal["events", "people", "participations"]
    sex: _Code
    age_group: _Code
    count: Annotated[int, Field(ge=0)] | None


class ReportMessage(BaseModel):
    """The counts of one month as they travel."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    format: Literal["silah-report/1"] = FORMAT
    id: UUID
    sender: Fingerprint
    recipient: Fingerprint
    period: Period
    rows: Annotated[tuple[CountRow, ...], Field(max_length=_MOST_ROWS)]


def new_report(sender: str, recipient: str, period: str, rows: Sequence[CountRow]) -> ReportMessage:
    """A message of these rows; raises `Refused` when one could tell of single people."""
    if any(one.count is not None and 0 < one.count < SMALLEST_SHOWN for one in rows):
        raise Refused(
            "report.small_cell", "the counts for a partner", "Send figures as `silah report --public` has them."
        )
    return ReportMessage(id=uuid4(), sender=sender, recipient=recipient, period=period, rows=tuple(rows))


def is_report(plaintext: bytes) -> bool:
    """Whether a message says that it is a report; anything else is read as a referral's."""
    try:
        data = json.loads(plaintext)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and str(data.get("format", "")).startswith("silah-report/")


def read_report(plaintext: bytes) -> ReportMessage:
    """Reads a partner's report; raises `NotASubmission`, which tells nothing of it. One with small cells is not taken:
    what should not have left is not kept here either."""
    advice = "Look at docs/partners/: the partner's message does not fit the published schema."
    try:
        report = ReportMessage.model_validate_json(plaintext)
    except ValidationError:
        raise NotASubmission("partner.not_a_message", "a partner's report", advice) from None
    if any(one.count is not None and 0 < one.count < SMALLEST_SHOWN for one in report.rows):
        raise NotASubmission(
            "report.small_cell", "a partner's report", "Tell the partner: small counts are hidden first."
        )
    return report
