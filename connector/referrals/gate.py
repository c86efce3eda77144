"""The second step's gate: the only place that makes a `Disclosed`, asked again before every attempt to send it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from connector.disclosure import Told, Withheld
from connector.referrals.machine import UNDER_WAY, State
from connector.referrals.messages import Disclosed
from connector.referrals.referral import Identity, Opening, PartnerConsent


@dataclass(frozen=True, slots=True)
class NotTold:
    """Why the identity stays here, as a code that both sides see."""

    reason: str


def consent_refusal(consent: PartnerConsent, partner: frozenset[str], now: datetime) -> str | None:
    """Why *consent* does not cover this partner (by any of its names) at this moment; None when it does."""
    if consent.recipient not in partner:
        return "consent_not_for_partner"
    if not consent.given <= now < consent.expires:
        return "consent_expired"
    return None


def clear(
    state: State,
    opening: Opening,
    identity: Identity | None,
    consent: PartnerConsent,
    partner: frozenset[str],
    now: datetime,
) -> Disclosed | NotTold:
    """The identity for this partner now, or why not: accepted, still open, and the person's yes still good."""
    if state not in UNDER_WAY:
        return NotTold("referral_closed")
    refused = consent_refusal(consent, partner, now)
    if refused:
        return NotTold(refused)
    if identity is None or identity.empty:
        return NotTold("no_identity")
    return Disclosed(identity=identity, consent=consent, reason_code=opening.reason_code if opening.sensitive else ())


# What the gate of the forms says, in the codes that both sides see.
_AS_TOLD: Mapping[str, str] = {
    "consent.expired": "consent_expired",
    "consent.not_yet": "consent_expired",
    "agreement.expired": "agreement_over",
    "referral.name_not_given": "no_identity",
}


def clear_form(state: State, opening: Opening, decided: Told | Withheld, partner: str) -> Disclosed | NotTold:
    """As `clear`, for a referral that a form asked for: *decided* is what the gate of the forms says at this moment."""
    if state not in UNDER_WAY:
        return NotTold("referral_closed")
    if isinstance(decided, Withheld):
        return NotTold(_AS_TOLD.get(decided.reason, "consent_not_for_partner"))
    identity = Identity(
        name=decided.name, contact=decided.contact, safe_contact=decided.safe_contact, free_text=decided.free_text
    )
    consent = PartnerConsent(recipient=partner, given=decided.given, expires=decided.until)
    return Disclosed(identity=identity, consent=consent, reason_code=opening.reason_code if opening.sensitive else ())
