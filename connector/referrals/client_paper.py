"""The sheet for the person whom a case is about: who works on it, who reads what, until when, and how to take it back.

It names parties, kinds of data and versions, never an answer: somebody else may find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import cast

from connector.disclosure import Told
from connector.errors import Refused
from connector.model import JSON
from connector.referrals.exchange import Exchange
from connector.referrals.machine import State
from connector.referrals.referral import Identity
from connector.targets.wording import Wording
from connector.words import RIGHT_TO_LEFT, Language, said

_COMMA = {"ar": "، ", "fa": "، "}
_STYLE = """body{font-family:sans-serif;margin:1rem auto;max-width:42rem;color:#111;line-height:1.5}
section{border:1px solid #777;border-radius:.4rem;padding:.4rem 1rem;margin:1rem 0;break-inside:avoid}
dt{font-weight:bold;margin-top:.5rem}dd{margin-inline-start:1rem}.code{font-size:1.4rem}@media print{body{margin:0}}"""


def client_paper(exchange: Exchange, case_code: str, language: Language) -> str:
    """The page, as HTML that prints on A4; raises `Refused` when no referral of this case is going on."""
    rows = [
        row
        for row in exchange.referrals.rows()
        if row.case_code == case_code and row.direction == "out" and row.state not in {State.WITHDRAWN, State.DRAFT}
    ]
    if not rows:
        raise Refused("referral.unknown", "the case code", "`silah referral list` shows them.")
    notes = exchange.notes.readers_of(case_code)
    parties = "".join(
        f"<section><h2><bdi>{escape(row.partner)}</bdi></h2><dl>{_list(exchange, row.id, row.partner, notes, language)}</dl></section>"
        for row in rows
    )
    private = sum(not readers for readers in notes)
    kept = f"<p>{said(language, 'joint:private', n=private)}</p>" if private else ""
    code = " ".join((case_code[:3], case_code[3:6], case_code[6:9], case_code[9:]))
    direction = "rtl" if language in RIGHT_TO_LEFT else "ltr"
    return (
        f'<!DOCTYPE html><html lang="{language}" dir="{direction}"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{said(language, "joint:title")}</title><style>{_STYLE}</style></head><body>'
        f'<h1>{said(language, "joint:title")}</h1><p class="code"><bdi dir="ltr">{code}</bdi></p>'
        f"<p>{said(language, 'joint:intro')}</p>{parties}{kept}<p>{said(language, 'joint:back')}</p></body></html>\n"
    )


def _list(exchange: Exchange, id_: str, partner: str, notes: list[tuple[str, ...]], language: Language) -> str:
    lines = _lines(exchange, id_, sum(partner in readers for readers in notes), language)
    return "".join(f"<dt>{said(language, key)}</dt><dd><bdi>{escape(words)}</bdi></dd>" for key, words in lines)


def _lines(exchange: Exchange, id_: str, notes: int, language: Language) -> Iterator[tuple[str, str]]:
    held = exchange.referrals.contents(id_)
    if held.opening is None:
        return
    asked = cast("JSON", list(held.opening.services_requested))
    yield "joint:asked", Wording("referral", language).shown("codes.services_requested", asked)
    reasons = ("joint:first_reasons",) if held.opening.first_step().reason_code else ()
    comma = _COMMA.get(language, ", ")
    yield "joint:first", comma.join(said(language, key) for key in ("joint:first_codes", *reasons))
    form = exchange.of_form(id_)
    yield "joint:then", comma.join(_then(form or held.identity, language)) or said(language, "joint:nothing")
    until = held.consent.expires if held.consent else form and form.until
    if until:
        yield "joint:until", f"{until:%Y-%m-%d}"
    yield "joint:protocol", held.opening.protocol_version
    yield "joint:notes", str(notes)


def _then(told: Told | Identity | None, language: Language) -> list[str]:
    """The kinds of what this party may learn."""
    return [said(language, f"refer:{name}") for name in Identity.model_fields if told and getattr(told, name)]
