-- name: is_alignable
-- Whether every line that is stored is a person's own: no repeats, and no rows in quarantine. And whether maps are
-- known to hold nothing but text: only then does their text say what they hold.
SELECT EXISTS (SELECT FROM people)
    AND 2 = (
        SELECT count(*)
        FROM pg_constraint
        WHERE conrelid = 'public.s3_metadata'::regclass
            AND conname IN ('s3_metadata_file_uuids_is_flat', 's3_metadata_s3_paths_is_flat')
            AND convalidated
    )
    AND NOT EXISTS (SELECT FROM ingestion.duplicate)
    AND NOT EXISTS (SELECT FROM ingestion.standing WHERE scope = 'row')

-- name: known_lines
-- The lines that are stored, in the file's order, each behind its ordinal; with a question mark where its bytes alone
-- do not show that the values are what they say.
COPY (
    SELECT
        record.ordinal::text || CASE
            WHEN NOT record.whole OR record.verbatim IS NOT NULL OR {unmeant}
                OR record.row_id IN (SELECT row_id FROM ingestion.standing WHERE scope = 'cell') THEN '?'
            ELSE ''
        END,
        {cells}
    FROM ingestion.record AS record
    ORDER BY record.ordinal
) TO STDOUT (FORMAT csv{options})
