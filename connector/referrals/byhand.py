"""What a partner without a node receives: one encrypted file (age v1) a message, in a folder that both can reach.

    <referral>.<number>.age    a .zip: `referral.json` as a node would receive it, `referral.html` to read or to print

The page is in the partner's language and tells where it can be answered. Names of files say nothing of anybody.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import cast

import pyrage
from pyrage import x25519

from connector.config import Config
from connector.errors import Refused
from connector.ledger.referrals import Partner
from connector.model import JSON
from connector.referrals.machine import Deed
from connector.referrals.messages import Disclosed, Message, Note
from connector.referrals.referral import Opening
from connector.targets.folder import Folder
from connector.targets.wording import Wording
from connector.words import LANGUAGES, RIGHT_TO_LEFT, Language, said

_ROUND = (1980, 1, 1, 0, 0, 0)  # a .zip has no earlier time; the real one stands in referral.json
_CODES = ("services_requested", "reason_code", "client_sex", "age_group", "safe_rule", "protocol_version")
_STYLE = """body{font-family:sans-serif;margin:1rem auto;max-width:42rem;color:#111;line-height:1.5}
dt{font-weight:bold;margin-top:.6rem}dd{margin-inline-start:1rem}.code{font-size:1.3rem}@media print{body{margin:0}}"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody can answer, with which code, and until when."""

    url: str
    code: str
    until: datetime


class ByHand:
    """The folders of partners without a node."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def put(self, partner: Partner, message: Message, address: Address | None) -> None:
        """Writes the file of *message*, again when it is there; a withdrawal takes away what nobody collected.

        Raises `Refused` or `TargetError` when it cannot.
        """
        folder = Folder(partner.name, self._config.at_home(_path(partner)))
        sealed = pyrage.encrypt(_bundle(partner, message, address), [age_key(one) for one in partner.terms.public_keys])
        with folder.held():
            if message.deed is Deed.WITHDRAW:
                for file in folder.path.glob(f"{message.referral}.*.age"):
                    folder.remove(file.name)
            folder.write({f"{message.referral}.{message.number}.age": sealed})


def age_key(text: str) -> x25519.Recipient:
    """A public key of age; raises `Refused`."""
    try:
        return x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        advice = "A key begins with `age1`: the partner's `age-keygen -y` prints it."
        raise Refused("partner.bad_key", "--key", advice) from None


def _bundle(partner: Partner, message: Message, address: Address | None) -> bytes:
    out = io.BytesIO()
    told = json.loads(message.as_bytes())
    if address:
        told["answer"] = {"url": address.url, "code": address.code, "until": address.until.isoformat()}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        pages = {
            "referral.json": json.dumps(told, ensure_ascii=False, indent=1),
            "referral.html": _page(partner, message, address),
        }
        for name, text in pages.items():
            bundle.writestr(zipfile.ZipInfo(name, _ROUND), text.encode())
    return out.getvalue()


def _page(partner: Partner, message: Message, address: Address | None) -> str:
    """One page that prints on A4, in the partner's language."""
    language: Language = next((one for one in LANGUAGES if one == partner.terms.language), "en")
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd><bdi>{escape(value)}</bdi></dd>" for name, value in _lines(message, language)
    )
    return (
        f'<!DOCTYPE html><html lang="{language}" dir="{"rtl" if language in RIGHT_TO_LEFT else "ltr"}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{said(language, "answer:title")}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{said(language, f'byhand:{message.deed}')}</h1><dl>{lines}</dl>"
        f"{_where(address, language)}</body></html>\n"
    )


def _lines(message: Message, language: Language) -> Iterator[tuple[str, str]]:
    if message.opening is not None:
        yield from opening_lines(message.opening, language)
    else:
        yield said(language, "answer:number"), str(message.referral)
    if message.note is not None:
        yield from note_lines(message.note, language)
    if message.disclosed is not None:
        yield from _identity(message.disclosed, language)
    if message.reason:
        kind = "told" if message.deed in {Deed.DISCLOSE, Deed.SHARE} else "end"
        yield said(language, "refer:reason"), said(language, f"{kind}:{message.reason}")


def note_lines(note: Note, language: Language) -> Iterator[tuple[str, str]]:
    """(heading, words) of a note on a case."""
    if note.text:
        yield said(language, "byhand:share"), note.text
    for one in note.decisions:
        yield one.owner, f"{one.decision} {one.due or ''}".strip()


def _identity(disclosed: Disclosed, language: Language) -> Iterator[tuple[str, str]]:
    for name, value in disclosed.identity.model_dump().items():
        if value:
            yield said(language, f"refer:{name}"), str(value)
    if disclosed.reason_code:
        yield _choice("reason_code", list(disclosed.reason_code), language)


def opening_lines(opening: Opening, language: Language) -> list[tuple[str, str]]:
    """(heading, answer) of the first step, in words of the form; codes alone, never who it is."""
    codes = cast("Mapping[str, JSON]", opening.first_step().model_dump(mode="json"))
    lines = [(said(language, "week:case_code"), opening.case_code)]
    lines += [_choice(name, codes[name], language) for name in ("kind", "priority", *_CODES) if codes[name]]
    return lines


def _choice(name: str, value: JSON, language: Language) -> tuple[str, str]:
    return said(language, f"refer:{name}"), Wording("referral", language).shown(f"codes.{name}", value)


def _where(address: Address | None, language: Language) -> str:
    if address is None:
        return ""
    until = f"\N{LEFT-TO-RIGHT ISOLATE}{address.until:%Y-%m-%d %H:%M} UTC\N{POP DIRECTIONAL ISOLATE}"
    code = " ".join((address.code[:3], address.code[3:6], address.code[6:]))
    return (
        f"<h2>{said(language, 'answer:how')}</h2><p>{said(language, 'answer:until', when=until)}</p>"
        f'<p><a href="{escape(address.url)}"><bdi dir="ltr">{escape(address.url)}</bdi></a></p>'
        f'<p class="code">{said(language, "answer:code")}: <bdi dir="ltr">{code}</bdi></p>'
    )


def _path(partner: Partner) -> Path:
    if not partner.terms.folder or not partner.terms.public_keys:
        advice = "Give its age key and a folder: `silah partner by-hand NAME --key age1… --folder FOLDER`."
        raise Refused("partner.no_folder", f"partner {partner.name}", advice)
    return Path(partner.terms.folder)
