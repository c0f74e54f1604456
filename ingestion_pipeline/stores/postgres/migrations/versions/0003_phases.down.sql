ALTER TABLE ingestion.proof DROP COLUMN sequence, DROP COLUMN horizon;
