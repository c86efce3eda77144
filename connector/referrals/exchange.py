"""The exchange of referrals: what people here do, what partners do, and one attempt to send.

new(), act()   a person here; durable at once, sent by the sender's thread when the server runs
receive()      a partner's signed, encrypted message: verified, opened, kept, acknowledged; no outgoing call
attempt()      one message to a partner; the second step passes its gate (gate.py) before every attempt
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from uuid import UUID

from connector.config import Config
from connector.disclosure import Told, Waiting, Withheld
from connector.errors import Misconfigured, NotASubmission, NotAuthentic, Refused, SilahError
from connector.ledger.answer_links import ANSWER, FEEDBACK, AnswerLinks
from connector.ledger.audit import Entry
from connector.ledger.directory import Directory
from connector.ledger.flow import Ledger
from connector.ledger.partner_reports import DueReport, PartnerReports
from connector.ledger.referral_notes import NewNote, Notes
from connector.ledger.referral_sources import Source
from connector.ledger.referrals import LONGEST_WAIT, RELEASES_NEEDED, Outgoing, Partner, ReferralLedger, Shown, Taken
from connector.model import JSON, Backoff
from connector.outbound import Answer, Caller, Unreachable
from connector.referrals import envelope
from connector.referrals.byhand import Address, ByHand
from connector.referrals.directory import refusal as directory_refusal
from connector.referrals.gate import NotTold, clear, clear_form, consent_refusal
from connector.referrals.joint import read_joint, read_note
from connector.referrals.machine import Deed, State
from connector.referrals.messages import Disclosed, Message, Note, read_message
from connector.referrals.node import NodeKeys, PublicNode, read_node
from connector.referrals.referral import Draft, read_draft
from connector.referrals.reports import CountRow, ReportMessage, is_report, new_report, read_report

Second = Disclosed | NotTold | Note | None
_CLASS_OF = {"name": "identity", "contact": "contact", "safe_contact": "contact", "free_text": "circumstances"}
FormGate = Callable[[Source], Told | Withheld | Waiting]
_TIMEOUT = timedelta(seconds=30)
_MOST_ANSWER = 1 << 16
_JITTER = 0.25
_KEPT, _KNOWN, _REFUSED, _TOO_LARGE = 201, 200, 422, 413


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a partner is answered: 201 or 200, and the body with the headers that sign it."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Exchange:
    """Referrals between this node and its partners.

    Args:
        config: names `public_url`, without which the node cannot be exported, and the back-off.
        referrals: what is kept.
        forms: the gate of a filled-in form at this moment, for referrals that came from one; without it their second
            step waits.
    """

    def __init__(self, config: Config, referrals: ReferralLedger, forms: FormGate | None = None) -> None:
        self._forms = forms
        self._config = config
        self.referrals = referrals
        self.directory = Directory(referrals.database, referrals.now)
        self._now = referrals.now
        self._backoff: Backoff = config.dispatch.backoff()
        self.links = AnswerLinks(referrals)
        self.notes = Notes(referrals)
        self.reports = PartnerReports(referrals)
        self._files = ByHand(config)

    @cached_property
    def keys(self) -> NodeKeys:
        """This node's own keys."""
        return self.referrals.keys()

    # People here

    def export(self) -> PublicNode:
        """This node for its partners; raises `Misconfigured` without `public_url`."""
        url = self._config.public_url
        if not url:
            advice = "Write the address under which partners reach this node."
            raise Misconfigured("config.missing_key", f"`public_url` in {self._config.path}", advice)
        try:
            return self.keys.public(url.rstrip("/"))
        except ValueError:
            raise Misconfigured(
                "config.bad_value", f"`public_url` in {self._config.path}", "It begins with https://."
            ) from None

    def pair(
        self, data: Mapping[str, object], name: str, duty_number: str | None, actor: str, recipient: str | None = None
    ) -> Partner:
        """Pairs with the node that *data* exported; raises `Refused`."""
        node = read_node(data)
        if node.fingerprint == self.keys.fingerprint:
            raise Refused("partner.self", "the partner's file", "This is our own export: ask the partner for theirs.")
        self.referrals.add_partner(name, node, duty_number, actor, recipient)
        return self.referrals.partner(name)

    def new(self, data: Mapping[str, object], partner_name: str, actor: str) -> Shown:
        """Keeps a referral and asks for it to be sent; raises `Refused`, and then nothing was kept."""
        return self.referrals.show(self.referrals.open([self._ready(data, partner_name)], actor)[0])

    def joint(self, data: Mapping[str, object], actor: str) -> list[Shown]:
        """One case to several parties at once, each with a view of its own; raises `Refused`, and then nothing was kept."""
        drafts = [self._ready(view, name) for name, view in read_joint(data)]
        return [self.referrals.show(one) for one in self.referrals.open(drafts, actor)]

    def note(self, case_code: str, data: Mapping[str, object], actor: str) -> NewNote:
        """Keeps a note on a case. It goes to the parties named in `readers`, with whom a referral of this case is under
        way, and to nobody else; without readers it stays here. Raises `Refused`."""
        note, readers = read_note(data)
        known = frozenset(self.referrals.partner(name).fingerprint for name in readers)
        return self.notes.add(case_code, note, known, actor)

    def _ready(self, data: Mapping[str, object], partner_name: str) -> tuple[Draft, Partner]:
        partner = self.referrals.partner(partner_name)
        draft = read_draft(data)
        refused = consent_refusal(draft.consent, partner.names, self._now())
        if refused:
            advice = "Ask the person: a yes for this partner that is good today comes before the referral."
            raise Refused(f"referral.{refused}", "`consent` of the referral", advice)
        closed = directory_refusal(self.directory.of(partner.fingerprint), draft.opening, {}, self._now().date())
        if closed:
            advice = "Call the partner, or import its directory anew; another partner may have what is needed."
            raise Refused(closed[0], f"service `{closed[1]}` at {partner.name}", advice)
        if partner.restricted and not (draft.risk_explained and draft.purpose):
            advice = "Authorities: explain the risk to the person, then write `risk_explained` and `purpose`."
            raise Refused("referral.restricted_road", f"referral to {partner.name}", advice)
        return draft, partner

    def act(
        self, referral_id: str, deed: Deed, actor: str, reason: str | None = None, outcome: str | None = None
    ) -> State:
        """Does *deed* for this side; raises `Refused`, and then nothing was changed."""
        return self.referrals.act(referral_id, deed, actor, reason, outcome)

    # Partners

    def receive(self, fingerprint: str, headers: Mapping[str, str], body: bytes) -> Acknowledgement:
        """Keeps a partner's message and signs for it.

        Raises `NotAuthentic` (unknown partner, signature, time), `NotASubmission` and `Refused` (never send it again),
        `OutOfOrder` (send it again after the one before it).
        """
        partner = self._sender(fingerprint)
        message_id = envelope.verify(_node(partner).signing_key, headers, body, self._now())
        plaintext = envelope.unseal(body, self.keys)
        message = read_report(plaintext) if is_report(plaintext) else read_message(plaintext)
        if (str(message.id), message.sender, message.recipient) != (
            message_id,
            partner.fingerprint,
            self.keys.fingerprint,
        ):
            raise NotASubmission("partner.not_for_us", "a partner's message", "It was made for another node or id.")
        if isinstance(message, ReportMessage):
            return self._acknowledge(message_id, self.reports.take(partner, message))
        return self._acknowledge(message_id, self.referrals.take(partner, message))

    def _sender(self, fingerprint: str) -> Partner:
        advice = "Pair with the sender first: `silah partner add`."
        try:
            partner = self.referrals.partner(fingerprint)
        except Refused:
            raise NotAuthentic("partner.unknown", "a partner's message", advice) from None
        if partner.node is None or partner.fingerprint != fingerprint:
            raise NotAuthentic("partner.unknown", "a partner's message", advice)
        return partner

    def _acknowledge(self, message_id: str, taken: Taken) -> Acknowledgement:
        body = json.dumps({"receipt": taken.receipt}).encode()
        headers = envelope.signed_headers(self.keys, message_id, self._now(), body)
        return Acknowledgement(_KEPT if taken.new else _KNOWN, body, headers)

    # Sending

    def caller(self, partner: Partner) -> Caller | None:
        """The connections to one partner; None for one that has no node."""
        if partner.node is None:
            return None
        headers = {"Content-Type": envelope.MEDIA_TYPE, "User-Agent": "Silah"}
        return Caller(partner.node.url, headers=headers, timeout=_TIMEOUT)

    def attempt(self, partner: Partner, caller: Caller | None, outgoing: Outgoing) -> str:
        """One attempt: `sent`, `parked` (refused for good), `superseded`, or `due` (tried again). Raises nothing expected."""
        second = self._restricted(partner, outgoing) or self._second_step(partner, outgoing)
        if isinstance(second, Waiting):
            return self._later(outgoing, second.reason)
        message = self._message(partner, outgoing, second)
        if message is None or not self.referrals.begin(outgoing, told=isinstance(second, Disclosed)):
            return "superseded"
        if partner.node is None or caller is None:
            return self._hand_over(partner, outgoing, message, second)
        try:
            answer = self._post(partner.node, caller, outgoing.id, message.as_bytes())
        except Unreachable as error:
            return self._later(outgoing, f"partner.{error.code}")
        return self._answered(partner, outgoing, answer, second)

    def _post(self, node: PublicNode, caller: Caller, message_id: str, plaintext: bytes) -> Answer:
        """One signed and encrypted message on its way; raises `Unreachable`."""
        body = envelope.seal(plaintext, node.encryption_key)
        headers = envelope.signed_headers(self.keys, message_id, self._now(), body)
        path = f"/webhooks/partners/{self.keys.fingerprint}"
        return caller.call("POST", path, headers=headers, body=body, most=_MOST_ANSWER)

    def report(self, partner_name: str, period: str, rows: Sequence[CountRow], actor: str) -> None:
        """Keeps the counts of a month for a partner and asks for them to be sent; raises `Refused`.

        Args:
            rows: as they may be published: small cells are None. A count of 1 to 4 is refused.
        """
        partner = self.referrals.partner(partner_name)
        if partner.node is None:
            advice = "It has no node: give it the figures of `silah report --public` by hand."
            raise Refused("partner.no_node", f"partner {partner.name}", advice)
        self.reports.queue(partner, new_report(self.keys.fingerprint, partner.fingerprint, period, rows), actor)

    def attempt_report(self, partner: Partner, caller: Caller, due: DueReport) -> str:
        """One attempt to send a month's counts: `sent`, `parked` or `due`."""
        try:
            answer = self._post(_node(partner), caller, due.id, due.body.encode())
        except Unreachable as error:
            return self.reports.later(due, f"partner.{error.code}", self._delay(due.attempts))
        if answer.status in {_REFUSED, _TOO_LARGE}:
            return self.reports.park(due, _their_code(answer))
        if answer.status not in {_KEPT, _KNOWN}:
            return self.reports.later(due, _their_code(answer), self._delay(due.attempts))
        if self._signed_for(partner, due.id, answer) is None:
            return self.reports.later(due, "partner.not_acknowledged", self._delay(due.attempts))
        return self.reports.sent(due, partner)

    def _hand_over(self, partner: Partner, outgoing: Outgoing, message: Message, second: Second) -> str:
        """The same message as an encrypted file, for a partner without a node."""
        try:
            self._files.put(partner, message, self._address(outgoing, message.deed))
        except SilahError as error:
            return self._later(outgoing, error.code)
        result = _result(second, told_before=outgoing.told, known=False)
        self.referrals.sent(outgoing, partner, self._now(), result=result, told=self._on_record(outgoing, second))
        return "sent"

    def _address(self, outgoing: Outgoing, deed: Deed) -> Address | None:
        """Where this file can be answered; None when it needs no answer, or this node has no address."""
        step = {Deed.REQUEST: ANSWER, Deed.CONFIRM: ANSWER, Deed.DISCLOSE: FEEDBACK}.get(deed)
        return self.link(outgoing.referral_id, step) if step and self._config.public_url else None

    def link(self, referral_id: str, step: str | None = None, actor: str = "silah") -> Address:
        """A new link and code for whoever answers a referral on paper; the older ones of it end. Raises `Refused`.

        Args:
            step: `answer` or `feedback`; None: what the referral needs now.
        """
        if not self._config.public_url:
            advice = "Write the address under which others reach this node."
            raise Refused("config.missing_key", f"`public_url` in {self._config.path}", advice)
        made = self.links.make(referral_id, step, actor)
        return Address(f"{self._config.public_url.rstrip('/')}/answer/{made.handle}", made.code, made.expires_at)

    def _answered(self, partner: Partner, outgoing: Outgoing, answer: Answer, second: Second) -> str:
        if answer.status in {_REFUSED, _TOO_LARGE}:
            self.referrals.park(outgoing, _their_code(answer))
            return "parked"
        if answer.status not in {_KEPT, _KNOWN}:
            return self._later(outgoing, _their_code(answer))
        at = self._signed_for(partner, outgoing.id, answer)
        if at is None:
            return self._later(outgoing, "partner.not_acknowledged")
        result = _result(second, told_before=outgoing.told, known=answer.status == _KNOWN)
        self.referrals.sent(outgoing, partner, at, result=result, told=self._on_record(outgoing, second))
        return "sent"

    def _signed_for(self, partner: Partner, message_id: str, answer: Answer) -> datetime | None:
        """When the partner signed for this very message; None when nobody did."""
        try:
            signed = envelope.verify(_node(partner).signing_key, answer.headers, answer.body, self._now())
        except NotAuthentic:
            return None
        return datetime.fromtimestamp(int(answer.headers["webhook-timestamp"]), UTC) if signed == message_id else None

    def of_form(self, referral_id: str) -> Told | None:
        """What the form behind a referral lets its partner know once it has accepted; None without one, or when held."""
        source = self.referrals.source(referral_id)
        told = self._forms(source) if source is not None and self._forms else None
        return told if isinstance(told, Told) else None

    def _on_record(self, outgoing: Outgoing, second: Second) -> Entry | None:
        """What stands in the audit of a form's record, and so on the person's copy, once its partner was told who it is."""
        source = self.referrals.source(outgoing.referral_id) if isinstance(second, Disclosed) else None
        target = self._config.targets.get(source.target) if source is not None else None
        if source is None or target is None or not isinstance(second, Disclosed):
            return None
        said = second.identity.model_dump()
        classes = sorted({_CLASS_OF[name] for name, value in said.items() if value})
        audience = target.audience(source.target)
        detail: dict[str, JSON] = {
            "purpose": "referral", "classes": list(classes), "key": outgoing.id, "recipient": str(audience.recipient),
            "who": audience.who,
        }  # fmt: skip
        return Entry("upsert", "silah", source.record_id, source.target, detail)

    def _restricted(self, partner: Partner, outgoing: Outgoing) -> Waiting | None:
        """What is written here for authorities waits for two people; a form's referral did so at its own gate."""
        id_ = outgoing.referral_id
        telling = outgoing.event.deed in {Deed.REQUEST, Deed.DISCLOSE, Deed.SHARE}
        if not telling or not partner.restricted or self.referrals.source(id_) is not None:
            return None
        return (
            None
            if self.referrals.released(id_) >= RELEASES_NEEDED
            else Waiting("release.authorities", "two_named_users")
        )

    def _second_step(self, partner: Partner, outgoing: Outgoing) -> Second | Waiting:
        deed = outgoing.event.deed
        if deed is Deed.REPORT:
            return self.notes.carried(outgoing.id) or NotTold("referral_closed")
        if deed not in {Deed.DISCLOSE, Deed.SHARE}:
            return None
        decided = self._consented(partner, outgoing)
        if deed is Deed.DISCLOSE or isinstance(decided, Waiting):
            return decided
        if isinstance(decided, NotTold) and decided.reason != "no_identity":
            return decided
        return self.notes.carried(outgoing.id) or NotTold("referral_closed")

    def _consented(self, partner: Partner, outgoing: Outgoing) -> Disclosed | NotTold | Waiting:
        """Who it is, if the consent for this partner holds at this moment; a note on the case asks the same."""
        held, source = self.referrals.contents(outgoing.referral_id), self.referrals.source(outgoing.referral_id)
        if held.opening is None:
            return NotTold("referral_closed")
        if source is not None:
            decided = self._forms(source) if self._forms else Waiting("referral.form_not_here", "server")
            if isinstance(decided, Waiting):
                return decided
            return clear_form(held.state, held.opening, decided, partner.fingerprint)
        if held.consent is None:
            return NotTold("referral_closed")
        return clear(held.state, held.opening, held.identity, held.consent, partner.names, self._now())

    def _message(self, partner: Partner, outgoing: Outgoing, second: Second) -> Message | None:
        """What goes out; None when a withdrawal destroyed what it would be made of."""
        event = outgoing.event
        opening = self.referrals.contents(outgoing.referral_id).opening if event.deed is Deed.REQUEST else None
        if event.deed is Deed.REQUEST and opening is None:
            return None
        return Message(
            id=UUID(outgoing.id), sender=self.keys.fingerprint, recipient=partner.fingerprint,
            referral=UUID(outgoing.referral_id), number=event.number, seen=event.seen, deed=event.deed, at=event.at,
            reason=second.reason if isinstance(second, NotTold) else event.reason, outcome=event.outcome,
            opening=opening.first_step() if opening is not None else None,
            disclosed=second if isinstance(second, Disclosed) else None,
            note=second if isinstance(second, Note) else None,
        )  # fmt: skip

    def _later(self, outgoing: Outgoing, code: str) -> str:
        self.referrals.later(outgoing, code, self._delay(outgoing.attempts))
        return "due"

    def _delay(self, attempts: int) -> timedelta:
        doubled: timedelta = self._backoff.first * int(2 ** min(attempts, 30))
        spread: float = 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311 (no secret)
        return min(doubled, self._backoff.most, LONGEST_WAIT) * spread


def _node(partner: Partner) -> PublicNode:
    """The node of a partner that has one; raises `NotAuthentic`."""
    if partner.node is None:
        raise NotAuthentic("partner.unknown", f"partner {partner.name}", "It has no node; it answers on paper.")
    return partner.node


def _result(second: Second, *, told_before: bool, known: bool) -> str | None:
    """What the second step came to: a partner that knew the message already had it from an earlier attempt."""
    if second is None or isinstance(second, Note):
        return None
    if isinstance(second, Disclosed) or (told_before and known):
        return "told"
    return second.reason


def _their_code(answer: Answer) -> str:
    """The partner's code, if it is one: nothing else of an answer is kept."""
    try:
        code = str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError):
        code = ""
    return code if re.fullmatch(r"[a-z_]{1,30}(\.[a-z_]{1,30}){0,2}", code) else f"partner.http_{answer.status}"


def exchange_of(config: Config, ledger: Ledger, forms: FormGate | None = None) -> Exchange:
    """The exchange on the database, the keys and the clock of *ledger*."""
    return Exchange(config, ReferralLedger(ledger.database, ledger.master, ledger.now), forms)
