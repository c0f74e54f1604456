"""Tables in parts by hash."""

MOST = 256
"""Parts that a table may be brought into, at most."""
