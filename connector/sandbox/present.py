"""Projects, versions, media, permissions, history, hooks and submissions as JSON, key by key as KoboToolbox writes them."""

from __future__ import annotations

from datetime import UTC

from connector.sandbox.hooks import Hook, Log, Status
from connector.sandbox.rest import address
from connector.sandbox.rights import ANONYMOUS, LABELS, Assignment
from connector.sandbox.store import Asset, Deployment, Event, MediaFile, User, Version, stamp
from connector.sandbox.submissions import Attachment, Submission

_SIZES = ("large", "medium", "small")


def asset_json(asset: Asset, caller: User | None) -> dict[str, object]:
    """A project in full, as *caller* sees it."""
    at, content = f"/api/v2/assets/{asset.uid}/", asset.version.content
    name = caller.name if caller else ANONYMOUS
    versions = [version_json(asset, number, version) for number, version in asset.deployed_versions]
    return {
        **asset_list_json(asset, caller),
        "files": [file_json(asset, file) for file in asset.files],
        "version__content_hash": content.hash(),
        "version_count": len(asset.versions),
        "deployed_versions": {"count": len(versions), "next": None, "previous": None, "results": versions},
        "deployment__links": {},
        "deployment__data_download_links": _download_links(asset),
        "report_styles": asset.report_styles(),
        "report_custom": {},
        "advanced_features": {"_version": "20250820"},
        "map_styles": {},
        "map_custom": {},
        "content": content.json(),
        "embeds": [{"format": form, "url": address(f"{at}{link}/")} for form, link in _EMBEDS],
        "analysis_form_json": {"additional_fields": []},
        "xform_link": address(f"{at}xform/"),
        "hooks_link": address(f"{at}hooks/"),
        "xls_link": address(f"{at}xls/"),
        "assignable_permissions": [_permission(codename) for codename in LABELS],
        "effective_permissions": [{"codename": codename} for codename in asset.rights.effective(name)],
        "exports": address(f"{at}exports/"),
        "paired_data": address(f"{at}paired-data/"),
        "project_ownership": None,
    }


def asset_list_json(asset: Asset, caller: User | None) -> dict[str, object]:
    """A project as one row of the list."""
    at, deployment = f"/api/v2/assets/{asset.uid}/", asset.deployment
    own = address(at)
    return {
        "url": own,
        "date_created": stamp(asset.created),
        "date_modified": stamp(asset.modified),
        "date_deployed": stamp(deployment.deployed if deployment else None),
        "owner": _user_address(asset.owner.name),
        "summary": asset.version.content.summary(),
        "owner__username": asset.owner.name,
        "parent": None,
        "uid": asset.uid,
        "tag_string": "",
        "settings": asset.settings,
        "kind": "asset",
        "name": asset.name,
        "asset_type": asset.asset_type,
        "version_id": asset.version.uid,
        **_deployment_keys(asset, deployment),
        "permissions": [
            assignment_json(asset, held) for held in asset.rights.visible_to(caller.name if caller else None)
        ],
        "export_settings": [],
        "downloads": [
            {"format": form, "url": f"{own if '?' in own else own.rstrip('/')}.{form}"} for form in _DOWNLOADS
        ],
        "data": address(f"{at}data/"),
        "subscribers_count": 0,
        "status": asset.rights.status,
        "access_types": None,
        "children": {"count": 0},
        "data_sharing": asset.data_sharing,
        "owner_label": asset.owner.name,
        "last_modified_by": asset.modified_by,
        "created_by": asset.created_by,
    }


def deployment_json(asset: Asset, deployment: Deployment, caller: User | None) -> dict[str, object]:
    """The answer of `…/deployment/`."""
    return {
        "backend": "openrosa",
        "active": deployment.active,
        "version_id": deployment.version.uid,
        "asset": asset_json(asset, caller),
    }


def version_json(asset: Asset, number: int, version: Version) -> dict[str, object]:
    """A deployed version; *number* counts deployed versions from 1."""
    return {
        "uid": version.uid,
        "url": address(f"/api/v2/assets/{asset.uid}/versions/{version.uid}/"),
        "content_hash": version.content.hash(),
        "date_deployed": stamp(version.deployed),
        "date_modified": stamp(version.deployed),
        "version_number": str(number),
    }


def file_json(asset: Asset, file: MediaFile) -> dict[str, object]:
    """A media file of the form."""
    at = f"/api/v2/assets/{asset.uid}/files/{file.uid}/"
    return {
        "uid": file.uid,
        "url": address(at),
        "asset": address(f"/api/v2/assets/{asset.uid}/"),
        "user": _user_address(file.user),
        "user__username": file.user,
        "file_type": file.file_type,
        "description": file.description,
        "date_created": stamp(file.created),
        "content": address(f"{at}content/"),
        "metadata": {"hash": file.hash, "filename": file.name, "mimetype": file.mimetype},
    }


def assignment_json(asset: Asset, held: Assignment) -> dict[str, object]:
    """One permission of one user."""
    body: dict[str, object] = {
        "url": address(f"/api/v2/assets/{asset.uid}/permission-assignments/{held.uid}/"),
        "user": _user_address(held.user),
        **_permission(held.codename, key="permission"),
    }
    if held.codename == "partial_submissions":
        body["partial_permissions"] = [
            {"url": address(f"/api/v2/permissions/{codename}/"), "filters": list(filters)}
            for codename, filters in held.partial.items()
        ]
    return body


def user_json(user: User) -> dict[str, object]:
    """An account, as others see it."""
    return {
        "url": _user_address(user.name),
        "username": user.name,
        "date_joined": _seconds(user.joined.astimezone(UTC).isoformat(timespec="seconds")),
        "public_collection_subscribers_count": 0,
        "public_collections_count": 0,
    }


def event_json(asset: Asset, event: Event) -> dict[str, object]:
    """A row of the project's history."""
    return {
        "user": _user_address(event.user.name),
        "user_uid": event.user.uid,
        "username": event.user.name,
        "action": event.action,
        "metadata": {
            "source": "Sandbox",
            "asset_uid": asset.uid,
            "ip_address": "127.0.0.1",
            "log_subtype": "project",
            "project_owner": asset.owner.name,
            **event.details,
        },
        "date_created": _seconds(event.created.astimezone(UTC).isoformat(timespec="seconds")),
    }


def hook_json(asset: Asset, hook: Hook) -> dict[str, object]:
    """A REST service."""
    at = f"/api/v2/assets/{asset.uid}/hooks/{hook.uid}/"
    return {
        "active": hook.active,
        "asset": asset.pk,
        "auth_level": hook.auth_level,
        "date_modified": stamp(hook.modified),
        "email_notification": hook.email_notification,
        "endpoint": hook.endpoint,
        "export_type": hook.export_type,
        "failed_count": hook.count(Status.FAILED),
        "logs_url": address(f"{at}logs/"),
        "name": hook.name,
        "payload_template": hook.payload_template,
        "pending_count": hook.count(Status.PENDING) + hook.count(Status.PROCESSING),
        "settings": hook.settings,
        "subset_fields": hook.subset_fields,
        "success_count": hook.count(Status.SUCCESS),
        "uid": hook.uid,
        "url": address(at),
    }


def log_json(asset: Asset, hook: Hook, log: Log) -> dict[str, object]:
    """The sending of one submission."""
    return {
        "url": address(f"/api/v2/assets/{asset.uid}/hooks/{hook.uid}/logs/{log.uid}/"),
        "uid": log.uid,
        "submission_id": log.submission_id,
        "tries": log.tries,
        "status": int(log.status),
        "status_str": log.status.name.lower(),
        "status_code": log.status_code,
        "message": log.message,
        "date_modified": stamp(log.modified),
    }


def submission_json(asset: Asset, row: Submission, host: str) -> dict[str, object]:
    """The data JSON; *host* is the scheme and host of the attachments' addresses."""
    if not row.attachments:
        return row.document
    at = f"{host}/api/v2/assets/{asset.uid}/data/{row.id}/attachments/"
    shown = [_attachment_json(asset, row, file, f"{at}{file.uid}/") for file in row.attachments if not file.replaced]
    return {**row.document, "_attachments": shown}


def _attachment_json(asset: Asset, row: Submission, file: Attachment, at: str) -> dict[str, object]:
    project = asset.deployment.formhub_uuid if asset.deployment else asset.uid
    sizes = {f"download_{size}_url": f"{at}{size}/" for size in _SIZES} if file.mimetype.startswith("image/") else {}
    return {
        "download_url": at,
        "mimetype": file.mimetype,
        "filename": f"{asset.owner.name}/attachments/{project}/{row.root_uuid}/{file.stored_name}",
        "media_file_basename": file.name,
        "uid": file.uid,
        "is_deleted": file.deleted,
        **sizes,
        "question_xpath": row.file_paths.get(file.name, ""),
    }


_EMBEDS = (("xls", "xls"), ("xform", "xform"))
_DOWNLOADS = ("xls", "xml")
_LINKS = {
    "xls_legacy": "exports/{uid}/xls/",
    "csv_legacy": "exports/{uid}/csv/",
    "zip_legacy": "exports/{uid}/zip/",
    "xls": "reports/{uid}/export.xlsx",
    "csv": "reports/{uid}/export.csv",
}


def _deployment_keys(asset: Asset, deployment: Deployment | None) -> dict[str, object]:
    state = "draft" if deployment is None else "deployed" if deployment.active else "archived"
    return {
        "has_deployment": deployment is not None,
        "deployed_version_id": deployment.version.uid if deployment else None,
        "deployment__active": deployment is not None and deployment.active,
        "deployment__submission_count": len(asset.submissions),
        "deployment__last_submission_time": stamp(asset.last_submission()),
        "deployment__encrypted": deployment is not None and deployment.version.content.encrypted,
        "deployment__uuid": deployment.formhub_uuid if deployment else None,
        "deployment_status": state,
    }


def _download_links(asset: Asset) -> dict[str, str]:
    if asset.deployment is None:
        return {}
    base = address(f"/{asset.owner.name}/").partition("?")[0]
    return {name: base + path.format(uid=asset.uid) for name, path in _LINKS.items()}


def _permission(codename: str, key: str = "url") -> dict[str, object]:
    return {key: address(f"/api/v2/permissions/{codename}/"), "label": LABELS[codename]}


def _user_address(name: str) -> str:
    return address(f"/api/v2/users/{name}/")


def _seconds(text: str) -> str:
    return text.replace("+00:00", "Z")
