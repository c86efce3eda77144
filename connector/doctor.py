"""`silah check`: looks at everything that has to work, and says what to do about what does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from connector.alerts import reach
from connector.app import assemble
from connector.config import Config
from connector.errors import SilahError
from connector.ledger.vault import recovery_confirmed
from connector.pipeline import Pipeline
from connector.transforms.registry import RECORDS
from forms.errors import FormError
from forms.policy import policy


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing that was looked at."""

    what: str
    ok: bool
    code: str = ""
    next_step: str = ""


def examine(config: Config) -> list[Examined]:
    """Everything, in the order in which it is needed; raises what makes the rest impossible to look at."""
    flow = assemble(config)
    try:
        return list(look(flow))
    finally:
        flow.ledger.database.close()


def look(flow: Pipeline) -> Iterator[Examined]:
    """Everything of a flow that is there already."""
    yield Examined(f"configuration {flow.config.path}", ok=True)
    yield _database(flow)
    yield from _sheet(flow)
    yield from _servers(flow)
    yield from _targets(flow)
    yield from _agreements(flow)
    yield from _alerts(flow)
    yield from _policies(flow)


def _database(flow: Pipeline) -> Examined:
    what = "master key and database"
    trouble = flow.ledger.database.trouble()
    if trouble is None:
        return Examined(what, ok=True)
    return Examined(what, ok=False, code=trouble.code, next_step=trouble.next_step)


def _sheet(flow: Pipeline) -> Iterator[Examined]:
    """Nothing is broken without it, until the machine is."""
    master = flow.ledger.master
    if not recovery_confirmed(flow.ledger.database, master):
        what, advice = (
            f"recovery sheet of master key {master.key_id}",
            "Print it, put it into the safe, then `silah keys confirm`.",
        )
        yield Examined(what, ok=True, code="keys.not_confirmed", next_step=advice)


def _servers(flow: Pipeline) -> Iterator[Examined]:
    for name, server in flow.servers.items():
        try:
            account = server.own_account()
        except SilahError as error:
            yield Examined(f"server {name}", ok=False, code=error.code, next_step=error.next_step)
            continue
        yield Examined(f"server {name} (as {account})", ok=True)
        for form in flow.config.servers[name].forms:
            yield _rights(flow, name, form)
        if name in flow.case_lists.servers:
            yield _case_list(flow, name)


def _case_list(flow: Pipeline, name: str) -> Examined:
    what = f"case list on {name}"
    try:
        flow.case_lists.check(name)
    except SilahError as error:
        return Examined(what, ok=False, code=error.code, next_step=error.next_step)
    return Examined(what, ok=True)


def _rights(flow: Pipeline, name: str, form: str) -> Examined:
    what = f"form {form} on {name}"
    try:
        rights = flow.servers[name].rights(form)
    except SilahError as error:
        return Examined(what, ok=False, code=error.code, next_step=error.next_step)
    if rights.whole:
        return Examined(what, ok=True)
    advice = "Give our account 'view submissions' on the whole project; it sees some rows or none."
    return Examined(what, ok=False, code="server.rights", next_step=advice)


def _targets(flow: Pipeline) -> Iterator[Examined]:
    for name, target in flow.targets.items():
        health = target.check()
        yield Examined(f"target {name} ({target.effect})", health.ok, health.code, health.next_step)


def _agreements(flow: Pipeline) -> Iterator[Examined]:
    today = flow.ledger.now().date()
    for name, target in flow.config.targets.items():
        until = target.agreement_until
        if until is None:
            continue
        what = " ".join(filter(None, ["agreement", target.agreement, f"with {name}, until {until}"]))
        if until >= today:
            yield Examined(what, ok=True)
            continue
        advice = "Nothing is sent there any more: renew it, then write its last day as `agreement_until`."
        yield Examined(what, ok=False, code="agreement.expired", next_step=advice)


def _alerts(flow: Pipeline) -> Iterator[Examined]:
    if not flow.config.alerts.wanted:
        return
    try:
        reach(flow.config.alerts)
    except SilahError as error:
        yield Examined("alerts", ok=False, code=error.code, next_step=error.next_step)
    else:
        yield Examined("alerts", ok=True)


def _policies(flow: Pipeline) -> Iterator[Examined]:
    used = {form for server in flow.config.servers.values() for form in server.forms}
    used |= {form for target in flow.config.targets.values() for form in target.accepts}
    for form in sorted(used & set(RECORDS)):
        try:
            policy(form)
        except FormError as error:
            yield Examined(f"policy of {form}", ok=False, code=error.code, next_step=error.next_step)
        else:
            yield Examined(f"policy of {form}", ok=True)
