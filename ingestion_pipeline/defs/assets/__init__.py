"""The assets: the CSV, the three tables, the versions."""
