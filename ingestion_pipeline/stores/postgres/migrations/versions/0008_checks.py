"""What every stored value keeps to, whoever writes it; and the time of every change."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_HERE = Path(__file__)


def upgrade() -> None:
    op.execute(_HERE.with_suffix(".up.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute(_HERE.with_suffix(".down.sql").read_text(encoding="utf-8"))
