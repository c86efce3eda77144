"""Filled-in forms on their way into the exchange: what the gate let go of a `referral` becomes one, a
`referral_response` answers one. The targets of type `partner` hand their releases over here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError

from connector.disclosure import Release
from connector.errors import Refused
from connector.ledger.directory import Directory
from connector.ledger.referral_sources import Source
from connector.ledger.referrals import ReferralLedger
from connector.model import JSON, Action
from connector.referrals.directory import refusal as directory_refusal
from connector.referrals.machine import Deed, State
from connector.referrals.referral import Opening

ACTOR = "form"
# The form offers more kinds than the exchange knows: whoever sends a case back moves it, whoever asks keeps it.
_KINDS: Mapping[str, str] = {"information_request": "referral", "counter_referral": "transfer"}
_TAKEN = ("priority", "client_sex", "age_group", "services_requested", "reason_code", "protocol_version")
_NO_RULE = "none"
_ACKNOWLEDGED: Mapping[str, Deed] = {"accepted": Deed.ACCEPT, "rejected": Deed.REJECT, "received": Deed.RECEIVE}
_WENT_ON: Mapping[str, Deed] = {
    "in_progress": Deed.START, "completed": Deed.COMPLETE, "cancelled": Deed.FAIL, "failed": Deed.FAIL,
}  # fmt: skip
_FAILED: Mapping[str, str] = {"cancelled": "no_longer_needed", "failed": "other"}
_REACHED: Mapping[Deed, frozenset[State]] = {
    Deed.RECEIVE: frozenset(State) - {State.DRAFT, State.REQUESTED},
    Deed.ACCEPT: frozenset({State.ACCEPTED, State.IN_PROGRESS, State.ON_HOLD, State.COMPLETED}),
    Deed.REJECT: frozenset({State.REJECTED}),
    Deed.START: frozenset({State.IN_PROGRESS}),
    Deed.COMPLETE: frozenset({State.COMPLETED}),
    Deed.FAIL: frozenset({State.FAILED}),
}


class Outbox:
    """Between the flow of forms and the exchange."""

    def __init__(self, referrals: ReferralLedger) -> None:
        self._referrals = referrals
        self._directory = Directory(referrals.database, referrals.now)

    def knows(self, partner: str) -> bool:
        """Whether this partner was paired."""
        return any(partner in one.names for one in self._referrals.partners())

    def put(self, target: str, partner_name: str, release: Release) -> tuple[str, tuple[str, ...]]:
        """Makes the partner be asked what *release* holds, or told that it is taken back.

        Returns the referral's id and the fields that the exchange does not carry; raises `Refused`.
        """
        source = Source(release.record_id, target)
        if release.action is Action.WITHDRAW:
            self._referrals.take_back(source, ACTOR)
            return "", ()
        partner, opening = self._referrals.partner(partner_name), opening_of(release.fields)
        if self._referrals.of_form(source) is None:
            services, today = self._directory.of(partner.fingerprint), self._referrals.now().date()
            closed = directory_refusal(services, opening, {}, today)
            if closed:
                advice = "Call the partner, or import its directory anew; another partner may have what is needed."
                raise Refused(closed[0], f"service `{closed[1]}` at {partner.name}", advice)
        return self._referrals.put(opening, partner, source, ACTOR), tuple(_left_out(release.fields))

    def answer(self, release: Release) -> str:
        """Does what a `referral_response` says to the one referral it is about; its id. The same answer again changes
        nothing; raises `Refused`."""
        fields = release.fields
        if release.action is Action.WITHDRAW:  # what somebody did is not undone by taking the paper back
            return ""
        referral_id = self._meant(_text(fields, "case_code"), _text(fields, "referral"))
        for deed, reason, outcome in _deeds(fields):
            if State(self._referrals.show(referral_id).row.state) not in _REACHED[deed]:
                self._referrals.answer(referral_id, deed, ACTOR, reason, outcome)
        return referral_id

    def _meant(self, case_code: str, number: str) -> str:
        """The referral that an answer is about: by its own number, else the only open one of the case."""
        found = self._referrals.answerable(case_code, number)
        if len(found) == 1:
            return found[0]
        code = "referral.several_of_the_case" if found else "referral.unknown"
        advice = "Write the number of the referral into the form; `silah referral list` shows both."
        raise Refused(code, "the answer to a referral", advice)


def opening_of(fields: Mapping[str, JSON]) -> Opening:
    """The first step, from what the gate let go of the form; raises `Refused`, which names a field and no answer."""
    codes = cast("Mapping[str, JSON]", fields.get("codes") or {})
    kind = str(codes.get("kind") or "")
    taken = {name: codes[name] for name in _TAKEN if codes.get(name)}
    rules = [one for one in cast("list[str]", codes.get("safe_rule") or []) if one != _NO_RULE]
    try:
        return Opening.model_validate(
            {**taken, "kind": _KINDS.get(kind, kind), "case_code": fields.get("case_code") or "", "safe_rule": rules}
        )
    except ValidationError as error:
        name = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"][:1])
        raise Refused(
            "referral.not_complete", f"`{name}` of the form", "Complete the form: edit the submission."
        ) from None


def _left_out(fields: Mapping[str, JSON]) -> list[str]:
    codes = cast("Mapping[str, JSON]", fields.get("codes") or {})
    return [f"codes.{name}" for name in codes if name not in {*_TAKEN, "kind", "safe_rule"}]


def _deeds(fields: Mapping[str, JSON]) -> list[tuple[Deed, str | None, str | None]]:
    """What the answer says was done: (deed, reason, outcome), in order."""
    said = cast("Mapping[str, JSON]", fields.get("acknowledgement") or {})
    went = cast("Mapping[str, JSON]", fields.get("feedback") or {})
    if _text(fields, "step") == "ack":
        deed = _ACKNOWLEDGED.get(_text(said, "decision"))
        return [(deed, _text(said, "reject_reason") or None if deed is Deed.REJECT else None, None)] if deed else []
    status = _text(went, "status")
    deed = _WENT_ON.get(status)
    outcome = _text(went, "outcome") or None if deed is Deed.COMPLETE else None
    return [(deed, _FAILED.get(status), outcome)] if deed else []


def _text(fields: Mapping[str, JSON], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
