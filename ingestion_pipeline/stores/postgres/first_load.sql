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
