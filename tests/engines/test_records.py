"""A record's XML as KoboToolbox's data API says it."""

from __future__ import annotations

from datetime import UTC, datetime

from connector.sandbox.records import Arrival, kobo_answers, kobo_submission

RECORD = b"""<?xml version='1.0' ?>
<aT xmlns:jr="http://openrosa.org/javarosa" xmlns:orx="http://openrosa.org/xforms" id="aT" version="1">
<formhub><uuid>d11e</uuid></formhub><today>2026-11-20</today><form_kind/>
<consent><c_collect>yes</c_collect></consent>
<sought><identity><s_name>\xd8\xa3\xd9\x85\xd9\x8a\xd9\x86\xd8\xa9</s_name><s_phone/><s_age>9</s_age><s_photo>photo1.jpg</s_photo></identity></sought>
<relatives><rel_name>Layla</rel_name><rel_photo>rel1.jpg</rel_photo>
<rel_phones><rel_phone>111</rel_phone></rel_phones><rel_phones><rel_phone>222</rel_phone></rel_phones></relatives>
<relatives><rel_name>Omar</rel_name><rel_photo/><rel_phones><rel_phone/></rel_phones></relatives>
<orx:meta><orx:instanceID>uuid:f842</orx:instanceID></orx:meta></aT>"""
REPEATS = ("relatives", "relatives/rel_phones")


def test_answers_have_the_shape_that_kobo_gives() -> None:
    """Strings under full paths; empty ones absent; repeats as lists, also with one entry, absent when nothing is in them."""
    expected = {
        "formhub/uuid": "d11e",
        "today": "2026-11-20",
        "consent/c_collect": "yes",
        "sought/identity/s_name": "أمينة",
        "sought/identity/s_age": "9",
        "sought/identity/s_photo": "photo1.jpg",
        "relatives": [
            {
                "relatives/rel_name": "Layla",
                "relatives/rel_photo": "rel1.jpg",
                "relatives/rel_phones": [
                    {"relatives/rel_phones/rel_phone": "111"},
                    {"relatives/rel_phones/rel_phone": "222"},
                ],
            },
            {"relatives/rel_name": "Omar"},
        ],
        "meta/instanceID": "uuid:f842",
    }
    assert expected == kobo_answers(RECORD, REPEATS)


def test_a_repeat_is_known_by_its_name() -> None:
    """A record of an earlier version of the form may have a repeat in another group: no entry is lost."""
    moved = ("people/relatives", "people/relatives/phones/rel_phones")
    entries = kobo_answers(RECORD, moved)["relatives"]
    assert kobo_answers(RECORD, REPEATS)["relatives"] == entries


def test_a_submission_names_its_attachments_by_question() -> None:
    """Only files that have arrived are listed, each with its question's path, entries of a repeat numbered from 1."""
    arrival = Arrival(
        7, datetime(2026, 11, 21, 21, 3, 16, tzinfo=UTC), "aT", "http://127.0.0.1:8890", files=["rel1.jpg"]
    )
    submission = kobo_submission(RECORD, REPEATS, arrival)
    (attachment,) = submission["_attachments"]
    assert attachment["question_xpath"] == "relatives[1]/rel_photo"
    assert attachment["mimetype"] == "image/jpeg"
    assert attachment["download_url"].startswith("http://127.0.0.1:8890/api/v2/assets/aT/data/7/attachments/att")
    assert submission["_submission_time"] == "2026-11-21T21:03:16"
    assert submission["meta/rootUuid"] == "uuid:f842"
    assert submission["_uuid"] == "f842"
