"""Referrals, their events and the messages that carry them; partners; this node's keys. Every method is one transaction.

Events are only ever added; a referral's state is what connector/referrals/machine.py makes of them and is kept beside
them for lists. A message is `due` (goes out in its turn), `sent` (acknowledged), `parked` (the partner refused it: a
person looks) or `superseded` (a withdrawal took its place). Codes, consent and identity are sealed with a data key of
the referral; a withdrawal destroys that key on both sides.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4, uuid5

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, exists, func, insert, or_, select, update

from connector.errors import Refused, SilahError
from connector.keys import DataKey, MasterKey
from connector.ledger import audit
from connector.ledger.audit import Entry
from connector.ledger.case_notes import drop_notes, forget_notes, keep_note, share_note
from connector.ledger.database import Database, milliseconds, moment
from connector.ledger.directory import OWN, services_of
from connector.ledger.referral_sources import Source, note_source, referral_of, source_of
from connector.ledger.schema import (
    node_keys,
    partner_terms,
    partners,
    referral_bodies,
    referral_events,
    referral_messages,
    referral_notes,
    referral_releases,
    referrals,
)
from connector.model import JSON, SILAH, Recipient
from connector.referrals.directory import Service
from connector.referrals.directory import refusal as directory_refusal
from connector.referrals.machine import (
    FINAL,
    UNANSWERED,
    UNDER_WAY,
    Deed,
    Event,
    Kind,
    Party,
    Priority,
    Standing,
    State,
    merge,
    refusal,
    stand,
)
from connector.referrals.messages import Disclosed, Message
from connector.referrals.node import NodeKeys, PublicNode, made_up_fingerprint, new_keys, opened_keys, read_node
from connector.referrals.referral import Draft, Identity, Opening, PartnerConsent

LONGEST_WAIT = timedelta(minutes=5)  # between attempts: an emergency is answered within hours
OPEN = ("due", "parked")
RELEASES_NEEDED = 2
Paged = tuple[int, str] | None
_OUT, _IN = "out", "in"
_SIDES = {_OUT: Party.REQUESTER, _IN: Party.OWNER}
_ADVICE = {
    "referral.not_yours": "That is the other side's to do.",
    "referral.not_allowed": "`silah referral show` tells its state, docs/referrals.md what may follow.",
    "referral.overdue": "It is overdue: the sender says `silah referral confirm` first, which sets a new time.",
    "referral.not_overdue": "Only a referral that is overdue is confirmed.",
    "referral.reason_needed": "Give one of the codes of docs/referrals.md with --reason.",
    "referral.unknown_reason": "Give one of the codes of docs/referrals.md with --reason.",
    "referral.unknown_outcome": "Give one of the codes of docs/referrals.md with --outcome.",
}


class OutOfOrder(SilahError):
    """A message came before the one that it follows: the sender tries it again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What else holds for a partner: its class of recipient where that decides something (`authorities`); for one without
    a node its age keys, the folder (as `silah.toml` means it) where its files are put, and its language."""

    recipient: str | None = None
    public_keys: tuple[str, ...] = ()
    folder: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Partner:
    """Somebody we exchange referrals with, under the name that this node gave it. *node* is None for one without a
    system; its fingerprint is then made up here."""

    name: str
    fingerprint: str
    node: PublicNode | None
    duty_number: str | None
    terms: Terms = Terms()

    @property
    def restricted(self) -> bool:
        """A referral there needs explained risk, a purpose and two people."""
        return self.terms.recipient == Recipient.AUTHORITIES

    @property
    def names(self) -> frozenset[str]:
        """What a consent may call it."""
        return frozenset({self.name, self.fingerprint})


@dataclass(frozen=True, slots=True)
class ReferralRow:
    """One line of `silah referral list`."""

    id: str
    state: str
    case_code: str
    partner: str
    direction: str
    due_at: datetime | None
    overdue: bool
    kind: str | None
    priority: str | None
    taken_over_by: str | None
    duty_number: str | None


@dataclass(frozen=True, slots=True)
class Logged:
    """One event as it is kept. *changed* is False when it came too late to change anything."""

    event: Event
    id: str
    actor: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Stuck:
    """A message that has not arrived: its state and the last error."""

    deed: str
    state: str
    attempts: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One referral with all that this side may see but the identity; *result* is what became of our second step."""

    row: ReferralRow
    standing: Standing
    opening: Opening | None
    events: tuple[Logged, ...]
    unsent: tuple[Stuck, ...]
    has_identity: bool
    result: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A partner's message: the opaque receipt, and whether it was new."""

    receipt: str
    new: bool


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message whose turn has come."""

    id: str
    referral_id: str
    event: Event
    attempts: int
    told: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What messages of one referral are made of, opened. All but the state is None once it was destroyed."""

    state: State
    opening: Opening | None = None
    consent: PartnerConsent | None = None
    identity: Identity | None = field(default=None, repr=False)


class ReferralLedger:
    """What the exchange keeps.

    Args:
        master: wraps the data keys of referrals and the key that seals the node's own.
        now: the clock; the only one. Events count whole seconds, so that both sides reckon alike.
    """

    def __init__(self, database: Database, master: MasterKey, now: Callable[[], datetime]) -> None:
        self.database = database
        self.master = master
        self.now = now

    # The node and its partners

    def keys(self) -> NodeKeys:
        """This node's keys; made when they are asked for first, and the same ever after."""
        with self.database.reading() as connection:
            found = connection.execute(select(node_keys)).first()
        return self._open_keys(found) if found else self.database.write(self._make_keys)

    def _make_keys(self, connection: Connection) -> NodeKeys:
        found = connection.execute(select(node_keys)).first()
        if found:
            return self._open_keys(found)
        made, key = new_keys(), self.master.new_data_key()
        connection.execute(
            insert(node_keys).values(
                fingerprint=made.fingerprint, wrapped=self.master.wrap(key, "node"), key_id=self.master.key_id,
                sealed=key.seal(made.sealed_form, f"node {made.fingerprint}"), made_at=milliseconds(self.now()),
            )
        )  # fmt: skip
        audit.append(connection, self.now(), Entry("node_keys_made", detail={"fingerprint": made.fingerprint}))
        return made

    def _open_keys(self, row: Row[Any]) -> NodeKeys:
        return opened_keys(self.master.unwrap(row.wrapped, "node").open(row.sealed, f"node {row.fingerprint}"))

    def add_partner(
        self, name: str, node: PublicNode, duty_number: str | None, actor: str, recipient: str | None = None
    ) -> None:
        """Pairs with *node*; the same node again takes its new address. Raises `Refused` when the name is another's."""

        def job(connection: Connection) -> None:
            holder = connection.execute(select(partners.c.fingerprint).where(partners.c.name == name)).scalar()
            if holder not in {None, node.fingerprint}:
                raise Refused(
                    "partner.exists", f"partner {name}", "That name stands for another node: choose a new one."
                )
            values = {"name": name, "url": node.url, "exported": node.model_dump_json(), "duty_number": duty_number}
            known = update(partners).where(partners.c.fingerprint == node.fingerprint)
            if not connection.execute(known.values(values)).rowcount:
                at = milliseconds(self.now())
                connection.execute(insert(partners).values(fingerprint=node.fingerprint, added_at=at, **values))
            if recipient is not None:
                keep_terms(connection, node.fingerprint, Terms(recipient))
            detail: dict[str, JSON] = {"fingerprint": node.fingerprint}
            audit.append(connection, self.now(), Entry("partner_added", actor, target=name, detail=detail))
            _wake(connection, node.fingerprint, milliseconds(self.now()))

        self.database.write(job)

    def add_by_hand(self, name: str, terms: Terms, duty_number: str | None, actor: str) -> None:
        """Adds a partner without a node, or changes its *terms*. Raises `Refused` when the name is a node's."""

        def job(connection: Connection) -> None:
            known = connection.execute(select(partners).where(partners.c.name == name)).first()
            if known is not None and known.url:
                raise Refused("partner.exists", f"partner {name}", "That name stands for a node: choose a new one.")
            fingerprint = known.fingerprint if known else made_up_fingerprint()
            if known is None:
                at = milliseconds(self.now())
                values = {"name": name, "url": "", "exported": "", "duty_number": duty_number, "added_at": at}
                connection.execute(insert(partners).values(fingerprint=fingerprint, **values))
            else:
                same = partners.c.fingerprint == fingerprint
                connection.execute(update(partners).where(same).values(duty_number=duty_number))
            keep_terms(connection, fingerprint, terms)
            audit.append(connection, self.now(), Entry("partner_added", actor, target=name, detail={"by_hand": True}))

        self.database.write(job)

    def partners(self) -> list[Partner]:
        with self.database.reading() as connection:
            rows = connection.execute(_partners().order_by(partners.c.name))
            return [_partner(row) for row in rows]

    def partner(self, name: str) -> Partner:
        """The partner of that name or fingerprint; raises `Refused`."""
        with self.database.reading() as connection:
            row = connection.execute(
                _partners().where(or_(partners.c.name == name, partners.c.fingerprint == name))
            ).first()
        if row is None:
            raise Refused(
                "partner.unknown", "the partner named", "`silah partner list` shows them, `silah partner add` adds one."
            )
        return _partner(row)

    # What people here do

    def open(self, drafts: Sequence[tuple[Draft, Partner]], actor: str) -> list[str]:
        """Keeps new referrals, all or none, and asks for them to be sent; their ids. One to authorities stays a draft
        until two people have released it."""

        def job(connection: Connection) -> list[str]:
            return [self._open_one(connection, draft, partner, actor) for draft, partner in drafts]

        return self.database.write(job)

    def _open_one(self, connection: Connection, draft: Draft, partner: Partner, actor: str) -> str:
        referral_id = self._open(connection, draft.opening, partner)
        consent = draft.consent.model_copy(update={"recipient": partner.fingerprint})
        self._seal_body(connection, referral_id, draft.opening, consent, draft.identity)
        if not partner.restricted:
            self._do(connection, self._row(connection, referral_id), Deed.REQUEST, actor)
            return referral_id
        detail: dict[str, JSON] = {"purpose": draft.purpose, "risk_explained": draft.risk_explained}
        audit.append(connection, self.now(), Entry("referral_drafted", actor, referral_id, partner.name, detail))
        return referral_id

    def release(self, referral_id: str, user: str) -> State:
        """A named user lets a referral to authorities go; with the second one it is asked for. Raises `Refused`."""

        def job(connection: Connection) -> State:
            row = self._row(connection, referral_id)
            if row.state != State.DRAFT:
                raise Refused("referral.not_allowed", f"referral {row.id}", _ADVICE["referral.not_allowed"])
            given = _releases(connection, row.id)
            if user in given:
                raise Refused("release.same_user", f"referral {row.id}", "The second release is another person's.")
            at = milliseconds(self.now())
            connection.execute(insert(referral_releases).values(referral_id=row.id, user=user, at=at))
            audit.append(connection, self.now(), Entry("released", user, row.id))
            if len(given) + 1 < RELEASES_NEEDED:
                return State.DRAFT
            return self._do(connection, row, Deed.REQUEST, user)

        return self.database.write(job)

    def released(self, referral_id: str) -> int:
        """How many people released a referral to authorities."""
        with self.database.reading() as connection:
            return len(_releases(connection, referral_id))

    def _open(self, connection: Connection, opening: Opening, partner: Partner) -> str:
        referral_id, at = str(uuid4()), milliseconds(self.now())
        connection.execute(
            insert(referrals).values(
                id=referral_id, partner=partner.fingerprint, direction=_OUT, state=State.DRAFT, made_at=at,
                changed_at=at, **_codes(opening),
            )
        )  # fmt: skip
        return referral_id

    def put(self, opening: Opening, partner: Partner, source: Source, actor: str) -> str:
        """Keeps the referral that a filled-in form asks for, once; its id. The same form again changes nothing.

        Raises `Refused` when the form was edited after its codes had left: what the partner has is not changed behind
        its back.
        """

        def job(connection: Connection) -> str:
            known = referral_of(connection, source)
            if known is not None:
                self._rewrite(connection, known, opening)
                return str(known.id)
            referral_id = self._open(connection, opening, partner)
            note_source(connection, referral_id, source)
            self._seal_body(connection, referral_id, opening)
            self._do(connection, self._row(connection, referral_id), Deed.REQUEST, actor)
            return referral_id

        return self.database.write(job)

    def _rewrite(self, connection: Connection, row: Row[Any], opening: Opening) -> None:
        body = connection.execute(select(referral_bodies).where(referral_bodies.c.referral_id == row.id)).first()
        if self._opening(body) == opening:
            return
        begun = exists().where(referral_messages.c.referral_id == row.id, referral_messages.c.begun)
        if row.state != State.REQUESTED or connection.execute(select(begun)).scalar_one():
            advice = "Cancel it and fill in the form anew, or undo the edit: the partner works with what it was sent."
            raise Refused("referral.already_sent", f"referral {row.id}", advice)
        connection.execute(delete(referral_bodies).where(referral_bodies.c.referral_id == row.id))
        self._seal_body(connection, row.id, opening)
        connection.execute(update(referrals).where(referrals.c.id == row.id).values(_codes(opening)))
        self._restate(connection, self._row(connection, row.id), _events(connection, row.id))

    def take_back(self, source: Source, actor: str) -> None:
        """The person took back what a filled-in form asked for; nothing when nothing was asked."""

        def job(connection: Connection) -> None:
            known = referral_of(connection, source)
            if known is not None:
                self._do(connection, known, Deed.WITHDRAW, actor)

        self.database.write(job)

    def of_form(self, source: Source) -> str | None:
        """The id of the referral that a filled-in form asked for."""
        with self.database.reading() as connection:
            known = referral_of(connection, source)
        return None if known is None else str(known.id)

    def source(self, referral_id: str) -> Source | None:
        """The filled-in form that a referral came from."""
        with self.database.reading() as connection:
            return source_of(connection, referral_id)

    def act(
        self, referral_id: str, deed: Deed, actor: str, reason: str | None = None, outcome: str | None = None
    ) -> State:
        """Does *deed* for this side; raises `Refused` when it is not allowed, and then nothing has changed."""
        return self.database.write(
            lambda connection: self._do(connection, self._row(connection, referral_id), deed, actor, reason, outcome)
        )

    def _do(
        self,
        connection: Connection,
        row: Row[Any],
        deed: Deed,
        actor: str,
        reason: str | None = None,
        outcome: str | None = None,
        message_id: str | None = None,
    ) -> State:
        mine, events = _SIDES[row.direction], _events(connection, row.id)
        number = _last(events, mine) + 1
        event = Event(mine, number, _last(events, mine.other), deed, self._second(), reason, outcome)
        refused = refusal(_standing(row, events), event)
        if refused:
            raise Refused(refused, f"referral {row.id}", _ADVICE[refused])
        if deed is Deed.ACCEPT:
            self._has_room(connection, row)
        message_id = message_id or str(uuid4())
        _log(connection, row.id, message_id, event, actor)
        if deed is not Deed.WITHDRAW or self._clear_way(connection, row.id):
            self._queue(connection, row, message_id, number)
        self._audit(connection, row, event, actor)
        return self._restate(connection, row, [*events, event])

    # Answers that come on a form or by a link

    def answer(
        self, referral_id: str, deed: Deed, actor: str, reason: str | None = None, outcome: str | None = None
    ) -> State:
        """Does what the one who was asked answered on paper: for us, or for a partner without a node.

        Raises `Refused` when it is not allowed, and then nothing has changed.
        """
        return self.database.write(
            lambda connection: self.answer_within(connection, referral_id, deed, actor, reason, outcome)
        )

    def answer_within(
        self, connection: Connection, referral_id: str, deed: Deed, actor: str, reason: str | None, outcome: str | None
    ) -> State:
        """As `answer`, within a transaction."""
        row = self._row(connection, referral_id)
        if row.direction == _IN:
            return self._do(connection, row, deed, actor, reason, outcome)
        row = self.paper_row(connection, referral_id)
        if deed is not Deed.RECEIVE and not _last(_events(connection, row.id), Party.OWNER):
            self._log_theirs(connection, row, Deed.RECEIVE, actor)
        state = self._log_theirs(connection, row, deed, actor, reason, outcome)
        standing = _standing(row, _events(connection, row.id))
        if state in UNDER_WAY and not standing.disclosing:
            self._do(connection, self._row(connection, row.id), Deed.DISCLOSE, "silah")
        return state

    def paper_row(self, connection: Connection, referral_id: str) -> Row[Any]:
        """A referral of ours to a partner without a node; raises `Refused` for any other."""
        row = self._row(connection, referral_id)
        if row.direction != _OUT or not _by_hand(connection, row.partner):
            raise Refused("referral.not_yours", f"referral {row.id}", _ADVICE["referral.not_yours"])
        return row

    def _log_theirs(
        self,
        connection: Connection,
        row: Row[Any],
        deed: Deed,
        actor: str,
        reason: str | None = None,
        outcome: str | None = None,
    ) -> State:
        """An event of a partner without a node, as it came on paper."""
        events = _events(connection, row.id)
        number, seen = _last(events, Party.OWNER) + 1, _last(events, Party.REQUESTER)
        event = Event(Party.OWNER, number, seen, deed, self._second(), reason, outcome)
        refused = refusal(_standing(row, events), event)
        if refused:
            raise Refused(refused, f"referral {row.id}", _ADVICE[refused])
        _log(connection, row.id, str(uuid4()), event, actor)
        self._audit(connection, row, event, actor)
        return self._restate(connection, row, [*events, event])

    def answerable(self, case_code: str, number: str) -> list[str]:
        """Ids of the referrals that an answer on paper may be about, received from a partner or sent to one without a
        node: the one of that number; else the open ones of the case; else the one that ended last."""
        paper = select(partners.c.fingerprint).where(partners.c.url == "")
        ours = or_(referrals.c.direction == _IN, referrals.c.partner.in_(paper))
        named = (
            referrals.c.id.startswith(number.lower(), autoescape=True) if number else referrals.c.case_code == case_code
        )
        query = select(referrals.c.id, referrals.c.state).where(ours, named).order_by(referrals.c.changed_at)
        with self.database.reading() as connection:
            rows = connection.execute(query).all() if number or case_code else []
        going_on = [row.id for row in rows if number or row.state not in FINAL]
        return going_on or [row.id for row in rows[-1:]]

    def pass_note(self, connection: Connection, row: Row[Any], note_id: str, actor: str) -> None:
        """Queues a note for the other side of one referral; raises `Refused` when it is not under way."""
        deed = Deed.SHARE if row.direction == _OUT else Deed.REPORT
        message_id = str(uuid4())
        self._do(connection, row, deed, actor, message_id=message_id)
        share_note(connection, message_id, note_id, row.id)

    def _clear_way(self, connection: Connection, referral_id: str) -> bool:
        """Drops what was not acknowledged yet; whether anything ever left, so that the partner has to be told."""
        mine = referral_messages.c.referral_id == referral_id
        left = connection.execute(select(exists().where(mine, referral_messages.c.begun))).scalar_one()
        open_ = referral_messages.c.state.in_(OPEN)
        connection.execute(update(referral_messages).where(mine, open_).values(state="superseded"))
        return bool(left)

    def _queue(self, connection: Connection, row: Row[Any], message_id: str, number: int) -> None:
        at = milliseconds(self.now())
        connection.execute(
            insert(referral_messages).values(
                id=message_id, referral_id=row.id, number=number, partner=row.partner, state="due", attempts=0,
                next_at=at, begun=False, told=False, made_at=at,
            )
        )  # fmt: skip

    def _restate(self, connection: Connection, row: Row[Any], events: Sequence[Event]) -> State:
        """Writes what the events now amount to, and lets go of what is no longer needed."""
        standing = _standing(row, events)
        values = {"state": standing.state, "due_at": _stamp(standing.due_at), "changed_at": milliseconds(self.now())}
        connection.execute(update(referrals).where(referrals.c.id == row.id).values(values))
        body = referral_bodies.c.referral_id == row.id
        if standing.state is State.WITHDRAWN:
            connection.execute(delete(referral_bodies).where(body))
            forget_notes(connection, row.case_code)
        elif standing.state in FINAL and row.direction == _OUT:
            connection.execute(update(referral_bodies).where(body).values(identity=None))
        return standing.state

    def take_over(self, referral_id: str, user: str) -> None:
        """Notes who of the shift looks after a referral."""

        def job(connection: Connection) -> None:
            row = self._row(connection, referral_id)
            connection.execute(update(referrals).where(referrals.c.id == row.id).values(taken_over_by=user))
            audit.append(connection, self.now(), Entry("referral_taken_over", user, row.id))

        self.database.write(job)

    # What partners do

    def take(self, partner: Partner, message: Message) -> Taken:
        """Keeps a partner's message, durably; a repeated id changes nothing.

        Raises `Refused` when it may not be, `OutOfOrder` when an earlier one is missing; then nothing was kept.
        """
        return self.database.write(lambda connection: self._take(connection, partner, message))

    def _take(self, connection: Connection, partner: Partner, message: Message) -> Taken:
        receipt = uuid5(SILAH, f"receipt of {message.id}").hex
        _wake(connection, partner.fingerprint, milliseconds(self.now()))
        if _known_message(connection, partner, message):
            return Taken(receipt, new=False)
        row = _find(connection, str(message.referral))
        if row is None:
            self._take_first(connection, partner, message)
        elif row.partner != partner.fingerprint:
            raise _refuse_message("referral.unknown")
        else:
            self._take_next(connection, partner, message, row)
        return Taken(receipt, new=True)

    def _take_first(self, connection: Connection, partner: Partner, message: Message) -> None:
        """A request; or a withdrawal that overtook it, of which only the tombstone is kept."""
        opening = message.opening
        if opening is None and message.deed is not Deed.WITHDRAW:
            raise _refuse_message("referral.unknown")
        if message.number != 1 and opening is not None:
            raise _refuse_message("referral.not_the_first")
        at = milliseconds(self.now())
        connection.execute(
            insert(referrals).values(
                id=str(message.referral), partner=partner.fingerprint, direction=_IN, kind=opening and opening.kind,
                priority=opening and opening.priority, case_code=opening.case_code if opening else "",
                state=State.DRAFT, made_at=at, changed_at=at,
            )
        )  # fmt: skip
        row = self._row(connection, str(message.referral))
        events = [_whole_seconds(message.event)]
        if opening is not None:
            self._seal_body(connection, row.id, opening)
            events.append(Event(Party.OWNER, 1, 1, Deed.RECEIVE, self._second()))
            _log(connection, row.id, _receive_id(row.id), events[1], "silah")
        _log(connection, row.id, str(message.id), events[0], f"partner:{partner.name}")
        for event in events:
            self._audit(connection, row, event, f"partner:{partner.name}" if event is events[0] else "silah")
        self._restate(connection, row, events)

    def _take_next(self, connection: Connection, partner: Partner, message: Message, row: Row[Any]) -> None:
        mine, event = _SIDES[row.direction], _whole_seconds(message.event)
        if event.by is mine:
            raise _refuse_message("referral.not_yours")
        if row.state == State.WITHDRAWN:
            raise _refuse_message("referral.withdrawn")
        events = _events(connection, row.id)
        if mine is Party.REQUESTER and not _last(events, Party.OWNER):
            events.append(self._acknowledge(connection, row, event.at))
        _in_turn(events, event)
        after = _standing(row, [*events, event])
        if event.place in after.overtaken and event.seen == _last(events, mine):
            raise _refuse_message(refusal(_standing(row, events), event) or "referral.not_allowed")
        _log(connection, row.id, str(message.id), event, f"partner:{partner.name}")
        self._audit(connection, row, event, f"partner:{partner.name}")
        if message.disclosed is not None and event.place not in after.overtaken:
            self._keep_identity(connection, row.id, message.disclosed)
        if message.note is not None and event.place not in after.overtaken:
            note_id = str(message.id)
            keep_note(
                connection,
                self.master,
                note_id,
                row.case_code,
                message.note,
                row.partner,
                f"partner:{partner.name}",
                event.at,
            )
        if after.state is State.WITHDRAWN:
            self._clear_way(connection, row.id)
        self._restate(connection, row, [*events, event])
        if mine is Party.REQUESTER and after.state in UNDER_WAY and not after.disclosing:
            self._do(connection, self._row(connection, row.id), Deed.DISCLOSE, "silah")

    def _acknowledge(self, connection: Connection, row: Row[Any], at: datetime) -> Event:
        """The partner has the request: by its signed answer, or because it speaks of it."""
        event = Event(Party.OWNER, 1, 1, Deed.RECEIVE, at.replace(microsecond=0))
        _log(connection, row.id, _receive_id(row.id), event, "partner")
        self._audit(connection, row, event, "partner")
        return event

    # Bodies

    def _seal_body(
        self,
        connection: Connection,
        referral_id: str,
        opening: Opening,
        consent: PartnerConsent | None = None,
        identity: Identity | None = None,
    ) -> None:
        key = self.master.new_data_key()

        def sealed(value: Opening | PartnerConsent | Identity | None, part: str) -> bytes | None:
            return None if value is None else key.seal(value.model_dump_json().encode(), f"{referral_id} {part}")

        connection.execute(
            insert(referral_bodies).values(
                referral_id=referral_id, wrapped=self.master.wrap(key, referral_id), key_id=self.master.key_id,
                opening=sealed(opening, "opening"), consent=sealed(consent, "consent"), identity=sealed(identity, "identity"),
            )
        )  # fmt: skip

    def _keep_identity(self, connection: Connection, referral_id: str, disclosed: Disclosed) -> None:
        row = connection.execute(select(referral_bodies).where(referral_bodies.c.referral_id == referral_id)).one()
        sealed = self._key(row).seal(disclosed.model_dump_json().encode(), f"{referral_id} disclosed")
        connection.execute(
            update(referral_bodies).where(referral_bodies.c.referral_id == referral_id).values(identity=sealed)
        )

    def _key(self, body: Row[Any]) -> DataKey:
        return self.master.unwrap(body.wrapped, body.referral_id)

    def contents(self, referral_id: str) -> Contents:
        """Our own referral, opened to make a message of it."""
        with self.database.reading() as connection:
            row = self._row(connection, referral_id)
            body = connection.execute(
                select(referral_bodies).where(referral_bodies.c.referral_id == referral_id)
            ).first()
        if body is None:
            return Contents(State(row.state))
        key = self._key(body)

        def opened(sealed: bytes | None, part: str) -> bytes | None:
            return None if sealed is None else key.open(sealed, f"{referral_id} {part}")

        consent, identity = opened(body.consent, "consent"), opened(body.identity, "identity")
        return Contents(
            State(row.state),
            Opening.model_validate_json(key.open(body.opening, f"{referral_id} opening")),
            None if consent is None else PartnerConsent.model_validate_json(consent),
            None if identity is None else Identity.model_validate_json(identity),
        )

    def disclosed(self, referral_id: str, actor: str) -> Disclosed | None:
        """Who a received referral is about, once the sender told; every look is audited."""

        def job(connection: Connection) -> Disclosed | None:
            row = self._row(connection, referral_id)
            body = connection.execute(
                select(referral_bodies).where(referral_bodies.c.referral_id == referral_id)
            ).first()
            if row.direction != _IN or body is None or body.identity is None:
                return None
            audit.append(connection, self.now(), Entry("referral_identity_read", actor, row.id))
            return Disclosed.model_validate_json(self._key(body).open(body.identity, f"{referral_id} disclosed"))

        return self.database.write(job)

    def forget_identities(self, before: datetime, *, dry_run: bool) -> int:
        """Removes who finished referrals were about, once they ended *before*; how many. Codes, events and counts stay.

        The notes on a case go with the last of its referrals.
        """
        ended = and_(
            referrals.c.state.in_([str(state) for state in FINAL]), referrals.c.changed_at < milliseconds(before)
        )
        told = and_(referral_bodies.c.referral_id == referrals.c.id, referral_bodies.c.identity.isnot(None))
        noted = and_(
            select(referral_notes.c.id).where(referral_notes.c.case_code == referrals.c.case_code).exists(),
            ~_going_on_or_recent(before),
        )
        query = select(referrals.c.id, referrals.c.case_code).where(ended, or_(exists().where(told), noted))
        with self.database.reading() as connection:
            rows = connection.execute(query).all()

        def job(connection: Connection) -> None:
            ids = [row.id for row in rows]
            connection.execute(
                update(referral_bodies)
                .where(referral_bodies.c.referral_id.in_(ids))
                .values(identity=None, consent=None)
            )
            for code in {row.case_code for row in rows}:
                left = select(referrals.c.id).where(referrals.c.case_code == code, ~ended)
                if connection.execute(left).first() is None:
                    drop_notes(connection, code)
            audit.append(connection, self.now(), Entry("referral_identities_forgotten", detail={"referrals": len(ids)}))

        if rows and not dry_run:
            self.database.write(job)
        return len(rows)

    # Sending

    def outgoing(self, partner: Partner, limit: int, busy: Collection[str]) -> list[Outgoing]:
        """What may go to *partner* now: of each referral the first that is not acknowledged, none in *busy*."""
        earlier = referral_messages.alias()
        blocked = exists().where(
            earlier.c.referral_id == referral_messages.c.referral_id,
            earlier.c.number < referral_messages.c.number,
            earlier.c.state.in_(OPEN),
        )
        query = (
            _with_event(referral_messages.c.attempts, referral_messages.c.told)
            .where(
                referral_messages.c.partner == partner.fingerprint,
                referral_messages.c.state == "due",
                self._time_has_come(),
                referral_messages.c.referral_id.notin_(list(busy)),
                ~blocked,
            )
            .order_by(referral_messages.c.next_at)
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [
                Outgoing(row.id, row.referral_id, _event(row), row.attempts, row.told)
                for row in connection.execute(query)
            ]

    def _time_has_come(self) -> ColumnElement[bool]:
        """Its time is past; or so far off that the clock must have been wrong when it was set."""
        now = self.now()
        next_at = referral_messages.c.next_at
        return or_(next_at <= milliseconds(now), next_at > milliseconds(now + 2 * LONGEST_WAIT))

    def begin(self, message: Outgoing, *, told: bool) -> bool:
        """Notes that an attempt begins; False when the message was superseded and must not leave."""
        values = {"begun": True, "told": message.told or told}
        change = update(referral_messages).where(
            referral_messages.c.id == message.id, referral_messages.c.state == "due"
        )
        return self.database.write(lambda connection: bool(connection.execute(change.values(values)).rowcount))

    def sent(
        self, message: Outgoing, partner: Partner, at: datetime, *, result: str | None, told: Entry | None = None
    ) -> None:
        """The partner acknowledged it at *at*; *result* is what the second step came to, *told* its line in the audit of
        the form's record."""

        def job(connection: Connection) -> None:
            row = self._row(connection, message.referral_id)
            mine = update(referral_messages).where(referral_messages.c.id == message.id)
            done = {"sent_at": milliseconds(self.now()), "result": result, "error": None}
            connection.execute(mine.values(done))
            connection.execute(mine.where(referral_messages.c.state != "superseded").values(state="sent"))
            events = _events(connection, row.id)
            received = partner.node is not None and message.event.deed is Deed.REQUEST
            if received and not _last(events, Party.OWNER) and row.state != State.WITHDRAWN:
                self._restate(connection, row, [*events, self._acknowledge(connection, row, at)])
            detail: dict[str, JSON] = {"deed": message.event.deed, "message": message.id}
            if result is not None:
                detail |= {"second_step": result, "classes": ["identity"] if result == "told" else []}
            if told is not None and result == "told":
                audit.append(connection, self.now(), told)
            audit.append(connection, self.now(), Entry("referral_sent", "silah", row.id, partner.name, detail))

        self.database.write(job)

    def later(self, message: Outgoing, code: str, delay: timedelta) -> None:
        """An attempt failed: try again after *delay*."""
        values = {"attempts": message.attempts + 1, "error": code, "next_at": milliseconds(self.now() + delay)}
        self._set(message, values)

    def park(self, message: Outgoing, code: str) -> None:
        """The partner refused it for good: a person looks; what follows waits behind it."""
        self._set(message, {"attempts": message.attempts + 1, "error": code, "state": "parked"})

    def _set(self, message: Outgoing, values: Mapping[str, object]) -> None:
        change = update(referral_messages).where(
            referral_messages.c.id == message.id, referral_messages.c.state == "due"
        )
        self.database.write(lambda connection: connection.execute(change.values(values)) and None)

    def retry(self, referral_id: str, actor: str) -> int:
        """Makes a referral's waiting and parked messages due now; how many."""

        def job(connection: Connection) -> int:
            row = self._row(connection, referral_id)
            open_ = and_(referral_messages.c.referral_id == row.id, referral_messages.c.state.in_(OPEN))
            values = {"state": "due", "next_at": milliseconds(self.now())}
            count = connection.execute(update(referral_messages).where(open_).values(values)).rowcount
            audit.append(connection, self.now(), Entry("referral_retried", actor, row.id))
            return count

        return self.database.write(job)

    def wake(self, partner: Partner) -> None:
        """The partner may be reached again: whatever waits for it is due now."""
        self.database.write(lambda connection: _wake(connection, partner.fingerprint, milliseconds(self.now())))

    # Looking

    def rows(self) -> list[ReferralRow]:
        """Every referral, the one that is due first before the others."""
        query = _rows().order_by(referrals.c.due_at, referrals.c.made_at)
        with self.database.reading() as connection:
            return [self._listed(row) for row in connection.execute(query)]

    def page(self, after: tuple[int, str] | None, limit: int, *, finished: bool) -> tuple[list[ReferralRow], Paged]:
        """Referrals that are not final, the one that is due first on top; or, *finished*, the newest of the others.

        From the place *after* on; and the place where the next page begins, None at the end.
        """
        final = referrals.c.state.in_([str(state) for state in FINAL])
        at = referrals.c.changed_at if finished else func.coalesce(referrals.c.due_at, 0)
        query = _rows().where(final if finished else ~final)
        if after is not None:
            place, last = after
            later = at < place if finished else at > place
            query = query.where(or_(later, and_(at == place, referrals.c.id > last)))
        query = query.add_columns(at.label("place")).order_by(at.desc() if finished else at, referrals.c.id)
        with self.database.reading() as connection:
            rows = connection.execute(query.limit(limit + 1)).all()
        end = (rows[limit - 1].place, rows[limit - 1].id) if len(rows) > limit else None
        return [self._listed(row) for row in rows[:limit]], end

    def came_back(self, since: datetime, limit: int) -> list[tuple[ReferralRow, Event]]:
        """What partners did to referrals since then, the newest first; receipts are not among it."""
        theirs = or_(
            and_(referrals.c.direction == _OUT, referral_events.c.party == Party.OWNER),
            and_(referrals.c.direction == _IN, referral_events.c.party == Party.REQUESTER),
        )
        events = referral_events.c
        query = (
            _rows()
            .add_columns(
                events.party, events.number, events.seen, events.deed, events.at, events.reason, events.outcome
            )
            .join(referral_events, events.referral_id == referrals.c.id)
            .where(theirs, events.at >= milliseconds(since), events.deed != str(Deed.RECEIVE))
            .order_by(events.at.desc(), referrals.c.id)
        )
        with self.database.reading() as connection:
            rows = connection.execute(query.limit(limit)).all()
        return [(self._listed(row), _event(row)) for row in rows]

    def unsent(self) -> int:
        """How many messages no partner has acknowledged yet, parked ones included."""
        query = select(func.count()).select_from(referral_messages).where(referral_messages.c.state.in_(OPEN))
        with self.database.reading() as connection:
            return connection.execute(query).scalar_one()

    def show(self, referral_id: str) -> Shown:
        """One referral; raises `Refused` when there is none."""
        with self.database.reading() as connection:
            self._row(connection, referral_id)
            row = connection.execute(_rows().where(referrals.c.id == referral_id)).one()
            logged = connection.execute(
                select(referral_events).where(referral_events.c.referral_id == referral_id)
            ).all()
            messages = connection.execute(_messages_of(referral_id)).all()
            body = connection.execute(
                select(referral_bodies).where(referral_bodies.c.referral_id == referral_id)
            ).first()
        by_place = {_event(one).place: one for one in logged}
        order = merge([_event(one) for one in logged])
        standing = _standing(row, order)
        told = row.direction == _IN and body is not None and body.identity is not None
        return Shown(
            self._listed(row),
            standing,
            self._opening(body),
            tuple(
                Logged(one, by_place[one.place].id, by_place[one.place].actor, one.place not in standing.overtaken)
                for one in order
            ),
            tuple(Stuck(one.deed, one.state, one.attempts, one.error) for one in messages if one.state in OPEN),
            told,
            "told" if told else next((one.result for one in messages if one.result), None),
        )

    def _opening(self, body: Row[Any] | None) -> Opening | None:
        if body is None:
            return None
        return Opening.model_validate_json(self._key(body).open(body.opening, f"{body.referral_id} opening"))

    def newly_overdue(self) -> list[ReferralRow]:
        """Those whose time has passed since this was asked last; each alarm is audited once for each due time."""
        late = and_(
            referrals.c.state.in_([str(state) for state in UNANSWERED]),
            referrals.c.due_at <= milliseconds(self.now()),
            or_(referrals.c.alarmed_at.is_(None), referrals.c.alarmed_at != referrals.c.due_at),
        )
        with self.database.reading() as connection:
            found = [self._listed(row) for row in connection.execute(_rows().where(late))]
        if found:
            self.database.write(lambda connection: self._alarm(connection, late))
        return found

    def _alarm(self, connection: Connection, late: ColumnElement[bool]) -> None:
        rows = connection.execute(_rows().where(late)).all()
        audit.append_all(
            connection,
            self.now(),
            [Entry("referral_overdue", record_id=row.id, target=row.name, detail={"state": row.state}) for row in rows],
        )
        connection.execute(update(referrals).where(late).values(alarmed_at=referrals.c.due_at))

    def _has_room(self, connection: Connection, row: Row[Any]) -> None:
        """Raises unless our own directory, if there is one, still has what is asked for."""
        opening = self._opening_of(connection, row.id)
        services = services_of(connection, OWN)
        refused = (
            services and opening and directory_refusal(services, opening, self._taken(connection), self.now().date())
        )
        if refused:
            advice = "Reject it with that reason, or bring the directory up to date."
            raise Refused(refused[0], f"service `{refused[1]}`", advice)

    def _taken(self, connection: Connection) -> Mapping[str, int]:
        """How many referrals under way here hold a place of each service."""
        states = [str(state) for state in UNDER_WAY]
        ids = select(referrals.c.id).where(referrals.c.direction == _IN, referrals.c.state.in_(states))
        bodies = connection.execute(select(referral_bodies).where(referral_bodies.c.referral_id.in_(ids))).all()
        openings = [self._opening(body) for body in bodies]
        return Counter(code for opening in openings if opening is not None for code in opening.services_requested)

    def _opening_of(self, connection: Connection, referral_id: str) -> Opening | None:
        return self._opening(
            connection.execute(select(referral_bodies).where(referral_bodies.c.referral_id == referral_id)).first()
        )

    def free_places(self) -> list[tuple[Service, int | None]]:
        """Our own services, and how many places of each are free; None: not counted."""
        with self.database.reading() as connection:
            taken, services = self._taken(connection), services_of(connection, OWN)
        return [(one, None if one.places is None else max(one.places - taken.get(one.code, 0), 0)) for one in services]

    def _listed(self, row: Row[Any]) -> ReferralRow:
        due_at = None if row.due_at is None else moment(row.due_at)
        overdue = Standing(State(row.state), due_at).overdue(self.now())
        return ReferralRow(
            row.id, row.state, row.case_code, row.name, row.direction, due_at, overdue, row.kind, row.priority,
            row.taken_over_by, row.duty_number,
        )  # fmt: skip

    # Small parts

    def _row(self, connection: Connection, referral_id: str) -> Row[Any]:
        row = _find(connection, referral_id)
        if row is None:
            raise Refused(
                "referral.unknown", "the referral named", "`silah referral list` shows the ids that can be named."
            )
        return row

    def _audit(self, connection: Connection, row: Row[Any], event: Event, actor: str) -> None:
        name = connection.execute(select(partners.c.name).where(partners.c.fingerprint == row.partner)).scalar()
        detail: dict[str, JSON] = {"by": event.by, "number": event.number}
        detail |= {key: value for key, value in (("reason", event.reason), ("outcome", event.outcome)) if value}
        audit.append(connection, self.now(), Entry(f"referral_{event.deed}", actor, row.id, name, detail))

    def _second(self) -> datetime:
        return self.now().replace(microsecond=0)


def _known_message(connection: Connection, partner: Partner, message: Message) -> bool:
    """Whether a message of this id was kept before; of another partner's referral it is refused."""
    row = connection.execute(
        select(referrals.c.partner)
        .join(referral_events, referral_events.c.referral_id == referrals.c.id)
        .where(referral_events.c.id == str(message.id))
    ).first()
    if row is not None and row.partner != partner.fingerprint:
        raise _refuse_message("referral.unknown")
    return row is not None


def _in_turn(events: Sequence[Event], event: Event) -> None:
    """Raises unless *event* is the next of its side; a withdrawal may come out of turn."""
    last = _last(events, event.by)
    if event.number <= last:
        raise _refuse_message("referral.number_taken")
    if event.number > last + 1 and event.deed is not Deed.WITHDRAW:
        raise OutOfOrder("referral.out_of_order", "a partner's message", "It is taken after the one before it.")
    if event.seen > _last(events, event.by.other):
        raise _refuse_message("referral.never_sent")


def _refuse_message(code: str) -> Refused:
    return Refused(
        code, "a partner's message", "Nothing was changed; `silah referral show` on both sides tells the state."
    )


def _standing(row: Row[Any], events: Iterable[Event]) -> Standing:
    kind, priority = row.kind or Kind.REFERRAL, row.priority or Priority.NORMAL
    return stand(events, Kind(kind), Priority(priority))


def _events(connection: Connection, referral_id: str) -> list[Event]:
    rows = connection.execute(select(referral_events).where(referral_events.c.referral_id == referral_id))
    return [_event(row) for row in rows]


def _last(events: Iterable[Event], party: Party) -> int:
    return max((event.number for event in events if event.by is party), default=0)


def _log(connection: Connection, referral_id: str, message_id: str, event: Event, actor: str) -> None:
    connection.execute(
        insert(referral_events).values(
            referral_id=referral_id, party=event.by, number=event.number, id=message_id, seen=event.seen,
            deed=event.deed, at=milliseconds(event.at), actor=actor, reason=event.reason, outcome=event.outcome,
        )
    )  # fmt: skip


def _codes(opening: Opening) -> dict[str, str]:
    """What lists show of a referral."""
    return {"kind": opening.kind, "priority": opening.priority, "case_code": opening.case_code}


def _by_hand(connection: Connection, fingerprint: str) -> bool:
    """Whether that partner has no node."""
    return connection.execute(select(partners.c.url).where(partners.c.fingerprint == fingerprint)).scalar() == ""


def _releases(connection: Connection, referral_id: str) -> set[str]:
    query = select(referral_releases.c.user).where(referral_releases.c.referral_id == referral_id)
    return set(connection.execute(query).scalars())


def _going_on_or_recent(before: datetime) -> ColumnElement[bool]:
    """Whether another referral of the same case has not ended *before*."""
    other = referrals.alias("other")
    final = [str(state) for state in FINAL]
    return exists().where(
        other.c.case_code == referrals.c.case_code,
        or_(other.c.state.notin_(final), other.c.changed_at >= milliseconds(before)),
    )


def _find(connection: Connection, referral_id: str) -> Row[Any] | None:
    return connection.execute(select(referrals).where(referrals.c.id == referral_id).with_for_update()).first()


def _receive_id(referral_id: str) -> str:
    """The same on both sides, though no message carries it: the signed answer does."""
    return str(uuid5(SILAH, f"receive {referral_id}"))


def _wake(connection: Connection, fingerprint: str, at: int) -> None:
    waiting = and_(
        referral_messages.c.partner == fingerprint, referral_messages.c.state == "due", referral_messages.c.next_at > at
    )
    connection.execute(update(referral_messages).where(waiting).values(next_at=at))


def _rows() -> Select[Any]:
    return select(referrals, partners.c.name, partners.c.duty_number).join(
        partners, partners.c.fingerprint == referrals.c.partner
    )


def _messages_of(referral_id: str) -> Select[Any]:
    messages = referral_messages.c
    columns = (messages.state, messages.attempts, messages.error, messages.result)
    return _with_event(*columns).where(messages.referral_id == referral_id).order_by(messages.number)


def _with_event(*columns: ColumnElement[Any]) -> Select[Any]:
    events = referral_events.c
    return select(
        referral_messages.c.id, referral_messages.c.referral_id, events.party, events.number, events.seen, events.deed,
        events.at, events.reason, events.outcome, *columns,
    ).join(referral_events, events.id == referral_messages.c.id)  # fmt: skip


def _event(row: Row[Any]) -> Event:
    return Event(Party(row.party), row.number, row.seen, Deed(row.deed), moment(row.at), row.reason, row.outcome)


def _whole_seconds(event: Event) -> Event:
    return Event(
        event.by, event.number, event.seen, event.deed, event.at.replace(microsecond=0), event.reason, event.outcome
    )


def _partners() -> Select[Any]:
    terms = partner_terms.c
    columns = (terms.recipient, terms.public_keys, terms.folder, terms.language)
    return select(partners, *columns).outerjoin(partner_terms, terms.fingerprint == partners.c.fingerprint)


def _partner(row: Row[Any]) -> Partner:
    keys = tuple((row.public_keys or "").split())
    terms = Terms(row.recipient, keys, row.folder or "", row.language or "en")
    node = read_node(json.loads(row.exported)) if row.url else None
    return Partner(row.name, row.fingerprint, node, row.duty_number, terms)


def keep_terms(connection: Connection, fingerprint: str, terms: Terms) -> None:
    """Puts *terms* in the place of what held for a partner."""
    connection.execute(delete(partner_terms).where(partner_terms.c.fingerprint == fingerprint))
    connection.execute(
        insert(partner_terms).values(
            fingerprint=fingerprint, recipient=terms.recipient, public_keys="\n".join(terms.public_keys),
            folder=terms.folder, language=terms.language,
        )
    )  # fmt: skip


def _stamp(value: datetime | None) -> int | None:
    return None if value is None else milliseconds(value)
