-- name: grant_again
-- What a revision has made is granted too, by the same transaction.
DO $$
BEGIN
    IF to_regprocedure('ingestion.grant_again()') IS NOT NULL THEN
        PERFORM ingestion.grant_again();
    END IF;
END
$$

-- name: not_validated
-- Constraints that rows from before have not been looked at for.
SELECT relname, conname
FROM pg_constraint
JOIN pg_class ON pg_class.oid = conrelid
WHERE relnamespace = 'public'::regnamespace AND relname IN ('people', 'processing_status', 's3_metadata')
    AND contype = 'c' AND NOT convalidated
ORDER BY relname, conname

-- name: validate
ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}
