"""PostgreSQL: the three tables, the state that guards them, and the server in a wheel."""
