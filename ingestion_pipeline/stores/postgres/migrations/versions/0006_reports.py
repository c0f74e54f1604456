"""What reports are made of: materialized views of figures, and a view of the full mode's columns."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_HERE = Path(__file__)


def upgrade() -> None:
    op.execute(_HERE.with_suffix(".up.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute(_HERE.with_suffix(".down.sql").read_text(encoding="utf-8"))
