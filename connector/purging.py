"""`silah purge`: what has been kept long enough goes, here and, where an admin asked for it, on the form server."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from connector.erasing import erase
from connector.errors import ServerError
from connector.ledger.answer_links import AnswerLinks
from connector.ledger.care import Care
from connector.ledger.flow import Case
from connector.ledger.referrals import ReferralLedger
from connector.pipeline import Pipeline
from connector.transforms import keeping
from connector.transforms.registry import RECORDS, from_json
from forms.errors import FormError
from forms.policy import policy

log = logging.getLogger("silah.purging")

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Purged:
    """How much went, or would go.

    *answers*: submissions whose answers as read were emptied; *withdrawn*: submissions erased because consent was taken
    back; *attempts*, *receipts*: rows; *spool*: files; *on_server*: submissions deleted on a form server;
    *referrals*: finished ones that no longer say who they were about; *links*: for answers, that had ended.
    *papers*: submissions out of which a class was taken whose time in the form's policy is over; *answers*: submissions whose answers as read were emptied; *withdrawn*: submissions erased because consent was taken
    back; *attempts*, *receipts*: rows; *spool*: files; *on_server*: submissions deleted on a form server.
    """

    papers: int = 0
    answers: int = 0
    withdrawn: int = 0
    attempts: int = 0
    receipts: int = 0
    spool: int = 0
    on_server: int = 0
    referrals: int = 0
    links: int = 0

    @property
    def anything(self) -> bool:
        return any(asdict(self).values())


def purge(flow: Pipeline, actor: str, *, dry_run: bool = False) -> Purged:
    """Lets go what `[retention]` says, and empties form servers that ask for it. *dry_run* counts alone."""
    care, keep, now = Care(flow.ledger), flow.config.retention, flow.ledger.now()
    withdrawn = care.withdrawn_before(now - keep.withdrawn)
    for case in [] if dry_run else withdrawn:
        erase(flow, case, actor)
    known = ReferralLedger(flow.ledger.database, flow.ledger.master, flow.ledger.now)
    purged = Purged(
        referrals=known.forget_identities(now - keep.referral_identities, dry_run=dry_run),
        links=AnswerLinks(known).forget(now - keep.receipts, dry_run=dry_run),
        papers=sum(_shortened(flow, care, dry_run=dry_run)),
        answers=care.empty_answers(now - keep.raw_answers, dry_run=dry_run),
        withdrawn=len(withdrawn),
        attempts=care.forget_attempts(now - keep.attempts, dry_run=dry_run),
        receipts=care.forget_receipts(now - keep.receipts, dry_run=dry_run),
        spool=flow.forget_leftovers(care.in_use(), now - keep.spool, dry_run=dry_run),
        on_server=sum(_empty_servers(flow, care, dry_run=dry_run)),
    )
    if purged.anything and not dry_run:
        care.note("purged", actor, asdict(purged))
        flow.ledger.database.settle()
    return purged


def _shortened(flow: Pipeline, care: Care, *, dry_run: bool) -> Iterator[bool]:
    """Takes out of every record the classes whose time is over (R9, R16)."""
    today = flow.ledger.now().date()
    for form in RECORDS:
        try:
            rules = policy(form)
        except FormError as error:
            log.warning("%s while purging %s: %s", error.code, form, error.next_step)
            continue
        for case, arrived in care.live_of(form) if rules.keep else ():
            stored = flow.ledger.record(case.id, case.version)
            record = from_json(form, stored) if stored is not None else None
            gone = keeping.over(record, rules, arrived.date(), today) if record else frozenset()
            left = keeping.without(record, gone) if record else None
            if record is None or left is None or left == record:
                continue
            if not dry_run:
                classes = sorted({rules.class_of[name] for name in gone})
                care.shorten(case, left.model_dump_json(exclude_defaults=True).encode(), classes)
            yield True


def _empty_servers(flow: Pipeline, care: Care, *, dry_run: bool) -> Iterator[int]:
    for server, config in flow.config.servers.items():
        for form in config.forms if config.empty_after else ():
            done = care.done_with(server, form, flow.ledger.now() - (config.empty_after or timedelta(0)))
            try:
                yield sum(
                    _delete(flow, done[at : at + _AT_ONCE], dry_run=dry_run) for at in range(0, len(done), _AT_ONCE)
                )
            except ServerError as error:
                log.warning("%s while emptying %s on %s: %s", error.code, form, server, error.next_step)


def _delete(flow: Pipeline, cases: Sequence[Case], *, dry_run: bool) -> int:
    """Deletes on the form server what is there in the version that was delivered; an edit that came meanwhile stays.

    They are `kept` before they are deleted, so that no sweep takes them for vanished; one that was not deleted after
    all is listed at the next sweep and goes on.
    """
    if not cases or dry_run:
        return len(cases)
    server, form = flow.servers[cases[0].server], cases[0].form_id
    there = {one.root_id: one.instance_id for one in server.read(form, [case.order for case in cases])}
    same = [case for case in cases if there.get(case.root_id) == case.instance_id]
    if same:
        flow.ledger.set_presence([case.id for case in same], "kept")
        server.delete(form, [case.order for case in same])
    return len(same)
