DROP TABLE ingestion.proof, ingestion.csv_file, ingestion.migration_state;
ALTER TABLE people ALTER ordinal DROP DEFAULT;
DROP FUNCTION ingestion.top_ordinal();
DROP VIEW ingestion.line, ingestion.record;
DROP TABLE ingestion.quarantine, ingestion.duplicate, s3_metadata, processing_status, people;
DROP SEQUENCE ingestion.revision;
