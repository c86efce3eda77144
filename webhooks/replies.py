"""How every door takes a body and answers: a receipt or a code, never an answer of a form (contract §3).

Anything unexpected is 503, which KoboToolbox tries again; 500 and 429 it does not.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping

from flask import Request, Response

from connector.errors import NotASubmission, NotAuthentic
from connector.ledger.database import LedgerUnavailable
from connector.model import JSON
from webhooks.door import Refusal, Tally

log = logging.getLogger("silah.webhooks")

MOST_BODY = 10 * 1000 * 1000


def body_of(incoming: Request) -> bytes:
    """The body; raises `Refusal` (413) before more than 10 MB of it were read."""
    data = b"" if (incoming.content_length or 0) > MOST_BODY else incoming.stream.read(MOST_BODY + 1)
    if (incoming.content_length or 0) > MOST_BODY or len(data) > MOST_BODY:
        raise Refusal(413, "too_large")
    return data


def reply(status: int, body: Mapping[str, JSON]) -> Response:
    """*body* as JSON; 503 says when to try again."""
    headers = {"Retry-After": "60"} if status == 503 else {}  # noqa: PLR2004 (RFC 9110: try again later)
    return Response(json.dumps(body), status, headers, content_type="application/json")


def refuse(refused: Tally, refusal: Refusal) -> Response:
    """The answer to what the door did not let in; counted."""
    refused.add(refusal.code if "." in refusal.code else f"webhook.{refusal.code}")
    return reply(refusal.status, {"error": refusal.code})


def unexpected(error: Exception, where: str) -> Response:
    """The answer to what nobody foresaw: the sender must try again; values may not be told."""
    log.error("unexpected %s in %s", type(error).__name__, where)
    return reply(503, {"error": "webhook.unexpected"})


def answered(refused: Tally, where: str, take: Callable[[], Response]) -> Response:
    """What *take* answers, or the refusal it raised, counted.

    Args:
        where: which door it is, for the log.
    """
    try:
        return take()
    except Refusal as refusal:
        return refuse(refused, refusal)
    except NotAuthentic as error:
        refused.add(error.code)
        return reply(401, {"error": "not_authentic"})
    except NotASubmission as error:
        refused.add(error.code)
        return reply(422, {"error": error.code})
    except LedgerUnavailable as error:
        return reply(503, {"error": error.code})
    except Exception as error:  # noqa: BLE001 (told by its type, and the sender tries again)
        return unexpected(error, where)
