-- name: at_primary
-- How far the log is on disk, from where it goes to replicas, and whether that is all of it; which server, which of its
-- histories, and which database.
SELECT pg_current_wal_flush_lsn()::text, pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn(), system_identifier,
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int,
    (SELECT oid FROM pg_database WHERE datname = current_database())
FROM pg_control_system()

-- name: bring_to_disk
-- A commit that is waited for takes those along that nobody has waited for, but others see.
SELECT pg_logical_emit_message(true, 'ingestion', '')

-- name: at_replica
-- Whether it replays another server's log; that of this one, its history and its database; and whether it has
-- come that far.
SELECT pg_is_in_recovery(),
    system_identifier = %(system)s AND timeline_id = %(timeline)s
        AND (SELECT oid FROM pg_database WHERE datname = current_database()) = %(database)s,
    coalesce(pg_last_wal_replay_lsn() >= %(lsn)s::pg_lsn, false)
FROM pg_control_system(), pg_control_checkpoint()
