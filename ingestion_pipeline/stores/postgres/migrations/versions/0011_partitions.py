"""Partitions: the three tables in parts by hash, and back."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_HERE = Path(__file__)


def upgrade() -> None:
    op.execute(_HERE.with_suffix(".up.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute(_HERE.with_suffix(".down.sql").read_text(encoding="utf-8"))
