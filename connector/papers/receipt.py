"""`silah receipt`: the person's copy: who received what kind of data, when, for what purpose, and who did not.

It is made of the audit and of the deliveries' states, so it can be given also after everything was erased. It names
classes of data and never repeats an answer: the sheet may be found by somebody else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from connector.ledger.care import Care, Deed, Sent
from connector.ledger.flow import Case
from connector.papers.page import LANGUAGES, Language, has_word, html, isolated, listed, table, word
from connector.pipeline import Pipeline
from forms.policy import Policy, policy
from forms.tables import load

_NEAREST: Mapping[str, Language] = {"prs": "fa", "tg": "fa", "haz": "fa"}  # spoken languages that read one of the four
_NOT_TOLD = frozenset({"internal", "never", "consent", "count"})  # nothing that a person would miss from a list
_WHY: Sequence[tuple[str, str]] = (
    ("consent.expired", "why.expired"),
    ("consent.withdrawn", "why.taken_back"),
    ("consent.", "why.consent"),
    ("restriction.", "why.limit"),
    ("caution.", "why.person"),
    ("release.", "why.person"),
    ("agreement.", "why.agreement"),
    ("record.erased", "why.erased"),
    ("policy.", "why.rules"),
    ("basis.", "why.rules"),
)


@dataclass(frozen=True, slots=True)
class Shared:
    """What one recipient received. *days*: when; empty when it was sent and never confirmed. *removal*: what became of
    the word to remove it: None, `telling`, or the day on which it was confirmed."""

    who: str
    days: tuple[str, ...]
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    kept_back: tuple[str, ...]
    removal: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The copy, in codes; *refused* is (who, the key of why). *events* are (key of the words, day)."""

    society: str
    reference: str
    form_id: str
    made: str
    shared: tuple[Shared, ...]
    refused: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, str], ...]


def language_of(flow: Pipeline, case: Case) -> Language:
    """The language of the conversation, as far as we write it; English when it is not known."""
    stored = flow.ledger.record(case.id, case.version)
    told = json.loads(stored) if stored else {}
    for part in ("interview", "agreement"):
        code = str((told.get(part) or {}).get("language", ""))
        spoken = _NEAREST.get(code) or next((one for one in LANGUAGES if one == code), None)
        if spoken:
            return spoken
    return "en"


def receipt_of(flow: Pipeline, case: Case) -> Receipt:
    """The copy of one submission; every target that received or may have received something is in `shared`."""
    told = Care(flow.ledger).told_of(case)
    rules = policy(case.form_id)
    shared = tuple(_shared(flow, one, rules) for one in told.sent)
    refused = tuple((_who(flow, target, None, None), _why(reason)) for target, reason in told.refused)
    events = tuple((f"copy.{name}", _day(at)) for name, at in told.events)
    return Receipt(flow.config.society, case.record_id, case.form_id, _day(flow.ledger.now()), shared, refused, events)


def page(receipt: Receipt, language: Language) -> str:
    """The copy as print-ready HTML."""
    title = word("copy.title", language)
    return html(title, language, "".join(_body(receipt, language)))


def give(flow: Pipeline, case: Case, language: Language | None, actor: str) -> str:
    """The copy as a page, in *language* or that of the conversation; that it was given goes into the audit."""
    chosen = language or language_of(flow, case)
    text = page(receipt_of(flow, case), chosen)
    Care(flow.ledger).note("receipt", actor, {"language": chosen}, case.record_id)
    return text


def _shared(flow: Pipeline, one: Sent, rules: Policy) -> Shared:
    classes = tuple(sorted({name for deed in one.deeds for name in deed.classes}))
    asked = set(rules.class_of.values())
    kept_back = tuple(sorted(asked - set(classes) - _NOT_TOLD))
    last: Deed | None = one.deeds[-1] if one.deeds else None
    who = _who(flow, one.target, last.recipient if last else None, last.who if last else None)
    removal = _day(one.removed_at) if one.removed_at else "telling" if one.removing else None
    days = tuple(dict.fromkeys(_day(deed.at) for deed in one.deeds))
    return Shared(who, days, tuple(dict.fromkeys(deed.purpose for deed in one.deeds)), classes, kept_back, removal)


def _who(flow: Pipeline, target: str, recipient: str | None, named: str | None) -> str:
    """`national_society:TR-RC` as the audit says it, else as the configuration does."""
    audience = flow.audiences.get(target)
    if recipient is None and audience is not None:
        recipient, named = str(audience.recipient), audience.who
    return f"{recipient or 'unknown'}:{named or ''}:{target}"


def _why(reason: str) -> str:
    return next((key for start, key in _WHY if reason.startswith(start)), "why.not_yet")


def _day(at: datetime) -> str:
    return at.date().isoformat()


def said_who(who: str, language: Language) -> str:
    """A recipient in words, with the code of who exactly; the target's name where nothing else tells."""
    recipient, named, target = who.split(":", 2)
    said = word(f"recipient.{recipient}", language)
    code = named or (target if recipient == "unknown" else "")
    return f"{said} ({isolated(code)})" if code else said


def _body(receipt: Receipt, language: Language) -> Iterator[str]:
    yield f"<h1>{escape(word('copy.title', language))}</h1>\n<p>{escape(word('copy.intro', language))}</p>\n"
    yield _facts(receipt, language)
    for key, day in receipt.events:
        yield f"<p class=note>{escape(word(key, language, day=isolated(day)))}</p>\n"
    yield f"<h2>{escape(word('copy.shared', language))}</h2>\n"
    yield from (_one(shared, language) for shared in receipt.shared)
    if not receipt.shared:
        yield f"<p>{escape(word('copy.nobody', language))}</p>\n"
    if receipt.refused:
        rows = [[said_who(who, language), word(why, language)] for who, why in receipt.refused]
        yield f"<h2>{escape(word('copy.not_shared', language))}</h2>\n"
        yield table([word("copy.who", language), word("copy.why", language)], rows)
    yield "<footer>"
    yield from (f"<p>{escape(word(key, language))}</p>" for key in ("copy.rights", "copy.keep"))
    yield "</footer>\n"


def _facts(receipt: Receipt, language: Language) -> str:
    facts = (
        ("copy.society", isolated(receipt.society)),
        ("copy.kind", load(receipt.form_id).title(language)),
        ("copy.reference", isolated(receipt.reference)),
        ("copy.made", isolated(receipt.made)),
    )
    return _rows([(word(key, language), value) for key, value in facts])


def _one(shared: Shared, language: Language) -> str:
    days = listed(map(isolated, shared.days), language) or word("copy.unsure", language)
    facts = [(word("copy.when", language), days)]
    if shared.purposes:
        facts.append(
            (word("copy.purpose", language), listed((_said("purpose", p, language) for p in shared.purposes), language))
        )
    if shared.classes:
        facts.append((word("copy.what", language), _classes(shared.classes, language)))
    kept_back = _classes(shared.kept_back, language) or word("copy.nothing_kept_back", language)
    facts.append((word("copy.kept_back", language), kept_back))
    removal = ""
    if shared.removal == "telling":
        removal = word("copy.telling", language)
    elif shared.removal:
        removal = word("copy.told", language, day=isolated(shared.removal))
    note = f"<p class=note>{escape(removal)}</p>\n" if removal else ""
    return f"<h3>{escape(said_who(shared.who, language))}</h3>\n{_rows(facts)}{note}"


def _classes(classes: Sequence[str], language: Language) -> str:
    return listed((_said("class", one, language) for one in classes), language)


def _said(kind: str, code: str, language: Language) -> str:
    key = f"{kind}.{code}"
    return word(key, language) if has_word(key) else code


def _rows(facts: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>\n" for name, value in facts)
    return f"<table class=facts>{lines}</table>\n"
