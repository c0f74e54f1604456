-- What some text of the contract means, and nothing else. New values are looked at from here on; those that are there
-- already once this is committed, without keeping anybody waiting: see `schema.validate`.
SELECT ingestion.take_alone('people', 'processing_status', 's3_metadata');

ALTER TABLE people
    ADD CONSTRAINT people_verbatim_is_flat
        CHECK (NOT jsonb_path_exists(verbatim, '$.* ? (@.type() != "string")')) NOT VALID;

ALTER TABLE processing_status
    ADD CONSTRAINT processing_status_last_download_attempt_has_text
        CHECK (last_download_attempt BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999') NOT VALID,
    ADD CONSTRAINT processing_status_extraction_date_has_text
        CHECK (extraction_date BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999') NOT VALID;

ALTER TABLE s3_metadata
    ADD CONSTRAINT s3_metadata_file_uuids_is_flat
        CHECK (NOT jsonb_path_exists(file_uuids, '$.* ? (@.type() != "string")')) NOT VALID,
    ADD CONSTRAINT s3_metadata_s3_paths_is_flat
        CHECK (NOT jsonb_path_exists(s3_paths, '$.* ? (@.type() != "string")')) NOT VALID;

-- A change that did not come through the pipeline gets its time; that of people has it already.
CREATE FUNCTION ingestion.stray_time() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER stray_time BEFORE UPDATE ON processing_status FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL AND OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION ingestion.stray_time();

CREATE TRIGGER stray_time BEFORE UPDATE ON s3_metadata FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL AND OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION ingestion.stray_time();
