-- name: find_differences
-- Every record that one side has not, or that differs in a column; the columns are named, never their values.
CREATE TEMP TABLE difference ON COMMIT DROP AS
SELECT
    coalesce(incoming.row_id, record.row_id) AS row_id,
    incoming.row_id IS NOT NULL AS in_file,
    record.row_id IS NOT NULL AS in_tables,
    incoming.position,
    array_remove(ARRAY[{columns}]::text[], NULL) AS columns
FROM incoming
FULL JOIN (
    SELECT record.* FROM ingestion.record AS record JOIN missed USING (ordinal)
) AS record ON record.row_id = incoming.row_id
WHERE incoming.row_id IS NULL OR record.row_id IS NULL OR {differs}

-- name: find_row_differences
-- Rows in quarantine that one side has not.
INSERT INTO difference (row_id, in_file, in_tables, position, columns)
SELECT
    -- A key that is too long to be one may be any text.
    CASE WHEN length(coalesce(found.row_id, stored.row_id)) <= 50
        THEN nullif(coalesce(found.row_id, stored.row_id), '') END,
    found.nth IS NOT NULL, stored.nth IS NOT NULL, found.position, '{}'
FROM (
    SELECT row_id, position, raw, row_number() OVER (PARTITION BY raw ORDER BY position) AS nth FROM rejected
) AS found
FULL JOIN (
    SELECT row_id, raw, row_number() OVER (PARTITION BY raw ORDER BY ordinal) AS nth
    FROM ingestion.standing
    WHERE scope = 'row'
) AS stored USING (raw, nth)
WHERE found.nth IS NULL OR stored.nth IS NULL

-- name: find_repeat_differences
-- Repeated lines that one side has not.
INSERT INTO difference (row_id, in_file, in_tables, position, columns)
SELECT coalesce(found.row_id, stored.row_id), found.nth IS NOT NULL, stored.nth IS NOT NULL,
    found.position, '{}'
FROM (
    SELECT staged.row_id, set_aside.position,
        row_number() OVER (PARTITION BY staged.row_id ORDER BY set_aside.position) AS nth
    FROM set_aside
    JOIN staged USING (position)
    WHERE set_aside.reason IS NULL
) AS found
FULL JOIN (
    SELECT people.row_id, row_number() OVER (PARTITION BY people.row_id ORDER BY duplicate.ordinal) AS nth
    FROM ingestion.duplicate AS duplicate
    JOIN people ON people.id = duplicate.person_id
) AS stored USING (row_id, nth)
WHERE found.nth IS NULL OR stored.nth IS NULL

-- name: standing_people
-- The ordinals of the people who are staged, each behind its position.
COPY (
    SELECT staged.position, people.ordinal
    FROM staged
    JOIN people ON people.row_id = staged.row_id
    WHERE NOT EXISTS (SELECT FROM set_aside WHERE set_aside.position = staged.position)
) TO STDOUT

-- name: people_at
-- The people with these ordinals, in this order.
SELECT people.row_id
FROM unnest(%(ordinals)s::bigint[]) WITH ORDINALITY AS wanted (ordinal, place)
JOIN people USING (ordinal)
ORDER BY place

-- name: count_differences
SELECT
    count(*) FILTER (WHERE NOT in_tables) AS in_file_only,
    count(*) FILTER (WHERE NOT in_file) AS in_tables_only,
    count(*) FILTER (WHERE in_file AND in_tables) AS changed,
    coalesce(sum(CASE WHEN in_file AND in_tables THEN cardinality(columns) ELSE 1 END), 0) AS counted
FROM difference

-- name: first_differences
SELECT row_id, in_file, in_tables, columns
FROM difference
ORDER BY position NULLS LAST, row_id
LIMIT %(limit)s

-- name: misspelled_candidates
-- Records with cells whose original text is kept: it must still mean the value beside it. And records with
-- values that no text means, although they are rendered like one that does.
SELECT row_id, verbatim, unmeant, waiting, {coded}
FROM ingestion.record AS record
CROSS JOIN LATERAL (SELECT array_remove(ARRAY[{unmeant}]::text[], NULL) AS unmeant) AS found
LEFT JOIN (
    SELECT row_id, jsonb_object_agg(column_name, raw -> column_name) AS waiting
    FROM ingestion.standing
    WHERE scope = 'cell'
    GROUP BY row_id
) AS standing USING (row_id)
WHERE verbatim IS NOT NULL OR waiting IS NOT NULL OR cardinality(unmeant) > 0

-- name: position
-- Another one after every change of any kind that was committed: each row version carries the number of the
-- transaction that made it, and a newer one's is higher, so no change leaves both count and sum as they were.
SELECT string_agg(count || '/' || coalesce(sum, 0), ' ' ORDER BY place)
FROM (
    SELECT 1 AS place, count(*) AS count, sum(xmin::text::bigint) AS sum FROM people
    UNION ALL SELECT 2, count(*), sum(xmin::text::bigint) FROM processing_status
    UNION ALL SELECT 3, count(*), sum(xmin::text::bigint) FROM s3_metadata
    UNION ALL SELECT 4, count(*), sum(xmin::text::bigint) FROM ingestion.duplicate
    UNION ALL SELECT 5, count(*), sum(xmin::text::bigint) FROM ingestion.quarantine
    UNION ALL SELECT 6, count(*), sum(xmin::text::bigint) FROM ingestion.csv_file
) AS versions

-- name: seen
-- Which transactions this state of the tables has seen.
SELECT pg_current_snapshot()::text

-- name: seen_at_least
-- The same on a replica, which does not know which of the later transactions are over: those count as not seen.
SELECT format('%s:%s:', pg_snapshot_xmin(seen), pg_snapshot_xmin(seen)) FROM pg_current_snapshot() AS seen

-- name: may_stamp
SELECT has_table_privilege('ingestion.proof', 'INSERT')

-- name: stamp
INSERT INTO ingestion.proof (
    epoch, csv_sha256, position, contract_version, rows, differences, pending, undecided, bytes_equal,
    way_back_rehearsed, run_id, sequence, snapshot
)
VALUES (
    %(epoch)s, %(csv_sha256)s, %(position)s, %(contract_version)s, %(rows)s, %(differences)s, %(pending)s,
    %(undecided)s, %(bytes_equal)s, %(way_back_rehearsed)s, %(run_id)s, %(sequence)s, %(snapshot)s
)
