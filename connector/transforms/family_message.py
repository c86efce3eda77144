"""A Red Cross / Red Crescent message: who sends it to whom, and its way there and back. Its text is never kept."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Agreement, Contact, Interview, Name, Place
from connector.transforms.record import Part, Q, Record, Within


class Sender(Part):
    """Who sends the message, and where a reply can come."""

    name: Annotated[Name | None, Within("snd_")] = None
    status: Annotated[str | None, Q("sender_status")] = None
    detainee_no: Annotated[str | None, Q("sender_detainee_no")] = None
    place: Annotated[Place | None, Within("snd_")] = None
    address: Annotated[str | None, Q("snd_address")] = None
    contact: Annotated[Contact | None, Within("snd_")] = None


class Addressee(Part):
    """Whom the message is for; *relation* is what this person is to the sender."""

    name: Annotated[Name | None, Within("adr_")] = None
    relation: Annotated[str | None, Q("relation")] = None
    place: Annotated[Place | None, Within("adr_")] = None
    address: Annotated[str | None, Q("adr_address")] = None
    phone: Annotated[str | None, Q("adr_phone")] = None


class Sheet(Part):
    """The sheet as a thing: language, number of sheets, what is enclosed. *family_news* no: it went back to be written anew."""

    mode: Annotated[str | None, Q("content_mode")] = None
    language: Annotated[str | None, Q("content_lang")] = None
    pages: Annotated[int | None, Q("pages")] = None
    enclosures: Annotated[tuple[str, ...], Q("enclosures")] = ()
    family_news: Annotated[str | None, Q("content_ok_family_news")] = None
    return_reason: Annotated[str | None, Q("content_return_reason")] = None


class Stage(Part):
    """Where the message is on its way: `collected`, `dispatched`, `received_destination`, `delivered`, `back_to_sender`,
    `replied` or `archived`, and on which day (ISO 8601) it got there."""

    event: Annotated[str | None, Q("rcm_event")] = None
    on: Annotated[str | None, Q("rcm_event_on")] = None
    delivery_mode: Annotated[str | None, Q("delivery_mode")] = None
    reply_wanted: Annotated[str | None, Q("addressee_wants_reply")] = None
    back_reason: Annotated[str | None, Q("back_reason")] = None
    censored_by: Annotated[str | None, Q("censored_by")] = None


class FamilyMessage(Record):
    """One stage of one message. The stages of a message share its number; all but `collected` hold codes alone."""

    kind: Literal["family_message"] = "family_message"
    no: Annotated[str | None, Q("rcm_no")] = None
    message_kind: Annotated[str | None, Q("rcm_kind")] = None
    reply_to: Annotated[str | None, Q("reply_to_no")] = None
    case_code: Annotated[str | None, Q("case_code")] = None
    interview: Annotated[Interview | None, Within("")] = None
    collected_on: Annotated[str | None, Q("collected_on")] = None
    collected_at: Annotated[str | None, Q("collected_at")] = None
    stage: Annotated[Stage | None, Within("")] = None
    sender: Annotated[Sender | None, Within("")] = None
    addressee: Annotated[Addressee | None, Within("")] = None
    sheet: Annotated[Sheet | None, Within("")] = None
    search_not_there: Annotated[str | None, Q("search_not_there")] = None
    agreement: Annotated[Agreement | None, Within("")] = None
