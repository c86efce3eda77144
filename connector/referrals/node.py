"""This node's keys, and a partner as its node exported itself.

A node signs with Ed25519 and is written to under X25519. Its fingerprint, 40 digits in groups of five that can be
read aloud in any language, stands for both keys: SHA-256 over their RFC 7638 thumbprints, as a number, modulo 10^40
(132 bits). The address is not part of it: a node may move.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connector.errors import Refused
from connector.model import JSON

FORMAT: Final = "silah-node/1"
_DIGITS, _GROUP = 40, 5
_RAW = 32


class PublicKey(BaseModel):
    """One public key as JWK (RFC 7517, RFC 8037). A private part is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519", "X25519"]
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    use: Literal["sig", "enc"]

    @property
    def raw(self) -> bytes:
        return base64.urlsafe_b64decode(self.x + "=")

    def thumbprint(self) -> bytes:
        """SHA-256 of the required members in their order (RFC 7638 §3.2)."""
        return hashlib.sha256(f'{{"crv":"{self.crv}","kty":"OKP","x":"{self.x}"}}'.encode()).digest()


class PublicNode(BaseModel):
    """What `silah partner export` prints: where a node is and how it signs and is written to. Nothing in it is secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    format: Literal["silah-node/1"] = FORMAT
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+[^\s?#]*$", max_length=500)]
    fingerprint: Annotated[str, Field(pattern=r"^[0-9]{5}(-[0-9]{5}){7}$")]
    signing_key: PublicKey
    encryption_key: PublicKey

    @property
    def whole(self) -> bool:
        """Both keys are of their kinds and the fingerprint is theirs."""
        kinds = (self.signing_key.crv, self.signing_key.use, self.encryption_key.crv, self.encryption_key.use)
        return kinds == ("Ed25519", "sig", "X25519", "enc") and self.fingerprint == fingerprint(
            self.signing_key, self.encryption_key
        )


def fingerprint(signing: PublicKey, encryption: PublicKey) -> str:
    """The 40 digits of both keys, in groups of five."""
    number = int.from_bytes(hashlib.sha256(b"silah node" + signing.thumbprint() + encryption.thumbprint()).digest())
    digits = f"{number % 10**_DIGITS:0{_DIGITS}d}"
    return "-".join(digits[start : start + _GROUP] for start in range(0, _DIGITS, _GROUP))


def read_node(data: Mapping[str, object]) -> PublicNode:
    """Reads an exported node; raises `Refused` when it is not one or its fingerprint is not that of its keys."""
    try:
        node = PublicNode.model_validate(data)
        Ed25519PublicKey.from_public_bytes(node.signing_key.raw)
    except (ValidationError, ValueError, UnsupportedAlgorithm):
        advice = "Ask the partner for the output of `silah partner export`, whole."
        raise Refused("partner.not_an_export", "the partner's file", advice) from None
    if not node.whole:
        advice = "The file was changed on its way: get it again, and compare the fingerprint aloud."
        raise Refused("partner.fingerprint", "the partner's file", advice)
    return node


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """Both private keys, 32 bytes each."""

    signing: bytes = field(repr=False)
    encryption: bytes = field(repr=False)

    @property
    def sealed_form(self) -> bytes:
        """What the ledger seals: both keys, one after the other."""
        return self.signing + self.encryption

    @property
    def public_signing(self) -> PublicKey:
        raw = Ed25519PrivateKey.from_private_bytes(self.signing).public_key().public_bytes_raw()
        return PublicKey(crv="Ed25519", x=_b64(raw), use="sig")

    @property
    def public_encryption(self) -> PublicKey:
        raw = X25519PrivateKey.from_private_bytes(self.encryption).public_key().public_bytes_raw()
        return PublicKey(crv="X25519", x=_b64(raw), use="enc")

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public_signing, self.public_encryption)

    def public(self, url: str) -> PublicNode:
        """This node as its partners know it."""
        return PublicNode(
            url=url,
            fingerprint=self.fingerprint,
            signing_key=self.public_signing,
            encryption_key=self.public_encryption,
        )

    def opening_key(self) -> OKPKey:
        """The key that opens what partners encrypted to us."""
        return OKPKey.import_key(
            {"kty": "OKP", "crv": "X25519", "x": self.public_encryption.x, "d": _b64(self.encryption)}
        )

    def sign(self, data: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.signing).sign(data)


def made_up_fingerprint() -> str:
    """For a partner without keys of its own: random, so that it stands for nobody else."""
    digits = "".join(secrets.choice("0123456789") for _ in range(_DIGITS))
    return "-".join(digits[at : at + _GROUP] for at in range(0, _DIGITS, _GROUP))


def new_keys() -> NodeKeys:
    return NodeKeys(Ed25519PrivateKey.generate().private_bytes_raw(), X25519PrivateKey.generate().private_bytes_raw())


def opened_keys(sealed_form: bytes) -> NodeKeys:
    """The keys of `NodeKeys.sealed_form`."""
    return NodeKeys(sealed_form[:_RAW], sealed_form[_RAW:])


def verifies(key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether *signature* (Ed25519, 64 bytes) over *data* is of *key*."""
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_json(node: PublicNode) -> Mapping[str, JSON]:
    """The export as JSON values."""
    shown: Mapping[str, JSON] = node.model_dump(mode="json")
    return shown


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
