"""What an answer over HTTP means for a delivery: shared by the targets that call one. Nothing of its body is told."""

from __future__ import annotations

import json
from typing import cast

from connector.errors import TargetError
from connector.model import JSON
from connector.outbound import Answer, Unreachable
from connector.targets import Health

_NOT_PERMANENT = frozenset({408, 425, 429})
_HOPELESS = frozenset({401, 403})


def unreachable(name: str, error: Unreachable) -> TargetError:
    """No whole answer came: it is tried again."""
    return TargetError(f"target.{error.code}", f"target {name}", "It is tried again; look whether the target runs.")


def refused(name: str, answer: Answer, where: str = "") -> TargetError:
    """An answer that is no success: redirections and client errors are permanent, but for 408, 425 and 429 (RFC 9110)."""
    permanent = 300 <= answer.status < 500 and answer.status not in _NOT_PERMANENT  # noqa: PLR2004 (RFC 9110)
    advice = "Mend the cause at the target, then `silah queue replay`." if permanent else "It is tried again."
    place = f"target {name}, {where}" if where else f"target {name}"
    return TargetError(
        f"target.http_{answer.status}", place, advice, permanent=permanent, retry_after=answer.retry_after
    )


def json_of(name: str, answer: Answer) -> JSON:
    """The JSON of a successful answer; a page in its place (a proxy's, a login's) is tried again."""
    try:
        return cast("JSON", json.loads(answer.body))
    except ValueError:
        raise TargetError("target.not_json", f"target {name}", "Look whether the address is that of the API.") from None


def unhealthy(error: TargetError) -> Health:
    """A failed call as `silah check` tells it."""
    return Health(ok=False, code=error.code, next_step=error.next_step)


def health_of(answer: Answer, secret: str) -> Health:
    """Whether an answer to a harmless question says that we may come in; *secret* names what to mend if not."""
    if answer.status in _HOPELESS:
        return Health(
            ok=False, code="target.unauthorized", next_step=f"Mend what {secret} names, or its rights at the target."
        )
    if answer.status >= 500:  # noqa: PLR2004 (RFC 9110: server error)
        return Health(ok=False, code="target.server_error", next_step="Look at the target's own log.")
    return Health(ok=True)
