"""Who may do what: one table of actions and roles, and the question asked before every use case."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from greywater.errors import AccessDeniedError
from greywater.vocab import Actor

__all__ = ["ACTIONS", "POLICY", "ROLES", "permitted", "require"]

#: The roles a member of a project can have. An administrator runs the platform and reads no project data.
ROLES: Final = ("data_owner", "data_scientist", "investigator", "auditor", "administrator")

#: What each action is, in words, and the roles that may do it. A use case that does several things asks for each.
_TABLE: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("ingest", "record payments and other records", ("data_owner",)),
    ("check", "verify the files, order and counts of the store", ("data_owner", "data_scientist", "auditor")),
    ("run", "score the recorded payments and raise alerts", ("data_owner", "data_scientist")),
    ("train", "fit a detector, keep it, let it score beside the champion", ("data_owner", "data_scientist")),
    ("promote_models", "make a model the champion, retire or restore one", ("data_owner",)),
    ("read_payments", "read recorded payments", ("data_owner", "data_scientist", "investigator", "auditor")),
    ("read_features", "read feature rows", ("data_owner", "data_scientist", "auditor")),
    ("write_features", "define groups and views, write and serve feature rows", ("data_owner", "data_scientist")),
    ("read_labels", "read labels and confirmed launderers", ("data_owner", "data_scientist", "auditor")),
    ("read_alerts", "read the queue of alerts", ("data_owner", "data_scientist", "investigator", "auditor")),
    ("decide_alerts", "dispose of an alert", ("data_owner", "investigator")),
    ("read_records", "read the runs of the project", ("data_owner", "data_scientist", "investigator", "auditor")),
    ("read_audit", "read who did what in the project", ("data_owner", "auditor")),
    (
        "export",
        "write alerts, reports or data to a file outside the store",
        ("data_owner", "data_scientist", "auditor"),
    ),
    ("manage_members", "add and remove members of a project", ("data_owner", "administrator")),
    ("manage_projects", "make and remove projects", ("administrator",)),
)

#: Action -> roles that may do it.
POLICY: Final = MappingProxyType({action: frozenset(roles) for action, _, roles in _TABLE})

#: Action -> what it is, in words.
ACTIONS: Final = MappingProxyType({action: words for action, words, _ in _TABLE})


def permitted(role: str, action: str) -> bool:
    """Whether `role` may do `action`; False for a role or an action that does not exist.

    Examples
    --------
    >>> permitted("investigator", "read_alerts"), permitted("administrator", "read_alerts"), permitted("king", "run")
    (True, False, False)
    """
    return role in POLICY.get(action, frozenset())


def require(actor: Actor, action: str) -> None:
    """Let the actor pass or refuse.

    Parameters
    ----------
    actor : Actor
        Who asks.
    action : str
        One of `ACTIONS`.

    Raises
    ------
    AccessDeniedError
        The role may not do this, or the role or the action does not exist.

    Examples
    --------
    >>> require(Actor(), "run")
    >>> require(Actor(role="auditor"), "run")
    Traceback (most recent call last):
    ...
    greywater.errors.AccessDeniedError: auditors may not 'run' (DEFAULT__LOCAL). To mend: ask a data_owner or a \
data_scientist of project 'default'.
    """
    if permitted(actor.role, action):
        return
    if action not in POLICY:
        raise AccessDeniedError(
            f"there is no action {action!r}", where=actor.principal, mend=f"use one of {', '.join(POLICY)}"
        )
    if actor.role not in ROLES:
        raise AccessDeniedError(
            f"there is no role {actor.role!r}", where=actor.principal, mend=f"give the actor one of {', '.join(ROLES)}"
        )
    allowed = " or a ".join(role for role in ROLES if role in POLICY[action])
    raise AccessDeniedError(
        f"{actor.role}s may not {action!r}", where=actor.principal, mend=f"ask a {allowed} of project {actor.project!r}"
    )
