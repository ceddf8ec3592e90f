"""Step 0002: the feature store's records; what was written once can no longer be changed or taken away."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from greywater.errors import StoreError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# SQLite numbers its own rows only in INTEGER columns.
_NUMBERED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: Tables that only grow.
_APPEND_ONLY = (
    "alerts", "alert_evidence", "audit", "feature_groups", "feature_views", "feature_states", "feature_commits",
    "training_sets", "feature_bindings", "feature_uses", "feature_edges", "feature_drift",
)  # fmt: skip


def _text(name: str, **more: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, **more)


def _whole(name: str, **more: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, **more)


def _definitions() -> None:
    for name in ("feature_groups", "feature_views"):
        op.create_table(
            name,
            _text("name", primary_key=True),
            _whole("version", primary_key=True, autoincrement=False),
            _text("fingerprint"),
            _text("definition"),
            _text("sha256"),
            _text("principal"),
            _whole("at_us"),
        )
    op.create_table(
        "feature_states",
        sa.Column("id", _NUMBERED, primary_key=True, autoincrement=True),
        _text("kind"),
        _text("name"),
        _whole("version"),
        _text("feature"),
        _text("field"),
        _text("value"),
        _text("principal"),
        _whole("at_us"),
        sqlite_autoincrement=True,
    )
    op.create_index("feature_states_by_name", "feature_states", ["kind", "name", "version"])


def _made() -> None:
    op.create_table(
        "feature_commits",
        _text("name", primary_key=True),
        _whole("version", primary_key=True, autoincrement=False),
        _whole("number", primary_key=True, autoincrement=False),
        _whole("rows"),
        _text("content_sha256"),
        _text("statistics"),
        _text("detail"),
        _text("sha256"),
        _whole("at_us"),
        sa.ForeignKeyConstraint(["name", "version"], ["feature_groups.name", "feature_groups.version"]),
    )
    op.create_table(
        "training_sets",
        _text("name", primary_key=True),
        _whole("version", primary_key=True, autoincrement=False),
        _text("view"),
        _whole("view_version"),
        _text("content_sha256"),
        _text("record"),
        _text("sha256"),
        _text("principal"),
        _whole("at_us"),
    )
    op.create_index("training_sets_by_view", "training_sets", ["view", "view_version"])


def _used() -> None:
    op.create_table(
        "feature_bindings",
        _text("model", primary_key=True),
        _text("model_fingerprint", primary_key=True),
        _text("view"),
        _whole("view_version"),
        _text("view_fingerprint"),
        _text("team"),
        _text("principal"),
        _whole("at_us"),
        sa.ForeignKeyConstraint(["view", "view_version"], ["feature_views.name", "feature_views.version"]),
    )
    op.create_table(
        "feature_uses",
        _text("name", primary_key=True),
        _whole("version", primary_key=True, autoincrement=False),
        _text("feature", primary_key=True),
        _text("model", primary_key=True),
        _text("model_fingerprint", primary_key=True),
        _text("team"),
        _text("view"),
        _whole("view_version"),
        _whole("at_us"),
        sa.ForeignKeyConstraint(["name", "version"], ["feature_groups.name", "feature_groups.version"]),
    )
    op.create_index("feature_uses_by_view", "feature_uses", ["view", "view_version"])
    op.create_table(
        "feature_served",
        _text("view", primary_key=True),
        _whole("view_version", primary_key=True, autoincrement=False),
        _whole("day", primary_key=True, autoincrement=False),
        _text("how", primary_key=True),
        _whole("vectors"),
        _whole("defaults"),
    )


def _watched() -> None:
    op.create_table(
        "feature_edges",
        _text("source_kind", primary_key=True),
        _text("source", primary_key=True),
        _text("target_kind", primary_key=True),
        _text("target", primary_key=True),
        _text("how"),
        _whole("at_us"),
    )
    op.create_index("feature_edges_by_target", "feature_edges", ["target_kind", "target"])
    op.create_table(
        "feature_drift",
        sa.Column("id", _NUMBERED, primary_key=True, autoincrement=True),
        _text("subject"),
        _text("reference"),
        _text("live"),
        _text("feature"),
        _text("measure"),
        sa.Column("value", sa.Double),
        sa.Column("threshold", sa.Double),
        _whole("alert"),
        _text("detail"),
        _whole("at_us"),
        sqlite_autoincrement=True,
    )
    op.create_index("feature_drift_by_subject", "feature_drift", ["subject", "at_us"])


def _searched(dialect: str) -> None:
    op.create_table(
        "feature_documents",
        sa.Column("id", _NUMBERED, primary_key=True, autoincrement=True),
        _text("kind"),
        _text("name"),
        _whole("version"),
        _text("feature"),
        _text("texts"),
        sa.UniqueConstraint("kind", "name", "version", "feature", name="feature_documents_once"),
        sqlite_autoincrement=True,
    )
    op.create_table("feature_terms", _text("term", primary_key=True))
    if dialect == "postgresql":
        op.execute("ALTER TABLE feature_documents ADD COLUMN words tsvector NOT NULL DEFAULT ''")
        op.execute("CREATE INDEX feature_documents_by_word ON feature_documents USING gin (words)")
    else:
        op.execute(
            "CREATE VIRTUAL TABLE feature_search USING fts5("
            "names, tags, unit, owner, description, tokenize = 'unicode61 remove_diacritics 0')"
        )


def _append_only(dialect: str) -> None:
    if dialect == "postgresql":
        op.execute(
            "CREATE FUNCTION greywater_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% only grows: nothing in it is changed or removed', TG_TABLE_NAME; END $$"
        )
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


def _as_long_as_needed() -> None:
    """PostgreSQL holds names to the length a column says, SQLite never did: let both take any."""
    for table, columns in {
        "runs": ("id", "outcome"), "alerts": ("id", "run_id", "kind", "sha256"), "alert_evidence": ("alert_id",),
    }.items():  # fmt: skip
        for column in columns:
            op.alter_column(table, column, type_=sa.Text)


def upgrade() -> None:
    """Make the tables."""
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        _as_long_as_needed()
    _definitions()
    _made()
    _used()
    _watched()
    _searched(dialect)
    _append_only(dialect)


def downgrade() -> None:
    """Refuse: going back would lose what was recorded, so nothing goes back."""
    raise StoreError("records are never thrown away: there is no way back", where="step 0002", mend="restore a backup")
