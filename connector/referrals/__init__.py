"""Referrals between centres: a closed loop of signed, encrypted messages between two nodes.

    machine.py     the states and who may change them: one table, pure
    referral.py    a referral as JSON, and what of it goes in which step
    node.py        this node's keys, its fingerprint, a partner as it was exported
    envelope.py    encryption and signatures, nothing else
    messages.py    what travels inside the encryption
    exchange.py    the verbs: new, act, receive, attempt
    outbox.py      filled-in forms on their way into the exchange
    joint.py       one case to several parties; notes and their readers
    byhand.py      encrypted files for partners without a node
    reports.py     a month's counts for a partner
    client_paper.py  who reads what, for the person
    sender.py      the thread that sends what is due
    protocol.py    the published OpenAPI and JSON Schema of all this

The SQL is in connector/ledger/referrals.py, the HTTP doors in webhooks/partners.py and webhooks/answering.py.
"""
