-- A unique constraint of a table in parts holds within a part only, unless it has the column that decides which part. So,
-- where the tables are in parts, a narrow table that is whole keeps what no part can see: `ingestion.person`, one row per
-- person, with one id, one row_id and one place in the file. It is there only then; see docs/adr/0009.

-- Whether the person is being given another row_id, and with it another part: no one goes, and no one comes.
CREATE FUNCTION ingestion.is_renamed(id bigint) RETURNS boolean LANGUAGE sql STABLE
RETURN coalesce(current_setting('ingestion.renamed', true) = id::text, false);

CREATE FUNCTION ingestion.note_renamed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    PERFORM set_config('ingestion.renamed', OLD.id::text, true);
    RETURN NEW;
END
$$;

DROP TRIGGER note_delete ON people;
CREATE TRIGGER note_delete BEFORE DELETE ON people FOR EACH ROW
WHEN (NOT ingestion.is_renamed(OLD.id)) EXECUTE FUNCTION ingestion.note_gone();

-- Before the foreign keys of the same statement are looked at, and so row by row. Whoever went while somebody had the
-- triggers off has left a row here that is nobody's: it makes way.
CREATE FUNCTION ingestion.person_comes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    IF NOT EXISTS (SELECT FROM ingestion.person WHERE ordinal = NEW.ordinal) THEN
        INSERT INTO ingestion.person (id, row_id, ordinal) VALUES (NEW.id, NEW.row_id, NEW.ordinal)
        ON CONFLICT (row_id) DO NOTHING;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    DELETE FROM ingestion.person
    WHERE (person.id = NEW.id OR person.row_id = NEW.row_id OR person.ordinal = NEW.ordinal)
        AND NOT EXISTS (SELECT FROM public.people WHERE people.row_id = person.row_id AND people.id = person.id);
    INSERT INTO ingestion.person (id, row_id, ordinal) VALUES (NEW.id, NEW.row_id, NEW.ordinal);
    RETURN NULL;
END
$$;

-- In one statement, so that many may move past each other.
CREATE FUNCTION ingestion.person_moves() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    IF current_setting('ingestion.renamed', true) <> '' THEN
        PERFORM set_config('ingestion.renamed', '', true);
    END IF;
    -- Joined in full as in note_people.
    WITH moved AS MATERIALIZED (
        SELECT now_is.id, now_is.ordinal
        FROM now_is
        FULL JOIN was USING (id)
        WHERE now_is.ordinal IS DISTINCT FROM was.ordinal
    )
    UPDATE ingestion.person SET ordinal = moved.ordinal FROM moved WHERE person.id = moved.id;
    RETURN NULL;
END
$$;

-- What is written to a part directly would pass by the fence and history, which are the whole table's.
CREATE FUNCTION ingestion.refuse_part() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'IP001',
        MESSAGE = format('table %s is a part of another', TG_TABLE_NAME),
        HINT = 'Write people, processing_status and s3_metadata themselves.';
END
$$;

-- Parts are read like the whole, as a dump reads them, and written by nobody.
DO $do$
DECLARE
    made CONSTANT text := pg_get_functiondef('ingestion.grant_roles(name, name, name)'::regprocedure);
    guarded CONSTANT text := 'one.name <> ALL(guarded)) THEN';
    parts_too CONSTANT text := 'one.name <> ALL(guarded) AND one.name !~ ''^(person|.*_\d+_of_\d+)$'') THEN';
BEGIN
    IF strpos(made, guarded) = 0 THEN
        RAISE EXCEPTION 'grant_roles is not as it was';
    END IF;
    EXECUTE replace(made, guarded, parts_too);
END
$do$;

-- In how many parts the tables are; 0 where they are whole.
CREATE FUNCTION ingestion.parts() RETURNS integer LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT count(*)::integer FROM pg_inherits WHERE inhparent = to_regclass('public.people'));

-- Brings the tables into parts, or makes them whole. Columns, checks, triggers, indexes, views, grants and foreign keys are
-- taken over as they are found, so that this need not know of later revisions; but for the keys, which are named here.
-- Writers wait; readers only while the tables change places. Gives in how many parts they were.
CREATE FUNCTION ingestion.partition_tables(wanted integer) RETURNS integer LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    children CONSTANT name[] := '{processing_status,s3_metadata}';
    tables CONSTANT name[] := '{people}' || children;
    -- What only tables in parts have.
    own CONSTANT name[] := '{person_comes,person_moves,renamed}';
    before integer;
    in_parts CONSTANT boolean := wanted > 1;
    owner CONSTANT name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'public.people'::regclass);
    ours oid[];
    again text[] := '{}';
    views text[];
    grants text[];
    referring text[];
    columns text;
    statement text;
    key name;
    here name;
    one record;
    numbers jsonb := '{}';
BEGIN
    IF wanted NOT BETWEEN 0 AND 256 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'tables have 2 to 256 parts, or 0';
    END IF;
    -- Nor while a revision comes or goes.
    PERFORM pg_advisory_xact_lock(hashtext('ingestion schema'));
    before := ingestion.parts();
    IF before = wanted OR before = 0 AND NOT in_parts THEN
        RETURN before;
    END IF;
    LOCK TABLE public.people, public.processing_status, public.s3_metadata, ingestion.duplicate IN SHARE ROW EXCLUSIVE MODE;
    ours := ARRAY(SELECT ('public.' || name)::regclass::oid FROM unnest(tables) AS name);
    IF EXISTS (SELECT FROM pg_class WHERE oid = ANY(ours) AND relrowsecurity)
        OR EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = ANY(ours)) THEN
        RAISE dependent_objects_still_exist USING MESSAGE = 'the tables have policies or are published';
    END IF;

    -- The new tables, with rows and without anything that is asked for each row.
    FOREACH here IN ARRAY tables LOOP
        key := CASE here WHEN 'people' THEN 'row_id' ELSE 'person_id' END;
        EXECUTE format(
            'CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL EXCLUDING IDENTITY EXCLUDING INDEXES) %s',
            here || '_next', here, CASE WHEN in_parts THEN format('PARTITION BY HASH (%I)', key) END
        );
        FOR number IN 0..CASE WHEN in_parts THEN wanted - 1 ELSE -1 END LOOP
            EXECUTE format(
                'CREATE TABLE ingestion.%I PARTITION OF public.%I FOR VALUES WITH (MODULUS %s, REMAINDER %s)',
                format('%s_%s_of_%s', here, number + 1, wanted), here || '_next', wanted, number
            );
        END LOOP;
        columns := (
            SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = ('public.' || here)::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        );
        EXECUTE format('INSERT INTO public.%I (%s) SELECT %2$s FROM public.%I', here || '_next', columns, here);
        numbers := numbers
            || jsonb_build_object(here, pg_sequence_last_value(pg_get_serial_sequence('public.' || here, 'id')::regclass));
    END LOOP;

    -- What is to be as it was: read while the old tables still have their names.
    SELECT coalesce(array_agg(definition ORDER BY definition), '{}') INTO again
    FROM (
        SELECT pg_get_triggerdef(oid) AS definition FROM pg_trigger
        WHERE tgrelid = ANY(ours) AND NOT tgisinternal AND tgname <> ALL(own)
        UNION ALL
        SELECT replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index
        WHERE indrelid = ANY(ours) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
            AND indexrelid <> coalesce(to_regclass('public.people_ordinal')::oid, 0)
    ) AS found;
    SELECT coalesce(array_agg(format(
        'CREATE OR REPLACE VIEW %s%s AS %s', oid::regclass,
        CASE WHEN reloptions <> '{}' THEN format(' WITH (%s)', array_to_string(reloptions, ', ')) END, pg_get_viewdef(oid)
    )), '{}') INTO views
    FROM pg_class
    WHERE relkind = 'v' AND oid IN (
        SELECT ev_class
        FROM pg_depend
        JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
        WHERE refclassid = 'pg_class'::regclass AND refobjid = ANY(ours)
    );
    SELECT coalesce(array_agg(format(
        'GRANT %s%s ON %s %s TO %s%s', privilege_type, columns_of, kind, object,
        CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END
    )), '{}') INTO grants
    FROM (
        SELECT NULL AS columns_of, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, oid::regclass AS object,
            relacl AS acl
        FROM pg_class
        WHERE oid = ANY(ours) OR oid IN (
            SELECT pg_get_serial_sequence('public.' || name, 'id')::regclass FROM unnest(tables) AS name
        )
        UNION ALL
        SELECT format(' (%I)', attname), 'TABLE', attrelid::regclass, attacl FROM pg_attribute WHERE attrelid = ANY(ours)
    ) AS owned
    CROSS JOIN LATERAL aclexplode(acl)
    WHERE pg_get_userbyid(grantee) <> owner;
    SELECT coalesce(array_agg(format(
        'ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
        CASE WHEN in_parts THEN replace(definition, ' REFERENCES public.people(id)', ' REFERENCES ingestion.person(id)')
            ELSE replace(definition, ' REFERENCES ingestion.person(id)', ' REFERENCES public.people(id)') END
    )), '{}') INTO referring
    FROM (
        SELECT conrelid, conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
        WHERE contype = 'f' AND conparentid = 0 AND confrelid IN ('public.people'::regclass, to_regclass('ingestion.person'))
            AND conrelid IS DISTINCT FROM to_regclass('ingestion.person')
    ) AS found;

    -- From here on nobody reads, until all of it is there again.
    PERFORM ingestion.take_alone('public.people', 'public.processing_status', 'public.s3_metadata', 'ingestion.duplicate');
    FOR one IN
        SELECT conrelid::regclass AS name, conname FROM pg_constraint
        WHERE contype = 'f' AND conparentid = 0 AND confrelid IN ('public.people'::regclass, to_regclass('ingestion.person'))
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.name, one.conname);
    END LOOP;
    FOREACH here IN ARRAY tables LOOP
        EXECUTE format('ALTER TABLE public.%I RENAME TO %I', here, here || '_before');
        EXECUTE format('ALTER TABLE public.%I RENAME TO %I', here || '_next', here);
        EXECUTE format('ALTER TABLE public.%I OWNER TO %I', here, owner);
    END LOOP;
    FOREACH statement IN ARRAY views LOOP
        EXECUTE statement;
    END LOOP;
    DROP TABLE IF EXISTS ingestion.person;
    DROP TABLE public.s3_metadata_before, public.processing_status_before, public.people_before;

    -- Numbers and keys.
    FOREACH here IN ARRAY tables LOOP
        EXECUTE format(
            'ALTER TABLE public.%I ALTER id ADD GENERATED %s AS IDENTITY', here,
            -- Nothing else keeps a child's number to one row.
            CASE WHEN in_parts AND here = ANY(children) THEN 'ALWAYS' ELSE 'BY DEFAULT' END
        );
        PERFORM setval(pg_get_serial_sequence('public.' || here, 'id'), (numbers ->> here)::bigint)
        WHERE numbers ->> here IS NOT NULL;
    END LOOP;
    ALTER TABLE public.people ADD CONSTRAINT people_row_id_key UNIQUE (row_id);
    ALTER TABLE public.processing_status ADD CONSTRAINT processing_status_person_id_key UNIQUE (person_id);
    ALTER TABLE public.s3_metadata ADD CONSTRAINT s3_metadata_person_id_key UNIQUE (person_id);
    IF in_parts THEN
        ALTER TABLE public.people ADD CONSTRAINT people_pkey PRIMARY KEY (id, row_id);
        CREATE INDEX people_ordinal ON public.people (ordinal);
        ALTER TABLE public.processing_status ADD CONSTRAINT processing_status_pkey PRIMARY KEY (id, person_id);
        ALTER TABLE public.s3_metadata ADD CONSTRAINT s3_metadata_pkey PRIMARY KEY (id, person_id);
        CREATE TABLE ingestion.person AS SELECT id, row_id, ordinal FROM public.people;
        ALTER TABLE ingestion.person
            ALTER row_id SET NOT NULL, ALTER ordinal SET NOT NULL,
            ADD CONSTRAINT person_pkey PRIMARY KEY (id),
            ADD CONSTRAINT person_row_id_key UNIQUE (row_id),
            ADD CONSTRAINT people_ordinal_key UNIQUE (ordinal) DEFERRABLE INITIALLY IMMEDIATE,
            ADD CONSTRAINT person_people_fkey FOREIGN KEY (id, row_id) REFERENCES public.people (id, row_id)
                ON UPDATE CASCADE ON DELETE CASCADE;
        EXECUTE format('ALTER TABLE ingestion.person OWNER TO %I', owner);
        CREATE TRIGGER refuse_part BEFORE INSERT OR UPDATE OR DELETE ON ingestion.person
        FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ingestion.refuse_part();
        CREATE TRIGGER renamed BEFORE UPDATE OF row_id ON public.people FOR EACH ROW
        WHEN (OLD.row_id <> NEW.row_id) EXECUTE FUNCTION ingestion.note_renamed();
        CREATE TRIGGER person_comes AFTER INSERT ON public.people FOR EACH ROW
        WHEN (NOT ingestion.is_renamed(NEW.id)) EXECUTE FUNCTION ingestion.person_comes();
        CREATE TRIGGER person_moves AFTER UPDATE ON public.people REFERENCING OLD TABLE AS was NEW TABLE AS now_is
        FOR EACH STATEMENT EXECUTE FUNCTION ingestion.person_moves();
        FOR one IN SELECT inhrelid::regclass AS name FROM pg_inherits WHERE inhparent = ANY(
            ARRAY(SELECT ('public.' || name)::regclass::oid FROM unnest(tables) AS name)
        ) LOOP
            EXECUTE format('ALTER TABLE %s OWNER TO %I', one.name, owner);
            EXECUTE format(
                'CREATE TRIGGER refuse_part BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT '
                'EXECUTE FUNCTION ingestion.refuse_part()', one.name
            );
            -- The whole table's does not fire for it, and one that refuses would refuse the whole table's too.
            EXECUTE format(
                'CREATE TRIGGER fence BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION ingestion.fence()', one.name
            );
        END LOOP;
    ELSE
        ALTER TABLE public.people
            ADD CONSTRAINT people_pkey PRIMARY KEY (id),
            ADD CONSTRAINT people_ordinal_key UNIQUE (ordinal) DEFERRABLE INITIALLY IMMEDIATE;
        ALTER TABLE public.processing_status ADD CONSTRAINT processing_status_pkey PRIMARY KEY (id);
        ALTER TABLE public.s3_metadata ADD CONSTRAINT s3_metadata_pkey PRIMARY KEY (id);
    END IF;
    FOREACH statement IN ARRAY referring || again || grants LOOP
        EXECUTE statement;
    END LOOP;
    -- To a row's own trigger, a person who goes to another part with another row_id is no update; to the statement's they are.
    DROP TRIGGER IF EXISTS take_note ON public.people;
    DROP TRIGGER note_update ON public.people;
    IF in_parts THEN
        CREATE TRIGGER note_update AFTER UPDATE ON public.people REFERENCING OLD TABLE AS was NEW TABLE AS now_is
        FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_people();
    ELSE
        CREATE TRIGGER note_update AFTER UPDATE ON public.people REFERENCING OLD TABLE AS was NEW TABLE AS now_is
        FOR EACH STATEMENT WHEN (current_setting('ingestion.bulk', true) = 'on') EXECUTE FUNCTION ingestion.note_people();
        CREATE TRIGGER take_note AFTER UPDATE ON public.people
        FOR EACH ROW WHEN (current_setting('ingestion.bulk', true) IS DISTINCT FROM 'on')
        EXECUTE FUNCTION ingestion.note_person();
    END IF;
    PERFORM ingestion.grant_again();
    ANALYZE public.people, public.processing_status, public.s3_metadata;
    RETURN before;
END
$$;
