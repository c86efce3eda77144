"""`silah phone lost`: a collector's way in to the form servers is taken, and what was sent from it is listed.

It is honest about what it cannot do: nothing reaches into a telephone that somebody else holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from connector.errors import Refused, ServerError
from connector.ledger.care import Care
from connector.ledger.senders import SentItem, sent_by
from connector.model import JSON
from connector.pipeline import Pipeline
from connector.servers import Revoked
from connector.transforms.registry import from_json

CANNOT = (
    (
        "Forms that were filled in and not sent yet, and those kept on the telephone after sending, stay on it. A form that is "
        "encrypted on the telephone cannot be read there once it is finished; one that is not can."
    ),
    (
        "The lists of earlier cases that were sent to the telephone stay on it until it is wiped: wipe it from afar if it is "
        "managed, or if its owner can."
    ),
    (
        "A password that is stored on the telephone stays valid for the form server's pages: change it there, and end its "
        "sessions."
    ),
    "What others than Silah let this account see (other projects, shared accounts) stays open.",
    "Tell the data protection officer. Families in the list may have to be warned: by their safe contact, one by one.",
)
_LEFT = {
    "phone.public_form": "anybody may send to one of these forms without an account; nothing is read that way.",
    "phone.owner": "the account owns a project: hand the project over to another account, then try again.",
    "phone.no_right": "our account may not take rights there: give it 'Manage project' (KoboToolbox) or the role Project "
    "Manager (ODK Central), or take them by hand now.",
    "phone.not_seen": "our account is not shown who has rights there: take them by hand now, or give it 'Manage project' "
    "(KoboToolbox) or the role Project Manager (ODK Central) and try again.",
    "phone.not_reached": "the server did not answer: take the rights by hand now, or try again.",
}


@dataclass(frozen=True, slots=True)
class Left:
    """One thing that is still open on a form server."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class OnServer:
    """What became of the account on one form server. *taken* counts rights and tokens that were taken now."""

    server: str
    taken: int
    words: str
    left: tuple[Left, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """One submission of the account: ids, codes and times alone."""

    root_id: str
    record_id: str
    form: str
    case_code: str | None
    state: str
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that whoever answers for the loss needs next."""

    servers: tuple[OnServer, ...]
    sent: tuple[Sent, ...]
    cannot: tuple[str, ...] = CANNOT


def report(flow: Pipeline, account: str, server: str | None, actor: str) -> Report:
    """Takes *account*'s way in, lists what came from it, and writes both down; raises `Refused` for an unknown server.

    The audit says who did it and how much was found; the account is a person's and not named there.
    """
    if server is not None and server not in flow.servers:
        raise Refused("server.unknown", f"server {server}", f"Configured: {', '.join(flow.servers) or 'none'}.")
    done: list[OnServer] = []
    sent: list[Sent] = []
    for name in [server] if server else flow.servers:
        revoked = _revoked(flow, name, account)
        done.append(_on_server(name, revoked))
        sent += _sent(flow, sent_by(flow.ledger, name, revoked.senders or (account,)))
    left: list[JSON] = [one.code for each in done for one in each.left]
    detail: dict[str, JSON] = {"taken": sum(one.taken for one in done), "left": left, "submissions": len(sent)}
    Care(flow.ledger).note("phone_lost", actor, detail)
    return Report(tuple(done), tuple(sent))


def _revoked(flow: Pipeline, server: str, account: str) -> Revoked:
    """A server that does not answer keeps nothing from the others, nor the list of what was sent."""
    try:
        return flow.servers[server].revoke(account)
    except ServerError:
        return Revoked((), 0, ("phone.not_reached",))


def _on_server(name: str, revoked: Revoked) -> OnServer:
    left = tuple(Left(code, _LEFT[code]) for code in revoked.left)
    if revoked.taken:
        words = f"{revoked.taken} rights or tokens were taken from this account."
    elif left:
        words = "nothing could be taken from this account."
    else:
        words = "nobody of that name has a way in to our forms there now."
    return OnServer(name, revoked.taken, words, left)


def _sent(flow: Pipeline, items: list[SentItem]) -> Iterator[Sent]:
    for one in items:
        yield Sent(one.root_id, one.record_id, one.form_id, _case_code(flow, one), one.state, one.first_at)


def _case_code(flow: Pipeline, item: SentItem) -> str | None:
    stored = flow.ledger.record(item.submission_id, item.version)
    code = getattr(from_json(item.form_id, stored), "case_code", None) if stored is not None else None
    return str(code) if code else None
