"""A target of type `partner`: the exchange of referrals. What goes in here is kept in our own ledger and sent from there.

For a partner it accepts `referral`: the release becomes a referral to that partner, once. For the own society it accepts
`referral_response`: the answer that somebody filled in becomes the answer to the referral it names. Who the person is
does not pass here: the second step asks the gate again once the partner has accepted.
"""

from __future__ import annotations

from typing import Protocol

from connector.config import Target
from connector.disclosure import Release
from connector.errors import Misconfigured, Refused, TargetError
from connector.model import Receipt, Recipient
from connector.targets import Effect, Health, Removal

_ASKS, _ANSWERS = "referral", "referral_response"


class Exchange(Protocol):
    """What the exchange takes from forms."""

    def knows(self, partner: str) -> bool: ...
    def put(self, target: str, partner_name: str, release: Release) -> tuple[str, tuple[str, ...]]: ...
    def answer(self, release: Release) -> str: ...


class Partner:
    """One partner as a receiver of referrals; or, for the own society, our own desk that takes their answers."""

    effect: Effect = "upsert"
    removal: Removal = "told"

    def __init__(self, name: str, config: Target, exchange: Exchange) -> None:
        self.name = name
        self._partner, self._exchange = config.partner or name, exchange
        self._own = config.recipient is Recipient.OWN_SOCIETY
        wanted = _ANSWERS if self._own else _ASKS
        if tuple(config.accepts) != (wanted,):
            advice = f'A partner target for this recipient accepts ["{wanted}"] and nothing else.'
            raise Misconfigured("config.bad_value", f"`targets.{name}.accepts`", advice)

    def deliver(self, release: Release) -> Receipt:
        try:
            if self._own:
                return Receipt(self._exchange.answer(release) or None)
            referral_id, left_out = self._exchange.put(self.name, self._partner, release)
        except Refused as refused:
            raise TargetError(refused.code, f"target {self.name}", refused.next_step, permanent=True) from None
        return Receipt(referral_id or None, left_out)

    def check(self) -> Health:
        if self._own or self._exchange.knows(self._partner):
            return Health(ok=True)
        advice = f"Pair with it: `silah partner add FILE --name {self._partner}`."
        return Health(ok=False, code="partner.unknown", next_step=advice)
