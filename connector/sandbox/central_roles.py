"""The roles of ODK Central and what each may do: names as its API shows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """A set of verbs under a name; *system* is how an address names it, *allows* the verbs with spaces between."""

    id: int
    name: str
    system: str
    allows: str

    @property
    def verbs(self) -> list[str]:
        """What whoever has this role may do."""
        return self.allows.split()


ROLES = (
    Role(
        3,
        "Password Reset Token",
        "pwreset",
        "user.password.reset",
    ),
    Role(
        2,
        "App User",
        "app-user",
        "open_form.read submission.create",
    ),
    Role(
        7,
        "Form Viewer (system internal)",
        "formview",
        "open_form.read",
    ),
    Role(
        8,
        "Data Collector",
        "formfill",
        "project.read open_form.list open_form.read submission.create",
    ),
    Role(
        9,
        "Public Link",
        "pub-link",
        "open_form.read submission.create",
    ),
    Role(
        6,
        "Project Viewer",
        "viewer",
        "project.read form.list form.read submission.read submission.list dataset.list entity.list "
        "dataset.read entity.read actor_property.list",
    ),
    Role(
        5,
        "Project Manager",
        "manager",
        "project.read project.update project.delete form.create form.delete form.list form.read "
        "form.update submission.create submission.read submission.list field_key.create "
        "field_key.delete field_key.list assignment.list assignment.create assignment.delete "
        "public_link.create public_link.list public_link.read public_link.update public_link.delete "
        "session.end form.restore dataset.list entity.list dataset.read entity.read entity.create "
        "entity.update dataset.update entity.delete submission.update dataset.create "
        "submission.delete submission.restore entity.restore dataset.delete actor_property.list "
        "actor_property.update field_key.update",
    ),
    Role(
        1,
        "Administrator",
        "admin",
        "config.read field_key.create field_key.delete field_key.list form.create form.delete "
        "form.list form.read form.update project.create project.delete project.read project.update "
        "session.end submission.create submission.read submission.list user.create user.list "
        "user.password.invalidate user.read user.update role.create role.update role.delete "
        "assignment.list assignment.create assignment.delete user.delete audit.read "
        "public_link.create public_link.list public_link.read public_link.update public_link.delete "
        "backup.run config.set analytics.read form.restore dataset.list entity.list dataset.read "
        "entity.read entity.create entity.update dataset.update entity.delete submission.update "
        "dataset.create submission.delete submission.restore entity.restore dataset.delete "
        "actor_property.list actor_property.update field_key.update",
    ),
)
BY_SYSTEM = {role.system: role for role in ROLES}
