"""Takes each gate out of a copy of the product, one at a time, and sees whether a test goes red.

`make gates` runs it; it prints one line a gate with the first test that failed, and fails when none did. A gate whose
words are no longer in the source is an error too: then this table has to follow.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.referrals.gates import GATES as REFERRALS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Gate:
    """One protection: where it stands, what is put in its place, and where the tests that hold it are."""

    name: str
    file: str
    stands: str
    instead: str
    tests: str


_DESK = "tests/dashboard/test_matches_and_referrals.py"
DASHBOARD = (
    ("a match needs a fresh code", "connector/dashboard/matches.py", "    if proven():", "    if True:", _DESK),
    ("who may see matches", "connector/dashboard/session.py", "            if not may(g.user.role, right):", "            if False:", _DESK),
    ("a look at names is noted", "connector/dashboard/matches.py", "    desk().pairs.looked_at([pair.one], door.user().name)\n", "", _DESK),
    ("names wait for a click", "connector/dashboard/matches.py", "    return _page(_one(id_), named=False)",
     "    return _page(_one(id_), named=True)", _DESK),
    ("a form of ours", "connector/dashboard/session.py", '    if request.method == "POST" and not hmac.compare_digest',
     "    if False and not hmac.compare_digest", "tests/dashboard/test_pages.py"),
    ("no style from elsewhere", "connector/dashboard/blueprint.py", "style-src {hashes or", "style-src 'unsafe-inline' {hashes or", _DESK),
    ("a collector is sealed", "connector/ledger/collectors.py", "self._sealing.seal(code.encode(), hashed)", "code.encode()",
     "tests/flow/test_at_rest.py"),
)  # fmt: skip

FORMS = (
    ("a change that breaks records", "connector/publishing.py", "        if plan.breaking and not force:", "        if False:",
     "tests/publishing/test_publish.py"),
    ("training stays training", "connector/publishing.py", "        if _is_training(project):", "        if False:",
     "tests/publishing/test_training.py"),
    ("each person's own entries", "forms/linter.py", '        if not counted & {*references(row["repeat_count"])}:', "        if False:",
     "tests/forms/test_linter.py"),
    ("a pack takes translations alone", "forms/importing_pack.py", '        if language == "en" or kind not in TEXT_COLUMNS:',
     "        if False:", "tests/forms/test_importing_pack.py"),
)  # fmt: skip

GATES = (
    Gate("other bases are counted", "connector/bases.py", "record.consent.basis != CONSENT:", "record.consent.basis == CONSENT:",
         "tests/care/test_bases.py"),
    Gate("a code holds no telephone number", "connector/transforms/values.py",
         "if name in self._coded and answer.strip()", "if False and answer.strip()", "tests/transforms/test_codes.py"),
    Gate("a typed choice is no telephone number", "connector/transforms/values.py", "if offered is None and not is_code(code):",
         "if False:", "tests/transforms/test_codes.py"),
    Gate("consent", "connector/disclosure.py", "    if not consent.collected:", "    if False:", "tests/flow/test_consent_gate.py"),
    Gate(
        "consent of this recipient", "connector/disclosure.py",
        "    if to.recipient not in consent.shares:", "    if False:", "tests/flow/test_consent_gate.py",
    ),
    Gate(
        "only the one named", "connector/disclosure.py",
        "    return to.recipient not in _NAMED or", "    return True or", "tests/flow/test_consent_gate.py",
    ),
    Gate("reading back", "connector/disclosure.py", "    if consent.confirmed is False:", "    if False:", "tests/flow/test_consent_gate.py"),
    Gate(
        "end of consent", "connector/disclosure.py",
        'return Withheld("consent.expired") if', 'return None and Withheld("consent.expired") if', "tests/flow/test_consent_gate.py",
    ),
    Gate("danger", "connector/disclosure.py", "    if cautions.danger:", "    if False:", "tests/flow/test_consent_gate.py"),
    Gate("two users", "connector/disclosure.py", "{Recipient.AUTHORITIES: 2,", "{Recipient.AUTHORITIES: 1,", "tests/flow/test_consent_gate.py"),
    Gate(
        "allow-list", "forms/policy.py",
        "            self._verdicts[key] = classes if allowed and not classes & never else None",
        "            self._verdicts[key] = classes", "tests/flow/test_consent_gate.py",
    ),
    Gate(
        "never send", "forms/policy.py", "if allowed and not classes & never else None", "if allowed else None",
        "tests/flow/test_consent_gate.py",
    ),
    Gate("secret of the webhook", "webhooks/edge.py", "    if not any(matches):", "    if False:", "tests/flow/test_webhooks.py"),
    Gate("size of a body", "webhooks/replies.py", 'raise Refusal(413, "too_large")', "pass", "tests/flow/test_webhooks.py"),
    Gate("503 for the unexpected", "webhooks/replies.py", 'return reply(503, {"error": "webhook.unexpected"})',
         'return reply(500, {"error": "webhook.unexpected"})', "tests/flow/test_webhooks.py"),
    Gate(
        "idempotency key", "connector/ledger/values.py",
        '    return str(uuid5(SILAH, f"{record_id}:{version}:{target}:{action}:{revision}"))',
        "    return str(datetime.now())", "tests/flow/test_flow.py",
    ),
    Gate("one receipt a version", "connector/ledger/receipts.py", "            if found is None:", "            if True:", "tests/flow/test_webhooks.py"),
    Gate(
        "vanish guard", "connector/pipeline.py", "if len(fresh) > self._config.vanish_limit and not accept_gone:", "if False:",
        "tests/flow/test_pull.py",
    ),
    Gate("a clock that jumped", "connector/dispatch/timekeeper.py", "        if gap:\n", "        if False:\n", "tests/flow/test_clock.py"),
    Gate(
        "one damaged row alone", "connector/pipeline.py", "            park_damaged(self.ledger, delivery.submission_id)",
        "            raise", "tests/flow/test_faults.py",
    ),
    Gate(
        "noted before it is sent", "connector/pipeline.py", "if not self.ledger.begin(delivery, self._content(ready)):",
        "if False:", "tests/flow/test_crashes.py",
    ),
    Gate(
        "synced before it is answered", "connector/ledger/database.py", '"synchronous=FULL"', '"synchronous=OFF"',
        "tests/flow/test_power_cut.py",
    ),
    Gate(
        "a callback's secret", "connector/targets/callbacks.py", "    if not any(_same(one, secret)",
        "    if False and not any(_same(one, secret)", "tests/targets/test_way_back.py",
    ),
    Gate(
        "a phone's own branch alone", "connector/servers/central_lists.py", "        if held.filter != FILTER:",
        "        if False:", "tests/targets/test_way_back.py",
    ),
    Gate(
        "a phone is told codes alone", "connector/disclosure.py", "isinstance(code, str) and is_case_code(code)",
        "isinstance(code, str)", "tests/targets/test_way_back.py",
    ),
    Gate(
        "no older version behind a newer one", "connector/ledger/queue.py",
        " or connection.execute(_newer_than(row)).first() is not None", "", "tests/flow/test_sweeps.py",
    ),
    Gate("one alert an hour", "connector/alerts.py", "    if before is None:", "    if True:", "tests/flow/test_alerts.py"),
    Gate(
        "mail over TLS", "connector/mail.py", "        server.starttls(context=trust)", "        server.ehlo()",
        "tests/flow/test_alerts.py",
    ),
    Gate(
        "a stopped sweep stays stopped", "connector/pipeline.py", "self.ledger.stopped(server, form) is not None",
        "False", "tests/flow/test_sweeps.py",
    ),
    Gate("rights that changed", "connector/pipeline.py", '            return "rights"', "            return None", "tests/flow/test_pull.py"),
    Gate("gone holds the queue", "connector/ledger/deliveries.py", 'HELD = ("gone", "vanished")', "HELD = ()", "tests/flow/test_pull.py"),
    Gate(
        "review by a person", "connector/pipeline.py",
        'approved = submission.review.state == "approved" and submission.review.by != own_account',
        'approved = submission.review.state == "approved"', "tests/flow/test_flow.py",
    ),
    Gate(
        "an edit needs its own approval", "connector/ledger/sending.py",
        "(submissions.c.approved_version == deliveries.c.version)", "(submissions.c.approved_version > 0)", "tests/flow/test_flow.py",
    ),
    Gate(
        "an unreadable edit holds the queue", "connector/ledger/deliveries.py",
        'submissions.c.state == "live", submissions.c.parked.is_(None),', 'submissions.c.state == "live",', "tests/flow/test_flow.py",
    ),
    Gate(
        "one dispatcher", "connector/dispatch/embedded.py",
        "            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)", "            pass", "tests/flow/test_process.py",
    ),
    Gate("photos without EXIF", "connector/attachments.py",
         'file = clean_image(data, where=f"a photo of record {delivery.record_id}")',
         'file = File("x.jpg", "image/jpeg", data)', "tests/flow/test_flow.py"),
    Gate("encryption at rest", "connector/keys.py",
         "    return nonce + AESGCM(secret).encrypt(nonce, value, context.encode())", "    return nonce + value",
         "tests/flow/test_at_rest.py"),
    Gate("chain of the audit", "connector/ledger/audit.py",
         'if values["seq"] != expected or _hash(before, values) != stored:', "if False:", "tests/flow/test_at_rest.py"),
    Gate("signature of an encrypted record", "connector/servers/odk_encryption.py",
         "        _check_signature(envelope, clear, private_key, where)", "        pass", "tests/servers/test_encrypted_flow.py"),
    Gate("encrypted records only", "connector/servers/unsealing.py",
         'return one if allowed else replace(one, fault="encryption.in_clear")', "return one",
         "tests/servers/test_encrypted_flow.py"),
    Gate("the photo that was verified", "connector/servers/unsealing.py", "        if _mark(clear) != told.clear:",
         "        if False:", "tests/servers/test_encrypted_flow.py"),
    Gate("erasing the key", "connector/ledger/care.py",
         "        connection.execute(delete(data_keys).where(data_keys.c.record_id == case.record_id))", "        pass",
         "tests/care/test_erase.py"),
    Gate("erasing the log", "connector/ledger/care.py", "        self._ledger.database.settle()", "        pass",
         "tests/care/test_erase.py"),
    Gate("erased stays erased", "connector/ledger/intake.py",
         'if row.state == "erased" or (same and', "if (same and", "tests/care/test_erase.py"),
    Gate("telling who holds it", "connector/ledger/care.py",
         "make_delivery(connection, row.id, row.version + 1, target, Action.WITHDRAW, at)", "pass", "tests/care/test_erase.py"),
    Gate("answers go in time", "connector/ledger/care.py", ".values(raw=None))", ".values(instance_id=versions.c.instance_id))",
         "tests/care/test_purge.py"),
    Gate("what is open is kept", "connector/ledger/care.py", '_UNSETTLED = ("due", "waiting", "parked")', "_UNSETTLED = ()",
         "tests/care/test_purge.py"),
    Gate("emptying needs a backup", "connector/ledger/care.py", "submissions.c.changed_at < milliseconds(backed_up),", "",
         "tests/care/test_purge.py"),
    Gate("an edit is not deleted", "connector/purging.py", "if there.get(case.root_id) == case.instance_id", "if True",
         "tests/care/test_purge.py"),
    Gate("emptied is not vanished", "connector/purging.py",
         'flow.ledger.set_presence([case.id for case in same], "kept")', "pass", "tests/care/test_purge.py"),
    Gate("erased stays erased after a restore", "connector/backup.py", "        Care(flow.ledger).erase(case, actor)", "        pass",
         "tests/care/test_backup.py"),
    Gate("paused without the list", "connector/backup.py", "tuple(flow.targets) if pause else ()", "()", "tests/care/test_backup.py"),
    Gate("the end of a backup", "connector/backup.py", "{'last' if last else 'more'}", "more", "tests/care/test_backup.py"),
    Gate("no ledger is written over", "connector/backup.py", "    if there:", "    if False:", "tests/care/test_backup.py"),
    Gate("all recipients on the copy", "connector/ledger/care.py",
         "targets += [row.target for row in open_or_done if maybe_holds(connection, case.id, row.target)]", "pass",
         "tests/care/test_receipt.py"),
    Gate("end of an agreement", "connector/disclosure.py", 'return Withheld("agreement.expired") if over else None', "return None",
         "tests/gates/test_recipients.py"),
    Gate("no redirect", "connector/outbound.py", "allow_redirects=False", "allow_redirects=True", "tests/gates/test_recipients.py"),
    Gate("no value in a log", "connector/dispatch/embedded.py", "type(error).__name__, self._target)", "error, self._target)",
         "tests/gates/test_canary.py::test_what_nobody_foresaw_is_told_without_values"),
    Gate("no EXIF in a log", "connector/images.py", 'logging.getLogger("PIL").setLevel(logging.WARNING)', "",
         "tests/gates/test_canary.py::test_what_nobody_foresaw_is_told_without_values"),
    Gate("the stricter consent of a merge", "connector/disclosure.py",
         "    consents = [record.consent, *(one.consent for one in merged if not one.erased)]", "    consents = [record.consent]",
         "tests/matching/test_candidates.py::test_merged_duplicates_keep_the_stricter_consent_until_undone"),
    Gate("a merge with who was erased", "connector/disclosure.py",
         "    if any(one.erased for one in merged) and not isinstance(strictest, Withheld):", "    if False:",
         "tests/matching/test_candidates.py::test_a_merge_with_who_was_erased_opens_nothing"),
    Gate("two people confirm a match", "connector/ledger/candidates.py",
         'if row.state == "confirmed_by_one" and row.first_user == user:', "if False:", "tests/matching/test_candidates.py::test_two_different_people_confirm"),
    Gate("ruled out is not offered again", "connector/ledger/candidates.py", "if key not in before | spoken", "if key not in before",
         "tests/matching/test_candidates.py::test_what_was_ruled_out_is_not_offered_again"),
    Gate("who is not wanted", "connector/comparing.py", "                if self._blocked(one, there):", "                if False:",
         "tests/matching/test_candidates.py::test_who_is_not_wanted_is_kept_away_without_a_trace"),
    Gate("no word against a wish", "connector/pairs.py", "one is not None and sides(flow, one) is not None", "True",
         "tests/matching/test_candidates.py::test_nobody_confirms_against_a_wish"),
    Gate("restrictions of a match", "connector/pairs.py",
         "return not self.person.restricted or (user is not None and user == self.collector)", "return True",
         "tests/matching/test_candidates.py::test_who_is_restricted_is_seen_by_their_own_case_worker_alone"),
    Gate("a restricted duplicate", "connector/previews.py", "if may_be_double(flow, case, who)",
         "if may_be_double(flow, case, 'V-07')", "tests/matching/test_candidates.py::test_a_restricted_duplicate_warns_its_own_case_worker_alone"),
    Gate("consent to be compared", "connector/matching/facts.py", "if tell is None or not _may_be_compared(record):",
         "if tell is None:", "tests/matching/test_facts.py"),
    Gate("erased leaves the drawers", "connector/ledger/care.py", "        forget_people(connection, case.id)", "",
         "tests/matching/test_filing.py::test_who_is_erased_leaves_the_drawers_at_once"),
    Gate("blind drawers", "connector/ledger/drawers.py", "hmac.digest(self._key, key.encode(), hashlib.sha256)",
         "hashlib.sha256(key.encode()).digest()", "tests/matching/test_filing.py::test_nothing_of_a_name_is_in_the_database"),
    Gate("second factor", "connector/ledger/users.py", "        if not self._database.write(job):", "        if False:",
         "tests/flow/test_process.py"),
    Gate("nobody releases their own", "connector/releasing.py",
         "    if sender in {*post.accounts, named_like} or _wrote(post, interview):", "    if False:", "tests/care/test_releasing.py"),
    Gate("the branch of a release", "connector/releasing.py",
         "    if interview and interview.branch and interview.branch != post.branch:", "    if False:", "tests/care/test_releasing.py"),
    Gate("a branch of one", "connector/releasing.py", "posts.in_branch(post.branch) == 1", "False", "tests/care/test_releasing.py"),
    Gate("the role of a release", "connector/releasing.py", "post.disabled or post.role not in MAY_RELEASE", "False",
         "tests/care/test_releasing.py"),
    Gate("nobody approves their own", "connector/ledger/sending.py", "own_word = given.form_server and is_own", "own_word = False and is_own",
         "tests/care/test_releasing.py"),
    Gate("a proposal is confirmed by another", "connector/releasing.py", 'if _stands(flow, delivery_id) != "proposed":', "if False:",
         "tests/care/test_releasing.py"),
    Gate("a lost phone's rights", "connector/servers/kobo.py", 'status = self._status("DELETE",', 'status = self._status("GET",',
         "tests/care/test_lost_phone.py"),
    Gate("a lost phone's token", "connector/servers/central.py", 'answer = self._door.ask(path, method="DELETE")\n        if answer.status not in',
         'answer = self._door.ask("/v1/users/current")\n        if answer.status not in', "tests/servers/test_central_flow.py"),
    Gate("addresses that may ring", "webhooks/door.py", "        if allowed and (address is None", "        if False and (address is None",
         "tests/gates/test_door.py"),
    Gate("proxies that are believed", "webhooks/door.py", "any(address in one for one in self._proxies)", "True", "tests/gates/test_door.py"),
    Gate("the limit of a sender", "webhooks/door.py", "        if self._left < 1:", "        if False:", "tests/gates/test_door.py"),
    Gate("JSON's depth and number", "webhooks/edge.py", "    not_too_complex(data)\n", "", "tests/gates/test_door.py"),
    Gate("metrics through a proxy", "connector/serving.py", "clear_untrusted_proxy_headers=False", "clear_untrusted_proxy_headers=True",
         "tests/gates/test_door.py"),
    Gate("the address of a connection", "connector/outbound.py", "        if is_public(connected.getpeername()[0]):", "        if True:",
         "tests/gates/test_door.py"),
    Gate("TLS to targets", "connector/outbound.py", "self._session.trust_env = False", "self._session.trust_env = self._session.verify = False",
         "tests/gates/test_door.py"),
    *(Gate(*one) for one in DASHBOARD),
    *(Gate(*one) for one in FORMS),
    Gate("the recovery sheet", "connector/setup.py", "    if key_id != ledger.master.key_id:", "    if False:", "tests/care/test_proofs.py"),
    Gate("signature of a checkpoint", "connector/ledger/checkpoints.py", "    if not verifies(checkpoint.signing_key,", "    if not True and (checkpoint.signing_key,",
         "tests/care/test_proofs.py"),
    Gate("the row of a checkpoint", "connector/ledger/checkpoints.py", "    if stands != checkpoint.hash:", "    if False:", "tests/care/test_proofs.py"),
    Gate("whose checkpoint", "connector/ledger/checkpoints.py", "    if not named == checkpoint.fingerprint == own:", "    if False:", "tests/care/test_proofs.py"),
    Gate("visitors' papers go", "connector/ledger/care.py", "    def shorten(self, case: Case, record: bytes, classes: Sequence[str]) -> None:",
         "    def shorten(self, case: Case, record: bytes, classes: Sequence[str]) -> None:\n        return", "tests/care/test_keeping.py"),
    Gate("papers stay away", "connector/pipeline.py", "        gone = self._over(submission, record)", "        gone = frozenset()",
         "tests/care/test_keeping.py"),
    *(Gate(*one) for one in REFERRALS),
)  # fmt: skip


def first_red(gate: Gate) -> str | None:
    """The first test that fails without *gate*; None when all pass."""
    with tempfile.TemporaryDirectory(prefix="silah-gate-") as folder:
        copy = Path(folder) / "silah"
        shutil.copytree(
            ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "*.egg-info", "__pycache__", ".*_cache")
        )
        file = copy / gate.file
        text = file.read_text(encoding="utf-8")
        if text.count(gate.stands) == 0:
            raise SystemExit(f"{gate.name}: its words are not in {gate.file} any more")
        file.write_text(text.replace(gate.stands, gate.instead), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", gate.tests]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return found[1] if done.returncode and found else None


def main() -> None:
    chosen = [gate for gate in GATES if not sys.argv[1:] or gate.name in sys.argv[1:]]
    still_green = []
    for gate in chosen:
        red = first_red(gate)
        print(f"{gate.name:<36} {red or 'NO TEST WENT RED'}", flush=True)
        if red is None:
            still_green.append(gate.name)
    print(f"{len(chosen)} gates, {len(still_green)} that no test holds")
    sys.exit(1 if still_green else 0)


if __name__ == "__main__":
    main()
