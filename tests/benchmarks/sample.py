"""Any number of submissions as a server gives them: one filled-in request of the sandbox, each with ids of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from connector import sandbox
from connector.config import Server
from connector.model import Submission
from connector.sandbox.kobo import KoboSandbox
from connector.servers.kobo import Kobo

_SAMPLE = Path(str(sandbox.__file__)).parent / "samples" / "hijri_dates.xml"
_FORM = Path(__file__).parents[2] / "forms" / "xlsx" / "kobo" / "tracing_request.xlsx"
ROOT = "%08x-0000-4000-8000-000000000000"
FIRST = ROOT % 0xABCDEF
"""Where a row holds an id of its own."""


def row() -> dict[str, object]:
    """One submission as the data API gives it, without files; its ids are `FIRST`."""
    kobo = KoboSandbox()
    kobo.add_user("owner")
    asset = kobo.publish("owner", "tracing_request", _FORM.read_bytes())
    today = datetime.now(UTC).date().isoformat().encode()  # the day of consent: an old one has expired
    record = re.sub(rb"(<interview_date>)[^<]*", rb"\g<1>" + today, _SAMPLE.read_bytes())
    found = dict(kobo.submit(asset, record, {}, "owner"))
    kobo.close()
    answers = {key: value for key, value in found.items() if not str(value).endswith((".jpg", ".png", ".m4a"))}
    ids = {"_uuid": FIRST, "meta/rootUuid": f"uuid:{FIRST}", "meta/instanceID": f"uuid:{FIRST}", "_attachments": []}
    return answers | ids | {"_validation_status": {}}


def submissions(number: int, start: int = 1) -> Iterator[Submission]:
    """*number* of them from *start* on, as read back."""
    server = Server(type="kobo", url="http://127.0.0.1:9", forms={"tracing_request": "aBench"})
    one = Kobo("kobo", server)._submission("tracing_request", row())
    for index in range(start, start + number):
        yield replace(one, root_id=ROOT % index, instance_id=ROOT % index, order=index)
