"""Adoption: what of an old checkout touches the CSV, told by its code alone, which is never run."""

from ingestion_pipeline.domain.adoption.access import LEGACY, Access, Certainty, Unreadable, What
from ingestion_pipeline.domain.adoption.checkout import Checkout, Findings, Patch
from ingestion_pipeline.domain.adoption.target import Target

__all__ = [
    "LEGACY",
    "Access",
    "Certainty",
    "Checkout",
    "Findings",
    "Patch",
    "Target",
    "Unreadable",
    "What",
]
