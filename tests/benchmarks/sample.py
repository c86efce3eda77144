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


def submissions(number: int) -> Iterator[Submission]:
    """*number* of them, as read back."""
    kobo = KoboSandbox()
    kobo.add_user("owner")
    asset = kobo.publish("owner", "tracing_request", _FORM.read_bytes())
    today = datetime.now(UTC).date().isoformat().encode()  # the day of consent: an old one has expired
    record = re.sub(rb"(<interview_date>)[^<]*", rb"\g<1>" + today, _SAMPLE.read_bytes())
    row = kobo.submit(asset, record, {}, "owner")
    kobo.close()
    server = Server(type="kobo", url="http://127.0.0.1:9", forms={"tracing_request": asset})
    one = Kobo("kobo", server)._submission("tracing_request", row)
    without_files = {
        key: value for key, value in one.answers.items() if not str(value).endswith((".jpg", ".png", ".m4a"))
    }
    one = replace(one, answers=without_files, attachments=())
    for index in range(number):
        yield replace(
            one, root_id=f"root-{index:08d}", instance_id=f"instance-{index:08d}", order=index, attachments=()
        )
