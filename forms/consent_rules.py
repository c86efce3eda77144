"""What the tables can show about consent: asked before anything identifying, in layers, never filled in beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from forms.errors import Finding
from forms.expressions import references
from forms.policy import IDENTIFYING, classes_of
from forms.tables import FormDefinition, Row, walk

CONSENT_NAMES = frozenset(
    {
        "c_collect",
        "c_share_icrc",
        "c_share_ns_destination",
        "c_share_un_agency",
        "c_share_ngo",
        "c_share_state_services",
        "c_share_authorities",
        "c_share_family",
        "c_location_to_family",
        "c_publish_photo_online",
        "c_found_tell",
    }
)
"""The only names that may begin with `c_`."""

_SILENT = frozenset({"calculate", "hidden", "start", "end", "today", "username"})
"""Types that ask nobody anything."""
_BEFORE_COLLECT = frozenset({"search_danger"})
"""Asked before `c_collect` although it restricts: it decides whether to go on at all."""

_WIDER = ("un_agency", "ngo", "state_services", "authorities")
_BASICS = ("info_notice_given", "consent_giver", "c_collect")
_NEAR = ("c_share_icrc", "c_share_ns_destination", "ns_destination")
_FAR = ("share_wider", *(name for who in _WIDER for name in (f"c_share_{who}", f"which_{who}")), "risk_explained")

MUST_ASK: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tracing_request": (
            *_BASICS,
            "search_danger",
            *_NEAR,
            *_FAR,
            "consent_confirm",
            "c_share_family",
            "c_location_to_family",
            "c_publish_photo_online",
        ),
        "child_registration": (
            "legal_basis",
            *_BASICS,
            "search_danger",
            *_NEAR,
            *_FAR,
            "consent_confirm",
            "child_assent",
        ),
        "referral": (
            *_BASICS,
            "c_share_icrc",
            "c_share_ns_destination",
            "share_wider",
            *(f"c_share_{who}" for who in _WIDER),
            "risk_explained",
            "consent_confirm",
        ),
        "reunification": (
            *_BASICS,
            *_NEAR,
            "c_share_authorities",
            "which_authorities",
            "risk_explained",
            "consent_confirm",
        ),
        "family_message": (*_BASICS, *_NEAR),
        "family_call": (*_BASICS, "c_share_icrc"),
        "family_visit": (*_BASICS, "c_share_icrc", "v_share_permit"),
        "tracing_action": ("c_found_tell",),
        "enquiry": _BASICS,
    }
)
"""form_id -> the questions of consent that the form asks; every other form asks `c_collect` once it asks anything identifying."""

_YES_NO = frozenset({"yes", "no"})
CHOICES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(CONSENT_NAMES, _YES_NO),
        **dict.fromkeys(
            ("info_notice_given", "share_wider", "risk_explained", "consent_confirm", "v_share_permit"), _YES_NO
        ),
        "search_danger": _YES_NO | {"unknown"},
        "c_location_to_family": _YES_NO | {"after_asking_me"},
        "c_found_tell": frozenset({"nothing", "alive", "message", "phone", "address"}),
        "legal_basis": frozenset({"consent", "best_interests", "vital_interest", "public_interest"}),
        "child_assent": _YES_NO | {"too_young"},
    }
)
"""Question -> exactly the choices it offers."""

_NEVER_FILLED = frozenset({*CHOICES, "consent_giver", "ns_destination", *(f"which_{who}" for who in _WIDER)})
_ORDER = (
    *((first, "c_collect") for first in ("legal_basis", "info_notice_given", "search_danger")),
    *(("c_collect", later) for later in sorted(CONSENT_NAMES - {"c_collect", "c_found_tell"})),
    *(("share_wider", f"c_share_{who}") for who in _WIDER),
    ("risk_explained", "c_share_authorities"),
    *((share, "consent_confirm") for share in sorted(CONSENT_NAMES) if share.startswith("c_share_")),
)
"""(earlier, later) where a form asks both."""
_ONLY_AFTER_YES = (
    *((f"c_share_{who}", "share_wider") for who in _WIDER),
    *((f"which_{who}", f"c_share_{who}") for who in _WIDER),
    ("c_share_authorities", "risk_explained"),
    ("ns_destination", "c_share_ns_destination"),
    ("enq_photo", "c_publish_photo_online"),
)
"""(question, the question its relevance must look at) where a form asks both."""
_ADULTS_ONLY = ("c_publish_photo_online", "enq_photo")


@dataclass(frozen=True)
class _Asked:
    """A form's rows in order with what its relevance depends on."""

    form: FormDefinition
    rows: tuple[tuple[Row, tuple[Row, ...]], ...]
    place: Mapping[str, int]
    classes: Mapping[str, str]

    def depends_on(self, name: str) -> frozenset[str]:
        """Every question that decides, directly or through others, whether *name* is asked."""
        reached: set[str] = set()
        ahead = list(self._looks_at(name, with_value=False))
        while ahead:
            other = ahead.pop()
            if other in self.place and other not in reached:
                reached.add(other)
                ahead += self._looks_at(other, with_value=True)
        return frozenset(reached)

    def _looks_at(self, name: str, *, with_value: bool) -> list[str]:
        row, groups = self.rows[self.place[name]]
        cells = [row["relevant"], *(group["relevant"] for group in groups)]
        return [found for cell in (*cells, row["calculation"] if with_value else "") for found in references(cell)]

    def row(self, name: str) -> Row:
        return self.rows[self.place[name]][0]


def check(form: FormDefinition) -> Iterator[Finding]:
    """All faults of a form's consent that can be seen without filling it in."""
    rows = tuple(walk(form.rows))
    asked = _Asked(form, rows, {row.name: place for place, (row, _) in enumerate(rows) if row.name}, classes_of(form))
    yield from _missing(asked)
    yield from _filled_beforehand(rows)
    yield from _wrong_choices(asked)
    yield from _wrong_order(asked)
    yield from _asked_without_yes(asked)
    yield from _identifying(asked)
    yield from _published(asked)
    yield from _classed_too_low(asked)


def _missing(asked: _Asked) -> Iterator[Finding]:
    form_id = asked.form.form_id
    file = f"{form_id}/survey.csv"
    for name in MUST_ASK.get(form_id, ()):
        if name not in asked.form.questions:
            yield Finding(
                file,
                0,
                name,
                "consent_missing",
                f"The form does not ask {name!r}.",
                "Add it: this form's consent needs it.",
            )
    allowed = {*MUST_ASK.get(form_id, CONSENT_NAMES), "c_collect"}
    for name in sorted(CONSENT_NAMES & set(asked.form.questions) - allowed):
        yield asked.row(name).finding("name", "consent_not_here", f"This form does not ask {name!r}.", "Take it away.")


def _filled_beforehand(rows: Iterable[tuple[Row, tuple[Row, ...]]]) -> Iterator[Finding]:
    for row, _ in rows:
        for column in ("default", "calculation", "trigger"):
            if row.name in _NEVER_FILLED and row[column]:
                yield row.finding(
                    column,
                    "consent_prefilled",
                    f"{row.name!r} is filled in beforehand.",
                    "Empty the cell: a person answers it.",
                )


def _wrong_choices(asked: _Asked) -> Iterator[Finding]:
    for name, wanted in CHOICES.items():
        if name not in asked.form.questions:
            continue
        offered = frozenset(choice.name for choice in asked.form.choices_of(name))
        if offered != wanted:
            mend = f"Offer exactly: {', '.join(sorted(wanted))}."
            yield asked.row(name).finding(
                "type", "consent_choices", f"{name!r} does not offer the choices of its kind.", mend
            )


def _wrong_order(asked: _Asked) -> Iterator[Finding]:
    for earlier, later in _ORDER:
        if earlier in asked.place and later in asked.place and asked.place[earlier] > asked.place[later]:
            yield asked.row(later).finding(
                "name", "consent_order", f"{later!r} is asked before {earlier!r}.", "Turn them round."
            )


def _asked_without_yes(asked: _Asked) -> Iterator[Finding]:
    for name, gate in _ONLY_AFTER_YES:
        if name in asked.place and gate in asked.place and gate not in asked.depends_on(name):
            mend = f"Ask it only after ${{{gate}}} = 'yes'."
            yield asked.row(name).finding("relevant", "consent_not_gated", f"{name!r} does not look at {gate!r}.", mend)


def _identifying(asked: _Asked) -> Iterator[Finding]:
    """`tracing_action` is left out: what is asked of the person found hangs on `c_found_tell`, told by the interview."""
    if asked.form.form_id == "tracing_action":
        return
    collect = asked.place.get("c_collect")
    for place, (row, _) in enumerate(asked.rows):
        silent = row.type in _SILENT or not row["label"]
        if silent or asked.classes.get(row.name) not in IDENTIFYING or row.name in _BEFORE_COLLECT:
            continue
        if collect is None:
            yield row.finding(
                "name",
                "consent_missing",
                f"{row.name!r} identifies, but c_collect is never asked.",
                "Ask c_collect before.",
            )
            return
        if place < collect:
            yield row.finding(
                "name", "identifying_before_consent", f"{row.name!r} is asked before c_collect.", "Move it after."
            )
        elif "c_collect" not in asked.depends_on(row.name):
            mend = "Put it into a group that is relevant only after ${c_collect} = 'yes'."
            yield row.finding(
                "relevant", "identifying_after_no", f"{row.name!r} is asked even after c_collect = no.", mend
            )


def _published(asked: _Asked) -> Iterator[Finding]:
    """Publication is asked of adults only: after the enquirer's age, and looking at it."""
    ages = [
        name
        for name, cls in asked.classes.items()
        if cls == "birth" and name.startswith("enq_") and name in asked.place
    ]
    for name in _ADULTS_ONLY:
        if name not in asked.place or not asked.classes:
            continue
        if not any(asked.place[age] < asked.place[name] for age in ages) or not asked.depends_on(name) & set(ages):
            mend = "Put it after the enquirer's age and make it relevant for adults only."
            yield asked.row(name).finding(
                "relevant", "published_without_age", f"{name!r} does not look at the enquirer's age.", mend
            )


def _classed_too_low(asked: _Asked) -> Iterator[Finding]:
    cls = asked.classes.get("detainee_ref")
    if cls is not None and cls not in IDENTIFYING:
        file = f"{asked.form.form_id}/policy.toml"
        yield Finding(
            file,
            0,
            "detainee_ref",
            "class_too_low",
            "A detainee's reference identifies.",
            "Class it as identity or detention.",
        )
