-- name: lines
-- The file's lines in its order: people, repeats of people, and rows in quarantine as they stood.
COPY (
    SELECT {cells}
    FROM ingestion.line AS line
    LEFT JOIN ingestion.record AS record ON record.person_id = line.person_id
    LEFT JOIN ingestion.standing AS quarantine ON quarantine.id = line.quarantine_id
    ORDER BY line.ordinal
) TO STDOUT (FORMAT csv{options})

-- name: dialect
SELECT dialect FROM ingestion.csv_file
