"""R14: what is meant as a code holds a code and nothing by which somebody can be reached.

A form's own rule stops this on the phone; a record can come past it (another version, an import, a hand on the API), and
coded answers go where words never do: into figures, lists and first messages.
"""

from __future__ import annotations

import re
from functools import lru_cache

from connector.model import is_case_code
from forms.policy import classes_of
from forms.tables import FORMS, load

_CODED_CLASSES = frozenset({"case", "count", "consent"})
_OF_THE_FORM = frozenset({"office_phone"})  # the office's own number: the form takes it from the list of branches
_WRITTEN = frozenset({"text", "calculate", "barcode", "hidden"})
_ITS_RULE_IS_A_CODE = re.compile(r"regex\(\.,\s*'\^\[A-Za-z0-9")
_LONGEST = 40
_CODE = re.compile(r"[\w/.:+()#-]+(?: [\w/.:+()#-]+)*")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_LIKE_A_CASE_CODE = re.compile(r"[1-9]\d{10}")
_UUID = re.compile(r"(?:uuid:)?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Without a country's code the numbers of the countries here have nine digits or more, the first of them 0.
_TELEPHONE = re.compile(
    r"""\d{9}                             # nine digits in a row: of ours only a case code is so long
      | \+ (?:[ .()-]*\d){7}              # +963 944 000 111
      | (?<!\d) [(]?0 (?:[ .()-]*\d){8}   # 0912 345 6789, (02) 555 12 34 5""",
    re.VERBOSE,
)


def is_code(text: str) -> bool:
    """Whether *text* can be a code or a number of ours: at most 40 signs, no telephone number and no e-mail address.

    Several words are a code only with a digit among them. Eleven digits are taken for a case code, with a wrong check
    digit too: a slip of the pen must not hold a request up, and numbers of eleven digits are dialled with a 0 in front.
    """
    if _DAY.fullmatch(text) or _UUID.fullmatch(text) or _LIKE_A_CASE_CODE.fullmatch(text) or is_case_code(text):
        return True
    if len(text) > _LONGEST or not _CODE.fullmatch(text) or _TELEPHONE.search(text):
        return False
    return " " not in text or any(sign.isdigit() for sign in text)


def coded_questions(form_id: str) -> frozenset[str]:
    """The written and worked out answers of a form that are meant as codes: those whose class names nobody, and those
    of the own society that the form itself holds to a code. Read anew when the policy was written anew."""
    file = FORMS / form_id / "policy.toml"
    return _coded(form_id, file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=64)
def _coded(form_id: str, written_at: int) -> frozenset[str]:  # noqa: ARG001 (a part of the key)
    form = load(form_id)
    classes = classes_of(form)
    held = {row.name for row in form.rows if _ITS_RULE_IS_A_CODE.match(row["constraint"])}
    return frozenset(
        name
        for name, question in form.questions.items()
        if question.type in _WRITTEN
        and name not in _OF_THE_FORM
        and (classes.get(name) in _CODED_CLASSES or (classes.get(name) == "internal" and name in held))
    )
