"""A sandbox answers one request at a time, so that its state needs no further care."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from flask import Flask, Response, request

View = TypeVar("View", bound=Callable[..., object])


class OneAtATime(Flask):
    """A Flask that runs its views one at a time, but for those that are marked as `unlocked`.

    Args:
        lock: what a view holds while it runs.
    """

    def __init__(self, name: str, lock: AbstractContextManager[object]) -> None:
        super().__init__(name, static_folder=None)
        self._lock = lock

    def dispatch_request(self) -> Response:
        """Runs the view under the lock, unless it must not hold the state."""
        rule = request.url_rule
        view = self.view_functions.get(rule.endpoint) if rule else None
        with nullcontext() if getattr(view, "unlocked", False) else self._lock:
            return self.make_response(super().dispatch_request())


def unlocked(view: View) -> View:
    """Marks a view that calls other servers, or that takes the lock for itself."""
    view.unlocked = True  # type: ignore[attr-defined]
    return view
