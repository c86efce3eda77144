"""What the product is made of is known, allowed, and asked after."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.supply.known import known
from tests.supply.parts import ROOT, Bill, environment, of_the_product, refused, rule


@pytest.fixture(scope="module")
def product() -> Bill:
    return of_the_product(environment(), "engines", "postgres")


def _bill(*licences: dict[str, object]) -> Bill:
    part = {"type": "library", "bom-ref": "some-part==1.0", "name": "some-part", "version": "1.0", "licenses": licences}
    return Bill.model_validate({"bomFormat": "CycloneDX", "components": [part]})


def test_every_part_of_the_product_has_a_licence_that_was_allowed(product: Bill) -> None:
    """Nothing under the GPL or AGPL is needed to run Silah; what is neither usual nor stated was decided by hand."""
    assert [] == [str(one) for one in refused(product, rule())]


def test_a_decision_is_about_a_part_that_is_there(product: Bill) -> None:
    """Exceptions do not outlive the part they were made for."""
    assert set() == set(rule().decided) - {one.name for one in product.components}


@pytest.mark.parametrize(
    "licence",
    [
        {"license": {"id": "GPL-3.0-only"}},
        {"license": {"id": "AGPL-3.0-or-later"}},
        {"license": {"name": "GPL"}},
        {"expression": "MIT AND GPL-2.0-only"},
        {"expression": "Apache-2.0 WITH Some-exception"},
        {"license": {"name": "see the website"}},
    ],
)
def test_a_licence_that_nobody_allowed_is_refused(licence: dict[str, object]) -> None:
    """The part is named with what it states and with the file in which a person decides."""
    (found,) = refused(_bill(licence), rule())
    assert ("some-part", "1.0") == (found.part, found.version)
    assert "tests/supply/licences.toml" in str(found)


def test_no_statement_is_no_licence() -> None:
    """A part that says nothing may not be used until somebody has read it; two statements must both be allowed."""
    assert 1 == len(refused(_bill(), rule()))
    assert 1 == len(refused(_bill({"license": {"id": "MIT"}}, {"license": {"id": "GPL-2.0-only"}}), rule()))
    assert [] == refused(_bill({"expression": "GPL-2.0-only OR MIT"}), rule())


def test_the_bill_names_what_is_shipped_and_nothing_else(product: Bill) -> None:
    """Parts that only tests use are not in it, and each part is in the version of the lock."""
    parts = {one.name.lower().replace("_", "-"): one.version for one in product.components}
    assert {"pytest", "mypy", "ruff", "hypothesis", "pip-audit"}.isdisjoint(parts)
    assert {"cryptography", "werkzeug", "psycopg", "jpype1"} <= set(parts)
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    assert {} == {name: version for name, version in parts.items() if locked.get(name) != version}


def test_the_bill_is_what_other_tools_read(product: Bill) -> None:
    """The form is CycloneDX, and what was read is written again whole."""
    written = json.loads(product.written())
    assert ("CycloneDX", "1.6") == (written["bomFormat"], written["specVersion"])
    assert all(one["purl"].startswith("pkg:pypi/") for one in written["components"])


class _Osv(BaseHTTPRequestHandler):
    """Answers as https://google.github.io/osv.dev/post-v1-query/ does, knowing one fault of one version."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        faulty = (asked["package"]["name"], asked["version"]) == ("waitress", "0.1")
        body = json.dumps({"vulns": [_FAULT]} if faulty else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


_FAULT = {
    "id": "GHSA-0000-0000-0000",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "made up",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "waitress"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "0.2"}]}],
        }
    ],
}


@contextmanager
def _osv() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Osv)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_known_vulnerability_is_named_with_its_mend(tmp_path: Path) -> None:
    """Whoever reads it knows which part, which fault, and which version is without it."""
    lock = tmp_path / "lock.txt"
    lock.write_text("waitress==0.1\nclick==8.5.1\n", encoding="utf-8")
    with _osv() as address:
        found = known(lock, address)
    assert (["waitress 0.1: GHSA-0000-0000-0000, mended in 0.2"], 2, None) == (
        found.findings,
        found.asked,
        found.unasked,
    )


def test_a_database_that_does_not_answer_is_not_good_news(tmp_path: Path) -> None:
    """Not asked is told apart from nothing found."""
    lock = tmp_path / "lock.txt"
    lock.write_text("waitress==0.1\n", encoding="utf-8")
    found = known(lock, "http://127.0.0.1:9/v1/query")
    assert 0 == found.asked
    assert found.unasked
