"""How sweeps ended, where every submission is, and the counts for the metrics."""

from __future__ import annotations

from sqlalchemy import Connection, Select, case, func, insert, or_, select, update

from connector.ledger.database import milliseconds
from connector.ledger.part import Part
from connector.ledger.schema import attempts, deliveries, receipts, submissions, sweeps
from connector.ledger.submissions import of_form
from connector.ledger.values import Account, Totals


class Accounts(Part):
    """Sweeps, the account of a form, gauges."""

    def swept(
        self, server: str, form_id: str, listed: int | None, vanished: int, stopped: str | None, rights: str | None
    ) -> None:
        """Notes how the comparison with the server's whole list ended."""

        def job(connection: Connection) -> None:
            at = milliseconds(self.now())
            values = {"vanished": vanished, "stopped": stopped, "finished_at": at}
            if listed is not None:
                values["listed"] = listed
            if rights is not None:
                values["rights"] = rights
            where = (sweeps.c.server == server, sweeps.c.form_id == form_id)
            if not connection.execute(update(sweeps).where(*where).values(values)).rowcount:
                connection.execute(insert(sweeps).values(server=server, form_id=form_id, **values))

        self.database.write(job)

    def last_rights(self, server: str, form_id: str) -> str | None:
        with self.database.reading() as connection:
            where = (sweeps.c.server == server, sweeps.c.form_id == form_id)
            return connection.execute(select(sweeps.c.rights).where(*where)).scalar()

    def stopped(self, server: str, form_id: str) -> str | None:
        """Why the last comparison waits for a person, if it does."""
        with self.database.reading() as connection:
            where = (sweeps.c.server == server, sweeps.c.form_id == form_id)
            return connection.execute(select(sweeps.c.stopped).where(*where)).scalar()

    def account(self, server: str, form_id: str) -> Account:
        """Where the submissions that the server listed last are. A stopped sweep counts what it holds back as parked."""
        with self.database.reading() as connection:
            sweep = connection.execute(
                select(sweeps).where(sweeps.c.server == server, sweeps.c.form_id == form_id)
            ).first()
            counted = dict(connection.execute(_account_query(server, form_id)).all())
        listed = sweep.listed or 0 if sweep else 0
        stopped = sweep.stopped if sweep else None
        return Account(
            server, form_id, listed, counted.get("delivered", 0), counted.get("withheld", 0),
            counted.get("waiting", 0), counted.get("parked", 0), stopped,
        )  # fmt: skip

    def gauges(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(target, state) -> (how many, when the oldest was made), for the metrics."""
        query = select(deliveries.c.target, deliveries.c.state, func.count(), func.min(deliveries.c.made_at))
        with self.database.reading() as connection:
            rows = connection.execute(query.group_by(deliveries.c.target, deliveries.c.state)).all()
        return {(target, state): (count, oldest) for target, state, count, oldest in rows}

    def totals(self) -> Totals:
        """How much came in, was tried and was last swept when, for the metrics."""
        with self.database.reading() as connection:
            by_state = connection.execute(select(receipts.c.state, func.count()).group_by(receipts.c.state)).all()
            tried = connection.execute(select(func.count()).select_from(attempts)).scalar_one()
            unread = connection.execute(
                select(func.count()).select_from(submissions).where(submissions.c.parked.isnot(None))
            ).scalar_one()
            swept = connection.execute(
                select(sweeps.c.server, sweeps.c.form_id, sweeps.c.finished_at, sweeps.c.stopped)
            ).all()
        ages = {(server, form): (at, stopped is not None) for server, form, at, stopped in swept}
        return Totals(dict(by_state), tried, unread, ages)


def _account_query(server: str, form_id: str) -> Select[str, int]:
    """(kind, how many) of the submissions that the server lists or that a stopped sweep missed."""
    state = deliveries.c.state
    parked = or_(submissions.c.parked.isnot(None), submissions.c.presence == "vanished")
    each = (
        select(
            submissions.c.id,
            case(
                (or_(parked, func.sum(case((state == "parked", 1), else_=0)) > 0), "parked"),
                (func.sum(case((state.in_(("due", "waiting")), 1), else_=0)) > 0, "waiting"),
                (func.sum(case((state == "delivered", 1), else_=0)) > 0, "delivered"),
                else_="withheld",
            ).label("kind"),
        )
        .outerjoin(deliveries, deliveries.c.submission_id == submissions.c.id)
        .where(*of_form(server, form_id), submissions.c.presence.in_(("listed", "vanished")))
        .group_by(submissions.c.id, submissions.c.parked, submissions.c.presence)
        .subquery()
    )
    return select(each.c.kind, func.count()).group_by(each.c.kind)
