"""Step 0003: what a fit leaves behind: its parent, its measures step by step, its files, its tags."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from greywater.errors import StoreError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("run_steps", "run_artefacts", "run_tags")


def _text(name: str, **more: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, **more)


def _whole(name: str, **more: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, **more)


def _run(**more: Any) -> sa.Column[str]:
    return sa.Column("run_id", sa.Text, sa.ForeignKey("runs.id"), nullable=False, primary_key=True, **more)


def _tables() -> None:
    op.create_table(
        "run_steps",
        _run(),
        _text("series", primary_key=True),
        _text("name", primary_key=True),
        _whole("step", primary_key=True, autoincrement=False),
        sa.Column("value", sa.Double),
        _whole("at_us"),
    )
    op.create_table(
        "run_artefacts",
        _run(),
        _text("name", primary_key=True),
        _text("path"),
        _whole("bytes"),
        _text("sha256"),
        _whole("at_us"),
    )
    op.create_table(
        "run_tags",
        _run(),
        _text("tag", primary_key=True),
        _text("principal"),
        _whole("at_us"),
    )


def _only_grow(dialect: str) -> None:
    for name in _APPEND_ONLY:
        if dialect == "postgresql":
            op.execute(
                f"CREATE TRIGGER {name}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} "
                "FOR EACH STATEMENT EXECUTE FUNCTION greywater_append_only()"
            )
            continue
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {name}_no_{act.lower()} BEFORE {act} ON {name} "
                f"BEGIN SELECT RAISE(ABORT, '{name} only grows: nothing in it is changed or removed'); END"
            )


def upgrade() -> None:
    """Make the tables."""
    op.add_column("runs", sa.Column("parent", sa.Text))
    _tables()
    _only_grow(op.get_bind().dialect.name)


def downgrade() -> None:
    """Refuse: going back would lose what was recorded, so nothing goes back."""
    raise StoreError("records are never thrown away: there is no way back", where="step 0003", mend="restore a backup")
