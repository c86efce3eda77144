"""What a configuration becomes: the ledger, the adapters, the flow. The one place that puts them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from connector import config as configuration
from connector.attachments import Attachments
from connector.config import Config
from connector.errors import Misconfigured
from connector.keys import MasterKey, parse_master
from connector.ledger.case_lists import CaseBook
from connector.ledger.database import Database
from connector.ledger.flow import Ledger
from connector.ledger.referrals import ReferralLedger
from connector.pipeline import Pipeline, clock
from connector.referrals.outbox import Outbox
from connector.servers import FormServer
from connector.servers.case_lists import CaseList, shows_cases
from connector.servers.central import Central
from connector.servers.central_lists import CentralCaseList
from connector.servers.kobo import Kobo
from connector.servers.kobo_lists import KoboCaseList
from connector.servers.unsealing import Unsealing, form_keys
from connector.targets import Remembered, Target
from connector.targets.dhis2 import Dhis2
from connector.targets.espocrm import EspoCrm
from connector.targets.handover import Handover
from connector.targets.partner import Partner
from connector.targets.primero import Primero
from connector.targets.rest import Rest
from connector.targets.workbook import Workbook


@dataclass(frozen=True, slots=True)
class Beside:
    """What of the ledger a target may need: the exchange of referrals, and what it was told that it holds."""

    outbox: Outbox
    memory: Callable[[str], Iterable[Remembered]]


def _alone(
    kind: Callable[[str, configuration.Target], Target],
) -> Callable[[str, configuration.Target, Beside], Target]:
    """A target that needs nothing of the ledger."""
    return lambda name, config, _: kind(name, config)


SERVERS: Mapping[str, Callable[[str, configuration.Server], FormServer]] = {"kobo": Kobo, "central": Central}
LISTS: Mapping[str, Callable[[str, configuration.Server], CaseList]] = {
    "kobo": KoboCaseList,
    "central": CentralCaseList,
}
# What each type is made from: its name, its table of the configuration, and what stands beside.
TARGETS: Mapping[str, Callable[[str, configuration.Target, Beside], Target]] = {
    "rest": _alone(Rest),
    "workbook": _alone(Workbook),
    "handover": _alone(Handover),
    "primero": _alone(Primero),
    "espocrm": _alone(EspoCrm),
    "dhis2": lambda name, config, beside: Dhis2(name, config, lambda: beside.memory(name)),
    "partner": lambda name, config, beside: Partner(name, config, beside.outbox),
}


def master_key(config: Config) -> MasterKey:
    """The master key that the configuration names; raises `KeyUnavailable`."""
    where = config.master_key_place
    return parse_master(config.master_key_text, where, lambda: parse_master(config.master_key_text, where))


def open_ledger(config: Config, now: Callable[[], datetime] = clock) -> Ledger:
    """The ledger of *config*; its tables are made when they are not there."""
    return Ledger(Database(config.database_url), master_key(config), now)


def assemble(config: Config, now: Callable[[], datetime] = clock) -> Pipeline:
    """The flow with the adapters that *config* names; raises `Misconfigured` for a type that is not there."""
    ledger = open_ledger(config, now)
    servers = {name: _server(name, server, now) for name, server in config.servers.items()}
    outbox = Outbox(ReferralLedger(ledger.database, ledger.master, ledger.now))
    beside = Beside(outbox, CaseBook(ledger).held_at)
    targets = {
        name: _adapter(TARGETS, "targets", name, target.type)(name, target, beside)
        for name, target in config.targets.items()
    }
    lists = {
        name: LISTS[server.type](name, server)
        for name, server in config.servers.items()
        if server.has_case_list and any(shows_cases(form) for form in server.forms)
    }
    return Pipeline(config, ledger, servers, targets, Attachments(config, ledger, servers), lists)


def _server(name: str, config: configuration.Server, now: Callable[[], datetime]) -> FormServer:
    """The adapter, behind the private keys of its encrypted forms."""
    adapter = _adapter(SERVERS, "servers", name, config.type)(name, config)
    return Unsealing(adapter, form_keys(name, config), config.may_be_clear, config.attachments_wait, now)


A = TypeVar("A")


def _adapter(known: Mapping[str, A], section: str, name: str, kind: str) -> A:
    if kind not in known:
        raise Misconfigured(
            "config.type_not_here", f"`{section}.{name}.type`", f"This version has: {', '.join(known)}."
        )
    return known[kind]
