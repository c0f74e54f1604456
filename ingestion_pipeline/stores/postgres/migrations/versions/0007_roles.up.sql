-- The roles that have a part in this database; empty until `ingest db roles --create`.
CREATE TABLE ingestion.role (
    part text COLLATE "C" CONSTRAINT role_pkey PRIMARY KEY
        CONSTRAINT role_part_known CHECK (part IN ('owner', 'writer', 'reader')),
    name name NOT NULL CONSTRAINT role_name_key UNIQUE
);

-- What stands in quarantine, and so in the CSV: a reader renders and compares it, and sees nothing else of quarantine.
-- A barrier, so that no condition of a reader's own is asked of the other entries.
CREATE VIEW ingestion.standing WITH (security_barrier) AS
SELECT id, scope, row_id, column_name, raw, ordinal
FROM ingestion.quarantine
WHERE scope IN ('row', 'cell') AND (decision IS NULL OR decision = 'accept');

-- The phase in force, held to the end of the transaction: who may not change it may not lock it otherwise.
CREATE FUNCTION ingestion.held_phase() RETURNS TABLE (phase text, epoch bigint) LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT state.phase, state.epoch FROM ingestion.migration_state AS state FOR SHARE;
END;

-- A fresh site begins, with the CSV leading; a site that has begun keeps its phase.
CREATE FUNCTION ingestion.begin_site(first text, number bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO ingestion.migration_state (phase, epoch)
    SELECT first, number WHERE first IN ('original', 'dual_write')
    ON CONFLICT DO NOTHING;
END;

-- Takes tables for this transaction alone. Who waits for a lock keeps those out who come later: so it waits shortly,
-- and often.
CREATE FUNCTION ingestion.take_alone(VARIADIC tables regclass[]) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET lock_timeout = '300ms' AS
$$
DECLARE
    listed text := (SELECT string_agg(one::text, ', ' ORDER BY place) FROM unnest(tables) WITH ORDINALITY AS t (one, place));
BEGIN
    FOR attempt IN 1..20 LOOP
        BEGIN
            EXECUTE 'LOCK TABLE ' || listed || ' IN ACCESS EXCLUSIVE MODE';
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            PERFORM pg_sleep(random() * 0.3);
        END;
    END LOOP;
    RAISE lock_not_available USING MESSAGE = 'somebody keeps the tables locked';
END
$$;

-- Makes all there is the owner's, and grants the writer and the reader what they need and no more. Whatever comes with
-- a later revision is covered: tables are read by the two and written by the writer unless they are named here, and a
-- function that runs as the owner is nobody else's unless it is named here.
CREATE FUNCTION ingestion.grant_roles(owner name, writer name, reader name) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    others text := format('%I, %I', writer, reader);
    -- Written by the owner, by triggers and by functions that are named below.
    guarded CONSTANT text[] := '{migration_state,history,gap,role,schema_version}';
    -- Not read by the reader: what was, what is in conflict, and what is in the CSV no more.
    private CONSTANT text[] := '{history,quarantine}';
    -- Written by the writer in part.
    in_part CONSTANT jsonb := '{
        "proof": "INSERT", "quarantine": "INSERT, UPDATE", "csv_file": "INSERT, UPDATE", "pending": "DELETE, UPDATE (since)"
    }';
    ours oid[] := ARRAY(
        SELECT pg_class.oid FROM pg_class
        WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND (
            relnamespace = 'ingestion'::regnamespace
            OR relnamespace = 'public'::regnamespace
                AND relname ~ '^((people|processing_status|s3_metadata)(_id_seq\d*)?|people_full)$'
        )
    );
    one record;
BEGIN
    DELETE FROM ingestion.role;
    INSERT INTO ingestion.role VALUES ('owner', owner), ('writer', writer), ('reader', reader);

    IF has_database_privilege(current_database(), 'CREATE WITH GRANT OPTION') THEN
        EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I, %s', current_database(), owner, others);
        EXECUTE format('GRANT CREATE ON DATABASE %I TO %I', current_database(), owner);
    END IF;
    IF has_schema_privilege('public', 'CREATE WITH GRANT OPTION') THEN
        -- What anybody may put there would be run by those who look for names there.
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I, %s', owner, others);
        EXECUTE format('GRANT CREATE ON SCHEMA public TO %I', owner);
    END IF;

    IF (SELECT nspowner::regrole <> quote_ident(owner)::regrole FROM pg_namespace WHERE nspname = 'ingestion') THEN
        EXECUTE format('ALTER SCHEMA ingestion OWNER TO %I', owner);
    END IF;
    IF EXISTS (SELECT FROM pg_class WHERE oid = ANY(ours) AND relowner::regrole <> quote_ident(owner)::regrole) THEN
        PERFORM ingestion.take_alone(VARIADIC ARRAY(
            SELECT oid::regclass FROM pg_class WHERE oid = ANY(ours) AND relkind IN ('r', 'p')
            ORDER BY relnamespace <> 'public'::regnamespace, relname
        ));
    END IF;
    FOR one IN
        SELECT oid::regclass AS name FROM pg_class
        WHERE oid = ANY(ours) AND relowner::regrole <> quote_ident(owner)::regrole
            -- The sequence of a column goes with its table.
            AND NOT EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('a', 'i')
                    AND refclassid = 'pg_class'::regclass AND refobjsubid > 0 AND relkind = 'S'
            )
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', one.name, owner);
    END LOOP;
    FOR one IN
        SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = 'ingestion'::regnamespace AND proowner::regrole <> quote_ident(owner)::regrole
    LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO %I', one.name, owner);
    END LOOP;

    EXECUTE format('REVOKE ALL ON SCHEMA ingestion FROM PUBLIC, %s', others);
    EXECUTE format('GRANT USAGE ON SCHEMA ingestion TO %s', others);
    FOR one IN
        SELECT oid::regclass AS relation, relname AS name, relkind AS kind, relnamespace = 'public'::regnamespace AS is_public
        FROM pg_class WHERE oid = ANY(ours)
    LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', one.relation, others);
        IF one.kind = 'S' THEN
            EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE %s TO %I', one.relation, writer);
            CONTINUE;
        END IF;
        EXECUTE format('GRANT SELECT ON TABLE %s TO %I', one.relation, writer);
        IF one.is_public OR one.name <> ALL(private) THEN
            EXECUTE format('GRANT SELECT ON TABLE %s TO %I', one.relation, reader);
        END IF;
        IF one.kind IN ('r', 'p') AND (one.is_public OR one.name <> ALL(guarded)) THEN
            EXECUTE format(
                'GRANT %s ON TABLE %s TO %I',
                CASE WHEN one.is_public THEN 'INSERT, UPDATE, DELETE'
                    ELSE coalesce(in_part ->> one.name, 'INSERT, UPDATE, DELETE') END,
                one.relation, writer
            );
        END IF;
    END LOOP;
    EXECUTE format('GRANT UPDATE ON SEQUENCE ingestion.revision TO %I', writer);
    -- How much waits, and whether anything has changed; not whose, nor what.
    EXECUTE format(
        'GRANT SELECT (id, scope, reason, column_name, decision, decided_at, found_at, xmin) ON ingestion.quarantine TO %I',
        reader
    );
    EXECUTE format('GRANT SELECT (id, at) ON ingestion.history TO %I', reader);
    -- Whether the search index is level: else each of a reader's questions compares everybody.
    EXECUTE format('GRANT SELECT ON SEQUENCE ingestion.history_id_seq TO %I', reader);

    FOR one IN
        SELECT oid::regprocedure AS routine, prosecdef OR prorettype = 'trigger'::regtype AS is_shut, proname AS name
        FROM pg_proc WHERE pronamespace = 'ingestion'::regnamespace
    LOOP
        -- A trigger's function that anybody may use serves a table of their own as well, and would write history there.
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC, %s', one.routine, others);
        IF NOT one.is_shut THEN
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', one.routine, others);
        ELSIF one.name IN ('held_phase', 'begin_site') THEN
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', one.routine, writer);
        END IF;
    END LOOP;
END
$$;

-- The same for the roles it was last done for, where they are there: what an upgrade or a restored dump has made anew.
CREATE FUNCTION ingestion.grant_again() RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    known jsonb := (SELECT jsonb_object_agg(part, name) FROM ingestion.role);
BEGIN
    IF known IS NULL OR EXISTS (SELECT FROM ingestion.role WHERE to_regrole(quote_ident(name)) IS NULL) THEN
        RETURN false;
    END IF;
    PERFORM ingestion.grant_roles((known ->> 'owner')::name, (known ->> 'writer')::name, (known ->> 'reader')::name);
    RETURN true;
END
$$;
