"""The gates of referrals, for `make gates`: name, file, what stands there, what is put instead, the tests that hold it."""

_EXCHANGE, _DISCLOSURE = "tests/referrals/test_exchange.py", "tests/referrals/test_disclosure.py"
_LEDGER, _GATE, _ENVELOPE = (
    "connector/ledger/referrals.py",
    "connector/referrals/gate.py",
    "connector/referrals/envelope.py",
)

_HAND = "tests/referrals/test_by_hand.py"
_JOINT = "tests/referrals/test_joint.py"
_REPORTS = "tests/referrals/test_reports.py"
_FORM = "tests/referrals/test_from_form.py"

GATES = (
    ("who it was is forgotten", "connector/ledger/referrals.py", ".values(identity=None, consent=None)", ".values(opening=referral_bodies.c.opening)", _DISCLOSURE),
    ("what is open keeps who it is", "connector/ledger/referrals.py", "referrals.c.state.in_([str(state) for state in FINAL]), referrals.c.changed_at < milliseconds(before)", "referrals.c.changed_at < milliseconds(before)", _DISCLOSURE),
    ("people by situation: subtraction", "connector/figures/suppression.py", "                self._equations.append(((first, cell), parts))", "                pass", "tests/figures/test_delivered.py"),
    ("counts: small cells do not leave", "connector/referrals/reports.py", "    if any(one.count is not None and 0 < one.count < SMALLEST_SHOWN for one in rows):", "    if False:", _REPORTS),
    ("counts: small cells are not taken", "connector/referrals/reports.py", "    if any(one.count is not None and 0 < one.count < SMALLEST_SHOWN for one in report.rows):", "    if False:", _REPORTS),
    ("counts: the month is over", "connector/reporting.py", "    if ledger.now().date() < after:", "    if False:", _REPORTS),
    ("joint case: a private note", "connector/ledger/referral_notes.py", "if row.partner in readers and row.state in UNDER_WAY]", "if row.state in UNDER_WAY]", _JOINT),
    ("joint case: consent for a note", "connector/referrals/exchange.py", '        if isinstance(decided, NotTold) and decided.reason != "no_identity":\n            return decided\n', "", _JOINT),
    ("joint case: what a party may be told", "connector/referrals/joint.py", "{name: said[name] for name in party.tell}", "said", _JOINT),
    ("authorities: two people", "connector/ledger/referrals.py", "            if user in given:", "            if False:", _JOINT),
    ("authorities: at sending", "connector/referrals/exchange.py", "        if not telling or not partner.restricted or", "        if True or", _JOINT),
    ("authorities: purpose and risk", "connector/referrals/exchange.py", "if partner.restricted and not (draft.risk_explained and draft.purpose):", "if False:", _JOINT),
    ("notes go with the last consent", "connector/ledger/referrals.py", "            forget_notes(connection, row.case_code)\n", "", _JOINT),
    ("answer link: the code", "connector/ledger/answer_links.py", "        if not hmac.compare_digest(_hashed(key, handle, typed(code)), row.code_hash):", "        if False:", _HAND),
    ("answer link: five tries", "connector/ledger/answer_links.py", " or row.tries >= MOST_TRIES", "", _HAND),
    ("answer link: one answer", "connector/ledger/answer_links.py", "row.used_at is not None or ", "", _HAND),
    ("answer link: its end", "connector/ledger/answer_links.py", "row.expires_at <= now or ", "", _HAND),
    ("answer link: the older one ends", "connector/ledger/answer_links.py", "            connection.execute(delete(answer_links).where(answer_links.c.referral_id == referral_id))\n", "", _HAND),
    ("answer link: wrong codes slow down", "webhooks/answering.py", "            brake.check()\n", "", _HAND),
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
