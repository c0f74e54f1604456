-- name: has_begun
SELECT to_regclass('ingestion.migration_state') IS NOT NULL

-- name: read
SELECT phase, epoch FROM ingestion.migration_state

-- name: read_for_share
-- Held to the end of the transaction, so that no change of phase comes between.
SELECT phase, epoch FROM ingestion.held_phase()

-- name: begin_site
-- A fresh site begins, with the CSV leading; a site that has begun keeps its phase.
SELECT ingestion.begin_site(%(phase)s, %(epoch)s)

-- name: establish
-- A database that holds nothing begins, in whatever phase was in force elsewhere.
INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%(phase)s, %(epoch)s) ON CONFLICT DO NOTHING

-- name: is_synced
SELECT EXISTS (SELECT FROM ingestion.csv_file)

-- name: go_on_from
-- What PostgreSQL says was left behind while it was away: from here on it says what the ledger does.
UPDATE ingestion.migration_state
SET phase = %(phase)s, epoch = %(epoch)s, changed_at = now(), changed_by = session_user
WHERE epoch < %(epoch)s

-- name: last_proofs
-- The newest first.
SELECT epoch, csv_sha256, position, contract_version, rows, differences, pending, undecided, bytes_equal,
    way_back_rehearsed, run_id, sequence, snapshot, stamped_at
FROM ingestion.proof
ORDER BY id DESC
LIMIT %(limit)s

-- name: count_quarantine
-- Entries that stand, undecided and accepted, by scope.
SELECT
    count(*) FILTER (WHERE decision IS NULL) AS undecided,
    count(*) FILTER (WHERE decision = 'accept') AS accepted,
    count(*) FILTER (WHERE scope = 'row' AND decision IS NULL) AS rows,
    count(*) FILTER (WHERE scope = 'cell' AND decision IS NULL) AS cells,
    count(*) FILTER (WHERE scope = 'conflict' AND decision IS NULL) AS conflicts
FROM ingestion.quarantine

-- name: quarantine
SELECT id, scope, reason, CASE WHEN length(row_id) <= 50 THEN row_id ELSE '' END, column_name, decision, decided_by, decided_at, found_at
FROM ingestion.quarantine
WHERE %(all)s OR decision IS NULL
ORDER BY id

-- name: quarantine_entry
SELECT id, scope, reason, CASE WHEN length(row_id) <= 50 THEN row_id ELSE '' END, column_name, decision, decided_by, decided_at, found_at, raw
FROM ingestion.quarantine
WHERE id = %(id)s

-- name: decide
UPDATE ingestion.quarantine
SET decision = %(decision)s, decided_by = %(decided_by)s, decided_at = now()
WHERE id = %(id)s AND (decision IS NULL OR decision = 'accept')

-- name: counts
SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM processing_status),
    (SELECT count(*) FROM s3_metadata)

-- name: durability
SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
    current_setting('synchronous_commit') <> 'off', current_setting('server_version'),
    current_setting('server_encoding')

-- name: settings
-- As they are in force; times in milliseconds.
SELECT lower(name), setting FROM pg_settings WHERE lower(name) = ANY(%(names)s)
