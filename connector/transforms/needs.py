"""What a family says it needs becomes the draft of a referral: codes alone, nothing that leaves by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# need (list `family_need`): service to ask for and reason, codes of the form `referral`
_HELP: Mapping[str, tuple[str, str]] = {
    "health": ("health_medical_service", "health"),
    "housing": ("housing", "housing"),
    "money": ("financial", "income"),
    "legal": ("legal_assistance_service", "legal_advice"),
    "psychosocial": ("psychosocial_service", "someone_to_talk_to"),
    "school": ("education_service", "education"),
}


@dataclass(frozen=True, slots=True)
class ReferralDraft:
    """What a referral would ask for. It cannot leave: consent and receiver are the referral's own.

    *case_code* is None where the family has none yet.
    """

    case_code: str | None
    services_requested: tuple[str, ...]
    reason_code: tuple[str, ...]


def referral_draft(case_code: str | None, needs: Sequence[str], wanted: str | None) -> ReferralDraft | None:
    """The draft for *needs*; None unless the family wants the help to be looked for."""
    help_needed = [_HELP[need] for need in needs if need in _HELP]
    if wanted != "yes" or not help_needed:
        return None
    services, reasons = zip(*help_needed, strict=True)
    return ReferralDraft(case_code, services, reasons)
