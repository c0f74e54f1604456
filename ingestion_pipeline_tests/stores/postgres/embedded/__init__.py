"""The embedded server with real processes."""
