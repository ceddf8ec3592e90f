"""Step 0004: the models of a project, every step of theirs with its evidence, and proposals to promote one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from greywater.errors import StoreError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# SQLite numbers its own rows only in INTEGER columns.
_NUMBERED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: Tables that only grow.
_APPEND_ONLY = ("model_steps", "model_proposals", "model_decisions")


def _text(name: str, *more: Any, **settings: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, *more, nullable=False, **settings)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    """Make the tables; of the models of a project one at most is its champion."""
    op.create_table(
        "models", _text("name", primary_key=True), _text("kind"), _text("sha256"), _text("state"), _whole("at_us")
    )
    only = sa.text("state = 'champion'")
    op.create_index("models_one_champion", "models", ["state"], unique=True, sqlite_where=only, postgresql_where=only)
    op.create_table(
        "model_proposals",
        sa.Column("id", _NUMBERED, primary_key=True, autoincrement=True),
        _text("model", sa.ForeignKey("models.name")),
        _text("against"),
        sa.Column("passed", sa.BigInteger, nullable=False),
        _text("why"),
        _text("evidence"),
        _text("principal"),
        _whole("at_us"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "model_steps",
        sa.Column("id", _NUMBERED, primary_key=True, autoincrement=True),
        _text("model", sa.ForeignKey("models.name")),
        _text("step"),
        _text("before"),
        _text("after"),
        _text("against"),
        _text("why"),
        _text("evidence"),
        sa.Column("proposal", sa.BigInteger),
        _text("principal"),
        _whole("at_us"),
        sqlite_autoincrement=True,
    )
    op.create_index("model_steps_by_model", "model_steps", ["model"])
    op.create_table(
        "model_decisions",
        sa.Column("proposal", sa.BigInteger, primary_key=True, autoincrement=False),
        _text("outcome"),
        _text("why"),
        _text("principal"),
        _whole("at_us"),
    )
    for name in _APPEND_ONLY:
        _only_grows(name, op.get_bind().dialect.name)


def _only_grows(name: str, dialect: str) -> None:
    if dialect == "postgresql":
        op.execute(
            f"CREATE TRIGGER {name}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION greywater_append_only()"
        )
        return
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {name}_no_{act.lower()} BEFORE {act} ON {name} "
            f"BEGIN SELECT RAISE(ABORT, '{name} only grows: nothing in it is changed or removed'); END"
        )


def downgrade() -> None:
    """Refuse: going back would lose what was recorded, so nothing goes back."""
    raise StoreError("records are never thrown away: there is no way back", where="step 0004", mend="restore a backup")
