-- name: server
-- Each figure of the server: its name, what it is about (a label and its value, or neither), and itself.
WITH ours AS (
    -- Parts count as the table that they are parts of.
    SELECT relid, n_dead_tup, n_live_tup, root.relnamespace::regnamespace || '.' || root.relname AS name
    FROM pg_stat_user_tables
    JOIN pg_class AS root ON root.oid = coalesce(pg_partition_root(relid), relid)
    WHERE schemaname = 'ingestion'
        OR (schemaname = 'public' AND pg_stat_user_tables.relname IN ('people', 'processing_status', 's3_metadata'))
), replica AS (
    SELECT coalesce(nullif(application_name, ''), 'unnamed') AS name,
        extract(epoch FROM replay_lag) AS seconds,
        CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) END AS bytes
    FROM pg_stat_replication
)
SELECT 'pool_connections', NULL, NULL, count(*)::float
FROM pg_stat_activity
WHERE application_name = 'ingestion_pipeline' AND datname = current_database()
UNION ALL
SELECT 'postgres_connections', NULL, NULL, coalesce(sum(numbackends), 0)::float FROM pg_stat_database
UNION ALL
SELECT 'postgres_connections_largest', NULL, NULL, current_setting('max_connections')::float
UNION ALL
-- Who only waits, or cleans up, holds nothing up; what other users do is not shown to everybody.
SELECT 'longest_transaction_seconds', NULL, NULL,
    greatest(0, extract(epoch FROM clock_timestamp() - min(xact_start)))::float
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
UNION ALL
SELECT 'cache_hit_percent', NULL, NULL, 100.0 * blks_hit / nullif(blks_hit + blks_read, 0)
FROM pg_stat_database
WHERE datname = current_database()
UNION ALL
SELECT 'deadlocks_total', NULL, NULL, deadlocks FROM pg_stat_database WHERE datname = current_database()
UNION ALL
SELECT 'database_bytes', NULL, NULL, pg_database_size(current_database())::float
UNION ALL
SELECT 'table_bytes', 'table', name, sum(pg_table_size(relid))::float FROM ours GROUP BY name
UNION ALL
SELECT 'index_bytes', 'table', name, sum(pg_indexes_size(relid))::float FROM ours GROUP BY name
UNION ALL
SELECT 'dead_rows', 'table', name, sum(n_dead_tup)::float FROM ours GROUP BY name
UNION ALL
SELECT 'live_rows', 'table', name, sum(n_live_tup)::float FROM ours GROUP BY name
UNION ALL
-- A replica that has everything has no lag to tell.
SELECT 'replica_lag_seconds', 'replica', name, max(CASE WHEN bytes <= 0 THEN 0 ELSE seconds END)::float
FROM replica
GROUP BY name
UNION ALL
SELECT 'replica_lag_bytes', 'replica', name, greatest(0, max(bytes))::float FROM replica GROUP BY name

-- name: site
-- Each figure of the site, as above.
SELECT 'epoch', 'phase', phase, epoch::float FROM ingestion.migration_state
UNION ALL
SELECT 'pending_rows', NULL, NULL, count(*)::float FROM ingestion.pending
UNION ALL
SELECT 'pending_age_seconds', NULL, NULL, coalesce(extract(epoch FROM now() - min(since)), 0)::float
FROM ingestion.pending
UNION ALL
SELECT 'quarantine_undecided', NULL, NULL, count(*)::float FROM ingestion.quarantine WHERE decision IS NULL
UNION ALL
SELECT 'conflicts_undecided', NULL, NULL, count(*)::float
FROM ingestion.quarantine
WHERE decision IS NULL AND scope = 'conflict'
UNION ALL
SELECT named.name, NULL, NULL, named.value
FROM (SELECT differences, stamped_at FROM ingestion.proof ORDER BY id DESC LIMIT 1) AS proof,
    LATERAL (
        VALUES ('proof_differences', proof.differences::float),
            ('proof_age_seconds', greatest(0, extract(epoch FROM now() - proof.stamped_at))::float)
    ) AS named (name, value)
UNION ALL
SELECT 'history_age_seconds', NULL, NULL, greatest(0, extract(epoch FROM now() - newest.at))::float
FROM (SELECT at FROM ingestion.history ORDER BY id DESC LIMIT 1) AS newest
