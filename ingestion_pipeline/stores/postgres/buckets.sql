-- name: next_revision
-- A number that no change has had.
SELECT nextval('ingestion.revision')

-- name: pin
-- An ordinal that no line stands behind, and how many people the other side has yet to get.
SELECT
    (SELECT coalesce(max(ordinal), 0) FROM ingestion.line),
    (SELECT count(*) FROM ingestion.pending)

-- name: wait
-- The same bucket is done by one at a time; who comes second finds it done.
SELECT set_config('lock_timeout', '0', true), pg_advisory_xact_lock(hashtextextended(%(name)s, 0))

-- name: wait_no_longer
SELECT set_config('lock_timeout', %(milliseconds)s, true)

-- name: hold_tables
-- Other buckets and single writers go on; what takes all of the tables waits, and is waited for.
LOCK TABLE people, processing_status, s3_metadata, ingestion.quarantine IN ROW EXCLUSIVE MODE

-- name: create_place
-- Where each row of the bucket is to stand if it is new: behind all that was stored, in the file's order.
CREATE TEMP TABLE place (position bigint PRIMARY KEY, ordinal bigint NOT NULL) ON COMMIT DROP

-- name: copy_place
COPY place (position, ordinal) FROM STDIN

-- name: find_changes
-- The bucket's people whom PostgreSQL has not, or has otherwise and not newer.
CREATE TEMP TABLE change ON COMMIT DROP AS
SELECT
    incoming.position,
    coalesce(record.person_id, nextval(pg_get_serial_sequence('people', 'id'))) AS person_id,
    record.person_id IS NULL AS is_new
FROM incoming
LEFT JOIN ingestion.record AS record USING (row_id)
WHERE record.person_id IS NULL
    OR (record.revision < %(sequence)s AND (NOT record.whole OR {differs}))

-- name: analyse
ANALYZE change, place

-- name: leave_quarantined
-- Where quarantine has a part, the step decides that sees all buckets.
DELETE FROM change
USING staged
WHERE staged.position = change.position
    AND (
        change.position IN (SELECT position FROM correction WHERE reasons <> '{{}}')
        OR staged.row_id IN (SELECT row_id FROM rejected)
        OR staged.row_id IN (SELECT row_id FROM ingestion.standing)
    )

-- name: leave_emptied
-- Where text would be lost, a brake may have to do with it, which counts over all buckets.
DELETE FROM change
USING staged, ingestion.record AS record
WHERE NOT change.is_new AND staged.position = change.position AND record.person_id = change.person_id
    AND ({emptied})

-- name: insert_people
INSERT INTO people (id, ordinal, revision, verbatim, write_id, {columns}{absent})
SELECT change.person_id, place.ordinal, %(sequence)s, incoming.verbatim, %(write_id)s, {incoming}{blank}
FROM change
JOIN incoming USING (position)
JOIN place USING (position)
WHERE change.is_new
ORDER BY incoming.row_id
ON CONFLICT (row_id) DO NOTHING

-- name: forget_overtaken
-- People whom somebody else has written or made meanwhile. One look-up each: the planner knows nothing of write_id.
DELETE FROM change
WHERE (SELECT write_id FROM people WHERE people.id = change.person_id) IS DISTINCT FROM %(write_id)s::uuid

-- name: count_left
-- What the last step has to look at: rows that are not loaded, or are stored otherwise still.
SELECT
    (SELECT count(*) FROM set_aside)
    + (SELECT count(*) FROM incoming LEFT JOIN ingestion.record AS record USING (row_id)
        WHERE record.person_id IS NULL OR NOT record.whole OR {differs})

-- name: is_in_bucket
-- Whether a row_id belongs to the bucket; `bucket_of` says the same in Python.
{buckets} = 1 OR (
    'x' || encode(substr(sha256(convert_to({row_id}, 'UTF8')), 1, 4), 'hex')
)::bit(32)::bigint % {buckets} = {bucket}

-- name: lines
-- The bucket's lines, each behind its place in the whole file.
COPY (
    SELECT line.place, {cells}
    FROM (
        SELECT row_number() OVER (ORDER BY ordinal) AS place, person_id, quarantine_id FROM ingestion.line
    ) AS line
    LEFT JOIN ingestion.record AS record ON record.person_id = line.person_id
    LEFT JOIN ingestion.standing AS quarantine ON quarantine.id = line.quarantine_id
    WHERE {is_in_bucket}
) TO STDOUT (FORMAT csv{options})
