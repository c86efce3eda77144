"""Who may do what. To see, to see identity, to act and to take away are rights of their own."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Right(StrEnum):
    """One thing that a role may do."""

    FLOW = "flow"  # numbers and codes of the flow
    MEND = "mend"  # replay, discard, pause
    CASE = "case"  # the steps of a case, in codes
    IDENTITY = "identity"  # what a record says of a person; each look is in the audit
    RELEASE = "release"  # let a record go, with the second factor
    POLICY = "policy"
    FIGURES = "figures"
    EXPORT = "export"  # take figures away as a file
    REFERRALS = "referrals"
    REFER = "refer"  # begin and answer referrals
    MATCH = "match"  # look at who may be one person, and say so
    SERVERS = "servers"  # what is deployed where, and what the doctor finds
    AUDIT = "audit"


_CASE_WORK = frozenset(
    {Right.FLOW, Right.CASE, Right.IDENTITY, Right.RELEASE, Right.FIGURES, Right.REFERRALS, Right.REFER, Right.MATCH}
)
RIGHTS: Mapping[str, frozenset[Right]] = {
    "case_worker": _CASE_WORK,
    "supervisor": _CASE_WORK | {Right.MEND, Right.POLICY, Right.EXPORT, Right.SERVERS},
    "headquarters": _CASE_WORK - {Right.IDENTITY, Right.REFER, Right.MATCH}
    | {Right.POLICY, Right.EXPORT, Right.SERVERS},
    "dpo": frozenset({Right.FLOW, Right.CASE, Right.IDENTITY, Right.POLICY, Right.FIGURES, Right.AUDIT}),
    "admin": frozenset({Right.FLOW, Right.CASE, Right.MEND, Right.POLICY, Right.AUDIT, Right.SERVERS}),
}


def may(role: str, right: Right) -> bool:
    """Whether *role* has *right*; a role that nobody knows has none."""
    return right in RIGHTS.get(role, frozenset())
