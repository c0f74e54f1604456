DROP TRIGGER stray_time ON s3_metadata;
DROP TRIGGER stray_time ON processing_status;
DROP FUNCTION ingestion.stray_time();
ALTER TABLE s3_metadata DROP CONSTRAINT s3_metadata_s3_paths_is_flat, DROP CONSTRAINT s3_metadata_file_uuids_is_flat;
ALTER TABLE processing_status
    DROP CONSTRAINT processing_status_extraction_date_has_text,
    DROP CONSTRAINT processing_status_last_download_attempt_has_text;
ALTER TABLE people DROP CONSTRAINT people_verbatim_is_flat;
