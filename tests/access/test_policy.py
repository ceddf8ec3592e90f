"""The table of actions and roles, and the refusal."""

from __future__ import annotations

import pytest

from greywater.access.policy import ACTIONS, POLICY, ROLES, permitted, require
from greywater.errors import AccessDeniedError
from greywater.vocab import Actor


@pytest.mark.parametrize("action", sorted(POLICY))
@pytest.mark.parametrize("role", ROLES)
def test_the_table_decides(role: str, action: str) -> None:
    actor = Actor(role=role)
    if role in POLICY[action]:
        require(actor, action)
        assert permitted(role, action)
    else:
        with pytest.raises(AccessDeniedError) as refusal:
            require(actor, action)
        assert refusal.value.exit_code == 7
        assert refusal.value.mend


def test_every_action_has_words_and_only_known_roles() -> None:
    assert set(ACTIONS) == set(POLICY)
    assert all(words for words in ACTIONS.values())
    assert set().union(*POLICY.values()) == set(ROLES)
    assert all(roles for roles in POLICY.values())


def test_the_embedded_owner_may_run_the_main_job() -> None:
    for action in ("ingest", "check", "run", "train", "read_alerts", "read_records"):
        require(Actor(), action)
        assert permitted(Actor().role, action)


def test_an_administrator_reads_no_project_data() -> None:
    reading = [action for action in POLICY if action.startswith(("read_", "export", "run", "train", "ingest"))]
    assert reading
    assert not any(permitted("administrator", action) for action in reading)


@pytest.mark.parametrize("action", ["", "fly", "RUN", "run ", "read_alerts\x00"])
def test_an_unknown_action_is_refused_to_everyone(action: str) -> None:
    for role in ROLES:
        with pytest.raises(AccessDeniedError, match="no action"):
            require(Actor(role=role), action)


@pytest.mark.parametrize("role", ["", "king", "DATA_OWNER", "data_owner "])
def test_an_unknown_role_is_refused_everything(role: str) -> None:
    for action in POLICY:
        with pytest.raises(AccessDeniedError, match="no role"):
            require(Actor(role=role), action)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        POLICY["run"] = frozenset({"king"})  # type: ignore[index]
