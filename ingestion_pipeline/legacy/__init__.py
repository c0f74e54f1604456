"""What the old scripts import: the calls of their csv_manager, behind which the pipeline reads and writes.

>>> from ingestion_pipeline.legacy import CSVManager
"""

from ingestion_pipeline.legacy.downloads import DownloadResult, RowContext
from ingestion_pipeline.legacy.functions import (
    atomic_csv_update,
    count_links_by_type,
    create_csv_backup,
    get_standard_csv_path,
    load_and_filter_csv,
    load_output_csv,
    process_csv_safely,
    safe_csv_read,
    safe_csv_write,
    streaming_csv_update,
    update_csv_column,
)
from ingestion_pipeline.legacy.links import extract_all_links_from_row, extract_links_from_row
from ingestion_pipeline.legacy.manager import CSVManager

__all__ = [
    "CSVManager",
    "DownloadResult",
    "RowContext",
    "atomic_csv_update",
    "count_links_by_type",
    "create_csv_backup",
    "extract_all_links_from_row",
    "extract_links_from_row",
    "get_standard_csv_path",
    "load_and_filter_csv",
    "load_output_csv",
    "process_csv_safely",
    "safe_csv_read",
    "safe_csv_write",
    "streaming_csv_update",
    "update_csv_column",
]
