-- name: carry
-- What this transaction carries past the fence and into history; and its number.
SELECT pg_current_xact_id()::text, set_config('ingestion.epoch', %(epoch)s, true),
    set_config('ingestion.actor', %(actor)s, true)

-- name: write_alone
-- Sent at once and without BEGIN, these are one transaction, which is committed if all of it succeeds.
SET LOCAL ingestion.epoch = {epoch}; SET LOCAL ingestion.actor = {actor}; EXECUTE {statement} ({values})

-- name: name_actor
-- Whose write comes next.
SELECT set_config('ingestion.actor', %(actor)s, true)

-- name: execute_as
-- Whose write this is, and the write.
SET LOCAL ingestion.actor = {actor}; EXECUTE {statement} ({values})

-- name: backend
-- The server's process behind this connection, told from any other of the same number.
SELECT pg_backend_pid(), backend_start::text FROM pg_stat_get_activity(pg_backend_pid())

-- name: has_ended
-- Whether that process is gone, so that what it was told to do is done by now, or never will be.
SELECT NOT EXISTS (
    SELECT FROM pg_stat_get_activity(NULL)
    WHERE pid = %(pid)s AND (backend_start IS NULL OR backend_start = %(start)s::timestamptz)
)

-- name: begin_to_follow
-- What this transaction carries past the fence; and the next revision is higher than any the journal has given. And
-- whether anything was ever synced.
SET LOCAL ingestion.epoch = %(epoch)s;
SELECT last_value, EXISTS (SELECT FROM ingestion.csv_file),
    CASE WHEN last_value < %(least)s THEN setval('ingestion.revision', %(least)s) END
FROM ingestion.revision

-- name: update_person
-- A person's named columns in all three tables; no row where there is none, or a newer one.
PREPARE {statement} ({types}) AS
WITH person AS (
    UPDATE people
    SET {assignments} write_id = $2::uuid, updated_at = now(),
        revision = coalesce($3::bigint, nextval('ingestion.revision'))
    WHERE row_id = $1 AND ($3 IS NULL OR revision < $3::bigint)
    RETURNING id, revision
){children}
SELECT revision FROM person

-- name: insert_person
-- A new person in all three tables; no row where there is one.
PREPARE {statement} ({types}) AS
WITH person AS (
    INSERT INTO people (row_id, write_id, revision, verbatim{columns})
    VALUES ($1, $2::uuid, coalesce($3::bigint, nextval('ingestion.revision')), nullif($4::jsonb, '{{}}'){values})
    ON CONFLICT (row_id) DO NOTHING
    RETURNING id, revision
){children}
SELECT revision FROM person

-- name: upsert_child
-- One child table's part of a write.
, {table} AS (
    INSERT INTO {table} (person_id{columns}) SELECT id{values} FROM person
    ON CONFLICT (person_id) DO UPDATE SET {assignments} updated_at = now()
)

-- name: supersede_cells
-- Cells in quarantine that the write has given another text.
, superseded AS (
    UPDATE ingestion.quarantine
    SET decision = 'superseded', decided_at = now(), decided_by = session_user
    WHERE scope = 'cell' AND row_id = $1 AND (decision IS NULL OR decision = 'accept')
        AND column_name = ANY({coded})
        AND raw ->> column_name IS DISTINCT FROM $4::jsonb ->> column_name
        AND EXISTS (SELECT FROM person)
)

-- name: delete
DELETE FROM people WHERE row_id = ANY(%(row_ids)s) RETURNING row_id

-- name: supersede_deleted
-- Cells in quarantine that go with their person.
UPDATE ingestion.quarantine
SET decision = 'superseded', decided_at = now(), decided_by = session_user
WHERE scope = 'cell' AND row_id = ANY(%(row_ids)s) AND (decision IS NULL OR decision = 'accept')

-- name: count_people
SELECT count(*) FROM people

-- name: last_revision
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM ingestion.revision

-- name: execute
-- Under the name that the transaction carries already.
EXECUTE {statement} ({values})

-- name: lock_write_id
-- Two that bring the same write at once come one after the other.
SELECT pg_advisory_xact_lock(hashtextextended(%(write_id)s, 0))

-- name: written
-- What came of a write, if it was committed.
SELECT row_id, revision, operation = 'insert' FROM ingestion.history
WHERE write_id = %(write_id)s AND table_name = 'people'
ORDER BY id
LIMIT 1

-- name: transaction_status
SELECT pg_xact_status(%(xid)s::xid8)

-- name: remember_file
-- The file that the tables have been made equal to.
UPDATE ingestion.csv_file SET sha256 = %(sha256)s, size = %(size)s, rows = %(rows)s, synced_at = now()
WHERE sha256 <> %(sha256)s

-- name: hold
SELECT FROM people WHERE row_id = %(row_id)s FOR UPDATE

-- name: supersede_conflict
-- Of several writes of a cell that are in conflict, the last one counts.
UPDATE ingestion.quarantine
SET decision = 'superseded', decided_at = now(), decided_by = session_user
WHERE scope = 'conflict' AND row_id = %(row_id)s AND column_name = %(column)s AND raw <> %(raw)s
    AND decision IS NULL

-- name: quarantine_conflict
-- Both texts of a cell that was written on both sides while they could not see each other.
INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, file_sha256)
SELECT 'conflict', 'conflict', %(row_id)s, %(column)s, %(raw)s, ''
WHERE NOT EXISTS (
    SELECT FROM ingestion.quarantine
    WHERE scope = 'conflict' AND row_id = %(row_id)s AND column_name = %(column)s AND raw = %(raw)s
        AND decision IS NULL
)

-- name: pending
-- How many people the CSV has yet to get, and for how long.
SELECT count(*), coalesce(extract(epoch FROM now() - min(since)), 0)::float FROM ingestion.pending

-- name: dirty
-- People the CSV has yet to get, as they are now; one whose row_id a row in quarantine has too is not told
-- apart from it by the CSV, and so counts as moved.
SELECT pending.row_id, pending.revision,
    pending.moved OR EXISTS (
        SELECT FROM ingestion.standing
        WHERE scope = 'row' AND standing.row_id = pending.row_id
    ),
    record.ordinal{cells}
FROM ingestion.pending
LEFT JOIN ingestion.record AS record ON record.row_id = pending.row_id
ORDER BY record.ordinal
LIMIT %(limit)s

-- name: lowest
-- Where the first line stands that the CSV has already.
SELECT coalesce(min(line.ordinal), 9223372036854775807)
FROM ingestion.line AS line
LEFT JOIN people ON people.id = line.person_id
WHERE NOT EXISTS (SELECT FROM ingestion.pending WHERE pending.row_id = people.row_id)

-- name: clear
-- Those that have not changed since; a row that somebody is writing now is not waited for.
DELETE FROM ingestion.pending WHERE row_id IN (
    SELECT row_id
    FROM ingestion.pending
    JOIN unnest(%(row_ids)s::text[], %(revisions)s::bigint[]) AS copied (row_id, revision) USING (row_id, revision)
    FOR UPDATE OF pending SKIP LOCKED
)

-- name: record
SELECT {cells} FROM ingestion.record AS record WHERE row_id = %(row_id)s

-- name: records
SELECT {cells} FROM ingestion.record AS record ORDER BY ordinal

-- name: history
SELECT at, operation, table_name, changed, revision, epoch, write_id, actor
FROM ingestion.history
WHERE row_id = %(row_id)s
ORDER BY id
