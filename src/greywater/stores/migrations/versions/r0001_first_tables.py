"""Step 0001: runs, alerts, the evidence of alerts, and the audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from greywater.errors import StoreError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Microseconds since 1970 (UTC) fit every database the same; SQLite numbers its own rows only in INTEGER columns.
_NUMBERED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "runs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger),
        sa.Column("outcome", sa.String(16)),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("summary", sa.Text),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(64), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("raised_us", sa.BigInteger, nullable=False),
        sa.Column("written_us", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.UniqueConstraint("run_id", "rank", name="alerts_one_a_rank"),
        sa.UniqueConstraint("run_id", "kind", "entity", name="alerts_one_an_entity"),
    )
    op.create_index("alerts_by_entity", "alerts", ["entity"])
    op.create_table(
        "alert_evidence",
        sa.Column("alert_id", sa.String(64), sa.ForeignKey("alerts.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("tx_id", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
    op.create_index("alert_evidence_by_payment", "alert_evidence", ["tx_id"])
    op.create_table(
        "audit",
        sa.Column("id", _NUMBERED, primary_key=True, autoincrement=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_time", "audit", ["at_us"])


def downgrade() -> None:
    """Refuse: going back would lose what was recorded, so nothing goes back."""
    raise StoreError("records are never thrown away: there is no way back", where="step 0001", mend="restore a backup")
