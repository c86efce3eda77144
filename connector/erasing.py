"""`silah erase`: a person's submission is forgotten here, and whoever may hold it is told. Says honestly what stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from connector.ledger.care import Care, Holding
from connector.ledger.flow import Case
from connector.pipeline import Pipeline
from connector.taken_back import ERASED, TakenBack


@dataclass(frozen=True, slots=True)
class Standing:
    """Where something of an erased submission is or was. *holder* is a target, a form server, or a place of our own.

    *state*: `erased`, `removed`, `disabled`, `told`, `never_sent`, `waiting`, `refused` (a person must act), `there`
    (still there, out of our reach).
    """

    holder: str
    state: str
    note: str


def erase(flow: Pipeline, case: Case, actor: str) -> list[Standing]:
    """Forgets *case* for good and tells where something of it still is. Run again, it tells how that stands now."""
    if case.state != "erased":
        flow.taken_back.note(TakenBack(ERASED, case.record_id))
        Care(flow.ledger).erase(case, actor)
    flow.forget_files(case)
    return list(_standings(flow, case))


def _standings(flow: Pipeline, case: Case) -> Iterator[Standing]:
    yield Standing("silah", "erased", "the key is destroyed, every version and file is removed; ids and the audit stay")
    for holding in Care(flow.ledger).holdings(case):
        yield _standing(flow, holding)
    yield _on_the_server(case)
    backups = f"older backups hold it, sealed; `silah restore` erases it again by {flow.taken_back.file.name}"
    yield Standing("backups", "there", backups + ". Destroy backups that are older than you need")


def _standing(flow: Pipeline, holding: Holding) -> Standing:
    match holding.told:
        case None:
            return Standing(holding.target, "never_sent", "nothing was sent")
        case _ if holding.target not in flow.targets:
            return Standing(holding.target, "there", "it is not configured any more: tell whoever runs it")
        case "delivered":
            return Standing(holding.target, *_removal(flow.targets[holding.target].removal))
        case "due":
            return Standing(holding.target, "waiting", "the word to remove it waits for its answer")
        case _:
            return Standing(holding.target, "refused", f"{holding.error or holding.told}: look at `silah queue list`")


def _removal(removal: str) -> tuple[str, str]:
    notes = {
        "removed": "it is removed there",
        "disabled": "it is disabled there, not erased: this system cannot; ask its admin to delete it",
        "told": "it has confirmed the word to remove it; doing so is its duty",
    }
    return removal, notes[removal]


def _on_the_server(case: Case) -> Standing:
    holder = f"form server {case.server}"
    if case.presence == "listed":
        return Standing(holder, "there", "the submission is listed there: delete it; Silah does not read it in again")
    return Standing(holder, "removed", "the submission is not listed there any more")
