"""The referral: the help that one person needs, asked of one receiver.

*codes* is what the first message to a partner holds: nothing in it names anybody. *identity* leaves as a message of its
own, after the receiver has accepted; it is empty when the person said no to giving the name.
"""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Agreement, Contact, Interview, Name
from connector.transforms.record import Part, Q, Record, Within


class Codes(Part):
    """What is asked, how soon and for whom, in codes alone; *safe_rule* is to be respected from the first message on."""

    kind: Annotated[str | None, Q("kind")] = None
    priority: Annotated[str | None, Q("priority")] = None
    services_requested: Annotated[tuple[str, ...], Q("services_requested")] = ()
    services_already: Annotated[tuple[str, ...], Q("services_already")] = ()
    reason_code: Annotated[tuple[str, ...], Q("reason_code")] = ()
    client_sex: Annotated[str | None, Q("client_sex")] = None
    age_group: Annotated[str | None, Q("age_group")] = None
    uasc: Annotated[str | None, Q("uasc")] = None
    caregiver_informed: Annotated[str | None, Q("caregiver_informed")] = None
    transport_needed: Annotated[str | None, Q("transport_needed")] = None
    accompaniment: Annotated[str | None, Q("accompaniment")] = None
    safe_rule: Annotated[tuple[str, ...], Q("safe_rule")] = ()
    protocol_version: Annotated[str | None, Q("protocol_version")] = None


class Receiver(Part):
    """Who is asked: the class of recipient and its code; *other* has a name that matches no partner yet."""

    kind: Annotated[str | None, Q("to_kind")] = None
    organisation: Annotated[str | None, Q("to_org")] = None
    other: Annotated[str | None, Q("to_org_other")] = None


class Identity(Part):
    """Who the person is and how to reach them: words and numbers, each only as far as the person agreed to."""

    name: Annotated[Name | None, Within("client_")] = None
    contact: Annotated[Contact | None, Within("client_")] = None
    caregiver_name: Annotated[str | None, Q("caregiver_name")] = None
    caregiver_relation: Annotated[str | None, Q("caregiver_relation")] = None
    caregiver_contact: Annotated[str | None, Q("caregiver_contact")] = None
    free_text: Annotated[str | None, Q("free_text")] = None


class Referral(Record):
    """A referral, a transfer, or what goes back; `kind` names the form, `codes.kind` which of them it is."""

    kind: Literal["referral"] = "referral"
    case_code: Annotated[str | None, Q("case_code")] = None
    interview: Annotated[Interview | None, Within("")] = None
    from_focal_role: Annotated[str | None, Q("from_focal_role")] = None
    receiver: Annotated[Receiver | None, Within("")] = None
    codes: Annotated[Codes | None, Within("")] = None
    disclose_name: Annotated[str | None, Q("disclose_name")] = None
    fields_disclosed: Annotated[tuple[str, ...], Q("fields_disclosed")] = ()
    identity: Annotated[Identity | None, Within("")] = None
    agreement: Annotated[Agreement | None, Within("")] = None
