"""A KoboToolbox-compatible server in memory: `make run`, training and tests talk to it as to the real one.

    sandbox = KoboSandbox()
    token = sandbox.add_user("field")
    with serve(sandbox) as running:
        uid = sandbox.publish("field", "Tracing request", xlsx, {"places.csv": b"…"})
        sandbox.submit(uid, xml, {"photo.jpg": b"…"}, "field")     # hooks fire
        sandbox.drain_hooks()                                      # … and have been answered

Its hooks are posted with `requests` and not through `connector.outbound`: here the sandbox is somebody else's server.
"""

from __future__ import annotations

import mimetypes
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import requests

from connector.sandbox import account_api, assets_api, data_api, hooks_api, openrosa
from connector.sandbox.hooks import HookSender, Post, Resolve
from connector.sandbox.instance import Instance
from connector.sandbox.present import submission_json
from connector.sandbox.query import BadParameter
from connector.sandbox.rest import Refusal, SandboxFlask, Server, refused, user_of
from connector.sandbox.rights import ANONYMOUS
from connector.sandbox.store import Asset, Clock, MediaFile, Store
from connector.sandbox.submissions import Submission, Upload
from connector.sandbox.web import Asked, Disturbed, Faults, RunningServer

RETRY_DELAYS = (30.0, 60.0, 120.0, 240.0)
"""Seconds before the second to the fifth try of a hook: the middle of what the real server draws at random."""
BODY_LIMIT = 10_000_000


class KoboSandbox:
    """One server: both its faces, management and data on the one hand, OpenRosa on the other, answer on one address.

    Args:
        clock: the time now, with a time zone.
        hook_retry_delays: seconds before each further try of a hook; four of them, as on the real server.
        hook_post: how hooks are posted.
        hook_senders: threads that post hooks; with one they arrive in order.
        resolve: host name → IPv4 address; hooks go to public addresses and loopback only.
        import_polls: how often an import is still `processing` when asked.

    Attributes:
        app: the WSGI application, for a test client or `serve`.
        url: the address that hooks state in attachments; `serve` sets it.
        faults: what goes wrong next.
        requests: everything that was asked, in order.
    """

    def __init__(
        self,
        *,
        clock: Clock = lambda: datetime.now(UTC),
        hook_retry_delays: Sequence[float] = RETRY_DELAYS,
        hook_post: Post = requests.post,
        hook_senders: int = 1,
        resolve: Resolve = socket.gethostbyname,
        import_polls: int = 0,
    ) -> None:
        self.url = "http://localhost"
        self.faults = Faults()
        self.requests: list[Asked] = []
        self._lock = threading.RLock()
        self._store = Store(clock)
        self._sender = HookSender(
            post=hook_post,
            resolve=resolve,
            retry_delays=hook_retry_delays,
            senders=hook_senders,
            read=self._as_owner,
            locked=lambda: self._lock,
            clock=clock,
        )
        self._store.new_submission.append(self._sender.submission_arrived)
        self.app = self._application(Server(self._store, self._sender, self._lock, import_polls))

    def add_user(self, name: str, password: str = "practice", *, token: str | None = None) -> str:  # noqa: S107
        """Makes an account and returns its token."""
        with self._lock:
            return self._store.add_user(name, password, token).token

    def publish(self, owner: str, name: str, xlsx: bytes, media: Mapping[str, bytes] | None = None) -> str:
        """Imports and deploys a form in one; returns the project's uid.

        *name* stands where the settings sheet has no title. The form is compiled when a phone asks for it.

        Raises:
            ImportRefused: the workbook cannot become a form.
        """
        with self._lock:
            asset = self._store.create_from_xlsx(self._store.users[owner], xlsx, name)
            for file, data in (media or {}).items():
                kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
                asset.files.append(MediaFile(owner, file, data, kind, self._store.clock()))
            self._store.deploy(asset)
            return asset.uid

    def republish(self, asset_uid: str, xlsx: bytes) -> str:
        """A new version of the form, deployed; returns the version's uid."""
        with self._lock:
            asset = self._store.assets[asset_uid]
            version = self._store.replace_from_xlsx(asset.owner, asset, xlsx)
            self._store.deploy(asset)
            return version.uid

    def grant(self, asset_uid: str, user: str, *codenames: str, rows: Mapping[str, object] | None = None) -> None:
        """Gives permissions with all they imply; with *rows* they hold only for submissions that meet this condition."""
        with self._lock:
            rights = self._store.assets[asset_uid].rights
            if rows is not None:
                rights.grant(user, "partial_submissions", dict.fromkeys(codenames, (rows,)))
                return
            for codename in codenames:
                rights.grant(user, codename)

    def revoke(self, asset_uid: str, user: str) -> None:
        """Takes all permissions of *user* on the project."""
        with self._lock:
            rights = self._store.assets[asset_uid].rights
            rights.revoke_all(user)

    def submit(
        self, asset_uid: str, xml: bytes, files: Mapping[str, bytes] | None = None, user: str | None = None
    ) -> dict[str, object]:
        """Sends a filled-in form (an edit when it states a deprecatedID) and returns its data JSON.

        Args:
            xml: the record; its root's `id` does not matter here.
            files: name as in the answer → bytes.
            user: who sends it; None is the public.

        Raises:
            Rejected: with OpenRosa's status and message, 202 for a known one without new files.
        """
        uploads = [Upload(name, content) for name, content in (files or {}).items()]
        with self._lock:
            asset = self._store.assets[asset_uid]
            sender = None if user is None else self._store.users[user]
            row = openrosa.take(self._store, asset, Instance(xml), uploads, sender)
            return submission_json(asset, row, self.url)

    def load(self, asset_uid: str, documents: Iterable[Mapping[str, object]]) -> None:
        """Stores data JSON (with `_uuid` and `meta/rootUuid`) without XML, hooks or history: large numbers, quickly."""
        with self._lock:
            self._store.assets[asset_uid].submissions.load(documents, self._store.clock())

    def submissions(self, asset_uid: str) -> list[dict[str, object]]:
        """The data JSON of all submissions, by `_id`."""
        with self._lock:
            asset = self._store.assets[asset_uid]
            return [submission_json(asset, row, self.url) for row in asset.submissions]

    def delete(self, asset_uid: str, *references: str) -> None:
        """Removes submissions by `_id`, rootUuid or `_uuid`, as a person would in the web page."""
        with self._lock:
            asset = self._store.assets[asset_uid]
            rows = [row for reference in references if (row := asset.submissions.find(reference))]
            asset.submissions.delete(row.id for row in rows)
            for row in rows:
                self._store.log_submission(asset, asset.owner, "delete-submission", row)

    def drain_hooks(self, timeout: float | None = 30.0) -> bool:
        """Waits until every hook has been answered for good; False when *timeout* seconds were not enough."""
        return self._sender.drain(timeout)

    def close(self) -> None:
        """Stops sending hooks."""
        self._sender.close()

    def _as_owner(self, asset: Asset, row: Submission) -> dict[str, object]:
        return submission_json(asset, row, self.url)

    def _application(self, server: Server) -> SandboxFlask:
        app = SandboxFlask("kobo-sandbox", server.lock)
        app.server = server
        app.config["MAX_FORM_MEMORY_SIZE"] = BODY_LIMIT
        for module in (account_api, assets_api, data_api, hooks_api, openrosa):
            app.register_blueprint(module.api)
        app.register_error_handler(Refusal, refused)
        app.register_error_handler(BadParameter, refused)
        app.register_error_handler(openrosa.XmlRefusal, openrosa.xml_refused)
        known = self._store
        app.wsgi_app = Disturbed(app.wsgi_app, self.faults, self.requests, lambda environ: user_of(known, environ))  # type: ignore[method-assign]
        return app


def serve(sandbox: KoboSandbox, host: str = "127.0.0.1", port: int = 0) -> RunningServer:
    """Serves the sandbox in a thread, on a free port when *port* is 0; `.url` says where, `.close()` ends it."""
    running = RunningServer(sandbox.app, host, port)
    sandbox.url = running.url
    return running


__all__ = ["ANONYMOUS", "KoboSandbox", "RunningServer", "serve"]
