-- name: is_alignable
-- Whether every line that is stored is a person's own: no repeats, and no rows in quarantine.
SELECT EXISTS (SELECT FROM people)
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
