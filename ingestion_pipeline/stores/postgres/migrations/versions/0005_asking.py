"""The search index: what people are searched and found by, derived from the three tables."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_HERE = Path(__file__)


def upgrade() -> None:
    op.execute(_HERE.with_suffix(".up.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute(_HERE.with_suffix(".down.sql").read_text(encoding="utf-8"))
