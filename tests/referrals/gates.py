"""The gates of referrals, for `make gates`: name, file, what stands there, what is put instead, the tests that hold it."""

_EXCHANGE, _DISCLOSURE = "tests/referrals/test_exchange.py", "tests/referrals/test_disclosure.py"
_LEDGER, _GATE, _ENVELOPE = (
    "connector/ledger/referrals.py",
    "connector/referrals/gate.py",
    "connector/referrals/envelope.py",
)

_FORM = "tests/referrals/test_from_form.py"

GATES = (
    ("referral from a form: a yes to the name", "connector/disclosure.py", 'if record.disclose_name != "yes" or', "if", _FORM),
    ("referral from a form: the gate again", "connector/disclosure.py", "    if not isinstance(decision, Release):\n        return decision\n", "", "tests/transforms/test_referral.py"),
    ("referral from a form: what was chosen", "connector/disclosure.py", 'reach = contact if "contact" in chosen and', "reach = contact if", _FORM),
    ("referral from a form: gone waits", "connector/pipeline.py", "if stored is None or case.parked or case.presence in HELD:", "if stored is None:", _FORM),
    ("referral from a form: what left is not changed", "connector/ledger/referrals.py", "        if row.state != State.REQUESTED or connection.execute(select(begun)).scalar_one():", "        if False:", _FORM),
    ("referral: identity after acceptance", _GATE, "    if state not in UNDER_WAY:", "    if False:", _DISCLOSURE),
    ("referral: consent of this partner", _GATE, "    if consent.recipient not in partner:", "    if False:", _DISCLOSURE),
    ("referral: consent still good", _GATE, "    if not consent.given <= now < consent.expires:", "    if False:", _DISCLOSURE),
    (
        "referral: consent before sending", "connector/referrals/exchange.py",
        '        if refused:\n            advice = "Ask the person', '        if False:\n            advice = "Ask the person', _DISCLOSURE,
    ),
    (
        "referral: sensitive reasons wait", "connector/referrals/referral.py",
        "if self.sensitive else self", "if False else self", _DISCLOSURE,
    ),
    ("referral: withdrawal stops the queue", _LEDGER, '.values(state="superseded")', ".values(state=referral_messages.c.state)", _DISCLOSURE),
    ("referral: withdrawal destroys", _LEDGER, "            connection.execute(delete(referral_bodies).where(body))", "            pass", _DISCLOSURE),
    ("referral: signature", "connector/referrals/node.py", "    except (InvalidSignature, ValueError):\n        return False", "    except (InvalidSignature, ValueError):\n        return True", _EXCHANGE),
    ("referral: stale timestamp", _ENVELOPE, "_TOLERANCE = timedelta(minutes=5)", "_TOLERANCE = timedelta(days=5)", _EXCHANGE),
    ("referral: repeated id", _LEDGER, "        if _known_message(connection, partner, message):", "        if False:", _EXCHANGE),
    ("referral: order at the receiver", _LEDGER, "    if event.number > last + 1 and event.deed is not Deed.WITHDRAW:", "    if False:", _EXCHANGE),
    ("referral: order at the sender", _LEDGER, "                ~blocked,\n", "", _EXCHANGE),
    ("referral: whose deed it is", _LEDGER, "        if event.by is mine:", "        if False:", _EXCHANGE),
    ("referral: whose referral it is", _LEDGER, "        elif row.partner != partner.fingerprint:", "        elif False:", _EXCHANGE),
    ("referral: signed acknowledgement", "connector/referrals/exchange.py", "        if at is None:", "        at = at or self._now()\n        if at is None:", _EXCHANGE),
    ("referral: late needs the sender", "connector/referrals/machine.py", "    if event.deed is Deed.ACCEPT and standing.overdue(event.at):", "    if False:", _EXCHANGE),
    ("referral: check digit", "connector/referrals/referral.py", "or not luhn_valid(value)", "or False", _DISCLOSURE),
    ("partner: fingerprint of the keys", "connector/referrals/node.py", "    if not node.whole:", "    if False:", "tests/referrals/test_commands.py"),
)  # fmt: skip
