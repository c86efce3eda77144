"""A node with its pages, users of every role, and a browser of Flask's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyotp
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from connector.pipeline import Pipeline
from tests.conftest import Node
from tests.dashboard.walk import PASSWORD, give_password, invite
from webhooks.edge import create_app


@dataclass
class Person:
    """Somebody with a browser."""

    name: str
    secret: str
    client: FlaskClient
    flow: Pipeline
    invited: bool = False

    def code(self) -> str:
        return pyotp.TOTP(self.secret).now()

    def token(self, page: str = "/sign-in") -> str:
        found = re.search(r'name="token" value="([^"]+)"', self.client.get(page).text)
        assert found is not None
        return found[1]

    def sign_in(self, password: str = PASSWORD, code: str | None = None) -> TestResponse:
        if not self.invited:
            give_password(self.flow, self.name)
            self.invited = True
        form = {"token": self.token(), "name": self.name, "password": password, "code": code or self.code()}
        return self.client.post("/sign-in", data=form)

    def post(self, path: str, **form: str | list[str]) -> TestResponse:
        return self.client.post(path, data={"token": self.token(), **form})


def people_of(flow: Pipeline) -> dict[str, Person]:
    """One person of each role, named like it, and a second supervisor, `other`; not signed in yet."""
    app, secrets = create_app(flow), invite(flow)
    return {name: Person(name, secret, app.test_client(), flow) for name, secret in secrets.items()}


@pytest.fixture(name="people")
def _people(node: Node) -> dict[str, Person]:
    """One person of each role, not signed in yet."""
    node.targets = {"national": {}, "partner": {"recipient": "national_society", "society": "TR-RC"}}
    return people_of(node.flow)
