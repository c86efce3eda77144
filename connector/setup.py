"""What `silah init` and `silah keys new` write, and what they say to the admin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from connector.config import Config
from connector.errors import KeyUnavailable, Refused
from connector.keys import MASTER_PREFIX, MasterKey, new_master_file, parse_master, write_master_file
from connector.ledger.flow import Ledger
from connector.ledger.vault import confirm_recovery, rewrap
from forms.tables import form_ids

_HEAD = """\
# Silah's configuration. Every key is explained in docs/running.md; `silah check` looks whether it works.
# Secrets are never written here: NAME_env names an environment variable, NAME_file a file.
society = "{society}"
database = "sqlite:///var/silah.db"
data_dir = "var"
master_key_file = "keys/master.key"

[servers.kobo]
type = "kobo"
url = "{server}"
token_env = "KOBO_TOKEN"
webhook_secret_env = "KOBO_WEBHOOK_SECRET"
[servers.kobo.forms]
{form}
"""
_TARGET = """
[targets.national]
type = "rest"
url = "{target}"
recipient = "own_society"
accepts = ["tracing_request"]
token_env = "NATIONAL_TOKEN"
signing_secret_env = "NATIONAL_SIGNING"
"""


def write_configuration(path: Path, society: str, server: str, asset: str, target: str) -> Iterator[str]:
    """Writes *path* and a master key beside it; never over an existing file. Yields what to tell the admin."""
    if path.exists():
        raise Refused("init.exists", str(path), "Edit it, or move it away first.")
    for answer in (society, server, asset, target):
        if any(mark in answer for mark in '"\\\n'):
            raise Refused("init.bad_answer", "one of the answers", "Leave quotation marks and backslashes out.")
    form = (
        f'tracing_request = "{asset}"'
        if asset
        else '# tracing_request = "aXXXXXXXXXXXXXXXXXXXXXX"   # the asset uid of the project'
    )
    text = _HEAD.format(society=society, server=server.rstrip("/"), form=form)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + (_TARGET.format(target=target) if target else ""), encoding="utf-8")
    yield f"{path} is written."
    key = path.parent / "keys" / "master.key"
    if not key.exists():
        yield from new_key(key)
    secrets = "KOBO_TOKEN, KOBO_WEBHOOK_SECRET" + (", NATIONAL_TOKEN, NATIONAL_SIGNING" if target else "")
    yield f"Next: set {secrets} in the environment, then `silah check`, then `silah serve`."
    yield f"Forms to publish: {', '.join(form_ids())} (forms/xlsx/kobo/)."


def new_key(file: Path) -> Iterator[str]:
    """Makes a master key in *file* and yields its recovery sheet."""
    key = new_master_file(file)
    yield f"A new master key is in {file} (key id {key.key_id})."
    yield from recovery_sheet(key)


def rotate_key(config: Config, ledger: Ledger, actor: str) -> Iterator[str]:
    """Makes a new master key, wraps everything with it, then lets the old one go. A running server goes on meanwhile.

    Stopped in between, it is simply run again: the file holds both keys until everything is wrapped anew.
    """
    if config.master_key_file is None:
        advice = "Let it give `new old` (two keys, a space between), restart, and run this with --finish."
        raise Refused("keys.not_in_a_file", config.master_key_place, advice)
    file = config.at_home(config.master_key_file)
    old = ledger.master
    new = MasterKey(old.new_data_key().secret, [old])
    write_master_file(file, [new, old])
    done = rewrap(ledger.database, new, ledger.now, actor)
    write_master_file(file, [new])
    yield f"{done} keys are wrapped by the new master key {new.key_id}; {old.key_id} opens nothing here any more. Backups made before still need it."
    yield from recovery_sheet(new)


def finish_rotation(ledger: Ledger, actor: str) -> Iterator[str]:
    """Wraps with the newest key what an older one wrapped; for keys that are not kept in a file."""
    done = rewrap(ledger.database, ledger.master, ledger.now, actor)
    yield f"{done} keys are wrapped by master key {ledger.master.key_id}; the older ones can be taken out."


def recovery_sheet(key: MasterKey) -> Iterator[str]:
    """What belongs into the safe, on paper."""
    yield ""
    yield "RECOVERY SHEET: print it, put it into the safe, delete this text."
    yield f"  key id   {key.key_id}"
    yield f"  key      {key.text()}"
    yield "When the paper is in the safe: `silah keys confirm`, and type the key from it."
    yield "Without this key nothing in the database or its backups can be read. Whoever has both can read everything."
    yield ""


def confirm_sheet(ledger: Ledger, typed: str, actor: str) -> None:
    """Notes that the recovery sheet of the key in use can be read: *typed* is that key; raises `Refused`.

    Spaces, line ends and capitals do not matter: it was copied from paper.
    """
    bare = "".join(typed.split()).lower().removeprefix(MASTER_PREFIX)
    body, _, check = bare.rpartition("-")
    try:
        key_id = parse_master(f"{MASTER_PREFIX}{body.upper()}-{check}", "what was typed").key_id
    except KeyUnavailable:
        key_id = None
    if key_id != ledger.master.key_id:
        advice = f"Compare it with the paper, letter by letter. The key in use has the id {ledger.master.key_id}."
        raise Refused("keys.not_the_sheet", "what was typed", advice)
    confirm_recovery(ledger.database, ledger.master, ledger.now, actor)
