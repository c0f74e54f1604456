"""How long things took, in every process of a site: recorded, kept in small files, and looked back on."""

from ingestion_pipeline.stores.timings.looks import Looks, Recent
from ingestion_pipeline.stores.timings.recording import Recorder, Timing, recorder

__all__ = ["Looks", "Recent", "Recorder", "Timing", "recorder"]
