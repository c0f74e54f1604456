"""The places: a disk, PostgreSQL, a bucket. None knows another."""
