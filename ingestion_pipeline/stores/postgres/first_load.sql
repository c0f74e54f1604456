-- name: is_empty
-- Whether nothing is stored that a load would have to be compared with.
SELECT NOT EXISTS (SELECT FROM people)
    AND NOT EXISTS (SELECT FROM ingestion.quarantine WHERE decision IS NULL OR decision = 'accept')

-- name: begin
SAVEPOINT first_load

-- name: take_back
ROLLBACK TO SAVEPOINT first_load

-- name: last_id
SELECT nextval(pg_get_serial_sequence('people', 'id'))

-- name: let_children_come_first
SET CONSTRAINTS ALL DEFERRED

-- name: may_pass_triggers
-- A superuser may, or whoever was granted it.
SELECT has_parameter_privilege('session_replication_role', 'SET')

-- name: pass_triggers
-- A load notes nothing of children, and whose they are is looked at for all at once: row by row it takes a third of the time.
SET LOCAL session_replication_role = replica

-- name: heed_triggers
SET LOCAL session_replication_role = origin

-- name: has_orphans
SELECT EXISTS (SELECT FROM processing_status WHERE NOT EXISTS (SELECT FROM people WHERE people.id = person_id))
    OR EXISTS (SELECT FROM s3_metadata WHERE NOT EXISTS (SELECT FROM people WHERE people.id = person_id))

-- name: copy_people
COPY people (id, ordinal, write_id, verbatim{columns}) FROM STDIN (FORMAT csv{options})

-- name: copy_child
COPY {table} (person_id{columns}) FROM STDIN (FORMAT csv{options})

-- name: check_children
SET CONSTRAINTS ALL IMMEDIATE

-- name: go_on_from
SELECT setval(pg_get_serial_sequence('people', 'id'), %(last)s)

-- name: create_found_cell
-- The cells the file holds that are in quarantine.
CREATE TEMP TABLE found_cell (
    row_id text COLLATE "C" NOT NULL, column_name text NOT NULL, reason text NOT NULL, raw jsonb NOT NULL
) ON COMMIT DROP

-- name: copy_found_cell
COPY found_cell FROM STDIN (FORMAT csv)
