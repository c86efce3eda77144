"""Turns the XML record of a filled-in form into what KoboToolbox's data API says about it. Pure.

Kobo's rules, as its server answers: every answer is a string; what was not answered is absent, never null or empty;
a key is the path of groups and name, `sought/identity/s_dob`; a repeat is a list of objects whose keys repeat the full
path, and is absent when nothing in it was answered.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from defusedxml.ElementTree import fromstring

from connector.transforms.xml_answers import answers_in, path_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from connector.model import Answers

Answer: TypeAlias = "str | list[dict[str, Answer]]"
Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True)
class Arrival:
    """What the server knows about a submission besides its answers.

    Args:
        kobo_id: the server's running number, `_id`.
        submitted_at: when it came in, with a time zone.
        asset_uid: the project, `aSAomeUid…`.
        server_url: scheme and host, for the addresses of attachments.
        owner: user name of the project's owner.
        submitted_by: user name of who sent it, None when nobody logged in.
        files: names of the attached files that have arrived.
    """

    kobo_id: int
    submitted_at: datetime
    asset_uid: str
    server_url: str
    owner: str = "owner"
    submitted_by: str | None = None
    files: Collection[str] = ()


def kobo_answers(xml: bytes, repeats: Collection[str]) -> dict[str, Answer]:
    """The answers of a record under Kobo's keys, in the record's order.

    Args:
        xml: the record, whatever its root is called.
        repeats: full paths of the form's repeats, `sought/s_alias`.
    """
    return _as_lists(answers_in(fromstring(xml), frozenset(repeats)))


def kobo_submission(xml: bytes, repeats: Collection[str], arrival: Arrival) -> dict[str, Json]:
    """The whole object that `GET …/data/<id>/` gives for a new submission."""
    answers = kobo_answers(xml, repeats)
    uuid = str(answers.get("meta/instanceID", "")).removeprefix("uuid:")
    return {
        "_id": arrival.kobo_id,
        **_as_json(answers),
        "_xform_id_string": arrival.asset_uid,
        "_uuid": uuid,
        "meta/rootUuid": str(answers.get("meta/rootUuid", f"uuid:{uuid}")),
        "_attachments": [
            _attachment(path, name, uuid, answers, arrival) for path, name in _attached(xml, repeats, arrival.files)
        ],
        "_status": "submitted_via_web",
        "_geolocation": [None, None],
        "_submission_time": arrival.submitted_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "_validation_status": {},
        "_submitted_by": arrival.submitted_by,
    }


def _as_lists(answers: Answers) -> dict[str, Answer]:
    return {
        key: answer if isinstance(answer, str) else [_as_lists(entry) for entry in answer]
        for key, answer in answers.items()
    }


def _as_json(answers: dict[str, Answer]) -> dict[str, Json]:
    return {
        key: answer if isinstance(answer, str) else [_as_json(entry) for entry in answer]
        for key, answer in answers.items()
    }


def _attached(xml: bytes, repeats: Collection[str], files: Collection[str]) -> list[tuple[str, str]]:
    """(question_xpath, file name) of each answer that names one of *files*."""
    return [(path, text) for path, text in _leaves(fromstring(xml), "", "", frozenset(repeats)) if text in files]


def _leaves(node: Element, key: str, xpath: str, repeats: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(xpath, text) of each answer; entries of a repeat are numbered from 1."""
    counts: dict[str, int] = {}
    for child in node:
        child_key, child_xpath = path_of(key, child), path_of(xpath, child)
        if child_key in repeats:
            counts[child_key] = counts.get(child_key, 0) + 1
            child_xpath += f"[{counts[child_key]}]"
        if len(child):
            yield from _leaves(child, child_key, child_xpath, repeats)
        elif child.text:
            yield child_xpath, child.text


def _attachment(path: str, name: str, uuid: str, answers: dict[str, Answer], arrival: Arrival) -> Json:
    uid = "att" + hashlib.sha256(f"{uuid}/{path}/{name}".encode()).hexdigest()[:22]
    address = f"{arrival.server_url}/api/v2/assets/{arrival.asset_uid}/data/{arrival.kobo_id}/attachments/{uid}/"
    mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
    sizes: dict[str, Json] = (
        {f"download_{size}_url": f"{address}{size}/" for size in ("large", "medium", "small")}
        if mimetype.startswith("image/")
        else {}
    )
    return {
        "download_url": address,
        "mimetype": mimetype,
        "filename": f"{arrival.owner}/attachments/{answers.get('formhub/uuid', arrival.asset_uid)}/{uuid}/{name}",
        "media_file_basename": name,
        "uid": uid,
        "is_deleted": False,
        **sizes,
        "question_xpath": path,
    }
