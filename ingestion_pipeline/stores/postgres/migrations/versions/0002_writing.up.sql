-- Who changed what, and when: the database's own versioning.
CREATE TABLE ingestion.history (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT history_pkey PRIMARY KEY,
    row_id text COLLATE "C" NOT NULL,
    table_name text NOT NULL,
    operation text NOT NULL CONSTRAINT history_operation_known CHECK (operation IN ('insert', 'update', 'delete')),
    -- Column name to [before, after]; NULL where a bulk load made the row: then only that is noted.
    changed jsonb,
    revision bigint NOT NULL,
    epoch bigint,
    -- NULL where the change did not come through the pipeline.
    write_id uuid,
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX history_row ON ingestion.history (row_id, id);
CREATE INDEX history_write ON ingestion.history (write_id);

-- People whose present row the CSV that follows has yet to get.
CREATE TABLE ingestion.pending (
    row_id text COLLATE "C" CONSTRAINT pending_pkey PRIMARY KEY,
    -- The change that is waited for: a later one is another number, so that it is not cleared with this one.
    revision bigint NOT NULL,
    -- Whether the row stands elsewhere in the file now.
    moved boolean NOT NULL DEFAULT false,
    since timestamptz NOT NULL DEFAULT now()
);

-- What happened to writes that the CSV took in while PostgreSQL led and was away.
ALTER TABLE ingestion.quarantine DROP CONSTRAINT quarantine_scope_known;
ALTER TABLE ingestion.quarantine ADD CONSTRAINT quarantine_scope_known
    CHECK (scope IN ('row', 'cell', 'conflict'));

-- The epoch that the transaction carries; NULL when it did not come through the pipeline.
CREATE FUNCTION ingestion.carried_epoch() RETURNS bigint LANGUAGE sql STABLE
RETURN nullif(current_setting('ingestion.epoch', true), '')::bigint;

-- Who writes, as far as the pipeline says; the session's user otherwise.
CREATE FUNCTION ingestion.actor() RETURNS text LANGUAGE sql STABLE
RETURN coalesce(nullif(current_setting('ingestion.actor', true), ''), session_user);

-- The fence: no write without the epoch in force while PostgreSQL follows, none with another one ever.
CREATE FUNCTION ingestion.fence() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    carried bigint := ingestion.carried_epoch();
    in_force record;
BEGIN
    -- Held to the end of the transaction, so that no change of phase comes between.
    SELECT phase, epoch INTO in_force FROM ingestion.migration_state FOR SHARE;
    IF carried IS NULL AND (in_force.phase IN ('original', 'dual_write') OR TG_OP = 'TRUNCATE') THEN
        RAISE EXCEPTION USING ERRCODE = 'IP001',
            MESSAGE = format('in phase %s table %s is written through the pipeline only', in_force.phase, TG_TABLE_NAME),
            HINT = CASE TG_OP WHEN 'TRUNCATE' THEN 'TRUNCATE leaves no history: use DELETE.'
                ELSE 'PostgreSQL follows the CSV: use `ingest write`, or change the CSV.' END;
    ELSIF carried <> in_force.epoch THEN
        RAISE EXCEPTION USING ERRCODE = 'IP002',
            MESSAGE = format('the phase changed: this began in epoch %s, now is %s', carried, in_force.epoch),
            HINT = 'Run it again under the phase in force.';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON people
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.fence();

CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON processing_status
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.fence();

CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON s3_metadata
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.fence();

-- A change that did not come through the pipeline gets its number and time too.
CREATE FUNCTION ingestion.stray_person() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    NEW.revision := nextval('ingestion.revision');
    NEW.write_id := NULL;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER stray BEFORE UPDATE ON people FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL) EXECUTE FUNCTION ingestion.stray_person();

-- It is a change of the person, and what was kept of the old text no longer holds.
CREATE FUNCTION ingestion.stray_child() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    -- Two where the row goes to another person: then every cell changes, of both.
    owners bigint[] := ARRAY[OLD.person_id, NEW.person_id];
    was jsonb := CASE TG_OP WHEN 'INSERT' THEN '{}' ELSE to_jsonb(OLD) END;
    now_is jsonb := CASE TG_OP WHEN 'DELETE' THEN '{}' ELSE to_jsonb(NEW) END;
    changed text[] := ARRAY(
        SELECT key FROM jsonb_object_keys(was || now_is) AS key
        WHERE was -> key IS DISTINCT FROM now_is -> key OR OLD.person_id <> NEW.person_id
    );
BEGIN
    UPDATE public.people SET verbatim = nullif(verbatim - changed, '{}') WHERE id = ANY(owners);
    UPDATE ingestion.quarantine
    SET decision = 'superseded', decided_at = now(), decided_by = session_user
    WHERE scope = 'cell' AND column_name = ANY(changed) AND (decision IS NULL OR decision = 'accept')
        AND row_id IN (SELECT row_id FROM public.people WHERE id = ANY(owners));
    RETURN NULL;
END
$$;

CREATE TRIGGER stray AFTER INSERT OR UPDATE OR DELETE ON processing_status FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL) EXECUTE FUNCTION ingestion.stray_child();

CREATE TRIGGER stray AFTER INSERT OR UPDATE OR DELETE ON s3_metadata FOR EACH ROW
WHEN (ingestion.carried_epoch() IS NULL) EXECUTE FUNCTION ingestion.stray_child();

-- Every change of a person: into history, and, while the CSV follows, among the pending.
-- Before and after are joined in full, for that is never done by nested loops: a session keeps the plan that it made for
-- its first change, of one person or of nobody, and the next may be of all. No condition may be strict, or it were no full join.
CREATE FUNCTION ingestion.note_people() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    csv_follows boolean := (SELECT phase = 'database_primary' FROM ingestion.migration_state);
    bulk boolean := coalesce(current_setting('ingestion.bulk', true) = 'on', false);
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
        SELECT row_id, 'people', 'insert', CASE WHEN NOT bulk THEN jsonb_strip_nulls(jsonb_build_object(
        'name', CASE WHEN now_is.name IS NOT NULL THEN jsonb_build_array(NULL, now_is.name) END,
        'email', CASE WHEN now_is.email IS NOT NULL THEN jsonb_build_array(NULL, now_is.email) END,
        'type', CASE WHEN now_is.type IS NOT NULL THEN jsonb_build_array(NULL, now_is.type) END,
        'link', CASE WHEN now_is.link IS NOT NULL THEN jsonb_build_array(NULL, now_is.link) END,
        'ordinal', CASE WHEN now_is.ordinal IS NOT NULL THEN jsonb_build_array(NULL, now_is.ordinal) END,
        'verbatim', CASE WHEN now_is.verbatim IS NOT NULL THEN jsonb_build_array(NULL, now_is.verbatim) END
        )) END, revision, ingestion.carried_epoch(), write_id, ingestion.actor()
        FROM now_is;
        IF csv_follows THEN
            -- Who is pending already went and came again, to another place.
            INSERT INTO ingestion.pending (row_id, revision) SELECT row_id, revision FROM now_is
            ON CONFLICT (row_id) DO UPDATE SET revision = excluded.revision, moved = true;
        END IF;
    ELSE
        INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
        SELECT now_is.row_id, 'people', 'update', jsonb_strip_nulls(jsonb_build_object(
        'row_id', CASE WHEN was.row_id IS DISTINCT FROM now_is.row_id THEN jsonb_build_array(was.row_id, now_is.row_id) END,
        'name', CASE WHEN was.name IS DISTINCT FROM now_is.name THEN jsonb_build_array(was.name, now_is.name) END,
        'email', CASE WHEN was.email IS DISTINCT FROM now_is.email THEN jsonb_build_array(was.email, now_is.email) END,
        'type', CASE WHEN was.type IS DISTINCT FROM now_is.type THEN jsonb_build_array(was.type, now_is.type) END,
        'link', CASE WHEN was.link IS DISTINCT FROM now_is.link THEN jsonb_build_array(was.link, now_is.link) END,
        'ordinal', CASE WHEN was.ordinal IS DISTINCT FROM now_is.ordinal THEN jsonb_build_array(was.ordinal, now_is.ordinal) END,
        'verbatim', CASE WHEN was.verbatim IS DISTINCT FROM now_is.verbatim THEN jsonb_build_array(was.verbatim, now_is.verbatim) END
        )), now_is.revision, ingestion.carried_epoch(), now_is.write_id, ingestion.actor()
        FROM now_is
        FULL JOIN was USING (id);
        IF csv_follows THEN
            INSERT INTO ingestion.pending (row_id, revision, moved)
            SELECT now_is.row_id, now_is.revision, now_is.ordinal <> was.ordinal OR now_is.row_id <> was.row_id
            FROM now_is
            FULL JOIN was USING (id)
            UNION ALL
            SELECT was.row_id, now_is.revision, true
            FROM now_is
            FULL JOIN was USING (id)
            WHERE now_is.row_id IS DISTINCT FROM was.row_id AND NOT EXISTS (SELECT FROM now_is AS other WHERE other.row_id = was.row_id)
            ON CONFLICT (row_id) DO UPDATE
            SET revision = excluded.revision, moved = pending.moved OR excluded.moved;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_insert AFTER INSERT ON people REFERENCING NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_people();
CREATE TRIGGER note_update AFTER UPDATE ON people REFERENCING OLD TABLE AS was NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_people();

-- Noted before it happens, while the whole record is still there to be read.
CREATE FUNCTION ingestion.note_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    number bigint := nextval('ingestion.revision');
BEGIN
    INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, actor)
    SELECT OLD.row_id, 'people', 'delete', jsonb_strip_nulls(jsonb_build_object(
        'name', CASE WHEN record.name IS NOT NULL THEN jsonb_build_array(record.name, NULL) END,
        'email', CASE WHEN record.email IS NOT NULL THEN jsonb_build_array(record.email, NULL) END,
        'type', CASE WHEN record.type IS NOT NULL THEN jsonb_build_array(record.type, NULL) END,
        'link', CASE WHEN record.link IS NOT NULL THEN jsonb_build_array(record.link, NULL) END,
        'extracted_links', CASE WHEN record.extracted_links IS NOT NULL THEN jsonb_build_array(record.extracted_links, NULL) END,
        'youtube_playlist', CASE WHEN record.youtube_playlist IS NOT NULL THEN jsonb_build_array(record.youtube_playlist, NULL) END,
        'google_drive', CASE WHEN record.google_drive IS NOT NULL THEN jsonb_build_array(record.google_drive, NULL) END,
        'processed', CASE WHEN record.processed IS NOT NULL THEN jsonb_build_array(record.processed, NULL) END,
        'document_text', CASE WHEN record.document_text IS NOT NULL THEN jsonb_build_array(record.document_text, NULL) END,
        'youtube_status', CASE WHEN record.youtube_status IS NOT NULL THEN jsonb_build_array(record.youtube_status, NULL) END,
        'youtube_files', CASE WHEN record.youtube_files IS NOT NULL THEN jsonb_build_array(record.youtube_files, NULL) END,
        'youtube_media_id', CASE WHEN record.youtube_media_id IS NOT NULL THEN jsonb_build_array(record.youtube_media_id, NULL) END,
        'drive_status', CASE WHEN record.drive_status IS NOT NULL THEN jsonb_build_array(record.drive_status, NULL) END,
        'drive_files', CASE WHEN record.drive_files IS NOT NULL THEN jsonb_build_array(record.drive_files, NULL) END,
        'drive_media_id', CASE WHEN record.drive_media_id IS NOT NULL THEN jsonb_build_array(record.drive_media_id, NULL) END,
        'last_download_attempt', CASE WHEN record.last_download_attempt IS NOT NULL THEN jsonb_build_array(record.last_download_attempt, NULL) END,
        'download_errors', CASE WHEN record.download_errors IS NOT NULL THEN jsonb_build_array(record.download_errors, NULL) END,
        'permanent_failure', CASE WHEN record.permanent_failure IS NOT NULL THEN jsonb_build_array(record.permanent_failure, NULL) END,
        'extraction_date', CASE WHEN record.extraction_date IS NOT NULL THEN jsonb_build_array(record.extraction_date, NULL) END,
        'file_uuids', CASE WHEN record.file_uuids IS NOT NULL THEN jsonb_build_array(record.file_uuids, NULL) END,
        's3_paths', CASE WHEN record.s3_paths IS NOT NULL THEN jsonb_build_array(record.s3_paths, NULL) END,
        'ordinal', CASE WHEN record.ordinal IS NOT NULL THEN jsonb_build_array(record.ordinal, NULL) END,
        'verbatim', CASE WHEN record.verbatim IS NOT NULL THEN jsonb_build_array(record.verbatim, NULL) END
        )), number, ingestion.carried_epoch(), ingestion.actor()
    FROM ingestion.record AS record
    WHERE record.person_id = OLD.id;
    INSERT INTO ingestion.pending (row_id, revision)
    SELECT OLD.row_id, number FROM ingestion.migration_state WHERE phase = 'database_primary'
    ON CONFLICT (row_id) DO UPDATE SET revision = excluded.revision;
    -- A load decides this for the file's own cells; here nobody else would.
    UPDATE ingestion.quarantine
    SET decision = 'superseded', decided_at = now(), decided_by = session_user
    WHERE ingestion.carried_epoch() IS NULL AND scope = 'cell' AND row_id = OLD.row_id
        AND (decision IS NULL OR decision = 'accept');
    RETURN OLD;
END
$$;
CREATE TRIGGER note_delete BEFORE DELETE ON people
FOR EACH ROW EXECUTE FUNCTION ingestion.note_gone();

-- Changes of processing_status; what goes with a new person or one who goes is that person's own.
CREATE FUNCTION ingestion.note_processing_status() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF current_setting('ingestion.bulk', true) = 'on' THEN
            RETURN NULL;
        END IF;
        INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
        SELECT person.row_id, 'processing_status', 'insert', changed, person.revision, ingestion.carried_epoch(),
            person.write_id, ingestion.actor()
        FROM now_is
        JOIN public.people AS person ON person.id = now_is.person_id
        CROSS JOIN LATERAL (SELECT jsonb_strip_nulls(jsonb_build_object(
        'extracted_links', CASE WHEN now_is.extracted_links IS NOT NULL THEN jsonb_build_array(NULL, now_is.extracted_links) END,
        'youtube_playlist', CASE WHEN now_is.youtube_playlist IS NOT NULL THEN jsonb_build_array(NULL, now_is.youtube_playlist) END,
        'google_drive', CASE WHEN now_is.google_drive IS NOT NULL THEN jsonb_build_array(NULL, now_is.google_drive) END,
        'processed', CASE WHEN now_is.processed IS NOT NULL THEN jsonb_build_array(NULL, now_is.processed) END,
        'document_text', CASE WHEN now_is.document_text IS NOT NULL THEN jsonb_build_array(NULL, now_is.document_text) END,
        'youtube_status', CASE WHEN now_is.youtube_status IS NOT NULL THEN jsonb_build_array(NULL, now_is.youtube_status) END,
        'youtube_files', CASE WHEN now_is.youtube_files IS NOT NULL THEN jsonb_build_array(NULL, now_is.youtube_files) END,
        'youtube_media_id', CASE WHEN now_is.youtube_media_id IS NOT NULL THEN jsonb_build_array(NULL, now_is.youtube_media_id) END,
        'drive_status', CASE WHEN now_is.drive_status IS NOT NULL THEN jsonb_build_array(NULL, now_is.drive_status) END,
        'drive_files', CASE WHEN now_is.drive_files IS NOT NULL THEN jsonb_build_array(NULL, now_is.drive_files) END,
        'drive_media_id', CASE WHEN now_is.drive_media_id IS NOT NULL THEN jsonb_build_array(NULL, now_is.drive_media_id) END,
        'last_download_attempt', CASE WHEN now_is.last_download_attempt IS NOT NULL THEN jsonb_build_array(NULL, now_is.last_download_attempt) END,
        'download_errors', CASE WHEN now_is.download_errors IS NOT NULL THEN jsonb_build_array(NULL, now_is.download_errors) END,
        'permanent_failure', CASE WHEN now_is.permanent_failure IS NOT NULL THEN jsonb_build_array(NULL, now_is.permanent_failure) END,
        'extraction_date', CASE WHEN now_is.extraction_date IS NOT NULL THEN jsonb_build_array(NULL, now_is.extraction_date) END
        )) AS changed) AS change;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
        SELECT person.row_id, 'processing_status', 'update', changed, person.revision, ingestion.carried_epoch(),
            person.write_id, ingestion.actor()
        FROM now_is
        FULL JOIN was USING (id)
        JOIN public.people AS person ON person.id = coalesce(now_is.person_id, was.person_id)
        CROSS JOIN LATERAL (SELECT jsonb_strip_nulls(jsonb_build_object(
        'extracted_links', CASE WHEN was.extracted_links IS DISTINCT FROM now_is.extracted_links THEN jsonb_build_array(was.extracted_links, now_is.extracted_links) END,
        'youtube_playlist', CASE WHEN was.youtube_playlist IS DISTINCT FROM now_is.youtube_playlist THEN jsonb_build_array(was.youtube_playlist, now_is.youtube_playlist) END,
        'google_drive', CASE WHEN was.google_drive IS DISTINCT FROM now_is.google_drive THEN jsonb_build_array(was.google_drive, now_is.google_drive) END,
        'processed', CASE WHEN was.processed IS DISTINCT FROM now_is.processed THEN jsonb_build_array(was.processed, now_is.processed) END,
        'document_text', CASE WHEN was.document_text IS DISTINCT FROM now_is.document_text THEN jsonb_build_array(was.document_text, now_is.document_text) END,
        'youtube_status', CASE WHEN was.youtube_status IS DISTINCT FROM now_is.youtube_status THEN jsonb_build_array(was.youtube_status, now_is.youtube_status) END,
        'youtube_files', CASE WHEN was.youtube_files IS DISTINCT FROM now_is.youtube_files THEN jsonb_build_array(was.youtube_files, now_is.youtube_files) END,
        'youtube_media_id', CASE WHEN was.youtube_media_id IS DISTINCT FROM now_is.youtube_media_id THEN jsonb_build_array(was.youtube_media_id, now_is.youtube_media_id) END,
        'drive_status', CASE WHEN was.drive_status IS DISTINCT FROM now_is.drive_status THEN jsonb_build_array(was.drive_status, now_is.drive_status) END,
        'drive_files', CASE WHEN was.drive_files IS DISTINCT FROM now_is.drive_files THEN jsonb_build_array(was.drive_files, now_is.drive_files) END,
        'drive_media_id', CASE WHEN was.drive_media_id IS DISTINCT FROM now_is.drive_media_id THEN jsonb_build_array(was.drive_media_id, now_is.drive_media_id) END,
        'last_download_attempt', CASE WHEN was.last_download_attempt IS DISTINCT FROM now_is.last_download_attempt THEN jsonb_build_array(was.last_download_attempt, now_is.last_download_attempt) END,
        'download_errors', CASE WHEN was.download_errors IS DISTINCT FROM now_is.download_errors THEN jsonb_build_array(was.download_errors, now_is.download_errors) END,
        'permanent_failure', CASE WHEN was.permanent_failure IS DISTINCT FROM now_is.permanent_failure THEN jsonb_build_array(was.permanent_failure, now_is.permanent_failure) END,
        'extraction_date', CASE WHEN was.extraction_date IS DISTINCT FROM now_is.extraction_date THEN jsonb_build_array(was.extraction_date, now_is.extraction_date) END
        )) AS changed) AS change
        WHERE changed <> '{}';
    ELSE
        INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
        SELECT person.row_id, 'processing_status', 'delete', jsonb_strip_nulls(jsonb_build_object(
        'extracted_links', CASE WHEN was.extracted_links IS NOT NULL THEN jsonb_build_array(was.extracted_links, NULL) END,
        'youtube_playlist', CASE WHEN was.youtube_playlist IS NOT NULL THEN jsonb_build_array(was.youtube_playlist, NULL) END,
        'google_drive', CASE WHEN was.google_drive IS NOT NULL THEN jsonb_build_array(was.google_drive, NULL) END,
        'processed', CASE WHEN was.processed IS NOT NULL THEN jsonb_build_array(was.processed, NULL) END,
        'document_text', CASE WHEN was.document_text IS NOT NULL THEN jsonb_build_array(was.document_text, NULL) END,
        'youtube_status', CASE WHEN was.youtube_status IS NOT NULL THEN jsonb_build_array(was.youtube_status, NULL) END,
        'youtube_files', CASE WHEN was.youtube_files IS NOT NULL THEN jsonb_build_array(was.youtube_files, NULL) END,
        'youtube_media_id', CASE WHEN was.youtube_media_id IS NOT NULL THEN jsonb_build_array(was.youtube_media_id, NULL) END,
        'drive_status', CASE WHEN was.drive_status IS NOT NULL THEN jsonb_build_array(was.drive_status, NULL) END,
        'drive_files', CASE WHEN was.drive_files IS NOT NULL THEN jsonb_build_array(was.drive_files, NULL) END,
        'drive_media_id', CASE WHEN was.drive_media_id IS NOT NULL THEN jsonb_build_array(was.drive_media_id, NULL) END,
        'last_download_attempt', CASE WHEN was.last_download_attempt IS NOT NULL THEN jsonb_build_array(was.last_download_attempt, NULL) END,
        'download_errors', CASE WHEN was.download_errors IS NOT NULL THEN jsonb_build_array(was.download_errors, NULL) END,
        'permanent_failure', CASE WHEN was.permanent_failure IS NOT NULL THEN jsonb_build_array(was.permanent_failure, NULL) END,
        'extraction_date', CASE WHEN was.extraction_date IS NOT NULL THEN jsonb_build_array(was.extraction_date, NULL) END
        )), person.revision, ingestion.carried_epoch(), person.write_id, ingestion.actor()
        FROM was
        JOIN public.people AS person ON person.id = was.person_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_insert AFTER INSERT ON processing_status REFERENCING NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_processing_status();
CREATE TRIGGER note_update AFTER UPDATE ON processing_status REFERENCING OLD TABLE AS was NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_processing_status();
CREATE TRIGGER note_delete AFTER DELETE ON processing_status REFERENCING OLD TABLE AS was
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_processing_status();

-- Changes of s3_metadata; what goes with a new person or one who goes is that person's own.
CREATE FUNCTION ingestion.note_s3_metadata() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF current_setting('ingestion.bulk', true) = 'on' THEN
            RETURN NULL;
        END IF;
        INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
        SELECT person.row_id, 's3_metadata', 'insert', changed, person.revision, ingestion.carried_epoch(),
            person.write_id, ingestion.actor()
        FROM now_is
        JOIN public.people AS person ON person.id = now_is.person_id
        CROSS JOIN LATERAL (SELECT jsonb_strip_nulls(jsonb_build_object(
        'file_uuids', CASE WHEN now_is.file_uuids IS NOT NULL THEN jsonb_build_array(NULL, now_is.file_uuids) END,
        's3_paths', CASE WHEN now_is.s3_paths IS NOT NULL THEN jsonb_build_array(NULL, now_is.s3_paths) END
        )) AS changed) AS change;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
        SELECT person.row_id, 's3_metadata', 'update', changed, person.revision, ingestion.carried_epoch(),
            person.write_id, ingestion.actor()
        FROM now_is
        FULL JOIN was USING (id)
        JOIN public.people AS person ON person.id = coalesce(now_is.person_id, was.person_id)
        CROSS JOIN LATERAL (SELECT jsonb_strip_nulls(jsonb_build_object(
        'file_uuids', CASE WHEN was.file_uuids IS DISTINCT FROM now_is.file_uuids THEN jsonb_build_array(was.file_uuids, now_is.file_uuids) END,
        's3_paths', CASE WHEN was.s3_paths IS DISTINCT FROM now_is.s3_paths THEN jsonb_build_array(was.s3_paths, now_is.s3_paths) END
        )) AS changed) AS change
        WHERE changed <> '{}';
    ELSE
        INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
        SELECT person.row_id, 's3_metadata', 'delete', jsonb_strip_nulls(jsonb_build_object(
        'file_uuids', CASE WHEN was.file_uuids IS NOT NULL THEN jsonb_build_array(was.file_uuids, NULL) END,
        's3_paths', CASE WHEN was.s3_paths IS NOT NULL THEN jsonb_build_array(was.s3_paths, NULL) END
        )), person.revision, ingestion.carried_epoch(), person.write_id, ingestion.actor()
        FROM was
        JOIN public.people AS person ON person.id = was.person_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_insert AFTER INSERT ON s3_metadata REFERENCING NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_s3_metadata();
CREATE TRIGGER note_update AFTER UPDATE ON s3_metadata REFERENCING OLD TABLE AS was NEW TABLE AS now_is
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_s3_metadata();
CREATE TRIGGER note_delete AFTER DELETE ON s3_metadata REFERENCING OLD TABLE AS was
FOR EACH STATEMENT EXECUTE FUNCTION ingestion.note_s3_metadata();
