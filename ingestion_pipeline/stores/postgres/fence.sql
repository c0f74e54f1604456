-- name: keep_writers_out
-- Queued for like any other lock, so that a stream of writers cannot keep it waiting for ever; readers go on.
LOCK TABLE people, processing_status, s3_metadata IN SHARE ROW EXCLUSIVE MODE

-- name: hold_state
SELECT phase, epoch FROM ingestion.migration_state FOR UPDATE

-- name: wait_shortly
-- Who waits for a lock keeps those out who come later.
SELECT set_config('lock_timeout', %(milliseconds)s, true)

-- name: change_phase
UPDATE ingestion.migration_state
SET phase = %(phase)s, epoch = %(epoch)s, changed_at = now(), changed_by = %(by)s

-- name: changed_since
-- Whose rows were made by a transaction that a comparison has not seen. Who is gone shows in the lines.
SELECT row_id FROM people WHERE ingestion.made_since(xmin, %(snapshot)s)
UNION
SELECT row_id FROM processing_status AS child JOIN people ON people.id = child.person_id
WHERE ingestion.made_since(child.xmin, %(snapshot)s)
UNION
SELECT row_id FROM s3_metadata AS child JOIN people ON people.id = child.person_id
WHERE ingestion.made_since(child.xmin, %(snapshot)s)
LIMIT %(limit)s

-- name: other_lines_changed_since
-- Whether lines that are nobody's own were made since: repeated ones, and rows in quarantine. Or somebody has
-- decided on a cell since, and so rewritten the CSV without the journal having a record of it.
SELECT EXISTS (SELECT FROM ingestion.duplicate WHERE ingestion.made_since(xmin, %(snapshot)s))
    OR EXISTS (
        SELECT FROM ingestion.quarantine
        WHERE (scope = 'row' OR decision IN ('drop', 'fix')) AND ingestion.made_since(xmin, %(snapshot)s)
    )

-- name: lines
SELECT count(*) FROM ingestion.line

-- name: without_rows
-- How many people have no row in each of the other tables.
SELECT (SELECT count(*) FROM people) - (SELECT count(*) FROM processing_status),
    (SELECT count(*) FROM people) - (SELECT count(*) FROM s3_metadata)

-- name: unchanged_without_rows
-- How many people whom a snapshot had seen as they are now have none.
SELECT
    count(*) FILTER (WHERE NOT EXISTS (SELECT FROM processing_status WHERE person_id = people.id)),
    count(*) FILTER (WHERE NOT EXISTS (SELECT FROM s3_metadata WHERE person_id = people.id))
FROM people
WHERE NOT ingestion.made_since(xmin, %(snapshot)s)

-- name: placed
-- Where people stand in the file, and their cells; a line that repeats one comes after it.
SELECT record.row_id, line.place{cells}
FROM (
    SELECT person_id, row_number() OVER (ORDER BY ordinal) - 1 AS place FROM ingestion.line
) AS line
JOIN ingestion.record AS record ON record.person_id = line.person_id
WHERE record.row_id = ANY(%(row_ids)s)
ORDER BY line.place DESC

-- name: note_pending
-- The CSV has yet to get them; nobody has noted whether they stand elsewhere now, so they count as moved.
INSERT INTO ingestion.pending (row_id, revision, moved)
SELECT row_id, revision, true FROM people WHERE row_id = ANY(%(row_ids)s)
ON CONFLICT (row_id) DO NOTHING

-- name: clear_pending
DELETE FROM ingestion.pending
