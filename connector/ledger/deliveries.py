"""Rules of a delivery that every part of the ledger keeps: what is open, what may go, one open at a time."""

from __future__ import annotations

import secrets

from sqlalchemy import ColumnElement, Connection, and_, exists, func, insert, select, update

from connector.ledger.schema import deliveries, submissions
from connector.model import Action

OPEN = ("due", "waiting", "withheld", "parked")
HELD = ("gone", "vanished")


def maybe_holds(connection: Connection, submission_id: int, target: str) -> bool:
    return bool(
        connection.execute(
            select(
                exists().where(
                    deliveries.c.submission_id == submission_id,
                    deliveries.c.target == target,
                    deliveries.c.action == Action.UPSERT,
                    deliveries.c.maybe_held,
                )
            )
        ).scalar_one()
    )


def close_open(connection: Connection, submission_id: int, target: str) -> None:
    """A newer delivery takes the place of whatever is open for this submission and target."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.submission_id == submission_id, deliveries.c.target == target, deliveries.c.state.in_(OPEN))
        .values(state="superseded")
    )


def make_delivery(
    connection: Connection, submission_id: int, version: int, target: str, action: Action, at: int
) -> None:
    revision = connection.execute(
        select(func.count())
        .select_from(deliveries)
        .where(
            deliveries.c.submission_id == submission_id, deliveries.c.target == target,
            deliveries.c.version == version, deliveries.c.action == action,
        )
    ).scalar_one()  # fmt: skip
    connection.execute(insert(deliveries).values(new_delivery(submission_id, version, target, action, at, revision)))


def new_delivery(
    submission_id: int, version: int, target: str, action: Action, at: int, revision: int = 0
) -> dict[str, object]:
    return {
        "id": f"dl_{secrets.token_hex(12)}", "submission_id": submission_id, "version": version, "target": target,
        "action": str(action), "revision": revision, "state": "due", "attempts": 0, "next_at": at, "made_at": at,
        "maybe_held": False,
    }  # fmt: skip


def wake(connection: Connection, submission_id: int, at: int) -> None:
    """Lets the gate look again at what waits or is withheld, and at what is on its way to a decision."""
    connection.execute(
        update(submissions).where(submissions.c.id == submission_id).values(touched=submissions.c.touched + 1)
    )
    connection.execute(
        update(deliveries)
        .where(deliveries.c.submission_id == submission_id, deliveries.c.state.in_(("waiting", "withheld")))
        .values(state="due", next_at=at)
    )


def may_go() -> ColumnElement[bool]:
    """A submission whose deliveries are not held."""
    held = submissions.c.presence.in_(HELD)
    return and_(submissions.c.state == "live", submissions.c.parked.is_(None), ~held)
