DROP FUNCTION ingestion.made_since;
ALTER TABLE ingestion.proof DROP COLUMN sequence, DROP COLUMN snapshot;
