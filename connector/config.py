"""`silah.toml`: what an admin writes, checked before anything is served. The only place that reads the environment.

Unknown keys, a missing secret, an unknown form or recipient raise `Misconfigured`, which names the key and the file.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from connector.errors import KeyUnavailable, Misconfigured
from connector.model import Audience, Backoff, Recipient
from forms.packs import DEMO, pack_names
from forms.tables import FORMS, form_ids

DEFAULT_FILE = "silah.toml"
_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d)")
_KEY_SECONDS = 30
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_NAMED = {
    Recipient.NATIONAL_SOCIETY: "society",
    Recipient.UN_AGENCY: "agency",
    Recipient.NGO: "agency",
    Recipient.STATE_SERVICES: "agency",
    Recipient.AUTHORITIES: "agency",
}
# What a type of target cannot do without: keys of its table; `x_env` stands for a secret, by `x_env` or `x_file`.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "rest": ("url",),
    "workbook": ("folder",),
    "handover": ("folder", "public_keys"),
    "primero": ("url", "module", "username_env", "password_env"),
    "espocrm": ("url", "token_env"),
    "dhis2": ("url", "token_env", "mapping", "folder"),
}
# Types that one class of recipient alone may stand behind, with the reason.
_ONLY_FOR: Mapping[str, tuple[Recipient, str]] = {
    "workbook": (Recipient.OWN_SOCIETY, "it is kept in clear"),
    "dhis2": (Recipient.STATISTICS, "it takes counts, never people"),
}
_WORKBOOK_THREADS = 256  # each waits for the next rewrite; a burst fills a batch
_REVIEWED_BY_DEFAULT = frozenset(Recipient) - {Recipient.OWN_SOCIETY, Recipient.STATISTICS}


def _duration(value: object) -> object:
    if isinstance(value, str):
        if value == "off":
            return timedelta(0)
        match = _DURATION.fullmatch(value.strip())
        if match:
            return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
        raise ValueError("a duration is written 30s, 15m, 6h, 3d or off")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]


def _network(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValueError("an address or a range is written 203.0.113.7 or 203.0.113.0/24") from None
    return value


Network = Annotated[str, AfterValidator(_network)]


class _Section(BaseModel):
    """A table of the file: no unknown keys, and secrets that are named, never written."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    _secrets: dict[str, str] = PrivateAttr(default_factory=dict)

    def secret(self, name: str) -> str | None:
        """The secret that `<name>_env` or `<name>_file` points to, or None when the file names none."""
        return self._secrets.get(name)


class FormKey(_Section):
    """`[servers.<name>.form_keys.<form>]`: the private key of a form whose records are encrypted on the phone (PEM)."""

    private_key_env: str | None = None
    private_key_file: Path | None = None
    private_key_passphrase_env: str | None = None
    private_key_passphrase_file: Path | None = None


class Server(FormKey):
    """`[servers.<name>]`: a form server we read from. A private key here is that of all its forms."""

    type: Literal["kobo", "central"]
    url: str
    token_env: str | None = None
    token_file: Path | None = None
    webhook_secret_env: str | None = None
    webhook_secret_file: Path | None = None
    webhook_secret_next_env: str | None = None
    webhook_secret_next_file: Path | None = None
    allowed_from: tuple[Network, ...] = ()
    email: str | None = None
    password_env: str | None = None
    password_file: Path | None = None
    reconcile_every: Duration = timedelta(minutes=15)
    reconcile_whole_every: Duration = timedelta(days=1)
    reconcile_on_start: bool = True
    on_delete: Literal["ask", "withdraw", "keep"] = "ask"
    vanish_limit: Annotated[int, Field(ge=0)] = 5
    attachments_wait: Duration = timedelta(minutes=10)
    files_url: str | None = None  # where a Central that keeps files in S3 storage sends us for them
    timeout: Duration = timedelta(seconds=60)
    empty_after: Duration | None = None  # delete there what was delivered and backed up this long ago
    may_be_clear: tuple[str, ...] = ()  # forms that may come in unencrypted although they have a key
    case_list: Literal["on", "off"] | None = None  # the states of cases on the phones; on for central, off for kobo
    case_list_branch: str | None = None  # kobo: the branch whose project this is
    case_list_every: Duration = timedelta(hours=1)  # kobo: a new list needs a new deployment, at most one in this time
    forms: Mapping[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    form_keys: Mapping[str, FormKey] = Field(default_factory=dict)

    @field_validator("url", "files_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return value if value is None else _http_url(value)

    @property
    def has_case_list(self) -> bool:
        """Whether phones are to see how cases go on."""
        return self.case_list == "on" if self.case_list else self.type == "central"

    @model_validator(mode="after")
    def _for_one_branch(self) -> Server:
        if self.type == "kobo" and self.has_case_list and not self.case_list_branch:
            raise ValueError(
                "every phone of a project gets the whole list: name its one branch as `case_list_branch`, "
                "with a project and a [servers.…] table for each branch"
            )
        if self.type == "kobo" and self.has_case_list and self.case_list_every < timedelta(minutes=10):
            raise ValueError("each new list is a new deployment: `case_list_every` is ten minutes or more")
        return self


class Target(_Section):
    """`[targets.<name>]`: a system we deliver to. Keys beyond the common ones belong to one type of target."""

    type: Literal["rest", "workbook", "handover", "primero", "espocrm", "dhis2", "partner"]
    recipient: Recipient
    accepts: tuple[str, ...]
    url: str | None = None
    folder: Path | None = None
    society: str | None = None
    agency: str | None = None
    country: str | None = None
    release: Literal["auto", "review"] | None = None
    partner: str | None = None  # partner: the name it was paired under; default: the target's own
    agreement: str | None = None
    agreement_until: date | None = None
    token_env: str | None = None
    token_file: Path | None = None
    signing_secret_env: str | None = None
    signing_secret_file: Path | None = None
    username_env: str | None = None
    username_file: Path | None = None
    password_env: str | None = None
    password_file: Path | None = None
    module: str | None = None
    login: Literal["basic", "session"] = "basic"  # primero: on every request, or once with a cookie
    mapping: Path | None = None  # primero, espocrm, dhis2: which field goes where; docs/targets.md
    language: Literal["en", "ar", "fa", "fr"] = "en"  # workbook, handover: of headings and choices
    case_files: bool = False  # workbook: a printable page beside each row
    rewrite_every: Duration = timedelta(minutes=1)  # workbook
    rows: Annotated[int, Field(ge=1, le=100_000)] = 2000  # workbook: more go into the next file
    public_keys: tuple[str, ...] = ()  # handover: age1…, whoever may open it
    receipt: Literal["wait", "none"] = "wait"  # handover: whether a receipt file closes a delivery
    receipt_every: Duration = timedelta(minutes=15)  # handover: how often it is looked for
    hmac_digest: Literal["raw", "hex"] = "raw"  # espocrm: how its version writes the signature
    webhook_secret_env: str | None = None  # primero, espocrm: what its webhooks show; several with spaces between
    webhook_secret_file: Path | None = None
    poll_every: Duration = timedelta(minutes=1)  # primero, espocrm: how often it is asked what changed
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    rate: Annotated[float, Field(gt=0)] | None = None
    timeout: Duration = timedelta(seconds=30)
    _home: Path = PrivateAttr(default=Path())

    @model_validator(mode="before")
    @classmethod
    def _threads(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("type") == "workbook":
            return {"concurrency": _WORKBOOK_THREADS, **data}
        return data

    @field_validator("url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return value if value is None else _http_url(value)

    @model_validator(mode="after")
    def _complete(self) -> Target:
        named = _NAMED.get(self.recipient)
        if named and not getattr(self, named):
            raise ValueError(f"a target for {self.recipient} needs `{named}`: only the one a form names receives")
        for key in _NEEDED.get(self.type, ()):
            if not (getattr(self, key) or getattr(self, key.replace("_env", "_file"))):
                raise ValueError(f"a {self.type} target needs `{key}`")
        only, reason = _ONLY_FOR.get(self.type, (self.recipient, ""))
        if self.recipient is not only:
            raise ValueError(f"a {self.type} target is for `{only}` alone: {reason}")
        return self

    def at_home(self, path: Path) -> Path:
        """*path* as the file means it: relative to the file."""
        return self._home / path

    def audience(self, name: str) -> Audience:
        """Who stands behind this target, as the gate sees it."""
        reviewed = self.release == "review" if self.release else self.recipient in _REVIEWED_BY_DEFAULT
        who = self.society or self.agency
        return Audience(name, self.recipient, who, self.country, reviewed, self.agreement_until)


class Dispatch(_Section):
    """`[dispatch]`: how long and how often a delivery is tried."""

    retry_first: Duration = timedelta(seconds=2)
    retry_max: Duration = timedelta(hours=1)
    retry_for: Duration = timedelta(days=3)

    def backoff(self) -> Backoff:
        return Backoff(self.retry_first, self.retry_max, self.retry_for)


class Retention(_Section):
    """`[retention]`: how long what is kept; `silah purge` and a timer of `serve` see to it."""

    raw_answers: Duration = timedelta(days=7)
    withdrawn: Duration = timedelta(days=30)
    attempts: Duration = timedelta(days=90)
    receipts: Duration = timedelta(days=30)
    spool: Duration = timedelta(days=1)
    referral_identities: Duration = timedelta(days=90)
    purge_every: Duration = timedelta(hours=6)


class Door(_Section):
    """`[door]`: who may ring at the webhooks, how often, and which proxies are believed."""

    trusted_proxies: tuple[Network, ...] = ()
    rate: Annotated[float, Field(gt=0)] = 1000
    burst: Annotated[float, Field(ge=1)] = 60_000


class Figures(_Section):
    """`[figures]`: what was counted before the system (contract §7)."""

    baseline_file: Path | None = None


class Matching(_Section):
    """`[matching]`: whether `serve` looks for people who may be one; docs/matching.md."""

    enabled: bool = True


class Alerts(_Section):
    """`[alerts]`: who is told of what needs a person, by e-mail, webhook or both; nobody when neither is named."""

    language: Literal["en", "ar", "fa", "fr"] = "en"
    url: str | None = None
    token_env: str | None = None
    token_file: Path | None = None
    smtp: str | None = None
    sender: str | None = None
    to: tuple[str, ...] = ()
    username_env: str | None = None
    username_file: Path | None = None
    password_env: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None  # of a mail server with a certificate of the house
    _home: Path = PrivateAttr(default=Path())

    @property
    def wanted(self) -> bool:
        return bool(self.url or self.smtp)

    @property
    def trusted_ca(self) -> Path | None:
        """`ca_file` as the file means it; None for the machine's own."""
        return self._home / self.ca_file if self.ca_file else None

    @field_validator("url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return value if value is None else _http_url(value)

    @model_validator(mode="after")
    def _complete(self) -> Alerts:
        if self.smtp and not re.match(r"smtps?://[^/\s]+$", self.smtp):
            raise ValueError("`smtp` begins with smtps:// (TLS) or smtp:// (STARTTLS) and names a host")
        if self.smtp and not (self.sender and self.to):
            raise ValueError("`smtp` needs `sender` and `to`")
        return self


class Config(_Section):
    """The whole file. Relative paths are relative to it."""

    society: str
    database: str
    data_dir: Path = Path("var")
    master_key_file: Path | None = None
    master_key_env: str | None = None
    master_key_command: tuple[str, ...] | None = None
    public_url: str | None = None
    metrics_token_env: str | None = None
    metrics_token_file: Path | None = None
    pack: str = DEMO  # the country pack that `silah forms` lays over the forms
    servers: Mapping[str, Server] = Field(default_factory=dict)
    targets: Mapping[str, Target] = Field(default_factory=dict)
    door: Door = Field(default_factory=Door)
    dispatch: Dispatch = Field(default_factory=Dispatch)
    retention: Retention = Field(default_factory=Retention)
    figures: Figures = Field(default_factory=Figures)
    matching: Matching = Field(default_factory=Matching)
    alerts: Alerts = Field(default_factory=Alerts)
    _path: Path = PrivateAttr(default=Path(DEFAULT_FILE))

    @property
    def path(self) -> Path:
        """The file this came from."""
        return self._path

    @property
    def home(self) -> Path:
        return self._path.parent

    def at_home(self, path: Path) -> Path:
        """*path* as the file means it: relative to the file."""
        return path if path.is_absolute() else self.home / path

    @property
    def database_url(self) -> str:
        """The database's address; a relative SQLite path is made absolute."""
        prefix = "sqlite:///"
        if not self.database.startswith(prefix):
            return self.database
        return prefix + str(self.at_home(Path(self.database.removeprefix(prefix))))

    @property
    def master_key_text(self) -> str | None:
        """The master key as the environment, a command or its file gives it; None when none of them is named."""
        if self.master_key_env:
            return os.environ.get(self.master_key_env)
        if self.master_key_command:
            return _printed_by(self.master_key_command, f"`master_key_command` in {self.path}")
        if self.master_key_file:
            file = self.at_home(self.master_key_file)
            return file.read_text().strip() if file.is_file() else None
        return None

    @property
    def master_key_place(self) -> str:
        """Where the master key is looked for, for people: never the key."""
        if self.master_key_env:
            return self.master_key_env
        if self.master_key_command:
            return f"`master_key_command` in {self.path}"
        return str(self.at_home(self.master_key_file) if self.master_key_file else self.path)


def _printed_by(command: Sequence[str], where: str) -> str:
    """What *command* prints; what it says beside that is not repeated, it may hold a secret."""
    advice = "Run the command by hand, as the user that runs Silah: it must print the key and end with 0 in 30 seconds."
    try:
        done = subprocess.run(  # noqa: S603 (an admin wrote it into the configuration; no shell)
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_KEY_SECONDS
        )
        return done.stdout.decode("ascii").strip()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        raise KeyUnavailable("keys.command_failed", where, advice) from None


def config_path(given: Path | None = None) -> Path:
    """Where the configuration is: *given*, else `SILAH_CONFIG`, else the working directory."""
    return (given or Path(os.environ.get("SILAH_CONFIG") or DEFAULT_FILE)).absolute()


def load(given: Path | None = None, *, secrets: bool = True) -> Config:
    """Reads and checks the file and every secret it names; raises `Misconfigured`.

    Args:
        secrets: False leaves the secrets alone, for commands that make the first of them.
    """
    path = config_path(given)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Misconfigured("config.no_file", str(path), "Write one with `silah init`, or set SILAH_CONFIG.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured("config.not_toml", f"{path}: {error}", "Mend the line that is named.") from None
    return parse(data, path, secrets=secrets)


def parse(data: Mapping[str, object], path: Path, *, secrets: bool = True) -> Config:
    """Checks *data* as the contents of *path*."""
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise _first_fault(error, path) from None
    config._path = path  # noqa: SLF001 (frozen for everybody else)
    _known_forms(config)
    if config.pack not in pack_names(FORMS):
        advice = f"Known packs: {', '.join(pack_names(FORMS))}."
        raise Misconfigured("config.bad_value", f"`pack` in {config.path}", advice)
    if secrets:
        _read_all_secrets(config)
    return config


def _read_all_secrets(config: Config) -> None:
    _read_secrets(config, "", config)
    config.alerts._home = config.home  # noqa: SLF001 (set once, here)
    _read_secrets(config, "alerts.", config.alerts)
    for name, server in config.servers.items():
        _read_secrets(config, f"servers.{name}.", server)
        for form, key in server.form_keys.items():
            _read_secrets(config, f"servers.{name}.form_keys.{form}.", key)
        _server_secrets(config, name, server)
    for name, target in config.targets.items():
        target._home = config.home  # noqa: SLF001 (set once, here)
        _read_secrets(config, f"targets.{name}.", target)


def environment(name: str) -> str | None:
    """One variable of the environment, for the few that are not in the file (`SILAH_…`)."""
    return os.environ.get(name)


def _http_url(value: str) -> str:
    if not re.match(r"https?://[^/\s]+", value):
        raise ValueError("an address begins with https:// or http://")
    return value.rstrip("/")


def _first_fault(error: ValidationError, path: Path) -> Misconfigured:
    fault = error.errors(include_input=False, include_url=False)[0]
    key = ".".join(str(part) for part in fault["loc"])
    code = {"extra_forbidden": "config.unknown_key", "missing": "config.missing_key"}.get(
        fault["type"], "config.bad_value"
    )
    if fault["type"] == "enum" and key.endswith("recipient"):
        code = "config.unknown_recipient"
    advice = "Remove the key or mend its spelling." if code == "config.unknown_key" else fault["msg"] + "."
    return Misconfigured(code, f"`{key}` in {path}", advice)


def _known_forms(config: Config) -> None:
    known = set(form_ids())
    named = [(f"servers.{name}.forms", form) for name, server in config.servers.items() for form in server.forms]
    named += [
        (f"servers.{name}.form_keys", form) for name, server in config.servers.items() for form in server.form_keys
    ]
    named += [
        (f"servers.{name}.may_be_clear", f) for name, server in config.servers.items() for f in server.may_be_clear
    ]
    named += [(f"targets.{name}.accepts", form) for name, target in config.targets.items() for form in target.accepts]
    for key, form in named:
        if form not in known:
            raise Misconfigured(
                "config.unknown_form",
                f"`{form}` under `{key}` in {config.path}",
                f"Known forms: {', '.join(sorted(known))}.",
            )


def _read_secrets(config: Config, prefix: str, section: _Section) -> None:
    """Fills the section's secrets from what `*_env` and `*_file` name; each must be there and not empty."""
    for key in type(section).model_fields:
        name, _, kind = key.rpartition("_")
        value = getattr(section, key)
        if kind not in {"env", "file"} or value is None or key.startswith(("master_key", "baseline", "ca_file")):
            continue
        secret = os.environ.get(str(value)) if kind == "env" else _secret_file(config.at_home(Path(value)))
        if not secret:
            raise Misconfigured(
                "config.missing_secret", f"`{prefix}{key}` in {config.path}", f"{value} is not set or empty."
            )
        section._secrets[name] = secret  # noqa: SLF001 (filled once, here)


def _secret_file(file: Path) -> str | None:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def _server_secrets(config: Config, name: str, server: Server) -> None:
    needed = "token" if server.type == "kobo" or not server.email else "password"
    if not server.secret(needed):
        where = f"`servers.{name}.{needed}_env` in {config.path}"
        raise Misconfigured("config.missing_secret", where, f"Name the variable that holds the server's {needed}.")
