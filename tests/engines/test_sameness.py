"""What counts as the same record, and what does not."""

from __future__ import annotations

import pytest

from forms.tables import load
from tests.engines.javarosa import Filled
from tests.engines.sameness import kept

FORM = load("tracing_request")


def of(inner: str) -> list[tuple[str, str]]:
    return kept(Filled(f"<data>{inner}</data>".encode(), (), (), None), FORM)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<a><b/></a>", ""),
        ("<ns_destination>TR-RC IR-RCS</ns_destination>", "<ns_destination>IR-RCS TR-RC</ns_destination>"),
        ("<start>2026-11-22T08:00:00.000+03:00</start>", "<start>2026-11-21T23:00:00Z</start>"),
        ("<t>2026-11-22T08:00:00.000+03:00</t>", "<t>2026-11-22T05:00:00+00:00</t>"),
        ("<t>10:30:00.000Z</t>", "<t>10:30:00</t>"),
    ],
)
def test_what_engines_write_in_their_own_way_is_the_same(one: str, other: str) -> None:
    """Empty elements, order of several choices, the moment of filling in, and how a time is written."""
    assert of(one) == of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<c_collect>yes</c_collect>", "<c_collect>no</c_collect>"),
        ("<c_collect>yes</c_collect>", ""),
        ("<a><b>1</b></a><a><b>2</b></a>", "<a><b>2</b></a><a><b>1</b></a>"),
        ("<a><b>1</b></a>", "<b>1</b>"),
        ("<case_code>10148273054</case_code>", "<case_code>10148273062</case_code>"),
        ("<t>2026-11-22</t>", "<t>2026-11-22T00:00:00.000+00:00</t>"),
        ("<start>2026-11-22T08:00:00.000+03:00</start>", ""),
    ],
)
def test_another_answer_is_another_record(one: str, other: str) -> None:
    """A value, a place, the order of entries, a day that became a moment, and what is not there."""
    assert of(one) != of(other)


def test_a_code_made_at_random_may_differ_but_must_be_there() -> None:
    """Only a form that makes its code: the three ways to write it are compared as one."""

    def coded(code: str) -> list[tuple[str, str]]:
        return of(f"<case_code_base>{code[:10]}</case_code_base><case_code>{code}</case_code><m>101 {code}</m>")

    assert coded("10148273054") == coded("10148273062")
    assert coded("10148273054") != of("<case_code_base>1014827305</case_code_base>")
