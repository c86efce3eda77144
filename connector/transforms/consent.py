"""Consent and cautions from the answers, by the question names that every form shares (contract §6).

Only what was asked and answered yes is consent. A question of danger that a form asks and nobody answered counts as
danger: the gate fails closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import cache

from connector.model import Cautions, Consent, Recipient, Submission
from connector.transforms import dates
from connector.transforms.record import Born, stated_date
from connector.transforms.values import Entry
from forms.policy import IDENTIFYING, classes_of
from forms.tables import FormDefinition

# recipient: the question of sharing, and the one that names who exactly
_SHARES = {
    Recipient.ICRC: ("c_share_icrc", None),
    Recipient.NATIONAL_SOCIETY: ("c_share_ns_destination", "ns_destination"),
    Recipient.UN_AGENCY: ("c_share_un_agency", "which_un_agency"),
    Recipient.NGO: ("c_share_ngo", "which_ngo"),
    Recipient.STATE_SERVICES: ("c_share_state_services", "which_state_services"),
    Recipient.AUTHORITIES: ("c_share_authorities", "which_authorities"),
}
_WIDER = frozenset({Recipient.UN_AGENCY, Recipient.NGO, Recipient.STATE_SERVICES, Recipient.AUTHORITIES})
_RECEIVER, _RECEIVER_KIND = "to_org", "to_kind"
_PERMIT = "v_share_permit"
_PLACE_OF_DETENTION = frozenset({"prison_service"})  # of the list `authority`
_GIVERS_OF_NOTHING = frozenset({"unknown", "nr", "pnts"})
_DANGERS = ("search_danger", "reunion_danger")
_RESTRICTIONS = ("restrict_", "search_not_there", "does_not_want_contact")
# what those who are to be found or brought together said themselves: anything but these waits for a supervisor
_ASSENTS = frozenset({"child_assent", "wants_tracing", "tv_agrees", "rel_agrees"})
_WILLING = frozenset({"yes", "too_young"})
_SUPERVISOR_CAUSES = frozenset({"family_dispute", "adoption_care"})
_DETENTION_FORMS = frozenset({"family_call", "family_visit"})
_DETENTION_ANSWERS = frozenset(
    {"detained", "detention", "arrest_and_detention", "arrested_detained", "detainee", "pow"}
)
_DETENTION_QUESTIONS = ("detainee_", "detention_")


def read_consent(form: FormDefinition, submission: Submission, entry: Entry) -> Consent:
    """What was agreed; the day of consent is that of the interview, else of the answers, else of arrival."""
    if _codes_alone(form, entry):
        return _nobody_to_ask(submission, entry)
    basis = entry.text("legal_basis") or "consent"
    return Consent(
        collected=entry.yes("c_collect"),
        notice_given=entry.yes("info_notice_given"),
        giver_named=(entry.text("consent_giver") or "unknown") not in _GIVERS_OF_NOTHING,
        given_on=_given_on(submission, entry),
        review_on=entry.day("consent_review_on"),
        shares=dict(_shares(form, entry) if basis == "consent" else _named_without_consent(form, entry)),
        confirmed=entry.yes("consent_confirm") if "consent_confirm" in form.questions else None,
        risk_explained=entry.yes("risk_explained"),
        publish=entry.yes("c_publish_photo_online"),
        basis=basis,
        basis_complete=bool(entry.text("basis_reason") and entry.text("basis_approved_by")),
        approved_by=entry.text("basis_approved_by") or None if basis != "consent" else None,
    )


def _codes_alone(form: FormDefinition, entry: Entry) -> bool:
    """The form says that this way through it asks nobody anything (`codes_only`), and indeed nothing identifying is there."""
    if not entry.yes("codes_only") or "c_collect" in entry.values:
        return False
    classes = classes_of(form)
    return not any(classes.get(name, "identity") in IDENTIFYING for one in _all(entry) for name in one.values)


def _nobody_to_ask(submission: Submission, entry: Entry) -> Consent:
    """Codes of our own work need nobody's consent and do not run out; they go to the own society alone."""
    given_on = _given_on(submission, entry)
    return Consent(collected=True, notice_given=True, giver_named=True, given_on=given_on, review_on=date.max)


def _given_on(submission: Submission, entry: Entry) -> date:
    """The latest day that anything says: one that lies ahead must not hide behind an earlier one."""
    stated = [day for day in (entry.day("interview_date"), entry.day("consent_ts")) if day is not None]
    ahead = [day for day in stated if day > submission.submitted_at.date()]
    return max(ahead) if ahead else (stated[0] if stated else submission.submitted_at.date())


def _shares(form: FormDefinition, entry: Entry) -> Iterator[tuple[Recipient, frozenset[str]]]:
    wider = entry.yes("share_wider") or "share_wider" not in form.questions
    for recipient, (asked, named) in _SHARES.items():
        if entry.yes(asked) and (wider or recipient not in _WIDER) and _is_meant(form, entry, recipient):
            yield recipient, _named(form, entry, named)
    if _permits_visitors(form, entry):
        yield Recipient.AUTHORITIES, _PLACE_OF_DETENTION


def _permits_visitors(form: FormDefinition, entry: Entry) -> bool:
    """A visitor said yes to the place of detention, and nobody who did not is named: one entry's yes never opens another's."""
    if _PERMIT not in form.questions:
        return False
    classes, every = classes_of(form), list(_all(entry))
    named = [one for one in every if any(classes.get(name) == "identity" for name in one.values)]
    return any(one.yes(_PERMIT) for one in every) and all(one.yes(_PERMIT) for one in named)


def _named_without_consent(form: FormDefinition, entry: Entry) -> Iterator[tuple[Recipient, frozenset[str]]]:
    """On another basis than consent the form still names the societies that are meant; nobody else can be."""
    if _is_meant(form, entry, Recipient.NATIONAL_SOCIETY):
        yield Recipient.NATIONAL_SOCIETY, _named(form, entry, "ns_destination")


def _is_meant(form: FormDefinition, entry: Entry, recipient: Recipient) -> bool:
    """A form that asks one receiver (a referral) shares with that receiver's kind alone, whatever else says yes."""
    return _RECEIVER not in form.questions or entry.text(_RECEIVER_KIND) == recipient


def _named(form: FormDefinition, entry: Entry, question: str | None) -> frozenset[str]:
    """Who exactly: the one receiver of a referral, else those chosen in the question of that recipient."""
    if _RECEIVER in form.questions:
        return entry.codes(_RECEIVER)
    return entry.codes(question) if question else frozenset()


def read_cautions(form: FormDefinition, submission: Submission, entry: Entry) -> Cautions:
    """What makes the record wait for a named user, over all its repeats."""
    every = list(_all(entry))
    return Cautions(
        danger=any(name in form.questions and entry.text(name) != "no" for name in _DANGERS),
        restricted=any(_is_restriction(name) for one in every for name in one.values),
        detention=form.form_id in _DETENTION_FORMS or any(_tells_of_detention(one) for one in every),
        supervisor=any(_needs_supervisor(one) for one in every),
        child=not _enquirer_is_adult(submission, entry),
        never_tell=entry.codes("restrict_recipients"),
        never_send=entry.codes("restrict_fields"),
    )


def _all(entry: Entry) -> Iterator[Entry]:
    yield entry
    for entries in entry.repeats.values():
        for one in entries:
            yield from _all(one)


@cache
def _is_restriction(name: str) -> bool:
    return any(mark in name for mark in _RESTRICTIONS)


def _needs_supervisor(entry: Entry) -> bool:
    """A cause that a supervisor looks at first, or somebody who does not want to be found or to go (or not yet)."""
    causes = (name for name in entry.values if "cause" in name)
    return any(entry.codes(name) & _SUPERVISOR_CAUSES for name in causes) or any(
        not entry.codes(name) <= _WILLING for name in _ASSENTS & entry.values.keys()
    )


def _tells_of_detention(entry: Entry) -> bool:
    """A chosen detention, or anything filled in about one."""
    for name, value in entry.values.items():
        if _asks_of_detention(name):
            return True
        codes = (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
        if not _DETENTION_ANSWERS.isdisjoint(codes):
            return True
    return False


@cache
def _asks_of_detention(name: str) -> bool:
    return any(mark in name for mark in _DETENTION_QUESTIONS)


def _enquirer_is_adult(submission: Submission, entry: Entry) -> bool:
    """Only who is surely of age is an adult (R11)."""
    stated = stated_date(entry, Born("enq_"))
    if stated is None:
        return False
    day = submission.submitted_at.date()
    return dates.is_adult(dates.interval(stated, day, where="enq_dob_kind"), day)
