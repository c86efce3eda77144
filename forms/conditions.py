"""Conditions of a form in plain words: `${c_collect} = 'yes'` becomes "no. 12 is “Yes”".

Only what a person can check on paper is told: comparisons of an answer with a choice, ticks, blank or not, joined by
`and` and `or`. Everything else is None, and the paper says "if it applies".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Verb: TypeAlias = Literal["is", "is_not", "ticked", "not_ticked", "answered", "not_answered"]

_TOKEN = re.compile(
    r"\s*(?:(?P<compare>\$\{\s*(?P<q1>\w+)\s*\}\s*(?P<op>!?=)\s*'(?P<v1>[^']*)')"
    r"|(?P<ticked>selected\(\s*\$\{\s*(?P<q2>\w+)\s*\}\s*,\s*'(?P<v2>[^']*)'\s*\))"
    r"|(?P<word>and\b|or\b|not\b|\(|\)))"
)
_MOST_ATOMS = 4
_OPPOSITE: Mapping[Verb, Verb] = {
    "is": "is_not",
    "is_not": "is",
    "ticked": "not_ticked",
    "not_ticked": "ticked",
    "answered": "not_answered",
    "not_answered": "answered",
}


@dataclass(frozen=True)
class Atom:
    """One thing to look at: the answer to *question* against *choice*."""

    question: str
    verb: Verb
    choice: str = ""


@dataclass(frozen=True)
class Joined:
    """Several of them, joined by *word*."""

    word: Literal["and", "or"]
    parts: tuple[Condition, ...]


Condition: TypeAlias = "Atom | Joined"


class _NotSimple(Exception):
    """The expression says more than a person can check on paper."""


def read(expression: str) -> Condition | None:
    """The condition an expression states; None when it is not simple or asks for more than four things."""
    try:
        tokens = _tokens(expression)
        condition = _simpler(_either(tokens))
    except _NotSimple:
        return None
    return None if tokens or _atoms(condition) > _MOST_ATOMS else condition


def questions(condition: Condition) -> set[str]:
    """Whom it asks about."""
    if isinstance(condition, Atom):
        return {condition.question}
    return {name for part in condition.parts for name in questions(part)}


def told(
    condition: Condition, words: Mapping[str, str], name: Callable[[str], str], choice: Callable[[Atom], str]
) -> str:
    """The condition in words.

    Args:
        words: `and`, `or` with the spaces around them, and `if_<verb>` with `{question}` and `{choice}`.
        name, choice: how a question and an atom's choice are called.
    """
    if isinstance(condition, Atom):
        return words[f"if_{condition.verb}"].format(question=name(condition.question), choice=choice(condition))
    parts = [told(part, words, name, choice) for part in condition.parts]
    return words[condition.word].join(parts)


def _tokens(expression: str) -> list[Atom | str]:
    tokens: list[Atom | str] = []
    place = 0
    text = expression.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _NotSimple
        place = match.end()
        if match["compare"]:
            tokens.append(_comparison(match["q1"], match["op"], match["v1"]))
        elif match["ticked"]:
            tokens.append(Atom(match["q2"], "ticked", match["v2"]))
        else:
            tokens.append(match["word"])
    return tokens


def _comparison(question: str, operator: str, value: str) -> Atom:
    if value:
        return Atom(question, "is" if operator == "=" else "is_not", value)
    return Atom(question, "not_answered" if operator == "=" else "answered")


def _either(tokens: list[Atom | str]) -> Condition:
    parts = [_both(tokens)]
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        parts.append(_both(tokens))
    return parts[0] if len(parts) == 1 else Joined("or", tuple(parts))


def _both(tokens: list[Atom | str]) -> Condition:
    parts = [_one(tokens)]
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        parts.append(_one(tokens))
    return parts[0] if len(parts) == 1 else Joined("and", tuple(parts))


def _one(tokens: list[Atom | str]) -> Condition:
    if not tokens:
        raise _NotSimple
    first = tokens.pop(0)
    if isinstance(first, Atom):
        return first
    if first == "not":
        inner = _one(tokens)
        if not isinstance(inner, Atom):
            raise _NotSimple
        return Atom(inner.question, _OPPOSITE[inner.verb], inner.choice)
    if first != "(":
        raise _NotSimple
    inner = _either(tokens)
    if not tokens or tokens.pop(0) != ")":
        raise _NotSimple
    return inner


def _simpler(condition: Condition) -> Condition:
    """Without "was answered" where the same question is asked about anyway. What stays nested is not simple."""
    if isinstance(condition, Atom):
        return condition
    parts = [_simpler(part) for part in condition.parts]
    if any(isinstance(part, Joined) and part.word != condition.word for part in parts):
        raise _NotSimple  # without brackets nobody would read it as it is meant
    atoms = [atom for part in parts for atom in _flat(part)]
    if condition.word == "and":
        named = {atom.question for atom in atoms if atom.verb not in ("answered", "not_answered")}
        atoms = [atom for atom in atoms if atom.verb != "answered" or atom.question not in named]
    atoms = list(dict.fromkeys(atoms))
    return atoms[0] if len(atoms) == 1 else Joined(condition.word, tuple(atoms))


def _flat(condition: Condition) -> tuple[Atom, ...]:
    if isinstance(condition, Atom):
        return (condition,)
    return tuple(atom for part in condition.parts for atom in _flat(part))


def _atoms(condition: Condition) -> int:
    return 1 if isinstance(condition, Atom) else sum(_atoms(part) for part in condition.parts)
