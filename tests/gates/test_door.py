"""The door: who may ring, how often, with how much; and where we go ourselves (issue part 6, R23, R29)."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask

from connector import outbound
from connector.errors import Misconfigured
from connector.outbound import Caller, NotPublic, PublicCaller, Unreachable, is_public
from connector.serving import Web
from tests.conftest import HOOK_SECRET, Node
from webhooks.door import Doorkeeper, Refusal, Tally, not_too_complex
from webhooks.edge import create_app

SECRET = {"X-Silah-Token": HOOK_SECRET}


def rung(app: Flask, came_from: str, told: str | None = None, secret: str = HOOK_SECRET) -> int:
    """What a bell is answered that comes from an address, with what a proxy says of it."""
    headers = {"X-Silah-Token": secret, **({"X-Forwarded-For": told} if told else {})}
    client = app.test_client()
    return client.post(
        "/webhooks/kobo/kobo", json={}, headers=headers, environ_base={"REMOTE_ADDR": came_from}
    ).status_code


@pytest.fixture(name="listed")
def _listed(node: Node) -> Flask:
    node.server = {"allowed_from": ["203.0.113.0/24", "2001:db8::7"]}
    node.extra = {"door": {"trusted_proxies": ["10.0.0.0/8"]}}
    return create_app(node.flow)


def test_only_the_listed_addresses_ring(listed: Flask) -> None:
    """With `allowed_from` the right secret from elsewhere is refused as a wrong one is; from there it is taken."""
    assert 422 == rung(listed, "203.0.113.9")
    assert [401, 401] == [rung(listed, "198.51.100.1"), rung(listed, "203.0.113.9", secret="wrong")]
    assert [422, 422] == [rung(listed, "2001:db8::7"), rung(listed, "::ffff:203.0.113.9")]


def test_a_proxy_is_believed_only_when_it_is_ours(listed: Flask) -> None:
    """What `X-Forwarded-For` says counts from a proxy that is written down, back to the first that is not: what a sender
    puts into the header itself stands further left and counts for nothing."""
    assert 422 == rung(listed, "10.0.0.1", "203.0.113.9")
    assert 422 == rung(listed, "10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2")
    assert 401 == rung(listed, "198.51.100.1", "203.0.113.9")
    assert 401 == rung(listed, "10.0.0.1", "203.0.113.9, 198.51.100.1")
    assert [401, 401] == [rung(listed, "10.0.0.1", "nobody"), rung(listed, "10.0.0.1")]
    assert 422 == rung(listed, "10.0.0.1", "203.0.113.9:4711")


def test_an_address_that_is_none_stops_the_start(node: Node) -> None:
    """A slip in `allowed_from` or `trusted_proxies` is named before anything is served."""
    node.server = {"allowed_from": ["203.0.113.300"]}
    with pytest.raises(Misconfigured):
        _ = node.flow


def test_who_rings_too_often_waits(node: Node) -> None:
    """Beyond the rate a sender is answered 503, which KoboToolbox repeats; another sender is not held up; it ends."""
    node.extra = {"door": {"rate": 1, "burst": 3}}
    app = create_app(node.flow)
    assert [422, 422, 422] == [rung(app, "203.0.113.9") for _ in range(3)]
    answer = app.test_client().post(
        "/webhooks/kobo/kobo", json={}, headers=SECRET, environ_base={"REMOTE_ADDR": "203.0.113.9"}
    )
    assert (503, {"error": "webhook.too_many"}, True) == (
        answer.status_code, answer.get_json(), "Retry-After" in answer.headers,
    )  # fmt: skip
    assert 422 == rung(app, "203.0.113.10")

    now = [0.0]
    keeper = Doorkeeper(node.flow.config, lambda: now[0])
    with app.test_request_context(environ_base={"REMOTE_ADDR": "203.0.113.9"}) as context:
        for _ in range(3):
            keeper.admit(context.request, "kobo")
        with pytest.raises(Refusal):
            keeper.admit(context.request, "kobo")
        now[0] += 1
        keeper.admit(context.request, "kobo")


def test_partners_have_the_same_limit(node: Node) -> None:
    """A partner's door answers 503 as well."""
    node.extra = {"door": {"rate": 1, "burst": 1}}
    client = create_app(node.flow).test_client()
    answers = [client.post("/webhooks/partners/00000-00000", data=b"x").status_code for _ in range(2)]
    assert [401, 503] == answers


def test_a_flood_of_refusals_is_a_few_writes(node: Node) -> None:
    """Refusals are counted, and a thousand of them neither fill the disk's queue nor are forgotten."""
    now, writes = [0.0], []
    ledger = node.flow.ledger
    tally = Tally(ledger, lambda: now[0])
    count = ledger.count
    ledger.count = lambda code, by=1: (writes.append(by), count(code, by))[1]  # type: ignore[method-assign]
    for _ in range(1000):
        tally.add("webhook.not_authentic")
    assert 200 == len(writes)
    now[0] += 1
    tally.add("webhook.not_authentic")
    assert {"webhook.not_authentic": 1001.0} == ledger.counts()


@pytest.mark.parametrize(
    "body",
    [b"[" * 65 + b"]" * 65, b'{"a":' * 100_000, b"[" + b"0," * 200_001 + b"0]", b"[" + b"[]," * 150_000 + b"[]]"],
    ids=["deep", "very deep", "many values", "many lists"],
)
def test_json_has_a_depth_and_a_number(node: Node, body: bytes) -> None:
    """JSON that would fill the memory or the stack is refused before it is parsed; brackets inside texts do not count."""
    client = create_app(node.flow).test_client()
    answer = client.post("/webhooks/kobo/kobo", data=body, headers={**SECRET, "Content-Type": "application/json"})
    assert (422, {"error": "too_complex"}) == (answer.status_code, answer.get_json())


def test_texts_are_not_counted_as_brackets_and_looked_at_once() -> None:
    """Answers full of brackets pass; a text of nothing but escapes that never ends takes no longer than its length."""
    not_too_complex(b'{"note": "' + b"[{" * 1000 + b'\\" [[["}')
    started = time.monotonic()
    not_too_complex(b'"' + b'\\"' * 2_000_000)
    assert time.monotonic() - started < 5


def test_metrics_are_not_for_who_comes_through_a_proxy_of_this_machine(node: Node) -> None:
    """Served as in production: from this machine yes; through a proxy that runs here, without the token, no."""
    web = Web(create_app(node.flow), "127.0.0.1", 0)
    web.start()
    try:
        address = f"{web.url}/metrics"
        through = requests.get(address, headers={"X-Forwarded-For": "198.51.100.1"}, timeout=10).status_code
        assert (200, 401) == (requests.get(address, timeout=10).status_code, through)
    finally:
        web.stop()


# Where we go


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2001:4860:4860::8888", True), ("64:ff9b::808:808", True),
        ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("100.64.0.1", False),
        ("169.254.169.254", False), ("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False), ("2002:a00:1::", False), ("ff02::1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    """Private, link-local, loopback, shared, reserved: none of them is reached by an address that came in data."""
    assert public == is_public(address)


@dataclass
class Inside:
    """A machine of the inner network that speaks TLS, and what it was asked."""

    port: int
    certificate: Path
    asked: list[str] = field(default_factory=list)
    connections: list[object] = field(default_factory=list)


@pytest.fixture(name="inside")
def _inside(tmp_path: Path) -> Iterator[Inside]:
    pem, certificate = _self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, pem)
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"inside")

        def log_message(self, *_: Any) -> None:
            pass

    class Server(HTTPServer):
        def handle_error(self, *_: Any) -> None:  # a handshake that the other side broke off
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield Inside(server.server_port, certificate, asked)
    server.shutdown()
    server.server_close()
    thread.join()


def _self_signed(folder: Path) -> tuple[Path, Path]:
    """(key, certificate) of `files.example.org`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "files.example.org")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("files.example.org")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem, crt = folder / "key.pem", folder / "crt.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    crt.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return pem, crt


@pytest.fixture(name="rebound")
def _rebound(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> str:
    """A name of the outer world that now leads inside, as after DNS rebinding."""
    looked_up = socket.getaddrinfo

    def lookup(host: str, *more: Any, **named: Any) -> Any:
        return looked_up("127.0.0.1" if host == "files.example.org" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return f"https://files.example.org:{inside.port}"


def test_a_name_that_leads_inside_is_not_followed(
    inside: Inside, rebound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is looked at on the connection, not on the name: nothing is sent, not even a handshake is finished."""
    caller = PublicCaller(rebound, timeout=timedelta(seconds=5))
    caller._session.verify = str(inside.certificate)
    with pytest.raises(NotPublic):
        caller.get("/secret")
    assert [] == inside.asked

    monkeypatch.setattr(outbound, "is_public", lambda _: True)
    assert (b"inside", ["/file"]) == (caller.get("/file").body, inside.asked)


def test_without_tls_nothing_is_followed(node: Node) -> None:
    """An address that came in data is called over TLS or not at all."""
    with pytest.raises(NotPublic):
        PublicCaller(node.kobo_url, timeout=timedelta(seconds=5)).get("/me/")


def test_the_certificate_of_the_other_side_is_verified(inside: Inside, rebound: str) -> None:
    """R20: a target whose certificate nobody vouches for, or that is another's, gets nothing."""
    with pytest.raises(Unreachable):
        Caller(rebound, timeout=timedelta(seconds=5)).call("POST", "/rfl", body=b"a record")
    other = Caller(f"https://127.0.0.1:{inside.port}", timeout=timedelta(seconds=5))
    other._session.verify = str(inside.certificate)
    with pytest.raises(Unreachable):
        other.call("POST", "/rfl", body=b"a record")
    assert [] == inside.asked
