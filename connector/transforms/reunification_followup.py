"""A visit after a family came together: how it goes, whether everyone is safe, what is needed, what comes next."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.needs import ReferralDraft, referral_draft
from connector.transforms.people import Agreement, Interview
from connector.transforms.record import Part, Q, Record, Within


class WellBeing(Part):
    """From very_good to very_hard, in the person's own view."""

    together: Annotated[str | None, Q("wb_together")] = None
    mood: Annotated[str | None, Q("wb_mood")] = None
    sleep: Annotated[str | None, Q("wb_sleep")] = None
    neighbours: Annotated[str | None, Q("wb_neighbours")] = None
    needs: Annotated[str | None, Q("wb_needs")] = None
    school: Annotated[str | None, Q("school_status")] = None


class WhatNext(Part):
    """The next visit (ISO 8601), or the end of the follow-up with the code of the supervisor who agreed."""

    closed: Annotated[str | None, Q("follow_up_closed")] = None
    reason: Annotated[str | None, Q("close_reason")] = None
    closed_with: Annotated[str | None, Q("closed_with")] = None
    next_visit_on: Annotated[str | None, Q("next_visit_on")] = None


class ReunificationFollowup(Record):
    """One follow-up visit. *no* counts the visits of a case from 1; mode `not_reached` holds nothing of a person."""

    kind: Literal["reunification_followup"] = "reunification_followup"
    case_code: Annotated[str | None, Q("case_code")] = None
    no: Annotated[int | None, Q("visit_no")] = None
    due: Annotated[str | None, Q("followup_due")] = None
    mode: Annotated[str | None, Q("followup_mode")] = None
    interview: Annotated[Interview | None, Within("")] = None
    who_seen: Annotated[tuple[str, ...], Q("who_seen")] = ()
    child_assent: Annotated[str | None, Q("child_assent")] = None
    child_alone: Annotated[str | None, Q("child_alone")] = None
    living_with: Annotated[str | None, Q("living_with")] = None
    well_being: Annotated[WellBeing | None, Within("")] = None
    safety_concern: Annotated[str | None, Q("safety_concern")] = None
    support_needed: Annotated[tuple[str, ...], Q("support_needed")] = ()
    referral_wanted: Annotated[str | None, Q("referral_wanted")] = None
    onward: Annotated[WhatNext | None, Within("")] = None
    agreement: Annotated[Agreement | None, Within("")] = None

    def referral_draft(self) -> ReferralDraft | None:
        """The draft of a referral for what the family needs, when it wants that help."""
        return referral_draft(self.case_code, self.support_needed, self.referral_wanted)
