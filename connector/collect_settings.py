"""The settings code that ODK Collect and KoboCollect scan: JSON, zlib, base64, as a QR code.

The defaults are for telephones that may be looked at by others: what was sent is deleted and cannot be listed, photos
are small, forms follow the server, and the server, the account and these settings are out of the interviewer's menus.
Keys and values are those of Collect's settings (2024 and later; a key that an older app does not know is ignored).
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from io import BytesIO, StringIO

import segno

from connector.model import JSON

_PIXELS_A_MODULE = 6
_LOCKED = (
    "change_server", "change_project_display", "form_update_mode", "periodic_form_updates_check", "automatic_update",
    "hide_old_form_versions", "change_autosend", "delete_after_send", "image_size", "high_resolution",
    "external_app_recording", "instance_form_sync", "change_form_metadata", "analytics", "access_settings",
)  # fmt: skip
"""Settings that an interviewer neither sees nor changes; language, letters and colours stay theirs."""


@dataclass(frozen=True)
class PhoneSettings:
    """What a telephone is set to.

    Args:
        server_url: where forms come from and records go.
        project: the name shown in the app.
        language: of the app's own menus.
        username: None: the telephone asks for it once.
        password: only when somebody wants it in the code: who photographs the code then has it.
        lock: the password without which nobody unlocks the settings; None leaves that door closed but not locked.
    """

    server_url: str
    project: str
    language: str = "en"
    username: str | None = None
    password: str | None = None
    lock: str | None = None

    def json(self) -> dict[str, JSON]:
        """As Collect reads it."""
        general: dict[str, JSON] = {
            "protocol": "odk_default",
            "server_url": self.server_url,
            "app_language": self.language,
            "form_update_mode": "match_exactly",
            "periodic_form_updates_check": "every_one_hour",
            "automatic_update": True,
            "hide_old_form_versions": True,
            "autosend": "wifi_and_cellular",
            "delete_send": True,
            "image_size": "small",
            "high_resolution": False,
            "analytics": False,
        }
        admin: dict[str, JSON] = {"view_sent": False, "get_blank": False, **dict.fromkeys(_LOCKED, False)}
        general |= {key: text for key, text in (("username", self.username), ("password", self.password)) if text}
        admin |= {"admin_pw": self.lock} if self.lock else {}
        return {"general": general, "admin": admin, "project": {"name": self.project}}

    @property
    def text(self) -> str:
        """What the code holds."""
        plain = json.dumps(self.json(), ensure_ascii=False, separators=(",", ":")).encode()
        return base64.b64encode(zlib.compress(plain, 9)).decode()

    @property
    def secret(self) -> bool:
        """Whether the code gives something away to whoever sees it."""
        return bool(self.password or self.lock or "/key/" in self.server_url)

    def png(self) -> bytes:
        out = BytesIO()
        self._code().save(out, kind="png", scale=_PIXELS_A_MODULE, border=4)
        return out.getvalue()

    def terminal(self) -> str:
        """The code in half blocks, for a dark or light terminal of 90 columns or more."""
        out = StringIO()
        self._code().terminal(out, border=2, compact=True)
        return out.getvalue()

    def _code(self) -> segno.QRCode:
        return segno.make_qr(self.text, error="l", boost_error=False)
