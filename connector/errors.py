"""Every failure Silah tells of: a stable code, where, and what to do next. Never an answer of a form.

The catalogue of codes with their meaning is in docs/errors.md, and a test holds the two together.
"""

from __future__ import annotations

from datetime import timedelta


class SilahError(Exception):
    """An error with a stable *code*, the place *where* it arose and what to do *next*.

    Args:
        code: stable, dotted, lower case: `config.unknown_key`.
        where: a file and key, a question's path, a target's name; never a value somebody answered.
        next_step: one sentence that tells the reader what to do.
    """

    def __init__(self, code: str, where: str, next_step: str) -> None:
        super().__init__(f"{code}: {where}. {next_step}")
        self.code = code
        self.where = where
        self.next_step = next_step


class Misconfigured(SilahError):
    """The configuration cannot be used: exit status 2, before anything is served."""


class TransformError(SilahError):
    """An answer cannot be read. *where* is the question's path; the submission is parked."""


class NotASubmission(SilahError):
    """What came in is not a submission of a configured form."""


class NotAuthentic(SilahError):
    """The sender did not show the right secret or signature."""


class Refused(SilahError):
    """A person asked for something that is not allowed; nothing was changed."""


class KeyUnavailable(SilahError):
    """A key cannot be read: nothing leaves."""


class Damaged(KeyUnavailable):
    """The key is the right one and a stored value does not open: the value was damaged. No other value is touched."""


class ServerError(SilahError):
    """A form server did not answer as it should.

    Args:
        permanent: repeating will not help before somebody changes something.
        retry_after: what the server asked for, if it did.
    """

    def __init__(
        self,
        code: str,
        where: str,
        next_step: str,
        *,
        permanent: bool = False,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(code, where, next_step)
        self.permanent = permanent
        self.retry_after = retry_after


class TargetError(ServerError):
    """A target did not take a delivery. *permanent* parks it at once, otherwise it is tried again."""
