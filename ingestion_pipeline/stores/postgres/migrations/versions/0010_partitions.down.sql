SELECT ingestion.partition_tables(0);
DROP TRIGGER note_delete ON people;
CREATE TRIGGER note_delete BEFORE DELETE ON people
FOR EACH ROW EXECUTE FUNCTION ingestion.note_gone();
DROP FUNCTION ingestion.partition_tables(integer);
DROP FUNCTION ingestion.parts();
DROP FUNCTION ingestion.refuse_part();
DROP FUNCTION ingestion.person_moves();
DROP FUNCTION ingestion.person_comes();
DROP FUNCTION ingestion.note_renamed();
DROP FUNCTION ingestion.is_renamed(bigint);
