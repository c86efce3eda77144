"""Signed checkpoints of the audit: kept elsewhere, they show a chain that was written anew or cut off.

The chain alone shows an edited row; whoever can write the whole database can make the whole chain again. A checkpoint
says which hash stood at which place, signed with this node's Ed25519 key; the next owner of the file cannot sign.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, select

from connector.errors import Refused
from connector.ledger.schema import audit
from connector.referrals.node import NodeKeys, PublicKey, fingerprint, verifies

FORMAT: Final = "silah-audit/1"


class Checkpoint(BaseModel):
    """One line of a file of checkpoints. *seq* rows of the audit were there *at* that time, the last with this *hash*."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    format: Literal["silah-audit/1"] = FORMAT
    society: str
    seq: Annotated[int, Field(ge=1)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    at: datetime
    fingerprint: str
    signing_key: PublicKey
    encryption_key: PublicKey
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """What the signature is over: every other member, one a line."""
        at = self.at.isoformat()
        return "\n".join([self.format, self.society, str(self.seq), self.hash, at, self.fingerprint]).encode()


def make(connection: Connection, keys: NodeKeys, society: str, at: datetime) -> Checkpoint:
    """A checkpoint of the audit as it stands; raises `Refused` when there is nothing yet."""
    last = connection.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    if last is None:
        raise Refused("audit.empty", "the audit", "Nothing has happened yet that could be signed.")
    made = Checkpoint(
        society=society, seq=last.seq, hash=last.hash, at=at, fingerprint=keys.fingerprint,
        signing_key=keys.public_signing, encryption_key=keys.public_encryption,
    )  # fmt: skip
    return made.model_copy(update={"signature": base64.b64encode(keys.sign(made.signed)).decode()})


def read(text: str, where: str) -> list[Checkpoint]:
    """The checkpoints of a file, one a line; raises `Refused` for what is none."""
    try:
        found = [Checkpoint.model_validate_json(line) for line in text.splitlines() if line.strip()]
    except ValidationError:
        found = []
    if not found:
        raise Refused("audit.not_a_checkpoint", where, "Give what `silah audit checkpoint` printed, whole.")
    return found


def verify(connection: Connection, checkpoint: Checkpoint, own: str) -> None:
    """Raises `Refused` unless *checkpoint* is signed by the node with the fingerprint *own* and its row stands as it did."""
    place = f"checkpoint of row {checkpoint.seq}"
    named = fingerprint(checkpoint.signing_key, checkpoint.encryption_key)
    if not named == checkpoint.fingerprint == own:
        raise Refused("audit.other_node", place, "It was signed by another node, or this node's keys were replaced.")
    if not verifies(checkpoint.signing_key, _signature(checkpoint), checkpoint.signed):
        raise Refused("audit.bad_signature", place, "The checkpoint was changed: compare with another copy of it.")
    stands = connection.execute(select(audit.c.hash).where(audit.c.seq == checkpoint.seq)).scalar()
    if stands != checkpoint.hash:
        advice = "Keep the machine as it is, compare with a backup, tell your data protection officer."
        raise Refused("audit.rewritten", place, advice)


def _signature(checkpoint: Checkpoint) -> bytes:
    try:
        return base64.b64decode(checkpoint.signature, validate=True)
    except binascii.Error:
        return b""
