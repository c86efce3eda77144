"""A node with its pages, users of every role, and a browser of Flask's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyotp
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from connector.dashboard.roles import RIGHTS
from connector.ledger.sign_in import SignIn
from connector.ledger.users import Users
from tests.conftest import Node
from webhooks.edge import create_app

PASSWORD = "correct horse battery"


@dataclass
class Person:
    """Somebody with a browser."""

    name: str
    secret: str
    client: FlaskClient

    def code(self) -> str:
        return pyotp.TOTP(self.secret).now()

    def token(self, page: str = "/sign-in") -> str:
        found = re.search(r'name="token" value="([^"]+)"', self.client.get(page).text)
        assert found is not None
        return found[1]

    def sign_in(self, password: str = PASSWORD, code: str | None = None) -> TestResponse:
        form = {"token": self.token(), "name": self.name, "password": password, "code": code or self.code()}
        return self.client.post("/sign-in", data=form)

    def post(self, path: str, **form: str) -> TestResponse:
        return self.client.post(path, data={"token": self.token(), **form})


@pytest.fixture(name="people")
def _people(node: Node) -> dict[str, Person]:
    """One person of each role, not signed in yet."""
    node.targets = {"national": {}, "partner": {"recipient": "national_society", "society": "TR-RC"}}
    app = create_app(node.flow)
    ledger = node.flow.ledger
    users = Users(ledger.database, ledger.master, ledger.now)
    door = SignIn(ledger.database, users, ledger.now)
    found = {}
    for role in RIGHTS:
        secret = users.add(role, role, "test").partition("secret=")[2].partition("&")[0]
        door.set_password(role, PASSWORD, "test")
        found[role] = Person(role, secret, app.test_client())
    return found
