"""Parts that many forms share, one for each block of questions: names in roles, places, contact."""

from __future__ import annotations

from typing import Annotated

from connector.transforms.record import Each, Part, Photo, Q


class Alias(Part):
    """Another name the person goes by."""

    text: Annotated[str | None, Q("{p}alias_text")] = None
    script: Annotated[str | None, Q("{p}alias_script")] = None
    kind: Annotated[str | None, Q("{p}alias_kind")] = None


class Name(Part):
    """A name as it was said (*full*, kept for ever) and in roles; script is an ISO 15924 code in small letters."""

    full: Annotated[str | None, Q("{p}name_full_native")] = None
    script: Annotated[str | None, Q("{p}script")] = None
    given: Annotated[str | None, Q("{p}given")] = None
    father: Annotated[str | None, Q("{p}father")] = None
    grandfather: Annotated[str | None, Q("{p}grandfather")] = None
    family: Annotated[str | None, Q("{p}family")] = None
    mother_given: Annotated[str | None, Q("{p}mother_given")] = None
    mother_full: Annotated[str | None, Q("{p}mother_full")] = None
    kunya: Annotated[str | None, Q("{p}kunya")] = None
    laqab_tribe_nisba: Annotated[str | None, Q("{p}laqab_tribe_nisba")] = None
    nick: Annotated[str | None, Q("{p}nick")] = None
    before_marriage: Annotated[str | None, Q("{p}name_before_marriage")] = None
    latin: Annotated[str | None, Q("{p}name_latin")] = None
    latin_source: Annotated[str | None, Q("{p}name_latin_source")] = None
    aliases: Annotated[tuple[Alias, ...], Each("{p}alias", "{p}")] = ()


class Place(Part):
    """Country (ISO 3166-1 alpha-2) and p-codes as far as known, and the place in words."""

    country: Annotated[str | None, Q("{p}country")] = None
    adm1: Annotated[str | None, Q("{p}adm1")] = None
    adm2: Annotated[str | None, Q("{p}adm2")] = None
    adm3: Annotated[str | None, Q("{p}adm3")] = None
    text: Annotated[str | None, Q("{p}place_text")] = None
    precision: Annotated[str | None, Q("{p}place_precision")] = None


class Contact(Part):
    """How to reach a person without harm."""

    phone: Annotated[str | None, Q("{p}phone")] = None
    phone_safe: Annotated[str | None, Q("{p}phone_safe")] = None
    phone_safe_when: Annotated[str | None, Q("{p}phone_safe_when")] = None
    phone_shared_with: Annotated[str | None, Q("{p}phone_shared_with")] = None
    email: Annotated[str | None, Q("{p}email")] = None
    channel: Annotated[str | None, Q("{p}channel_pref")] = None
    do_not: Annotated[str | None, Q("{p}contact_do_not")] = None


class Interview(Part):
    """When, where and how the form was filled in: codes, no names."""

    branch: Annotated[str | None, Q("branch_code")] = None
    organisation: Annotated[str | None, Q("org_code")] = None
    collector: Annotated[str | None, Q("collector_code")] = None
    mode: Annotated[str | None, Q("mode")] = None
    paper_form_no: Annotated[str | None, Q("paper_form_no")] = None
    date: Annotated[str | None, Q("interview_date")] = None
    language: Annotated[str | None, Q("interview_lang")] = None
    interpreter: Annotated[str | None, Q("interpreter_kind")] = None


class Agreement(Part):
    """What was agreed, as far as a receiver must know it to respect it."""

    giver: Annotated[str | None, Q("consent_giver")] = None
    giver_relation: Annotated[str | None, Q("consent_giver_relation")] = None
    notice_version: Annotated[str | None, Q("info_notice_version")] = None
    language: Annotated[str | None, Q("consent_form_lang")] = None
    medium: Annotated[str | None, Q("consent_medium")] = None
    given_at: Annotated[str | None, Q("consent_ts")] = None
    review_on: Annotated[str | None, Q("consent_review_on")] = None
    legal_basis: Annotated[str | None, Q("legal_basis")] = None
    share_with_family: Annotated[str | None, Q("c_share_family")] = None
    location_to_family: Annotated[str | None, Q("c_location_to_family")] = None


__all__ = ["Agreement", "Alias", "Contact", "Interview", "Name", "Photo", "Place"]
