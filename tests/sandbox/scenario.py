"""The recording's day: its exchanges in the order in which they happened, and what happened between them unrecorded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.sandbox.replay import RECORDED_HOST, Replay, data_url, load, workbook

ASSET = "aoscUa83km9xEzvqDyKNip"
HOOKS = f"/api/v2/assets/{ASSET}/hooks/"
DATA = f"/api/v2/assets/{ASSET}/data/"
HOOK_PLAIN, HOOK_AUTH, HOOK_SUBSET, HOOK_TEMPLATE, HOOK_XML = (
    *("hLJehTwruxsRfLJfnuZ3RK", "hkPoZAuobNYjxC5ykwLuz9", "hLjGCqNt8cQkHcWf25xt8r"),
    *("hSonFjznCNeURr39EHZZTs", "hFxrAdsT9XU2mm3HHCRMsz"),
)

Step = Callable[[Replay], None]


def forms(replay: Replay) -> None:
    """The workbooks are cut off in the recording: they are written again from the content that came of them."""
    content = load("03-asset-detail-undeployed")["response"]["body"]["content"]
    tracing = workbook(content)
    _import(replay, "02-import-multipart-library-false", tracing)
    replay.play("02-import-poll-complete")
    _import(replay, "02-import-library-omitted", tracing)
    replay.play("02-import-library-omitted-poll")
    _unrecorded_import(replay, "02-import-base64-poll", tracing, base64=True)
    replay.play("02-import-json-body")
    replay.play("02-import-json-body-poll")
    twice = {**content, "survey": [*content["survey"], _question("phone"), _question("phone")]}
    _unrecorded_import(replay, "02-import-dup-names-poll-error", workbook(twice))
    _unrecorded_import(replay, "02-import-not-xlsx-poll-error", b"name,label\n")


def hooks_switched_off(replay: Replay) -> None:
    """All services but the plain one are switched off; the second time is recorded for one of them."""
    for uid in (HOOK_AUTH, HOOK_SUBSET, HOOK_TEMPLATE, HOOK_XML):
        replay.api("PATCH", f"{HOOKS}{uid}/", json={"active": False})
    replay.play("21-hook-patch-inactive")


def answers_of_a_target(replay: Replay) -> None:
    """One submission for each answer that a target can give."""
    for status in (200, 201, 202, 204, 400, 401, 404, 409, 410, 422, 429, 500):
        _sent_and_logged(replay, str(status), [status])
    _sent_and_logged(replay, "503-always", [503] * 5)
    _sent_and_logged(replay, "503-then-200", [503, 200])
    _sent_and_logged(replay, "302-redirect", [302])


def three_more(replay: Replay) -> None:
    """The submissions that are deleted next."""
    for uuid in (
        "7fd5d9e2-1e42-49b9-81d7-1343c2a2b7ab",
        "1271dc37-9687-4af3-890b-f2a59e723762",
        "64faa55f-46d9-48cb-9d20-8f9b7339a646",
    ):
        replay.submit("20-submission-hook-200", uuid)


def encrypted_form(replay: Replay) -> None:
    """A form with a public key, and a hook on it."""
    deployed = load("30-encrypted-deploy")["response"]["body"]["asset"]
    content = json.loads(json.dumps(deployed["content"]).replace(RECORDED_HOST, replay.running.url))
    answer = _imported(replay, workbook(content), "Encrypted")
    replay.learn(deployed["uid"], answer["messages"]["created"][0]["uid"])
    replay.play("30-encrypted-deploy")
    uid = replay.known[deployed["uid"]]
    replay.api(
        "POST", f"/api/v2/assets/{uid}/hooks/", json={"name": "enc", "endpoint": f"http://{_listener(replay)}/enc"}
    )
    replay.play("30-encrypted-submission")
    hooks = replay.api("GET", f"/api/v2/assets/{uid}/hooks/").json()["results"]
    replay.learn("hjsNFGBYeS6HjPaPpPAWJd", hooks[0]["uid"])
    replay.play("30-encrypted-data")
    replay.hook("30-hook-received-encrypted", "/enc")


def slow_target(replay: Replay) -> None:
    """The target does not answer within 30 seconds the first time."""
    replay.time_out_next = True
    replay.submit("20-submission-hook-200", "0b0e5a0e-5a53-4f60-8f4e-0d7d2d3b7a01")
    replay.play("31-hooklogs-after-read-timeout")


def nothing_left_to_send(replay: Replay) -> None:
    """One hook selects no field; one submission is deleted before it is sent again."""
    made = replay.api(
        "POST", HOOKS, json={"name": "none", "endpoint": f"http://{_listener(replay)}/none", "subset_fields": ["nope"]}
    )
    replay.learn("hZ6CPBmC2Mg23U9ScLAEAF", made.json()["uid"])
    replay.listener.next = [500]
    replay.submit("20-submission-hook-200", "0b0e5a0e-5a53-4f60-8f4e-0d7d2d3b7a02")
    replay.play("32-hooklogs-subset-matches-nothing")
    newest = replay.api("GET", f"{HOOKS}{HOOK_PLAIN}/logs/?limit=1").json()["results"][0]
    replay.api("DELETE", f"{DATA}{newest['submission_id']}/")
    replay.play("32-hook-retry-all-after-delete")
    replay.play("32-hooklogs-after-delete-retry")


def bad_reference(replay: Replay) -> None:
    """A form that refers to a question it does not have."""
    question = {"type": "text", "name": "a", "label": ["A"], "relevant": "${nope} = '1'"}
    content = {"translations": [None], "settings": {}, "survey": [question], "choices": []}
    answer = _imported(replay, workbook(content), "Bad reference")
    replay.learn("iHXYRLpyBvZBKKbqfWVfW3", answer["uid"])
    replay.play("37-import-bad-reference-poll")
    replay.play("37-deploy-bad-reference")


def last_submissions(replay: Replay) -> None:
    """A number is drawn and lost, one submission is patched, one meets a hook to nowhere."""
    replay.send("POST", *_request("10-submission-conflict-409"))
    replay.submit("20-submission-hook-200", "22718302-34cf-48ec-97d8-c2db4c858b33")
    replay.play("38-bulk-patch-repeat")
    replay.play("38-delete-bulk-unknown-id")
    made = replay.api("POST", HOOKS, json={"name": "dns", "endpoint": "https://no-such-host.invalid/x"})
    replay.learn("hxbSrg9ZaqboYAisFXurfp", made.json()["uid"])
    replay.submit("20-submission-hook-200", "0b0e5a0e-5a53-4f60-8f4e-0d7d2d3b7a03")
    replay.play("38-hooklogs-dns-failure")


def _hook_bodies(replay: Replay) -> None:
    for kind in ("auth", "plain", "subset", "template", "xml"):
        replay.hook(f"11-hook-received-{kind}", f"/{kind}")


def _view_once_more(replay: Replay) -> None:
    replay.api("GET", DATA, token="3")


def _delete_ssrf_hook(replay: Replay) -> None:
    replay.api("DELETE", f"{HOOKS}hRTjhQ7ReUt4xnqDJbxV2G/")


def _replace_form(replay: Replay) -> None:
    content = load("24-asset-after-redeploy")["response"]["body"]["content"]
    _import(replay, "24-import-replace", workbook(content))


def plays(names: str) -> list[Step]:
    """Recorded exchanges, one after the other."""
    return [lambda replay, name=name: replay.play(name) for name in names.split()]  # type: ignore[misc]


SCENARIO: list[Step] = [
    *plays("01-me 01-token-basic-auth 01-bad-token 01-anonymous-assets 01-v1-gone"),
    forms,
    *plays("03-asset-detail-undeployed 03-data-before-deploy 03-asset-patch-settings"),
    *plays("04-files-post-content 04-files-post-duplicate 04-files-post-base64 04-files-post-bad-mime"),
    *plays("04-files-delete 04-files-list"),
    *plays("05-deployment-get-before 05-deployment-post 05-deployment-post-again 05-deployment-get"),
    *plays("05-asset-detail-deployed 05-versions"),
    *plays("06-perm-enumerator-add_submissions 06-perm-connector-view_submissions"),
    *plays("06-perm-connector-change_submissions 06-perm-connector-validate_submissions 06-perms-list"),
    *plays("07-formlist-noauth 07-formlist 07-form-xml 07-manifest"),
    *plays("08-hook-create-plain 08-hook-create-auth 08-hook-create-subset 08-hook-create-template"),
    *plays("08-hook-create-xml 08-hook-create-bad-scheme 08-hook-create-bad-template 08-hook-create-missing"),
    *plays("08-hooks-list 08-hook-retrieve 08-hooks-list-as-connector"),
    *plays("09-redeploy-sync-media 09-manifest-after-sync 09-xforms-media-csv"),
    *plays("10-submission-head 10-submission-noauth 10-submission-with-attachments"),
    _hook_bodies,
    *plays("10-submission-duplicate-202 10-submission-conflict-409 10-submission-chunk-1"),
    lambda replay: replay.hook("11-hook-received-chunk1-plain", "/plain"),
    *plays("10-submission-chunk-2 10-submission-json-body 10-submission-json-body-owner 12-data-list"),
    *plays("12-data-limit-1-start-1 12-data-limit-5000 12-data-limit-0 12-data-limit-neg 12-data-start-beyond"),
    *plays("12-data-offset 12-data-page-2 12-data-page2-limit1 12-data-sort-desc 12-data-sort-submission-time"),
    *plays("12-data-query-id-gt 12-data-query-in 12-data-query-or 12-data-query-submission-time"),
    *plays("12-data-query-field-with-slash 12-data-query-bad-json"),
    _view_once_more,
    *plays("12-data-query-repeat 12-data-query-repeat-elemmatch 12-data-query-validation-uid"),
    *plays("12-data-query-validation-unset 12-data-query-where 12-data-fields 12-data-count 12-data-list-xml"),
    _view_once_more,
    *plays("12-data-anonymous 12-data-as-enumerator-no-view-perm"),
    *plays("13-data-one-by-id 13-data-one-by-rootuuid 13-data-one-xml 13-data-one-404"),
    *plays("14-attachment-download-token 14-attachment-download-noauth 14-attachment-download-noperm"),
    *plays("14-attachment-medium 14-attachment-by-xpath 14-attachment-by-xpath-missing"),
    *plays("15-edit-submission-with-deprecatedID 15-data-after-edit 15-edit-2-replace-photo-no-rootUuid"),
    *plays("15-data-after-edit-2 15-edit-stale-deprecatedID 15-edit-unknown-deprecatedID 15-edit-no-permission"),
    *plays("16-bulk-patch 16-data-after-bulk-patch 16-bulk-patch-bad-id 16-bulk-patch-no-data"),
    *plays("16-bulk-patch-as-enumerator"),
    *plays("17-validation-get-empty 17-validation-patch 17-validation-get 17-validation-patch-invalid"),
    *plays("17-validation-patch-noperm 17-validation-bulk-bad-ids 17-validation-delete"),
    _view_once_more,
    *plays("17-bulk-patch-after-approval 17-validation-bulk-patch 17-validation-bulk-patch-query"),
    *plays("17-data-query-validated 18-data-duplicate"),
    hooks_switched_off,
    answers_of_a_target,
    *plays("21-hook-after-failures 21-hooklogs-list-failed-filter 21-hooklog-retry-too-early 21-hook-retry-all"),
    *plays("21-hook-retry-all-nothing 21-hooklog-retry-success-again 21-hook-create-refused 21-hook-create-ssrf"),
    *plays("20-submission-with-refused-and-ssrf-hooks 21-hooklogs-refused 21-hooklogs-ssrf 21-hook-delete"),
    _delete_ssrf_hook,
    *plays("20-submission-submissionDate-attr"),
    three_more,
    *plays("22-delete-one-noperm 22-delete-one 22-get-deleted 22-get-deleted-by-rootuuid"),
    *plays("22-delete-bulk-no-confirm 22-delete-bulk 22-resubmit-deleted-instanceID"),
    *plays("23-deployment-archive 20-submission-to-archived 23-deployment-unarchive"),
    _replace_form,
    *plays("24-import-replace-poll 24-asset-after-replace-before-redeploy 24-redeploy-old-version-id 24-redeploy"),
    *plays("24-asset-after-redeploy 24-versions-after-redeploy 24-formlist-after-redeploy"),
    *plays("20-submission-old-version-after-redeploy 20-submission-new-version"),
    *plays("24-asset-content 24-asset-xml 24-asset-xls"),
    *plays("25-project-history 25-project-history-actions 25-project-history-query-date"),
    *plays("25-project-history-query-modify-submission 25-project-history-query-delete-submission"),
    *plays("25-project-history-as-connector 26-submission-unicode"),
    lambda replay: replay.hook("26-hook-received-unicode", "/plain"),
    *plays("27-attachments-bulk-delete 27-data-after-attachments-deleted 27-attachment-download-deleted"),
    *plays("28-perm-anonymous-add 28-submission-anonymous 28-perm-delete"),
    *plays("29-assets-list-as-connector 29-asset-detail-as-connector 29-asset-create-json 29-asset-clone"),
    *plays("29-assets-list-query 29-asset-delete"),
    encrypted_form,
    slow_target,
    *plays("25-project-history-query-date-and-action"),
    nothing_left_to_send,
    *plays("32-submission-unknown-form 32-submission-no-instanceid 32-submission-malformed"),
    *plays("32-submission-root-name-data 33-perm-partial 33-data-with-partial-perm 34-accept-json-header"),
    *plays("34-environment-v2 34-environment 34-users-lookup 35-paired-data-enable-sharing"),
    bad_reference,
    last_submissions,
    *plays("38-hooklog-retry-one"),
]


def _sent_and_logged(replay: Replay, name: str, statuses: list[int]) -> None:
    replay.listener.next = list(statuses)
    replay.play(f"20-submission-hook-{name}")
    replay.play(f"21-hooklogs-after-{name}")


def _import(replay: Replay, name: str, content: bytes) -> None:
    """A recorded import whose file is *content*: its form fields are kept."""
    recording = load(name)
    head = recording["request"]["body"]["latin1_head"]
    fields = dict(re.findall(r'name="(\w+)"\r\n\r\n([^\r]*)', head))
    if "destination" in fields:
        fields["destination"] = fields["destination"].replace(ASSET, replay.known[ASSET])
    answer = replay.api("POST", "/api/v2/imports/?format=json", data=fields, files={"file": ("tracing.xlsx", content)})
    replay.compare(name, answer)


def _unrecorded_import(replay: Replay, poll: str, content: bytes, *, base64: bool = False) -> None:
    answer = _imported(replay, content, "Unrecorded", base64=base64)
    replay.learn(re.findall(r"imports/(\w+)/", load(poll)["request"]["url"])[0], answer["uid"])
    replay.play(poll)


def _imported(replay: Replay, content: bytes, name: str, *, base64: bool = False) -> dict:
    fields = {"name": name, "library": "false"} | ({"base64Encoded": data_url(content)} if base64 else {})
    files = None if base64 else {"file": ("form.xlsx", content)}
    started = replay.api("POST", "/api/v2/imports/", data=fields, files=files).json()
    return replay.api("GET", f"/api/v2/imports/{started['uid']}/").json()


def _request(name: str) -> tuple[str, dict[str, str], bytes]:
    request = load(name)["request"]
    return request["url"], request["headers"], str(request["body"]).encode()


def _listener(replay: Replay) -> str:
    return replay.listener.address


def _question(name: str) -> dict[str, object]:
    return {"type": "text", "name": name, "label": [name, None]}
