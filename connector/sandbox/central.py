"""An ODK-Central-compatible server in memory: training and tests talk to it as to the real one.

    sandbox = CentralSandbox()
    admin = sandbox.add_user("admin@example.org", "practice", admin=True)
    project = sandbox.add_project("Family links")
    sandbox.publish(project, xform)
    with serve(sandbox) as running:
        sandbox.hook("http://127.0.0.1:8000/webhooks/central/field", "secret")
        sandbox.submit(project, xml, {"photo.jpg": b"…"})           # the hook has been answered

What it leaves out: encryption by the server, entities that forms make, exports as CSV, tables of repeats and
`$metadata` in OData.
Its hooks are posted with `requests` and not through `connector.outbound`: here the sandbox is somebody else's server.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import requests
from flask import Response, request

from connector.sandbox import central_api, central_lists, central_odata, central_submissions
from connector.sandbox.central_forms import Record, XForm
from connector.sandbox.central_hooks import HookPoster, Post
from connector.sandbox.central_rest import CentralFlask, KeyInPath, Problem, Server, not_found, refused
from connector.sandbox.central_store import Actor, Clock, Form, Sent, Store, Submission
from connector.sandbox.web import Asked, Disturbed, Faults, RunningServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BODY_LIMIT = 100_000_000


class CentralSandbox:
    """One server with its accounts, projects, forms and submissions.

    Args:
        clock: the time now, with a time zone; Central keeps milliseconds.
        hook_post: how the webhook is posted.

    Attributes:
        app: the WSGI application, for a test client or `serve`.
        faults: what goes wrong next.
        requests: everything that was asked, in order.
    """

    def __init__(self, *, clock: Clock = lambda: datetime.now(UTC), hook_post: Post = requests.post) -> None:
        self.faults = Faults()
        self.requests: list[Asked] = []
        self._lock = threading.RLock()
        self._store = Store(lambda: _to_millisecond(clock()))
        self._hooks = HookPoster(hook_post)
        self.app = self._application()

    def add_user(self, email: str, password: str = "practice", *, admin: bool = False) -> int:  # noqa: S107
        """Makes an account and returns its number."""
        with self._lock:
            return self._store.add_user(email, password, admin=admin).id

    def log_in(self, email: str, password: str = "practice") -> str:  # noqa: S107
        """A session's token, good for a day."""
        with self._lock:
            session = self._store.log_in(email, password)
        assert session is not None  # noqa: S101 - whoever calls made the account
        return session.token

    def end_sessions(self) -> None:
        """As when the day is over for everybody."""
        with self._lock:
            self._store.sessions.clear()

    def add_project(self, name: str) -> int:
        """An empty project's number."""
        with self._lock:
            return self._store.add_project(name).id

    def add_device(self, project: int, *form_ids: str, name: str = "Tablet") -> str:
        """The token of an app user who may fill in these forms."""
        with self._lock:
            found = self._store.projects[project]
            session = self._store.add_device(found, name)
            for form_id in form_ids:
                found.forms[form_id].rights[session.actor.id] = "app-user"
            return session.token

    def add_list(self, project: int, name: str, *properties: str) -> None:
        """An entity list with these properties."""
        with self._lock:
            made = central_lists.add_list(self._store.projects[project], name, self._store.clock())
            made.properties = dict.fromkeys(properties, made.created)

    def say_of_device(self, token: str, **properties: str) -> None:
        """What is known of an app user: its branch, for one."""
        with self._lock:
            session = self._store.session(token)
            assert session is not None  # noqa: S101 - whoever calls made it
            session.actor.properties = properties

    def list_rows(self, project: int, name: str) -> list[dict[str, str]]:
        """The rows of an entity list as everybody who may read it gets them."""
        with self._lock:
            found = self._store.projects[project].lists.get(name)
            rows = found.live() if found else []
            return [{"uuid": one.uuid, "label": str(one.versions[-1]["label"]), **one.data} for one in rows]

    def grant(self, project: int, user: int, role: str) -> None:
        """Gives a role on the project: `viewer`, `manager`, `formfill`."""
        with self._lock:
            self._store.projects[project].rights[user] = role

    def revoke(self, project: int, user: int) -> None:
        """Takes the role on the project."""
        with self._lock:
            self._store.projects[project].rights.pop(user, None)

    def publish(self, project: int, xform: bytes) -> str:
        """A new form, or a new version of a known one, for devices; returns its id.

        Raises:
            NotAForm: the XForm cannot be read.
        """
        form, found = XForm(xform), self._store.projects[project]
        with self._lock:
            known = found.forms.get(form.form_id)
            if known is None:
                self._store.add_form(found, form, self._somebody(), publish=True)
            else:
                self._store.add_draft(known, form)
                self._store.publish(known)
        return form.form_id

    def submit(self, project: int, xml: bytes, files: Mapping[str, bytes] | None = None) -> str:
        """Sends a filled-in form (an edit when it states a deprecatedID) and returns the submission's root id.

        Raises:
            Rejected: with Central's code and words.
        """
        row = self._receive(project, xml, files)
        return row.id

    def hold(self, project: int, xml: bytes) -> Submission:
        """A submission on a slow line: its time is now, but nobody sees it until `let_go`."""
        with self._lock:
            form, sent = self._sent(project, xml, {})
            return self._store.receive(form, sent, committed=False)[0]

    def let_go(self, held: Submission) -> None:
        """The slow submission has been committed."""
        with self._lock:
            held.committed = True

    def add_file(self, project: int, form_id: str, root: str, name: str, data: bytes) -> None:
        """A file that comes late."""
        with self._lock:
            self._store.projects[project].forms[form_id].submissions[root].current.files[name].data = data

    def review(self, project: int, form_id: str, root: str, state: str | None, user: int) -> None:
        """What a person says in the web page."""
        with self._lock:
            row = self._store.projects[project].forms[form_id].submissions[root]
        self._hooks.review(row.current.id, state)
        with self._lock:
            self._store.review(row, state, self._store.actors[user], None)

    def comments(self, project: int, form_id: str, root: str) -> list[str]:
        """What people remarked of a submission, newest first."""
        with self._lock:
            row = self._store.projects[project].forms[form_id].submissions[root]
            return [text for text, _, _ in row.comments]

    def delete(self, project: int, form_id: str, root: str) -> None:
        """Takes a submission out of every list, as a person would in the web page."""
        with self._lock:
            form = self._store.projects[project].forms[form_id]
            self._store.remove(form.submissions[root], self._somebody())

    def restore(self, project: int, form_id: str, root: str) -> None:
        """Brings a deleted one back."""
        with self._lock:
            form = self._store.projects[project].forms[form_id]
            self._store.restore(form.submissions[root], self._somebody())

    def hook(self, url: str | None, api_key: str = "") -> None:
        """Where central-webhook tells of new submissions and reviews; None stops it."""
        self._hooks.url, self._hooks.api_key = url, api_key

    def keep_files_at(self, url: str | None) -> None:
        """Files are fetched from S3 storage: Central itself only sends there."""
        self.app.server.files_at = url

    def skip_numbers(self, *, actors: int = 0, keys: int = 0) -> None:
        """Numbers that somebody else got meanwhile."""
        with self._lock:
            self._store.skip_actors(actors)
            self._store.skip_keys(keys)

    def _receive(self, project: int, xml: bytes, files: Mapping[str, bytes] | None) -> Submission:
        with self._lock:
            form, sent = self._sent(project, xml, files or {})
            row, happened = self._store.receive(form, sent, committed=False)
        if happened == "submission.create":
            self._hooks.new_submission(row.id, xml.decode())
        self.let_go(row)
        return row

    def _sent(self, project: int, xml: bytes, files: Mapping[str, bytes]) -> tuple[Form, Sent]:
        record = Record(xml)
        found = self._store.projects[project]
        kind = "application/octet-stream"
        return found.forms[record.form_id], Sent(
            record, None, files={name: (data, kind) for name, data in files.items()}
        )

    def _somebody(self) -> Actor:
        """Whoever does what nobody is named for."""
        return next(iter(self._store.actors.values()), None) or self._store.add_user("admin@example.org", "practice")

    def _application(self) -> CentralFlask:
        app = CentralFlask("central-sandbox", self._lock)
        app.server = Server(self._store, self._hooks, self._lock)
        app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
        for module in (central_api, central_submissions, central_odata, central_lists):
            app.register_blueprint(module.api)
        app.register_error_handler(Problem, refused)
        app.register_error_handler(central_submissions.OpenRosaProblem, central_submissions.openrosa_refused)
        app.register_error_handler(404, _no_such_page)
        inner = KeyInPath(app.wsgi_app)
        app.wsgi_app = Disturbed(inner, self.faults, self.requests, self._user_of)  # type: ignore[method-assign]
        return app

    def _user_of(self, environ: WSGIEnvironment) -> str | None:
        _, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        session = self._store.session(token)
        return session.actor.name if session else None


def serve(sandbox: CentralSandbox, host: str = "127.0.0.1", port: int = 0) -> RunningServer:
    """Serves the sandbox in a thread, on a free port when *port* is 0; `.url` says where, `.close()` ends it."""
    return RunningServer(sandbox.app, host, port)


def _to_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _no_such_page(error: Exception) -> Response:
    del error
    if request.path.startswith("/v1/"):
        return refused(not_found())
    return refused(Problem(404.2, "Expected an API version (eg /v1) at the start of the request URL."))


__all__ = ["CentralSandbox", "RunningServer", "serve"]
