-- name: export_snapshot
-- Lets pg_dump see this very state; the transaction waits for it, idle, however long it takes.
SELECT pg_export_snapshot(), set_config('idle_in_transaction_session_timeout', '0', true)

-- name: others
-- What lies in public and is not the pipeline's, as a pattern that pg_dump takes to the letter.
SELECT format('public."%%s"', replace(relname, '"', '""'))
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relname !~ %(own)s

-- name: database
-- How this database is spelled and sorted.
SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = current_database()

-- name: create_database
CREATE DATABASE {database} TEMPLATE template0 ENCODING {encoding} LC_COLLATE {collate} LC_CTYPE {ctype}

-- name: keep_to_owner
REVOKE ALL ON DATABASE {database} FROM PUBLIC

-- name: drop_database
DROP DATABASE IF EXISTS {database} WITH (FORCE)

-- name: scratch_databases
-- Those that this role made, or may drop.
SELECT datname FROM pg_database WHERE datname LIKE %(pattern)s AND pg_has_role(datdba, 'USAGE')

-- name: keep_others_out
-- In the order in which writers take them; and a view before its tables, as who reads it does.
DO $$
DECLARE
    one regclass;
BEGIN
    FOR one IN
        SELECT oid FROM pg_class
        WHERE relkind = 'r' AND NOT relispartition AND relnamespace = to_regnamespace('ingestion')
            OR relkind IN ('r', 'p', 'v') AND relnamespace = 'public'::regnamespace AND relname ~ {own}
        ORDER BY relnamespace <> 'public'::regnamespace, relkind <> 'v', relname
    LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', one);
    END LOOP;
END
$$

-- name: refuse_old_epoch
-- Epochs only rise: otherwise writers of an earlier one would be let in.
DO $$
BEGIN
    IF to_regclass('ingestion.migration_state') IS NOT NULL THEN
        IF EXISTS (SELECT FROM ingestion.migration_state WHERE epoch >= {epoch}) THEN
            RAISE EXCEPTION USING ERRCODE = 'IP002', MESSAGE = 'the epoch in force is not before the given one';
        END IF;
    END IF;
END
$$

-- name: keep_numbers
-- The numbers given so far: what was given before must not be given again, since the CSV's journal knows it.
CREATE TEMP TABLE given ON COMMIT DROP AS
SELECT schemaname, sequencename, last_value
FROM pg_sequences
WHERE last_value IS NOT NULL AND (schemaname = 'ingestion' OR schemaname = 'public' AND sequencename ~ {own})

-- name: raise_numbers
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, given.last_value)
FROM pg_temp.given
JOIN pg_sequences AS restored USING (schemaname, sequencename)
WHERE coalesce(restored.last_value, 0) < given.last_value

-- name: keep_known
-- Who is there.
CREATE TEMP TABLE known (row_id text) ON COMMIT DROP;
DO $$
BEGIN
    IF to_regclass('public.people') IS NOT NULL THEN
        INSERT INTO pg_temp.known SELECT row_id FROM public.people;
    END IF;
END
$$

-- name: drop_parts
-- What the dump brings takes the place of tables, which cannot be taken apart while they have parts; and the dump may have
-- other parts, or none.
DO $$
DECLARE
    one record;
BEGIN
    DROP TABLE IF EXISTS ingestion.person CASCADE;
    FOR one IN
        SELECT inhrelid::regclass AS name FROM pg_inherits
        JOIN pg_class ON pg_class.oid = inhparent
        WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace AND relname ~ {own}
    LOOP
        EXECUTE format('DROP TABLE %s', one.name);
    END LOOP;
END
$$

-- name: brake
-- As Brakes.most has it.
DO $$
DECLARE
    stored bigint := (SELECT count(*) FROM pg_temp.known);
    gone bigint := (
        SELECT count(*) FROM pg_temp.known
        WHERE NOT EXISTS (SELECT FROM public.people WHERE people.row_id = known.row_id)
    );
BEGIN
    IF gone > least({rows}, greatest(1, floor({percent} * stored / 100))) THEN
        RAISE EXCEPTION USING ERRCODE = 'IP004', MESSAGE = 'too many people would vanish';
    END IF;
END
$$

-- name: keep_grants
-- What the owner has granted to others, as the statements that grant it again: a dump has none of it.
CREATE TEMP TABLE granted ON COMMIT DROP AS
SELECT format(
    'GRANT %s%s ON %s %s TO %s%s', privilege_type, columns, kind, object,
    CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
) AS again
FROM (
    SELECT '' AS columns, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
        format('%I.%I', nspname, relname) AS object, relacl AS acl, relowner AS owner
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'ingestion' OR nspname = 'public' AND relname ~ {own}
    UNION ALL
    SELECT format('(%I)', attname), 'TABLE', format('%I.%I', nspname, relname), attacl, relowner
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'ingestion' OR nspname = 'public' AND relname ~ {own}
    UNION ALL
    SELECT '', 'SCHEMA', 'ingestion', nspacl, nspowner FROM pg_namespace WHERE nspname = 'ingestion'
) AS owned
CROSS JOIN LATERAL aclexplode(acl)
WHERE grantee <> owner

-- name: grant_again
DO $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT again FROM pg_temp.granted LOOP
        EXECUTE one;
    END LOOP;
END
$$

-- name: keep_roles
-- Whose roles have a part here: the dump's may be another server's.
CREATE TEMP TABLE kept_role (part text, name name) ON COMMIT DROP;
DO $$
BEGIN
    IF to_regclass('ingestion.role') IS NOT NULL THEN
        INSERT INTO pg_temp.kept_role SELECT part, name FROM ingestion.role;
    END IF;
END
$$

-- name: put_roles
DELETE FROM ingestion.role WHERE EXISTS (SELECT FROM pg_temp.kept_role);
INSERT INTO ingestion.role (part, name) SELECT part, name FROM pg_temp.kept_role;
SELECT ingestion.grant_again()

-- name: refuse_other_revision
DO $$
BEGIN
    IF (SELECT version_num FROM ingestion.schema_version) IS DISTINCT FROM {revision} THEN
        RAISE EXCEPTION USING ERRCODE = 'IP003', MESSAGE = 'the dump is of another schema revision';
    END IF;
END
$$

-- name: put_state
-- Whoever began in an earlier epoch is refused from now on.
INSERT INTO ingestion.migration_state (phase, epoch) VALUES ({phase}, {epoch})
ON CONFLICT (singleton) DO UPDATE
SET phase = excluded.phase, epoch = excluded.epoch, changed_at = now(), changed_by = session_user

-- name: note_gap
-- What was between the dump's last change and now is gone from history.
INSERT INTO ingestion.gap (since, until)
SELECT coalesce(max(at), '-infinity'), clock_timestamp() FROM ingestion.history

-- name: refuse_moved
-- What was written since the state before was kept would be nowhere.
DO $$
BEGIN
    IF ({position}) IS DISTINCT FROM {kept} THEN
        RAISE EXCEPTION USING ERRCODE = 'IP005', MESSAGE = 'somebody has written meanwhile';
    END IF;
END
$$

-- name: notice_dead_client
-- Its locks would stand for hours if the machine that restores went away.
SELECT set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),
    set_config('tcp_keepalives_count', '3', false), set_config('client_connection_check_interval', '10s', false)

-- name: clear_pending
DELETE FROM ingestion.pending

-- name: have_rendered
-- A CSV that follows is rendered whole: one person who has moved is enough for that.
INSERT INTO ingestion.pending (row_id, revision, moved)
SELECT people.row_id, people.revision, true
FROM public.people, ingestion.migration_state
WHERE phase = 'database_primary'
LIMIT 1

-- name: analyse
-- Or the first plans would be guesses.
ANALYZE public.people, public.processing_status, public.s3_metadata, ingestion.duplicate, ingestion.quarantine,
    ingestion.history
