-- name: be_bulk
-- History notes that rows were loaded, not with what; and revisions go on from the journal's.
SELECT set_config('ingestion.bulk', 'on', true),
    CASE WHEN last_value < %(least)s THEN setval('ingestion.revision', %(least)s) END
FROM ingestion.revision

-- name: lock
-- One bulk load at a time, and no writer meanwhile; readers go on.
LOCK TABLE people, processing_status, s3_metadata,
    ingestion.duplicate, ingestion.quarantine, ingestion.csv_file
IN SHARE ROW EXCLUSIVE MODE

-- name: find_changes
-- The file's records that PostgreSQL has not, or has otherwise; unchanged rows are never touched.
CREATE TEMP TABLE change ON COMMIT DROP AS
SELECT
    incoming.position,
    coalesce(record.person_id, nextval(pg_get_serial_sequence('people', 'id'))) AS person_id,
    record.person_id IS NULL AS is_new
FROM incoming
LEFT JOIN ingestion.record AS record USING (row_id)
WHERE record.person_id IS NULL OR NOT record.whole OR {differs}
    OR record.verbatim - {all_coded} <> '{{}}'
    OR jsonb_path_exists(record.verbatim, 'strict $.* ? (@.type() != "string")')

-- name: analyse_changes
ANALYZE change

-- name: find_gone
-- People the file no longer holds.
CREATE TEMP TABLE gone ON COMMIT DROP AS
SELECT people.id AS person_id
FROM people
JOIN missed USING (ordinal)
WHERE NOT EXISTS (SELECT FROM incoming WHERE incoming.row_id = people.row_id)

-- name: count_emptied
-- Per column of the file, how many stored cells with text would be left without any.
SELECT {counts}
FROM change
JOIN staged USING (position)
JOIN ingestion.record AS record USING (person_id)
WHERE NOT change.is_new

-- name: count_found
SELECT
    (SELECT count(*) FROM change WHERE is_new) AS inserted,
    (SELECT count(*) FROM change WHERE NOT is_new) AS updated,
    (SELECT count(*) FROM gone) AS deleted,
    (SELECT count(*) FROM gone JOIN ingestion.record AS record USING (person_id)
        WHERE EXISTS (SELECT FROM rejected WHERE rejected.row_id = record.row_id) AND ({held_elsewhere})
    ) AS stranded,
    (SELECT count(*) FROM set_aside) AS set_aside,
    (SELECT count(*) FROM set_aside WHERE reason IS NOT NULL) AS rejected,
    (SELECT coalesce(sum((SELECT count(*) FROM jsonb_object_keys(correction.reasons))), 0)
        FROM correction
        WHERE NOT EXISTS (SELECT FROM set_aside WHERE set_aside.position = correction.position)
    ) AS quarantined_cells,
    (SELECT count(*) FROM people) AS stored

-- name: find_standing
-- Which line of the file each stored repeat and each stored row in quarantine is; the nth stands for the nth.
CREATE TEMP TABLE standing ON COMMIT DROP AS
SELECT position, ordinal, NULL::bigint AS quarantine_id
FROM (
    SELECT set_aside.position, people.id AS person_id,
        row_number() OVER (PARTITION BY people.id ORDER BY set_aside.position) AS nth
    FROM set_aside
    JOIN staged ON staged.position = set_aside.first_position
    JOIN people USING (row_id)
    WHERE set_aside.reason IS NULL
) AS repeated
JOIN (
    SELECT ordinal, person_id, row_number() OVER (PARTITION BY person_id ORDER BY ordinal) AS nth
    FROM ingestion.duplicate
) AS stored USING (person_id, nth)
UNION ALL
SELECT position, ordinal, quarantine_id
FROM (
    SELECT position, raw, reason, column_name,
        row_number() OVER (PARTITION BY raw, reason, column_name ORDER BY position) AS nth
    FROM rejected
) AS found
JOIN (
    SELECT id AS quarantine_id, ordinal, raw, reason, column_name,
        row_number() OVER (PARTITION BY raw, reason, column_name ORDER BY ordinal) AS nth
    FROM ingestion.quarantine
    WHERE scope = 'row' AND (decision IS NULL OR decision = 'accept')
) AS stored USING (raw, reason, column_name, nth)

-- name: standing_ordinals
-- The ordinals of the lines that are staged and stand somewhere already, each behind its position.
COPY (
    SELECT staged.position, coalesce(standing.ordinal, people.ordinal)
    FROM staged
    LEFT JOIN set_aside USING (position)
    LEFT JOIN standing USING (position)
    LEFT JOIN people ON set_aside.position IS NULL AND people.row_id = staged.row_id
    WHERE coalesce(standing.ordinal, people.ordinal) IS NOT NULL
) TO STDOUT

-- name: create_placement
-- The ordinals of lines that are new or stand elsewhere now, and where those stood.
CREATE TEMP TABLE placement (
    position bigint PRIMARY KEY, ordinal bigint NOT NULL, stood bigint UNIQUE
) ON COMMIT DROP

-- name: place_all
-- An empty database: every line in file order.
INSERT INTO placement SELECT position, position * %(gap)s FROM staged

-- name: copy_placement
COPY placement (position, ordinal, stood) FROM STDIN

-- name: delete_gone
DELETE FROM people USING gone WHERE people.id = gone.person_id

-- name: move_people
UPDATE people
SET ordinal = placement.ordinal, updated_at = now(), revision = nextval('ingestion.revision'),
    write_id = %(write_id)s
FROM placement
WHERE people.ordinal = placement.stood

-- name: update_people
UPDATE people
SET {assignments}
    verbatim = nullif(
        coalesce(
            (SELECT jsonb_object_agg(key, value) FROM jsonb_each(people.verbatim) WHERE key = ANY({absent_coded})),
            '{{}}'
        ) || coalesce(incoming.verbatim, '{{}}'),
        '{{}}'
    ),
    revision = {revision}, write_id = %(write_id)s, updated_at = now()
FROM change
JOIN incoming USING (position)
WHERE people.id = change.person_id AND NOT change.is_new{unless_newer}

-- name: insert_people
INSERT INTO people (id, ordinal, verbatim, write_id, {columns}{absent})
SELECT change.person_id, placement.ordinal, incoming.verbatim, %(write_id)s, {incoming}{blank}
FROM change
JOIN incoming USING (position)
JOIN placement USING (position)
WHERE change.is_new
ORDER BY change.position

-- name: upsert_child
-- The person's row in a child table: made if it is not there, written only if it differs.
INSERT INTO {table} (person_id{columns})
SELECT change.person_id{incoming}
FROM change
JOIN incoming USING (position)
ORDER BY change.position
ON CONFLICT (person_id) DO {action}

-- name: update_child
-- The action of upsert_child where the file has columns of the table.
UPDATE SET {assignments}, updated_at = now() WHERE {differs}

-- name: delete_repeats
-- Repeats that the file no longer holds, or holds elsewhere.
DELETE FROM ingestion.duplicate
WHERE NOT EXISTS (
    SELECT FROM standing
    WHERE standing.ordinal = duplicate.ordinal
        AND NOT EXISTS (SELECT FROM placement WHERE placement.position = standing.position)
)

-- name: insert_repeats
INSERT INTO ingestion.duplicate (ordinal, person_id)
SELECT placement.ordinal, people.id
FROM set_aside
JOIN placement USING (position)
JOIN staged ON staged.position = set_aside.first_position
JOIN people USING (row_id)
WHERE set_aside.reason IS NULL

-- name: supersede_rows
-- Rows in quarantine that the file no longer holds.
UPDATE ingestion.quarantine
SET decision = 'superseded', decided_at = now(), decided_by = session_user
WHERE scope = 'row' AND (decision IS NULL OR decision = 'accept')
    AND NOT EXISTS (SELECT FROM standing WHERE standing.quarantine_id = quarantine.id)

-- name: move_rows
UPDATE ingestion.quarantine
SET ordinal = placement.ordinal
FROM standing
JOIN placement USING (position)
WHERE quarantine.id = standing.quarantine_id

-- name: quarantine_rows
INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, ordinal, file_sha256)
SELECT 'row', rejected.reason, rejected.row_id, rejected.column_name, rejected.raw, placement.ordinal,
    %(sha256)s
FROM rejected
JOIN placement USING (position)
WHERE NOT EXISTS (SELECT FROM standing WHERE standing.position = rejected.position)

-- name: find_cells
-- The cells the file holds that are in quarantine.
CREATE TEMP TABLE found_cell ON COMMIT DROP AS
SELECT staged.row_id, fault.key AS column_name, fault.value AS reason,
    jsonb_build_object(fault.key, correction.verbatim -> fault.key) AS raw
FROM correction
JOIN staged USING (position)
CROSS JOIN LATERAL jsonb_each_text(correction.reasons) AS fault
WHERE NOT EXISTS (SELECT FROM set_aside WHERE set_aside.position = correction.position)

-- name: supersede_cells
-- Cells in quarantine that the file no longer holds; those of columns it has not go with their person only.
UPDATE ingestion.quarantine
SET decision = 'superseded', decided_at = now(), decided_by = session_user
WHERE scope = 'cell' AND (decision IS NULL OR decision = 'accept')
    AND (
        column_name = ANY({columns})
        OR NOT EXISTS (SELECT FROM people WHERE people.row_id = quarantine.row_id)
    )
    AND NOT EXISTS (
        SELECT FROM found_cell
        WHERE (found_cell.row_id, found_cell.column_name, found_cell.raw)
            = (quarantine.row_id, quarantine.column_name, quarantine.raw)
    )

-- name: quarantine_cells
INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, file_sha256)
SELECT 'cell', reason, row_id, column_name, raw, %(sha256)s
FROM found_cell
WHERE NOT EXISTS (
    SELECT FROM ingestion.quarantine AS standing
    WHERE standing.scope = 'cell' AND (standing.decision IS NULL OR standing.decision = 'accept')
        AND (found_cell.row_id, found_cell.column_name, found_cell.raw)
            = (standing.row_id, standing.column_name, standing.raw)
)

-- name: remember_file
INSERT INTO ingestion.csv_file (sha256, size, rows, dialect)
VALUES (%(sha256)s, %(size)s, %(rows)s, %(dialect)s)
ON CONFLICT (singleton) DO UPDATE SET
    sha256 = excluded.sha256, size = excluded.size, rows = excluded.rows, dialect = excluded.dialect,
    synced_at = now()
WHERE (csv_file.sha256, csv_file.dialect) IS DISTINCT FROM (excluded.sha256, excluded.dialect)
