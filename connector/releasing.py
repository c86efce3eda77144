"""Who may release what: the one way to a release in Silah, for the command line and the pages.

Nobody releases a record that they collected, and nobody releases for a branch that is not theirs. A branch of one
person is released by headquarters: that person would be looking at their own work. Who collected a record is known by
the account that sent it to the form server, and by the collector's code in it.
"""

from __future__ import annotations

from connector.errors import Refused
from connector.ledger import releases
from connector.ledger.posts import Post, Posts
from connector.ledger.releases import ForRelease
from connector.ledger.senders import mark, sender_of
from connector.model import Recipient
from connector.pipeline import Pipeline
from connector.transforms.people import Interview
from connector.transforms.registry import from_json

HEADQUARTERS = "headquarters"
MAY_RELEASE = frozenset({"case_worker", "supervisor", HEADQUARTERS})


def release(flow: Pipeline, delivery_id: str, user: str) -> None:
    """Notes that *user*, who has proven to be that, releases a waiting delivery; raises `Refused`."""
    found = releases.for_release(flow.ledger, delivery_id)
    if found is None:
        raise unknown(delivery_id)
    _may_release(flow, found, user)
    refused = flow.ledger.release(delivery_id, user)
    if refused == "unknown":
        raise unknown(delivery_id)
    if refused:
        raise Refused("release.same_user", f"delivery {delivery_id}", "The second release is another person's.")


def unknown(delivery_id: str) -> Refused:
    return Refused("queue.unknown", f"delivery {delivery_id}", "`silah queue list` shows the ids that can be named.")


def unknown_publication(delivery_id: str) -> Refused:
    advice = "`silah publication list` shows what can be proposed."
    return Refused("publication.unknown", f"publication {delivery_id}", advice)


def propose(flow: Pipeline, delivery_id: str, user: str) -> None:
    """The first word for a publication; raises `Refused`."""
    if _stands(flow, delivery_id) != "open":
        raise Refused("publication.proposed", f"publication {delivery_id}", "Another person confirms or declines it.")
    release(flow, delivery_id, user)


def confirm(flow: Pipeline, delivery_id: str, user: str) -> None:
    """The second word, of another person, after which it goes; raises `Refused`."""
    if _stands(flow, delivery_id) != "proposed":
        raise Refused("publication.not_proposed", f"publication {delivery_id}", "Somebody proposes it first.")
    release(flow, delivery_id, user)


def decline(flow: Pipeline, delivery_id: str, user: str, reason: str) -> None:
    """Takes a proposal back, one's own or another's; raises `Refused`."""
    _stands(flow, delivery_id)
    post = Posts(flow.ledger).of(user)
    if post is None or post.role not in MAY_RELEASE:
        raise _not_this_role(user)
    if not releases.decline(flow.ledger, delivery_id, user, reason):
        raise Refused("publication.not_proposed", f"publication {delivery_id}", "There is nothing to take back.")


def publishing(flow: Pipeline) -> list[str]:
    """The targets that publish."""
    return [name for name, one in flow.audiences.items() if one.recipient is Recipient.PUBLIC]


def _stands(flow: Pipeline, delivery_id: str) -> str:
    """The state of a publication; raises `Refused` for what is none."""
    known = {one.id: one.state for one in releases.publications(flow.ledger, publishing(flow), withheld=False)}
    if delivery_id not in known:
        raise unknown_publication(delivery_id)
    return known[delivery_id]


def _may_release(flow: Pipeline, found: ForRelease, user: str) -> None:
    posts = Posts(flow.ledger)
    post = posts.of(user)
    if post is None or post.disabled or post.role not in MAY_RELEASE:
        raise _not_this_role(user)
    interview = _interview(flow, found)
    with flow.ledger.database.reading() as connection:
        sender = sender_of(connection, found.case.record_id)
    named_like = mark(flow.ledger.sender_key, found.case.server, user)
    if sender in {*post.accounts, named_like} or _wrote(post, interview):
        raise Refused(
            "release.own_record", f"user {user}", "Somebody else has to look at it: another person, or headquarters."
        )
    if post.branch is None or post.role == HEADQUARTERS:
        return
    if interview and interview.branch and interview.branch != post.branch:
        raise Refused("release.other_branch", f"user {user}", "A person of that branch, or headquarters, releases it.")
    surely_another = sender is not None and found.case.server in post.servers
    if not surely_another and posts.in_branch(post.branch) == 1:
        advice = "A branch of one person is released by headquarters, unless the record was sent by another account than that person's (`silah user place`)."
        raise Refused("release.one_person_branch", f"user {user}", advice)


def _not_this_role(user: str) -> Refused:
    roles = ", ".join(sorted(MAY_RELEASE))
    return Refused("release.role", f"user {user}", f"Release is for {roles}.")


def _interview(flow: Pipeline, found: ForRelease) -> Interview | None:
    stored = flow.ledger.record(found.case.id, found.version)
    record = from_json(found.case.form_id, stored) if stored is not None else None
    interview = getattr(record, "interview", None)
    return interview if isinstance(interview, Interview) else None


def _wrote(post: Post, interview: Interview | None) -> bool:
    """The collector's code in the form is this user's, or their name."""
    code = (interview.collector or "").casefold() if interview else ""
    return bool(code) and code in {post.name.casefold(), (post.collector or "").casefold()}
