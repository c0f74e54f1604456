"""`ingest`: the verbs at the terminal."""

from ingestion_pipeline.cli.commands import ingest


def main() -> None:
    """Run `ingest`."""
    ingest()


__all__ = ["ingest", "main"]
