"""The tables of the ledger. Times are UTC milliseconds since 1970; bodies are sealed (see keys.py); nothing else is personal."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")

receipts = Table(
    "receipts",
    metadata,
    Column("id", String, primary_key=True),
    Column("server", String, nullable=False),
    Column("form_id", String, nullable=False),
    Column("root_id", String, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("ord", BigInteger),
    Column("state", String, nullable=False),  # new, read, void
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", BigInteger, nullable=False),
    Column("error", String),
    Column("kept_at", BigInteger, nullable=False),
)
Index(
    "receipts_once", receipts.c.server, receipts.c.form_id, receipts.c.root_id, receipts.c.ord, receipts.c.instance_id
)
Index(
    "receipts_due",
    receipts.c.next_at,
    sqlite_where=receipts.c.state == "new",
    postgresql_where=receipts.c.state == "new",
)

submissions = Table(
    "submissions",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("record_id", String, nullable=False, unique=True),
    Column("server", String, nullable=False),
    Column("form_id", String, nullable=False),
    Column("root_id", String, nullable=False),
    Column("ord", BigInteger, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String, nullable=False),  # live, withdrawn, erased
    Column("presence", String, nullable=False),  # listed, gone, vanished (a stopped sweep), kept
    Column("parked", String),  # the code of what keeps the current version from being read
    Column("parked_at", String),  # where: the question's path
    Column("review_state", String),
    Column("review_by", String),
    Column("review_at", BigInteger),
    Column("approved_version", Integer, nullable=False, default=0),
    Column("approved_by", String),
    Column("touched", Integer, nullable=False, default=0),  # grows with everything that the gate's decision rests on
    Column("first_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
Index("submissions_root", submissions.c.server, submissions.c.form_id, submissions.c.root_id, unique=True)
Index("submissions_order", submissions.c.server, submissions.c.form_id, submissions.c.ord)
_AWAY = text("presence = 'gone' OR presence = 'vanished'")
Index("submissions_away", submissions.c.presence, sqlite_where=_AWAY, postgresql_where=_AWAY)
Index(
    "submissions_parked",
    submissions.c.parked,
    sqlite_where=submissions.c.parked.isnot(None),
    postgresql_where=submissions.c.parked.isnot(None),
)

data_keys = Table(
    "data_keys",
    metadata,
    Column("record_id", String, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_id", String, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("submission_id", _Id, ForeignKey("submissions.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("instance_id", String, nullable=False),
    Column("form_version", String),
    Column("digest", String, nullable=False),  # keyed hash of answers and file names
    Column("raw", LargeBinary),
    Column("record", LargeBinary),
    Column("read_at", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String, primary_key=True),
    Column("submission_id", _Id, ForeignKey("submissions.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("target", String, nullable=False),
    Column("action", String, nullable=False),
    Column("revision", Integer, nullable=False, default=0),
    Column("state", String, nullable=False),  # due, waiting, withheld, delivered, parked, superseded, discarded
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", BigInteger, nullable=False),
    Column("error", String),
    Column("status", Integer),
    Column("content", String),  # keyed hash of what the key stands for, pinned before the first attempt
    Column("maybe_held", Boolean, nullable=False, default=False),
    Column("external_id", String),
    Column("dropped", Text),
    Column("made_at", BigInteger, nullable=False),
    Column("tried_at", BigInteger),
    Column("done_at", BigInteger),
)
Index("deliveries_case", deliveries.c.submission_id, deliveries.c.target)
Index(
    "deliveries_due",
    deliveries.c.target,
    deliveries.c.next_at,
    sqlite_where=deliveries.c.state == "due",
    postgresql_where=deliveries.c.state == "due",
)
Index("deliveries_state", deliveries.c.state, deliveries.c.target)
# What people look at, oldest first. Written as SQLite compares it: each of the three is a term of its own.
_LOOKED_AT = text("state = 'waiting' OR state = 'parked' OR state = 'withheld'")
Index(
    "deliveries_looked_at",
    deliveries.c.state,
    deliveries.c.made_at,
    deliveries.c.id,
    sqlite_where=_LOOKED_AT,
    postgresql_where=_LOOKED_AT,
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("delivery_id", String, ForeignKey("deliveries.id"), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("outcome", String, nullable=False),
    Column("status", Integer),
)

releases = Table(
    "releases",
    metadata,
    Column("submission_id", _Id, ForeignKey("submissions.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("target", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("submission_id", _Id, ForeignKey("submissions.id"), primary_key=True),
    Column("recipient", String, primary_key=True),  # a class, a target's name, or * for everyone
    Column("reason", String, nullable=False),
    Column("at", BigInteger, nullable=False),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("server", String, primary_key=True),
    Column("form_id", String, primary_key=True),
    Column("listed", Integer),
    Column("vanished", Integer, nullable=False, default=0),
    Column("stopped", String),
    Column("rights", String),
    Column("finished_at", BigInteger),
)

# Submissions that went without a file that had not arrived: looked at again while it may still come.
late_files = Table(
    "late_files",
    metadata,
    Column("submission_id", _Id, ForeignKey("submissions.id"), primary_key=True, autoincrement=False),
    Column("since", BigInteger, nullable=False),
)

pauses = Table(
    "pauses",
    metadata,
    Column("target", String, primary_key=True),
    Column("reason", String),
    Column("at", BigInteger, nullable=False),
)

counters = Table("counters", metadata, Column("name", String, primary_key=True), Column("value", Float, nullable=False))

users = Table(
    "users",
    metadata,
    Column("name", String, primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    Column("role", String, nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("last_step", BigInteger, nullable=False, default=0),
    Column("added_at", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", _Id, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("event", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("record_id", String, index=True),
    Column("target", String),
    Column("detail", Text, nullable=False),
    Column("hash", String, nullable=False),
)

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False))

# Referrals and partners (connector/ledger/referrals.py)

node_keys = Table(
    "node_keys",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_id", String, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("made_at", BigInteger, nullable=False),
)

partners = Table(
    "partners",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("url", String, nullable=False),
    Column("exported", Text, nullable=False),  # the partner's public export
    Column("duty_number", String),  # of a duty desk, never of a person
    Column("added_at", BigInteger, nullable=False),
)

partner_terms = Table(
    "partner_terms",
    metadata,
    Column("fingerprint", String, ForeignKey("partners.fingerprint"), primary_key=True),
    Column("recipient", String),  # the class of recipient, where it decides something: authorities
    Column("public_keys", Text, nullable=False),  # age keys of a partner without a node, one a line
    Column("folder", String),  # where its files are put
    Column("language", String, nullable=False),
)

referral_releases = Table(
    "referral_releases",
    metadata,
    Column("referral_id", String, ForeignKey("referrals.id"), primary_key=True),
    Column("user", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
)

referral_notes = Table(
    "referral_notes",
    metadata,
    Column("id", String, primary_key=True),
    Column("case_code", String, nullable=False, index=True),
    Column("origin", String, nullable=False),  # own, or the fingerprint of the partner that shared it
    Column("kind", String, nullable=False),  # note, conference
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_id", String, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("made_at", BigInteger, nullable=False),
)

referral_note_shares = Table(
    "referral_note_shares",
    metadata,
    Column("message_id", String, primary_key=True),  # the message that carries it
    Column("note_id", String, ForeignKey("referral_notes.id"), nullable=False, index=True),
    Column("referral_id", String, ForeignKey("referrals.id"), nullable=False),
)

partner_reports = Table(
    "partner_reports",
    metadata,
    Column("id", String, primary_key=True),  # the message's
    Column("partner", String, ForeignKey("partners.fingerprint"), nullable=False),
    Column("direction", String, nullable=False),  # out, in
    Column("period", String, nullable=False),  # 2026-10
    Column("body", Text, nullable=False),  # counts without identity, small cells hidden
    Column("state", String, nullable=False),  # due, sent, parked; received
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", BigInteger, nullable=False),
    Column("error", String),
    Column("made_at", BigInteger, nullable=False),
)
Index("partner_reports_due", partner_reports.c.partner, partner_reports.c.state, partner_reports.c.next_at)

answer_links = Table(
    "answer_links",
    metadata,
    Column("handle", String, primary_key=True),  # in the address; opens nothing by itself
    Column("referral_id", String, ForeignKey("referrals.id"), nullable=False, index=True),
    Column("step", String, nullable=False),  # answer, feedback
    Column("code_hash", String, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("made_at", BigInteger, nullable=False),
)

referrals = Table(
    "referrals",
    metadata,
    Column("id", String, primary_key=True),
    Column("partner", String, ForeignKey("partners.fingerprint"), nullable=False),
    Column("direction", String, nullable=False),  # out, in
    Column("kind", String),  # empty where only a withdrawal ever came
    Column("priority", String),
    Column("case_code", String, nullable=False),
    Column("state", String, nullable=False),  # what the events amount to, kept for lists
    Column("due_at", BigInteger),
    Column("alarmed_at", BigInteger),  # when this due_at was told to be past
    Column("taken_over_by", String),  # the user of the shift who looks after it
    Column("made_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
Index("referrals_due", referrals.c.state, referrals.c.due_at)
Index("referrals_partner", referrals.c.partner)

referral_sources = Table(
    "referral_sources",
    metadata,
    Column("referral_id", String, ForeignKey("referrals.id"), primary_key=True),
    Column("record_id", String, nullable=False),  # the filled-in form that asked for it
    Column("target", String, nullable=False),
)
Index("referral_sources_record", referral_sources.c.record_id, referral_sources.c.target)

referral_bodies = Table(
    "referral_bodies",
    metadata,
    Column("referral_id", String, ForeignKey("referrals.id"), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_id", String, nullable=False),
    Column("opening", LargeBinary, nullable=False),
    Column("consent", LargeBinary),
    Column("identity", LargeBinary),
)

referral_events = Table(
    "referral_events",
    metadata,
    Column("referral_id", String, ForeignKey("referrals.id"), primary_key=True),
    Column("party", String, primary_key=True),  # requester, owner
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),  # the message that carried it
    Column("seen", Integer, nullable=False),
    Column("deed", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", String),
    Column("outcome", String),
)

referral_messages = Table(
    "referral_messages",
    metadata,
    Column("id", String, primary_key=True),
    Column("referral_id", String, ForeignKey("referrals.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("partner", String, ForeignKey("partners.fingerprint"), nullable=False),
    Column("state", String, nullable=False),  # due, sent, parked, superseded
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", BigInteger, nullable=False),
    Column("begun", Boolean, nullable=False, default=False),  # the partner may have it
    Column("told", Boolean, nullable=False, default=False),  # an attempt carried the identity
    Column("result", String),  # of the second step: told, or why not
    Column("error", String),
    Column("made_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
)
Index("referral_messages_order", referral_messages.c.referral_id, referral_messages.c.number)
Index(
    "referral_messages_due",
    referral_messages.c.partner,
    referral_messages.c.next_at,
    sqlite_where=referral_messages.c.state == "due",
    postgresql_where=referral_messages.c.state == "due",
)

directory = Table(
    "directory",
    metadata,
    Column("holder", String, primary_key=True),  # own, or a partner's fingerprint
    Column("code", String, primary_key=True),
    Column("branch", String, primary_key=True),  # empty: all of them
    Column("name", String, nullable=False),
    Column("track", String),
    Column("active", Boolean, nullable=False),
    Column("min_age", Integer),
    Column("max_age", Integer),
    Column("serves_sex", String),  # female, male; empty: everybody
    Column("places", Integer),  # empty: not counted
    Column("agreement", String),
    Column("agreement_until", String),  # the last day, ISO 8601
    Column("imported_at", BigInteger, nullable=False),
)

# Figures (connector/ledger/figures.py): counts for good, without identity

facts = Table(
    "facts",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column(
        "source", String, nullable=False, index=True
    ),  # keyed hash of the record's id: its next version takes their place
    Column("day", String, nullable=False, index=True),  # ISO 8601
    Column("branch", String, nullable=False),
    Column("service", String, nullable=False),
    Column("unit", String, nullable=False),
    Column("sex", String, nullable=False),
    Column("age_group", String, nullable=False),
    Column("count", Integer, nullable=False),
    Column("person", String),  # keyed hash of a case code
)

# Pairs of people who may be one (connector/ledger/candidates.py): ids, roles and codes, never a name

candidates = Table(
    "candidates",
    metadata,
    Column("id", String, primary_key=True),
    Column("pair", String, nullable=False, unique=True),  # both places, so that what was ruled out is known again
    Column("left_id", _Id, ForeignKey("submissions.id"), nullable=False, index=True),
    Column("left_role", String, nullable=False),
    Column("left_number", Integer, nullable=False),
    Column("right_id", _Id, ForeignKey("submissions.id"), nullable=False, index=True),
    Column("right_role", String, nullable=False),
    Column("right_number", Integer, nullable=False),
    Column("kind", String, nullable=False),  # found, addressee, family, sought_twice, duplicate
    Column("strength", Integer, nullable=False),  # thousandths; orders lists, never leaves
    Column("reasons", Text, nullable=False),
    Column("state", String, nullable=False),  # proposed, confirmed_by_one, confirmed, ruled_out
    Column("first_user", String),
    Column("second_user", String),
    Column("made_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

# People by what their names sound like, on PostgreSQL (connector/ledger/drawers.py): keyed hashes and sealed facts

filed_people = Table(
    "filed_people",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("submission_id", _Id, ForeignKey("submissions.id"), nullable=False, index=True),
    Column("role", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("drawers", LargeBinary, nullable=False),  # its rows of the next table, eight bytes each
    Column("sealed", LargeBinary, nullable=False),  # what is compared, with the submission's data key
)
drawers = Table(
    "drawers",
    metadata,
    Column(
        "drawer", BigInteger, primary_key=True, autoincrement=False
    ),  # keyed hash of a sound, two, or one and a year
    Column("person", BigInteger, primary_key=True, autoincrement=False),
)

# Signing in to the dashboard (connector/ledger/sign_in.py)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("name", String, ForeignKey("users.name"), primary_key=True),
    Column("password", String),  # scrypt; empty until one is set
    Column("failed", Integer, nullable=False, default=0),
    Column("locked_until", BigInteger, nullable=False, default=0),
    Column("epoch", Integer, nullable=False, default=0),  # grows when every session of this user ends
)

# What is worked out of records so that pages need not open them (connector/ledger/derived.py)

derived = Table(
    "derived",
    metadata,
    Column("submission_id", _Id, ForeignKey("submissions.id"), primary_key=True),
    Column("consent_until", String),  # ISO 8601; empty where nothing ends
)
Index("derived_until", derived.c.consent_until)

arrivals = Table(
    "arrivals",
    metadata,
    Column("day", String, primary_key=True),  # ISO 8601, UTC, when it first came in
    Column("form_id", String, primary_key=True),
    Column("collector", String, primary_key=True),  # keyed hash of a code of the form
    Column("sealed", LargeBinary, nullable=False),  # that code: it may lead to a volunteer
    Column("count", Integer, nullable=False),
)

# How each user reads the dashboard (connector/ledger/preferences.py)

preferences = Table(
    "preferences",
    metadata,
    Column("name", String, ForeignKey("users.name"), primary_key=True),
    Column("language", String, nullable=False, default=""),
    Column("calendar", String, nullable=False, default=""),
    Column("digits", String, nullable=False, default=""),
)

# Who sent what, and who works where (connector/ledger/senders.py, connector/ledger/posts.py): accounts on form servers
# stand as keyed marks that can be looked up and not read

senders = Table(
    "senders",
    metadata,
    Column("record_id", String, primary_key=True),
    Column("mark", String, nullable=False, index=True),
)

posts = Table(
    "posts",
    metadata,
    Column("name", String, ForeignKey("users.name"), primary_key=True),
    Column("branch", String),  # 3 digits; empty: the whole society
    Column("collector", String),  # the code this person writes into forms
)

user_accounts = Table(
    "user_accounts",
    metadata,
    Column("mark", String, primary_key=True),  # one account, one person
    Column("server", String, nullable=False),
    Column("name", String, ForeignKey("users.name"), nullable=False, index=True),
)

# How cases go on at the targets, and what devices were told of it (connector/ledger/case_lists.py): codes, never a name

case_progress = Table(
    "case_progress",
    metadata,
    Column("submission_id", _Id, ForeignKey("submissions.id"), primary_key=True),
    Column("target", String, primary_key=True),
    Column("external_id", String, nullable=False),
    Column("state", String),  # open, action_needed, call_office, closed; empty: nothing that concerns a device
    Column("mark", String),  # the target's own mark of its last change
    Column("ask_at", BigInteger),  # when the target has to be asked; empty: not now
    Column("attempts", Integer, nullable=False, default=0),
    Column("seen_at", BigInteger),
)
Index(
    "case_progress_asks",
    case_progress.c.ask_at,
    sqlite_where=case_progress.c.ask_at.isnot(None),
    postgresql_where=case_progress.c.ask_at.isnot(None),
)
Index(
    "deliveries_external",
    deliveries.c.target,
    deliveries.c.external_id,
    sqlite_where=deliveries.c.external_id.isnot(None),
    postgresql_where=deliveries.c.external_id.isnot(None),
)

case_lines = Table(
    "case_lines",
    metadata,
    Column("submission_id", _Id, ForeignKey("submissions.id"), primary_key=True),
    Column("version", Integer, nullable=False),  # of the submission, as it was looked at
    Column("state", String, nullable=False),  # as it was looked at
    Column("shown", Boolean, nullable=False),  # whether devices have a line of it
    Column("written_at", BigInteger, nullable=False),
)
