SELECT ingestion.take_alone('people', 'processing_status', 's3_metadata');

DROP TRIGGER take_note ON people;
DROP TRIGGER note_update ON people;
CREATE TRIGGER note_update AFTER UPDATE ON people REFERENCING OLD TABLE AS was NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_people();
DROP TRIGGER stray ON people;
CREATE TRIGGER stray BEFORE UPDATE ON people FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL) EXECUTE FUNCTION ingestion.stray_person();

DROP TRIGGER take_note ON processing_status;
DROP TRIGGER note_update ON processing_status;
CREATE TRIGGER note_insert AFTER INSERT ON processing_status REFERENCING NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_processing_status();
CREATE TRIGGER note_update AFTER UPDATE ON processing_status REFERENCING OLD TABLE AS was NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_processing_status();
DROP TRIGGER stray ON processing_status;
CREATE TRIGGER stray AFTER INSERT OR UPDATE OR DELETE ON processing_status FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL) EXECUTE FUNCTION ingestion.stray_child();
DROP TRIGGER stray_time ON processing_status;
CREATE TRIGGER stray_time BEFORE UPDATE ON processing_status FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL AND OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION ingestion.stray_time();

DROP TRIGGER take_note ON s3_metadata;
DROP TRIGGER note_update ON s3_metadata;
CREATE TRIGGER note_insert AFTER INSERT ON s3_metadata REFERENCING NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_s3_metadata();
CREATE TRIGGER note_update AFTER UPDATE ON s3_metadata REFERENCING OLD TABLE AS was NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_s3_metadata();
DROP TRIGGER stray ON s3_metadata;
CREATE TRIGGER stray AFTER INSERT OR UPDATE OR DELETE ON s3_metadata FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL) EXECUTE FUNCTION ingestion.stray_child();
DROP TRIGGER stray_time ON s3_metadata;
CREATE TRIGGER stray_time BEFORE UPDATE ON s3_metadata FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL AND OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION ingestion.stray_time();

DROP FUNCTION ingestion.note_person;
DROP FUNCTION ingestion.note_one_processing_status;
DROP FUNCTION ingestion.note_one_s3_metadata;
