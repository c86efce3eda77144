"""The hand-over list for the next shift: one page of HTML that prints on A4 and reads on a phone. Codes only, no name.

It needs nothing from a network and runs no script; a shift that has only paper prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from html import escape

from connector.ledger.referrals import ReferralRow
from connector.referrals.machine import FINAL

LANGUAGES = ("en", "ar", "fa", "fr")
_RIGHT_TO_LEFT = frozenset({"ar", "fa"})
_HEADS = ("case_code", "direction", "partner", "state", "due", "duty", "by")
_WORDS: Mapping[str, tuple[str, str, str, str]] = {
    "title": (
        "Hand-over of referrals",
        "تسليم الإحالات للمناوبة التالية",
        "تحویل ارجاع‌ها به شیفت بعد",
        "Relève : orientations en cours",
    ),
    "made": ("As of", "حتى", "تا", "Au"),
    "nothing": ("No open referral.", "لا توجد إحالة مفتوحة.", "هیچ ارجاع بازی نیست.", "Aucune orientation en cours."),
    "case_code": ("Case code", "رمز الحالة", "کد پرونده", "Code du dossier"),
    "direction": ("To or from", "إلى أو من", "به یا از", "Vers ou de"),
    "out": ("to", "إلى", "به", "vers"),
    "in": ("from", "من", "از", "de"),
    "partner": ("Partner", "الجهة الشريكة", "سازمان همکار", "Partenaire"),
    "state": ("State", "الوضع", "وضعیت", "État"),
    "due": ("Answer due (UTC)", "موعد الرد (UTC)", "مهلت پاسخ (UTC)", "Réponse attendue (UTC)"),
    "overdue": ("LATE", "متأخر", "دیر شده", "EN RETARD"),
    "duty": ("Duty number", "رقم المناوبة", "شماره کشیک", "Numéro de garde"),
    "by": ("Taken over by", "استلمها", "تحویل‌گیرنده", "Repris par"),
    "requested": (
        "sent, not received yet",
        "أرسلت ولم تستلم بعد",
        "فرستاده شده، هنوز دریافت نشده",
        "envoyée, pas encore reçue",
    ),
    "received": ("received, not answered", "استلمت ولم يرد عليها", "دریافت شده، بی‌پاسخ", "reçue, sans réponse"),
    "accepted": ("accepted", "قبلت", "پذیرفته شده", "acceptée"),
    "in_progress": ("in progress", "قيد التنفيذ", "در حال انجام", "en cours"),
    "on_hold": ("on hold", "معلقة", "متوقف", "en attente"),
    "draft": ("draft", "مسودة", "پیش‌نویس", "brouillon"),
}
_STYLE = """body{font-family:sans-serif;margin:1rem;color:#111}table{border-collapse:collapse;width:100%}
th,td{border:1px solid #777;padding:.4rem;text-align:start;vertical-align:top}.late{font-weight:bold}
@media(max-width:40rem){thead{display:none}tr,td{display:block}tr{border:2px solid #333;margin-bottom:.8rem}
td::before{content:attr(data-head) ": ";font-weight:bold}}@media print{body{margin:0}tr{break-inside:avoid}}"""


def handover_page(rows: Iterable[ReferralRow], now: datetime, language: str) -> str:
    """The page of every referral that is not finished, the one due first on top; *language* is one of `LANGUAGES`."""

    def say(word: str) -> str:
        return _WORDS[word][LANGUAGES.index(language)] if word in _WORDS else word

    direction = "rtl" if language in _RIGHT_TO_LEFT else "ltr"
    lines = [_line(row, say("overdue") if row.overdue else "", say) for row in rows if row.state not in FINAL]
    head = "".join(f"<th>{escape(say(name))}</th>" for name in _HEADS)
    table = (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        if lines
        else f"<p>{say('nothing')}</p>"
    )
    return (
        f'<!DOCTYPE html><html lang="{language}" dir="{direction}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{say("title")}</title><style>{_STYLE}</style></head>'
        f"<body><main><h1>{say('title')}</h1><p>{say('made')} <bdi>{now:%Y-%m-%d %H:%M} UTC</bdi></p>{table}</main></body></html>\n"
    )


def _line(row: ReferralRow, late: str, say: Callable[[str], str]) -> str:
    code = " ".join((row.case_code[:3], row.case_code[3:6], row.case_code[6:9], row.case_code[9:]))
    due = f"{row.due_at:%Y-%m-%d %H:%M} {late}".strip() if row.due_at else late
    cells = (code, say(row.direction), row.partner, say(row.state), due, row.duty_number or "", row.taken_over_by or "")
    shown = "".join(
        f'<td data-head="{escape(say(head))}"><bdi>{escape(cell)}</bdi></td>'
        for head, cell in zip(_HEADS, cells, strict=True)
    )
    return f'<tr class="late">{shown}</tr>' if late else f"<tr>{shown}</tr>"
