"""What a form server promises where phones show how cases go on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

from connector.disclosure import CaseLine
from forms.tables import form_ids, load

FILE: Final = "cases.csv"
"""The attached file by which a form shows the list."""
COLUMNS: Final = ("name", "label", "case_code", "branch", "state")
STARTS_A_CASE: Final = ("tracing_request", "child_registration")
"""Forms whose records are cases that other forms follow up."""


class CaseList(Protocol):
    """The case list of one form server. Its methods call the server and raise `ServerError`.

    Attributes:
        every: nothing is written more often than this.
        whole: each writing takes all lines; else those that changed.
    """

    every: timedelta
    whole: bool

    def write(self, lines: Sequence[CaseLine], gone: Sequence[UUID]) -> None:
        """Makes phones have these lines, and none under the numbers in *gone*. Again: nothing changes."""

    def check(self) -> None:
        """Raises what would keep a line from being written."""


def shows_cases(form_id: str) -> bool:
    """Whether the form has the list attached."""
    return form_id in form_ids() and FILE in load(form_id).media
