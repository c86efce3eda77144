"""The flow, top to bottom: a bell or a sweep, a read-back, a Record, the ledger; then the gate and a target.

receive()   a webhook's ids become a receipt                         (webhooks/, milliseconds, no outgoing call)
read_back() receipts become submissions, records and deliveries      (intake)
reconcile() the server's whole list goes through the same door       (pull: at start, on a timer, by hand)
attempt()   one delivery: the gate, then the target                  (dispatch)
answers, case_lists, report_back()   what targets say of a case, to the phones and the form server
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from uuid import uuid4

from pydantic import ValidationError

from connector import disclosure
from connector.answers import Answers
from connector.attachments import Attachments
from connector.case_lists import CaseLists
from connector.config import Config
from connector.disclosure import Approvals, Merged, Release, Stamp, Told, Waiting, Withheld, consent_until
from connector.errors import Damaged, KeyUnavailable, ServerError, SilahError, TargetError, TransformError
from connector.figures.facts import collector_of, facts_of
from connector.ledger.candidates import merged_with, taken_back
from connector.ledger.damage import park_damaged
from connector.ledger.database import LedgerUnavailable
from connector.ledger.deliveries import HELD
from connector.ledger.flow import Case, Due, DueReceipt, Kept, Known, Ledger, Prepared
from connector.ledger.referral_sources import Source
from connector.model import JSON, Action, Answer, Audience, Backoff, Listed, Receipt, Submission
from connector.servers import FormServer, Rights
from connector.servers.case_lists import CaseList
from connector.taken_back import WITHDRAWN, TakenBack, TakenBackList
from connector.targets import Answering, Gathering, Target
from connector.transforms import keeping
from connector.transforms.record import Record
from connector.transforms.referral import Referral
from connector.transforms.registry import RECORDS, from_json, to_record
from forms.errors import FormError
from forms.policy import Policy, policy

log = logging.getLogger("silah.pipeline")

_READ_AGAIN = (2, 10, 60, 300, 900, 3600)  # seconds between readings of a receipt that could not be followed
_NOT_FOUND_AFTER = 4
_AT_ONCE = 250  # submissions of a page that are written in one transaction
NEWEST = 2000  # submissions that every sweep compares; edits of older ones are found by a whole sweep
_JITTER = 0.25
# The target's own word, or the network's, that it took nothing.
_SURELY_NOT_HELD = frozenset({"target.refused", "target.http_429", "target.http_503"})


@dataclass(frozen=True, slots=True)
class Swept:
    """How a sweep of one form ended. *stopped* says why it needs a person: `rights`, `vanish_guard`; else None."""

    server: str
    form: str
    listed: int
    changed: int
    gone: int
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A delivery that the gate let go, with its files. *content* is the keyed hash of what its key stands for."""

    delivery: Due
    release: Release
    content: str


class Pipeline:
    """Everything between a form server and a target, for one configuration.

    Args:
        servers, targets: the adapters by their names in the configuration.
        tick: called with the number of submissions looked at, for progress on a terminal.
    """

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        servers: Mapping[str, FormServer],
        targets: Mapping[str, Target],
        attachments: Attachments,
        lists: Mapping[str, CaseList] | None = None,
    ) -> None:
        self.config = config
        self.ledger = ledger
        self.servers = servers
        self.targets = targets
        self._attachments = attachments
        answering = {name: target for name, target in targets.items() if isinstance(target, Answering)}
        self.answers = Answers(ledger, answering, {name: config.targets[name].poll_every for name in answering})
        self.case_lists = CaseLists(ledger, lists or {})
        self.taken_back = TakenBackList(config.at_home(config.data_dir))
        self._backoff: Backoff = config.dispatch.backoff()
        self._content_key = ledger.derive("content of deliveries")
        self.audiences: Mapping[str, Audience] = {
            name: target.audience(name) for name, target in config.targets.items()
        }
        self._routes = {
            form: tuple(name for name, target in config.targets.items() if form in target.accepts) for form in RECORDS
        }

    # Intake

    def receive(self, server: str, body: JSON) -> Kept:
        """Keeps the ids of a webhook, durably. No outgoing call is made here."""
        return self.ledger.keep(server, self.servers[server].bell(body))

    def read_back(self) -> int:
        """Follows the bells that are due: reads the submissions back, in batches, and keeps them; how many receipts."""
        due = self.ledger.claim_receipts()
        groups: dict[tuple[str, str], list[DueReceipt]] = {}
        for receipt in due:
            groups.setdefault((receipt.server, receipt.bell.form_id), []).append(receipt)
        for (server, form), receipts in groups.items():
            self._follow(server, form, receipts)
        return len(due)

    def _follow(self, server: str, form: str, receipts: Sequence[DueReceipt]) -> None:
        forms = self._forms(server, form)
        if not forms:
            self._later(receipts, "receipt.form_not_configured")
            return
        try:
            found = [one for each in forms for one in self._read(server, each, receipts)]
        except ServerError as error:
            log.warning("%s while reading back from %s: %s", error.code, server, error.next_step)
            self._later(receipts, error.code, error.retry_after)
            return
        missing = [one for one in receipts if not _finds(one, found)]
        self.keep_all(server, found, [one.id for one in receipts if one not in missing])
        self._note_reviews(server, found)
        self._not_found(missing)

    def _forms(self, server: str, form: str) -> list[str]:
        """The form that a bell named, if it is ours; all of that server when the bell named none."""
        ours = self.config.servers[server].forms if server in self.servers else {}
        return [one for one in ours if form in {one, ""}]

    def _note_reviews(self, server: str, found: Sequence[Submission]) -> None:
        """What a person said of versions that are here already: a bell may ring for nothing else."""
        for form in {one.form_id for one in found}:
            known = self.ledger.known_by_root(server, form, [one.root_id for one in found if one.form_id == form])
            for one in found:
                before = known.get(one.root_id) if one.form_id == form else None
                if before and before.instance_id == one.instance_id and before.review != one.review:
                    own = self.servers[server].own_account()
                    self.ledger.review(before.id, one.review, own_account=own)

    def _read(self, server: str, form: str, receipts: Sequence[DueReceipt]) -> list[Submission]:
        source = self.servers[server]
        found = source.read(form, sorted({one.bell.order for one in receipts if one.bell.order is not None}))
        for root in {one.bell.root_id for one in receipts if one.bell.order is None}:
            one = source.read_root(form, root)
            found += [one] if one is not None else []
        return found

    def _not_found(self, missing: Sequence[DueReceipt]) -> None:
        """Not there yet, deleted meanwhile, or made up: asked for a few times, then left to the pull."""
        self._later([one for one in missing if one.attempts < _NOT_FOUND_AFTER], "receipt.not_found")
        given_up = [one.id for one in missing if one.attempts >= _NOT_FOUND_AFTER]
        if given_up:
            self.ledger.receipts_read(given_up, found=False)

    def _later(self, receipts: Sequence[DueReceipt], code: str, asked: timedelta | None = None) -> None:
        by_delay: dict[int, list[str]] = {}
        for one in receipts:
            by_delay.setdefault(_READ_AGAIN[min(one.attempts, len(_READ_AGAIN) - 1)], []).append(one.id)
        for seconds, ids in by_delay.items():
            self.ledger.receipts_later(ids, code, max(timedelta(seconds=seconds), asked or timedelta(0)))

    def keep_all(self, server: str, found: Sequence[Submission], receipts: Iterable[str] = ()) -> int:
        """One transaction: the records, their deliveries, and the receipts that asked for them; how many changed."""
        return self.keep_soon(server, found, receipts).result()

    def keep_soon(self, server: str, found: Sequence[Submission], receipts: Iterable[str] = ()) -> Future[int]:
        """Like `keep_all`, without waiting for the disk."""
        reviewed = any(one.review.state == "approved" for one in found)
        own = self.servers[server].own_account() if reviewed else None
        prepared = [self.prepare(one, own) for one in found]
        return self.ledger.store_soon(prepared, lambda form: self._routes.get(form, ()), receipts)

    def prepare(self, submission: Submission, own_account: str | None) -> Prepared:
        """The Record of a submission, or what keeps it from being one (it is parked, nothing is lost)."""
        approved = submission.review.state == "approved" and submission.review.by != own_account
        answers = _as_json(submission.answers)
        raw = _as_read(submission, answers)
        digest = self._keyed(_substance(submission, answers))
        try:
            record = to_record(submission)
        except TransformError as error:
            return Prepared(
                submission,
                digest,
                approved,
                raw,
                None,
                (error.code, error.where),
                collector=collector_of(submission.answers),
            )
        except Exception as error:  # noqa: BLE001 (one submission that nobody foresaw must not stop the others)
            log.error("record.unreadable: %s in a submission of %s", type(error).__name__, submission.form_id)  # noqa: TRY400
            return Prepared(
                submission,
                digest,
                approved,
                raw,
                None,
                ("record.unreadable", submission.form_id),
                collector=collector_of(submission.answers),
            )
        gone = self._over(submission, record)
        if gone:  # it comes in again after its time: what was let go stays away
            raw = _as_read(submission, _as_json(keeping.answers_without(submission.answers, gone)))
        stored = keeping.without(record, gone).model_dump_json(exclude_defaults=True).encode()
        facts = facts_of(record, submission.submitted_at.date())
        until = consent_until(record.consent)
        return Prepared(submission, digest, approved, raw, stored, None, facts, until, collector_of(submission.answers))

    def _over(self, submission: Submission, record: Record) -> frozenset[str]:
        """Questions whose answers are past their time already. A faulty policy holds up sending, not what comes in."""
        try:
            rules = policy(submission.form_id)
        except FormError:
            return frozenset()
        return keeping.over(record, rules, submission.submitted_at.date(), self.ledger.now().date())

    # Pull

    def reconcile(
        self,
        server: str,
        form: str,
        *,
        full: bool = False,
        accept_gone: bool = False,
        newest: bool = False,
        tick: Callable[[int], None] = lambda _: None,
    ) -> Swept:
        """Walks the server's whole list, page by page: new, edited, reviewed, gone; nothing is sent by this.

        Args:
            full: read every submission again, whatever the list says.
            accept_gone: what a stopped sweep missed is taken as gone.
            newest: compare only what is new and the newest submissions that are known, but for a list that a stopped
                sweep left open.
        """
        whole = not newest or self.ledger.stopped(server, form) is not None
        return _Sweep(self, server, form, full=full, whole=whole, tick=tick).run(accept_gone=accept_gone)

    def withdraw(self, case: Case, recipient: str | None, reason: str, actor: str) -> list[str]:
        """Takes consent back: stops what is queued and tells whoever may hold the record; the targets that are told."""
        self.taken_back.note(TakenBack(WITHDRAWN, case.record_id, recipient or "*"))
        return self.ledger.withdraw(
            case, recipient, reason, actor, lambda target: recipient is None or self._is(target, recipient)
        )

    def forget_files(self, case: Case) -> int:
        """Removes what of a submission's files is in the spool; how many."""
        return self._attachments.erase(case.record_id)

    def forget_leftovers(self, in_use: Iterable[str], before: datetime, *, dry_run: bool) -> int:
        """Removes old files in the spool of records that are not *in_use*; how many."""
        return self._attachments.leftovers(in_use, before, dry_run=dry_run)

    def _is(self, target: str, recipient: str) -> bool:
        audience = self.audiences.get(target)
        names = {target, str(audience.recipient), f"{audience.recipient}:{audience.who}"} if audience else {target}
        return recipient in names

    # Dispatch

    def attempt(self, delivery: Due) -> str:
        """One delivery: the gate, then the target. Returns what became of it; never raises for what can go wrong."""
        ready = self.ready(delivery)
        if isinstance(ready, str):
            return ready
        if not self.begin(ready).result():
            return "superseded"
        outcome, written = self.send(ready)
        if written is not None:
            written.result()
        return outcome

    def ready(self, delivery: Due) -> Ready | str:
        """The first step: what the gate lets go now, with its files; or what became of the delivery instead."""
        try:
            return self._ready(delivery)
        except LedgerUnavailable:
            raise
        except Damaged:
            park_damaged(self.ledger, delivery.submission_id)
            return "parked"
        except Exception as error:  # noqa: BLE001 (one delivery that nobody foresaw waits its turn, behind the others)
            log.error("unexpected %s before target %s was asked", type(error).__name__, delivery.target)  # noqa: TRY400
            self.ledger.later(delivery, "dispatch.unexpected", None, self._delay(delivery), sent=True, begun=False)
            return "due"

    def _ready(self, delivery: Due) -> Ready | str:
        decision = self._decision(delivery)
        if isinstance(decision, str):
            return decision
        try:
            release = self._attachments.attach(decision, delivery)
        except ServerError as error:
            return self._failed(delivery, error, begun=False)
        except (Damaged, LedgerUnavailable):
            raise
        except SilahError as error:
            self.ledger.park(delivery, error.code, None, sent=False)
            return "parked"
        return Ready(delivery, release, self._content(release))

    def begin(self, ready: Ready) -> Future[bool]:
        """The second step: notes the attempt. It may be sent when this is done and true, else it is superseded."""
        return self.ledger.begin(ready.delivery, ready.content)

    def send(self, ready: Ready) -> tuple[str, Future[None] | None]:
        """The last step: the target. When it took it, the note of that may still be on its way to the disk; until then
        no other attempt for this submission and target may begin."""
        delivery = ready.delivery
        try:
            receipt = self.targets[delivery.target].deliver(ready.release)
        except TargetError as error:
            return self._failed(delivery, error, begun=True), None
        except Exception as error:  # noqa: BLE001 (an adapter's own fault waits its turn like any other failure)
            log.error("unexpected %s at target %s", type(error).__name__, delivery.target)  # noqa: TRY400
            unexpected = TargetError(
                "target.unexpected", f"target {delivery.target}", "Tell the developers; it is tried again."
            )
            return self._failed(delivery, unexpected, begun=True), None
        return "delivered", self._delivered(delivery, ready.release, receipt)

    def hurry(self) -> None:
        """What targets let wait is written now: the process is about to end."""
        for target in self.targets.values():
            if isinstance(target, Gathering):
                target.hurry()

    def _decision(self, delivery: Due) -> Release | str:
        """What may go now, or what became of the delivery instead."""
        try:
            decision = self._decide(delivery)
        except Damaged:
            raise
        except (KeyUnavailable, FormError) as error:
            self.ledger.later(delivery, error.code, None, self._delay(delivery), sent=False, begun=False)
            return "due"
        except ValidationError:
            self.ledger.park(delivery, "record.unreadable", None, sent=False)
            return "parked"
        if isinstance(decision, Withheld):
            self.ledger.hold_back(delivery, "withheld", decision.reason, withdraw=decision.withdraws)
            return "withheld"
        if isinstance(decision, Waiting):
            self.ledger.hold_back(delivery, "waiting", decision.reason, withdraw=False)
            return "waiting"
        return decision

    def _decide(self, delivery: Due) -> Release | Withheld | Waiting:
        stamp = self._stamp(delivery)
        if delivery.action is Action.WITHDRAW:
            return disclosure.retract(delivery.form_id, policy(delivery.form_id).purpose, stamp)
        stored = self.ledger.opened(delivery)
        if stored is None:
            return Withheld("record.erased")
        record = from_json(delivery.form_id, stored)
        approvals, audience = self._approvals(delivery), self.audiences[delivery.target]
        rules, now = policy(delivery.form_id), self.ledger.now()
        merged = self._merged(delivery.submission_id) if delivery.merged else []
        if not merged:
            return disclosure.clear(record, rules, audience, stamp, approvals, now)
        return disclosure.clear_merged(record, merged, rules, audience, stamp, approvals, now)

    def _merged(self, submission_id: int) -> list[Merged]:
        """What was agreed in records that two people merged with this one."""
        return [self._agreed(case) for case in merged_with(self.ledger, submission_id)]

    def _agreed(self, case: Case) -> Merged:
        stored, withdrawn = self._stored(case), taken_back(self.ledger, case.id)
        if stored is None:
            return Merged(withdrawn=withdrawn, erased=True)
        record = from_json(case.form_id, stored)
        return Merged(record.consent, record.cautions, withdrawn)

    def tell(self, source: Source) -> Told | Withheld | Waiting:
        """Who a referral that came from a form is about, as far as its partner may know it at this moment.

        It waits while the newest version waits for anything: what the gate would hold back now does not leave either.
        """
        case = self.ledger.case(source.record_id)
        if case is None or case.record_id != source.record_id or source.target not in self.audiences:
            return Withheld("record.erased")
        stored = self._stored(case)
        if case.state != "live":
            return Withheld("consent.withdrawn")
        if stored is None or case.parked or case.presence in HELD:
            return Waiting("referral.form_held", "named_user")
        record = from_json(case.form_id, stored)
        if not isinstance(record, Referral):
            return Withheld("record.unreadable")
        stamp = Stamp(case.record_id, case.version, self.config.society, str(uuid4()), self.ledger.now())
        given = self.ledger.approvals(case.id, case.version, source.target)
        approvals = Approvals(given.form_server, given.users, given.withdrawn)
        rules, to, now = policy(case.form_id), self.audiences[source.target], self.ledger.now()
        return disclosure.tell(record, self._merged(case.id), rules, to, stamp, approvals, now)

    def _stored(self, case: Case) -> bytes | None:
        """The newest Record of another submission; one that was damaged is read again, and until then nothing leaves."""
        try:
            return self.ledger.record(case.id, case.version)
        except Damaged as error:
            park_damaged(self.ledger, case.id)
            raise KeyUnavailable(error.code, error.where, error.next_step) from None

    def _approvals(self, delivery: Due) -> Approvals:
        given = self.ledger.approval(delivery)
        return Approvals(given.form_server, given.users, given.withdrawn)

    def _stamp(self, delivery: Due) -> Stamp:
        return Stamp(
            delivery.record_id,
            delivery.version,
            self.config.society,
            delivery.key,
            delivery.made_at,
            delivery.external_id,
        )

    def _delivered(self, delivery: Due, release: Release, receipt: Receipt) -> Future[None]:
        detail: dict[str, JSON] = {
            "version": delivery.version, "purpose": release.purpose, "classes": list(release.classes), "key": delivery.key,
            "recipient": str(self.audiences[delivery.target].recipient), "who": self.audiences[delivery.target].who,
        }  # fmt: skip
        written = self.ledger.delivered(delivery, receipt.external_id, receipt.dropped, detail)
        if release.photos:
            written.result()
            self._attachments.forget(delivery)
        return written

    def _failed(self, delivery: Due, error: ServerError, *, begun: bool) -> str:
        number = error.code.rpartition("_")[2]
        status = int(number) if number.isdigit() else None
        sent = begun and not error.permanent and error.code not in _SURELY_NOT_HELD
        log.warning("%s at target %s, attempt %d", error.code, delivery.target, delivery.attempts + 1)
        if error.permanent or self._out_of_time(delivery):
            self.ledger.park(delivery, error.code, status, sent=sent)
            return "parked"
        delay = max(self._delay(delivery), error.retry_after or timedelta(0))
        self.ledger.later(delivery, error.code, status, delay, sent=sent, begun=begun)
        return "due"

    def _out_of_time(self, delivery: Due) -> bool:
        started = delivery.tried_at
        return started is not None and self.ledger.now() - started >= self._backoff.total

    def _delay(self, delivery: Due) -> timedelta:
        """Doubling from the first delay to the longest, a quarter more or less so that targets are not hit in step."""
        doubled: timedelta = self._backoff.first * int(2 ** min(delivery.attempts, 30))
        spread: float = 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311 (no secret)
        return min(doubled, self._backoff.most) * spread

    def _content(self, release: Release) -> str:
        """A keyed hash of what the delivery's key stands for: the body, without the data being guessable from it."""
        files = [file.name for file in release.files]
        return self._keyed(json.dumps([release.action, release.fields, files], sort_keys=True, ensure_ascii=False))

    def _keyed(self, text: str) -> str:
        return hmac.new(self._content_key, text.encode(), hashlib.sha256).hexdigest()

    def reconsider(self, *, always: bool = False) -> bool:
        """Lets the gate look again at what it held back, when policies, targets, agreements or Silah itself changed since
        (or *always*); whether it does."""
        return self.ledger.reconsider(self._gate_rests_on(), always=always)

    def _gate_rests_on(self) -> str:
        """A fingerprint of everything but the records that the gate decides by."""
        audiences = [repr(self.audiences[name]) for name in sorted(self.audiences)]
        policies = [_in_order(policy(form)) for form in RECORDS if self._routes[form]]
        words = json.dumps([version("silah"), self.config.society, audiences, policies])
        return hashlib.sha256(words.encode()).hexdigest()

    # Status back

    def report_back(self) -> int:
        """Tells the form servers which submissions need a person (on hold) and which no longer do; how many were told.

        Written only where nobody has spoken or we were the last to: a person's word is looked up first and never
        written over. This makes no delivery and no version.
        """
        return sum(self._report_to(name, server) for name, server in self.servers.items())

    def _report_to(self, name: str, server: FormServer) -> int:
        """One server that cannot be told keeps nothing from the others."""
        told = 0
        try:
            own = server.own_account()
            for case, on_hold in self.ledger.to_report({name: own}):
                told += self._report(case, own, on_hold=on_hold)
        except ServerError as error:
            log.warning("%s while reporting back to %s: %s", error.code, name, error.next_step)
        return told

    def _report(self, case: Case, own: str | None, *, on_hold: bool) -> bool:
        server = self.servers[case.server]
        stands = server.review_of(case.form_id, case.order)
        if stands.state is not None and (own is None or stands.by != own):
            self.ledger.reported(case.id, stands)
            return False
        server.set_on_hold(case.form_id, case.order, on_hold=on_hold)
        self.ledger.reported(case.id, server.review_of(case.form_id, case.order))
        return True

    def preview(self, case: Case, target: str) -> tuple[Release | Withheld, Waiting | None, Record]:
        """What *target* would receive of the newest version, and what it waits for. Nothing is sent or pinned."""
        stored = self.ledger.record(case.id, case.version)
        if stored is None:
            raise SilahError("record.erased", f"record {case.record_id}", "It was erased, or could not be read yet.")
        record, merged = from_json(case.form_id, stored), self._merged(case.id)
        withdrawn = taken_back(self.ledger, case.id) | (frozenset({"*"}) if case.state != "live" else frozenset())
        stamp = Stamp(case.record_id, case.version, self.config.society, str(uuid4()), self.ledger.now())

        def decide(approvals: Approvals) -> Release | Withheld | Waiting:
            rules, audience = policy(case.form_id), self.audiences[target]
            return disclosure.clear_merged(record, merged, rules, audience, stamp, approvals, self.ledger.now())

        now = decide(Approvals(withdrawn=withdrawn))
        once_released = decide(Approvals(form_server=True, users=frozenset({"one", "another"}), withdrawn=withdrawn))
        waiting = now if isinstance(now, Waiting) else None
        shown = Withheld(once_released.reason) if isinstance(once_released, Waiting) else once_released
        return shown, waiting, record


class _Sweep:
    """One comparison of a server's list with the ledger: the whole of it, or the newest and what is new."""

    def __init__(
        self, pipeline: Pipeline, server: str, form: str, *, full: bool, whole: bool, tick: Callable[[int], None]
    ) -> None:
        self._after = -1 if whole else pipeline.ledger.window(server, form, NEWEST)
        self._whole = whole
        self._pipeline, self._ledger = pipeline, pipeline.ledger
        self._source, self._config = pipeline.servers[server], pipeline.config.servers[server]
        self._server, self._form, self._full, self._tick = server, form, full, tick
        self._changed = self._listed = 0
        self._unlisted: list[Known] = []
        self._roots: set[str] = set()
        self._late: frozenset[str] = frozenset()

    def run(self, *, accept_gone: bool) -> Swept:
        rights = self._source.rights(self._form)
        if rights.mark != "none":
            self._late = self._ledger.late(self._server, self._form, whole=self._whole)
            self._walk()
        else:
            self._unlisted = self._ledger.known(self._server, self._form, -1, None)
        vanished = [known for known in self._unlisted if known.root_id not in self._roots and known.presence != "kept"]
        stopped = self._guard(vanished, rights, accept_gone=accept_gone)
        self._mark(vanished, stopped)
        mark = None if stopped == "rights" else rights.mark
        older = self._ledger.listed_until(self._server, self._form, self._after) if self._after >= 0 else 0
        self._ledger.swept(self._server, self._form, older + self._listed, len(vanished), stopped, mark)
        newly = [known for known in vanished if known.presence != "gone"]
        return Swept(self._server, self._form, self._listed, self._changed, 0 if stopped else len(newly), stopped)

    def _walk(self) -> None:
        after = self._after
        own = self._source.own_account()
        for page in self._source.listing(self._form, after):
            until = page[-1].order
            self._page(page, self._ledger.known(self._server, self._form, after, until), own)
            self._listed += len(page)
            self._tick(len(page))
            after = until
        self._unlisted += self._ledger.known(self._server, self._form, after, None)

    def _page(self, page: Sequence[Listed], known: Sequence[Known], own: str | None) -> None:
        there = {one.root_id: one for one in known}
        elsewhere = [one.root_id for one in page if one.root_id not in there]
        there |= self._ledger.known_by_root(self._server, self._form, elsewhere) if elsewhere else {}
        listed = {one.root_id for one in page}
        self._roots |= {one.root_id for one in page if one.root_id in set(elsewhere)}
        self._unlisted += [one for one in known if one.root_id not in listed]
        self._read([one for one in page if self._is_news(one, there.get(one.root_id))])
        self._back([there[one.root_id] for one in page if one.root_id in there])
        self._review([one for one in page if _reviewed(one, there.get(one.root_id))], there, own)

    def _review(self, reviewed: Sequence[Listed], there: Mapping[str, Known], own: str | None) -> None:
        """Notes new reviews. One that the list does not sign is read, and counts for the version it was given to."""
        unsigned = {one.root_id: one for one in reviewed if one.review.state and one.review.by is None}
        read = self._source.read(self._form, [one.order for one in unsigned.values()]) if unsigned else []
        signed = {one.root_id: one.review for one in read if _same_version(one, unsigned.get(one.root_id))}
        for one in reviewed:
            seen = signed.get(one.root_id) if one.root_id in unsigned else one.review
            if seen is not None:
                self._ledger.review(there[one.root_id].id, seen, own_account=own)

    def _is_news(self, one: Listed, known: Known | None) -> bool:
        same = known is not None and (known.instance_id, known.order, known.parked) == (
            one.instance_id,
            one.order,
            False,
        )
        return self._full or not same or one.root_id in self._late

    def _read(self, news: Sequence[Listed]) -> None:
        for start in range(0, len(news), 1000):
            found = self._source.read(self._form, [one.order for one in news[start : start + 1000]])
            parts = [found[begin : begin + _AT_ONCE] for begin in range(0, len(found), _AT_ONCE)]
            kept = [self._pipeline.keep_soon(self._server, part) for part in parts]  # the next while this is written
            self._changed += sum(one.result() for one in kept)

    def _back(self, known: Sequence[Known]) -> None:
        """Listed again: what was gone or missed goes on."""
        back = [one.id for one in known if one.presence != "listed"]
        if back:
            self._ledger.set_presence(back, "listed")

    def _guard(self, vanished: Sequence[Known], rights: Rights, *, accept_gone: bool) -> str | None:
        """Many gone at once, or rights that changed, look like an accident: a person decides."""
        fresh = [one for one in vanished if one.presence != "gone"]
        before = self._ledger.last_rights(self._server, self._form)
        changed = not rights.whole or (before is not None and before != rights.mark)
        if rights.mark == "none" or (changed and fresh and not (accept_gone and rights.whole)):
            return "rights"
        if len(fresh) > self._config.vanish_limit and not accept_gone:
            return "vanish_guard"
        return None

    def _mark(self, vanished: Sequence[Known], stopped: str | None) -> None:
        fresh = [one for one in vanished if one.presence in {"listed", "vanished"}]
        if not fresh:
            return
        if stopped:
            self._ledger.set_presence([one.id for one in fresh], "vanished")
            return
        self._ledger.set_presence([one.id for one in fresh], "kept" if self._config.on_delete == "keep" else "gone")
        if self._config.on_delete == "withdraw":
            for one in fresh:
                case = self._ledger.case(one.root_id)
                if case is not None:
                    self._pipeline.withdraw(case, None, "deleted", "silah")


def _as_json(answers: Mapping[str, Answer]) -> str:
    return json.dumps(answers, ensure_ascii=False, sort_keys=True, default=dict)


def _as_read(submission: Submission, answers: str) -> bytes:
    """What is kept as read, as JSON: the answers, and where the files that had arrived are."""
    files = [[one.name, one.ref, one.media_type] for one in submission.attachments]
    return f'{{"answers": {answers}, "files": {_json(files)}, "order": {submission.order}}}'.encode()


def _substance(submission: Submission, answers: str) -> str:
    """What makes two readings of one version the same: the answers, and the names of the files that have arrived."""
    files = sorted(one.name for one in submission.attachments)
    return f"[{answers}, {_json(files)}, {_json(submission.form_id)}]"


def _json(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def _finds(receipt: DueReceipt, found: Sequence[Submission]) -> bool:
    bell = receipt.bell
    return any(
        one.order == bell.order if bell.order is not None else bell.root_id in {one.root_id, one.instance_id}
        for one in found
    )


def _reviewed(one: Listed, known: Known | None) -> bool:
    """Whether the list tells of a review that is not known; it need not say whose."""
    if known is None:
        return False
    return one.review != (known.review if one.review.by else replace(known.review, by=None))


def _same_version(read: Submission, listed: Listed | None) -> bool:
    return listed is not None and read.instance_id == listed.instance_id


def _in_order(rules: Policy) -> JSON:
    """A policy as text that is the same as long as it says the same."""
    classes = {name: sorted(recipients) for name, recipients in rules.recipients_of.items()}
    return [rules.form_id, rules.purpose, sorted(rules.line_of.items()), sorted(classes.items())]


def clock() -> datetime:
    return datetime.now(UTC)
