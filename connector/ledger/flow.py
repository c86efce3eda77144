"""The one truth about every submission: receipts, versions, deliveries, attempts.

States of a delivery: `due` (is sent at its time), `waiting` (for a person's release), `withheld` (consent or policy
say no), `delivered`, `parked` (needs a person), `superseded` (a newer version took its place), `discarded`.
A submission that is parked, withdrawn, or gone from its server holds its deliveries back without changing their
state; a `withdraw` goes out all the same. For one submission and target at most one delivery is open: a newer one
supersedes it. A submission's presence is `listed`, `gone` (a person decides), `vanished` (the vanish guard stopped
the sweep that missed it; counts as parked) or `kept` (gone, and the admin said that this means nothing).
"""

from __future__ import annotations

from connector.ledger.accounts import Accounts
from connector.ledger.alarms import Alarms
from connector.ledger.intake import Intake
from connector.ledger.queue import Queue
from connector.ledger.receipts import Receipts
from connector.ledger.sending import Sending
from connector.ledger.submissions import Submissions
from connector.ledger.timing import Timing
from connector.ledger.values import Account, Approval, Case, Due, DueReceipt, Kept, Known, Prepared, QueueRow, Totals

__all__ = [
    "Account", "Approval", "Case", "Due", "DueReceipt", "Kept", "Known", "Ledger", "Prepared", "QueueRow", "Totals",
]  # fmt: skip


class Ledger(Receipts, Intake, Submissions, Sending, Queue, Timing, Accounts, Alarms):
    """Receipts, versions, deliveries and their audit. Every method is one transaction."""
