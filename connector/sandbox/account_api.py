"""Accounts and the server itself: who am I, tokens, users, the environment, and what was removed."""

from __future__ import annotations

import hashlib

from flask import Blueprint, Response, request

from connector.sandbox.present import user_json
from connector.sandbox.rest import GONE, Refusal, address, answer, host, member, not_found, store
from connector.sandbox.store import User

api = Blueprint("account", __name__)

# The lists that forms and settings refer to, shortened: sectors of humanitarian work, and countries of the field.
_SECTORS = (
    "Humanitarian - Coordination / Information Management",
    "Humanitarian - Multiple Clusters",
    "Humanitarian - Camp Management & Coordination",
    "Humanitarian - Health",
    "Humanitarian - Protection",
    "Other",
)
_COUNTRIES = {
    "AFG": "Afghanistan",
    "BHR": "Bahrain",
    "EGY": "Egypt",
    "FRA": "France",
    "IRN": "Iran, Islamic Republic of",
    "IRQ": "Iraq",
    "JOR": "Jordan",
    "KWT": "Kuwait",
    "LBN": "Lebanon",
    "LBY": "Libya",
    "MAR": "Morocco",
    "OMN": "Oman",
    "PAK": "Pakistan",
    "PSE": "Palestine, State of",
    "QAT": "Qatar",
    "SAU": "Saudi Arabia",
    "SDN": "Sudan",
    "SOM": "Somalia",
    "SYR": "Syrian Arab Republic",
    "TUN": "Tunisia",
    "TUR": "Türkiye",
    "ARE": "United Arab Emirates",
    "YEM": "Yemen",
}
_LANGUAGES = (("ar", "العربيّة"), ("en", "English"), ("fa", "فارسی"), ("fr", "français"))
_USER_FIELDS = (
    ("name", True, "Full name"),
    ("organization", False, "Organization name"),
    ("country", False, "Country"),
)
_REMOVED = ("assets", "imports", "environment", "permissions", "users", "exports", "asset_snapshots")


@api.get("/me/")
def me() -> Response:
    """The account that asks."""
    user = member()
    mark = hashlib.md5(user.name.encode(), usedforsecurity=False).hexdigest()
    return answer(
        {
            "username": user.name,
            "first_name": "",
            "last_name": "",
            "email": f"{user.name}@example.org",
            "is_superuser": False,
            "server_time": _seconds(store().clock().isoformat(timespec="seconds")),
            "date_joined": user_json(user)["date_joined"],
            "projects_url": f"{host()}/{user.name}",
            "gravatar": f"https://www.gravatar.com/avatar/{mark}?s=40",
            "last_login": None,
            "extra_details": {"name": "", "organization": "", "require_auth": True},
            "git_rev": False,
            "social_accounts": [],
            "validated_password": True,
            "accepted_tos": False,
            "organization": _organization(user),
            "extra_details__uid": user.uid,
        }
    )


@api.get("/token/")
def token() -> Response:
    """The caller's token, usually asked for with a password."""
    return answer({"token": member().token})


@api.get("/api/v2/users/<name>/")
def user(name: str) -> Response:
    """An account by name."""
    member()
    found = store().users.get(name)
    if found is None:
        raise not_found()
    return answer(user_json(found))


@api.get("/api/v2/environment/")
def environment() -> Response:
    """What the server offers."""
    named = request.authorization is not None and member()
    assert named is not None  # noqa: S101 - a wrong token was refused by now
    return answer(
        {
            **_LINKS,
            **_SWITCHES,
            "sector_choices": [[sector, sector] for sector in _SECTORS],
            "operational_purpose_choices": [["", ""]],
            "country_choices": [[code, name] for code, name in _COUNTRIES.items()],
            "interface_languages": [list(language) for language in _LANGUAGES],
            "project_metadata_fields": [
                {"name": name.lower(), "required": False, "label": name}
                for name in ("Sector", "Country", "Description")
            ],
            "extra_project_metadata_fields": [],
            "user_metadata_fields": [
                {"name": name, "required": required, "label": label} for name, required, label in _USER_FIELDS
            ],
            "social_apps": [],
            "open_rosa_server": host(),
        }
    )


def gone(**_: str) -> Response:
    """410 for everything of the first API."""
    raise Refusal(410, {"detail": GONE})


for _path in (
    "/api/v1/<path:rest>",
    *(f"/{name}/" for name in _REMOVED),
    *(f"/{name}/<path:rest>" for name in _REMOVED),
):
    api.add_url_rule(_path, view_func=gone, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])

_LINKS: dict[str, object] = {
    "terms_of_service_url": "",
    "privacy_policy_url": "",
    "source_code_url": "https://github.com/kobotoolbox/",
    "support_email": "help@kobotoolbox.org",
    "support_url": "https://support.kobotoolbox.org/",
    "academy_url": "https://academy.kobotoolbox.org/",
    "community_url": "https://community.kobotoolbox.org/",
}
_SWITCHES: dict[str, object] = {
    "frontend_min_retry_time": 2,
    "frontend_max_retry_time": 120,
    "use_team_label": True,
    "usage_limit_enforcement": False,
    "allow_self_account_deletion": False,
    "mfa_localized_help_text": "",
    "mfa_enabled": True,
    "mfa_code_length": 6,
    "superuser_auth_enforcement": False,
    "enable_password_entropy_meter": True,
    "enable_custom_password_guidance_text": False,
    "custom_password_localized_help_text": "",
    "asr_mt_features_enabled": False,
    "submission_placeholder": "%SUBMISSION%",
    "project_history_log_lifespan": 744,
    "stripe_public_key": None,
    "terms_of_service__sitewidemessage__exists": False,
}


def _organization(user: User) -> dict[str, object]:
    at = f"/api/v2/organizations/{user.organization}/"
    return {"url": address(at), "name": f"{user.name}'s organization", "uid": user.organization}


def _seconds(text: str) -> str:
    return text.replace("+00:00", "Z")
