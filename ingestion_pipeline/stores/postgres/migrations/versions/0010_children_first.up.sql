-- A first load brings the large rows of processing_status while it reads the file, and people once it has read it:
-- whose they are is then looked at before the transaction ends. Everybody else is held to it at once, as before.
SELECT ingestion.take_alone('people', 'processing_status', 's3_metadata');

ALTER TABLE processing_status
    ALTER CONSTRAINT processing_status_person_id_fkey DEFERRABLE INITIALLY IMMEDIATE;

ALTER TABLE s3_metadata
    ALTER CONSTRAINT s3_metadata_person_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
