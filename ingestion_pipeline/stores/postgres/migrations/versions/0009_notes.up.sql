-- Changes of one row at a time, as the pipeline makes them, are noted row by row: to join tables of one row each took
-- longer than the write itself. A load, which changes many, is noted by statement as before. The name comes after `stray`,
-- and so does the trigger, for that one gives the person the revision that is noted.
SELECT ingestion.take_alone('people', 'processing_status', 's3_metadata');

-- What a row has become: each column that changed, before and after. Asked one by one, as nearly all are the same.

CREATE FUNCTION ingestion.note_person() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    changed jsonb := '{}';
BEGIN
    IF OLD.row_id IS DISTINCT FROM NEW.row_id THEN
        changed := changed || jsonb_build_object('row_id', jsonb_build_array(OLD.row_id, NEW.row_id));
    END IF;
    IF OLD.name IS DISTINCT FROM NEW.name THEN
        changed := changed || jsonb_build_object('name', jsonb_build_array(OLD.name, NEW.name));
    END IF;
    IF OLD.email IS DISTINCT FROM NEW.email THEN
        changed := changed || jsonb_build_object('email', jsonb_build_array(OLD.email, NEW.email));
    END IF;
    IF OLD.type IS DISTINCT FROM NEW.type THEN
        changed := changed || jsonb_build_object('type', jsonb_build_array(OLD.type, NEW.type));
    END IF;
    IF OLD.link IS DISTINCT FROM NEW.link THEN
        changed := changed || jsonb_build_object('link', jsonb_build_array(OLD.link, NEW.link));
    END IF;
    IF OLD.ordinal IS DISTINCT FROM NEW.ordinal THEN
        changed := changed || jsonb_build_object('ordinal', jsonb_build_array(OLD.ordinal, NEW.ordinal));
    END IF;
    IF OLD.verbatim IS DISTINCT FROM NEW.verbatim THEN
        changed := changed || jsonb_build_object('verbatim', jsonb_build_array(OLD.verbatim, NEW.verbatim));
    END IF;
    INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
    VALUES (
        NEW.row_id, 'people', 'update', jsonb_strip_nulls(changed), NEW.revision, ingestion.carried_epoch(), NEW.write_id,
        ingestion.actor()
    );
    IF (SELECT phase = 'database_primary' FROM ingestion.migration_state) THEN
        INSERT INTO ingestion.pending (row_id, revision, moved)
        VALUES (NEW.row_id, NEW.revision, changed ?| '{row_id,ordinal}')
        ON CONFLICT (row_id) DO UPDATE SET revision = excluded.revision, moved = pending.moved OR excluded.moved;
        -- Nobody else has the old one now, unless somebody took it over in the same statement, who is noted too.
        IF changed ? 'row_id' AND NOT EXISTS (SELECT FROM public.people WHERE people.row_id = OLD.row_id) THEN
            INSERT INTO ingestion.pending (row_id, revision, moved) VALUES (OLD.row_id, NEW.revision, true)
            ON CONFLICT (row_id) DO UPDATE SET revision = excluded.revision, moved = true;
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION ingestion.note_one_processing_status() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    changed jsonb := '{}';
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT coalesce(jsonb_object_agg(key, jsonb_build_array(NULL, value)), '{}') INTO changed
        FROM jsonb_each(to_jsonb(NEW)) WHERE value <> 'null' AND key <> ALL('{id,person_id,created_at,updated_at}');
    ELSE
        IF OLD.extracted_links IS DISTINCT FROM NEW.extracted_links THEN
            changed := changed || jsonb_build_object('extracted_links', jsonb_build_array(OLD.extracted_links, NEW.extracted_links));
        END IF;
        IF OLD.youtube_playlist IS DISTINCT FROM NEW.youtube_playlist THEN
            changed := changed || jsonb_build_object('youtube_playlist', jsonb_build_array(OLD.youtube_playlist, NEW.youtube_playlist));
        END IF;
        IF OLD.google_drive IS DISTINCT FROM NEW.google_drive THEN
            changed := changed || jsonb_build_object('google_drive', jsonb_build_array(OLD.google_drive, NEW.google_drive));
        END IF;
        IF OLD.processed IS DISTINCT FROM NEW.processed THEN
            changed := changed || jsonb_build_object('processed', jsonb_build_array(OLD.processed, NEW.processed));
        END IF;
        IF OLD.document_text IS DISTINCT FROM NEW.document_text THEN
            changed := changed || jsonb_build_object('document_text', jsonb_build_array(OLD.document_text, NEW.document_text));
        END IF;
        IF OLD.youtube_status IS DISTINCT FROM NEW.youtube_status THEN
            changed := changed || jsonb_build_object('youtube_status', jsonb_build_array(OLD.youtube_status, NEW.youtube_status));
        END IF;
        IF OLD.youtube_files IS DISTINCT FROM NEW.youtube_files THEN
            changed := changed || jsonb_build_object('youtube_files', jsonb_build_array(OLD.youtube_files, NEW.youtube_files));
        END IF;
        IF OLD.youtube_media_id IS DISTINCT FROM NEW.youtube_media_id THEN
            changed := changed || jsonb_build_object('youtube_media_id', jsonb_build_array(OLD.youtube_media_id, NEW.youtube_media_id));
        END IF;
        IF OLD.drive_status IS DISTINCT FROM NEW.drive_status THEN
            changed := changed || jsonb_build_object('drive_status', jsonb_build_array(OLD.drive_status, NEW.drive_status));
        END IF;
        IF OLD.drive_files IS DISTINCT FROM NEW.drive_files THEN
            changed := changed || jsonb_build_object('drive_files', jsonb_build_array(OLD.drive_files, NEW.drive_files));
        END IF;
        IF OLD.drive_media_id IS DISTINCT FROM NEW.drive_media_id THEN
            changed := changed || jsonb_build_object('drive_media_id', jsonb_build_array(OLD.drive_media_id, NEW.drive_media_id));
        END IF;
        IF OLD.last_download_attempt IS DISTINCT FROM NEW.last_download_attempt THEN
            changed := changed || jsonb_build_object('last_download_attempt', jsonb_build_array(OLD.last_download_attempt, NEW.last_download_attempt));
        END IF;
        IF OLD.download_errors IS DISTINCT FROM NEW.download_errors THEN
            changed := changed || jsonb_build_object('download_errors', jsonb_build_array(OLD.download_errors, NEW.download_errors));
        END IF;
        IF OLD.permanent_failure IS DISTINCT FROM NEW.permanent_failure THEN
            changed := changed || jsonb_build_object('permanent_failure', jsonb_build_array(OLD.permanent_failure, NEW.permanent_failure));
        END IF;
        IF OLD.extraction_date IS DISTINCT FROM NEW.extraction_date THEN
            changed := changed || jsonb_build_object('extraction_date', jsonb_build_array(OLD.extraction_date, NEW.extraction_date));
        END IF;
        IF changed = '{}' THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
    SELECT row_id, 'processing_status', lower(TG_OP), jsonb_strip_nulls(changed), revision, ingestion.carried_epoch(), write_id,
        ingestion.actor()
    FROM public.people WHERE id = NEW.person_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION ingestion.note_one_s3_metadata() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    changed jsonb := '{}';
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT coalesce(jsonb_object_agg(key, jsonb_build_array(NULL, value)), '{}') INTO changed
        FROM jsonb_each(to_jsonb(NEW)) WHERE value <> 'null' AND key <> ALL('{id,person_id,created_at,updated_at}');
    ELSE
        IF OLD.file_uuids IS DISTINCT FROM NEW.file_uuids THEN
            changed := changed || jsonb_build_object('file_uuids', jsonb_build_array(OLD.file_uuids, NEW.file_uuids));
        END IF;
        IF OLD.s3_paths IS DISTINCT FROM NEW.s3_paths THEN
            changed := changed || jsonb_build_object('s3_paths', jsonb_build_array(OLD.s3_paths, NEW.s3_paths));
        END IF;
        IF changed = '{}' THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO ingestion.history (row_id, table_name, operation, changed, revision, epoch, write_id, actor)
    SELECT row_id, 's3_metadata', lower(TG_OP), jsonb_strip_nulls(changed), revision, ingestion.carried_epoch(), write_id,
        ingestion.actor()
    FROM public.people WHERE id = NEW.person_id;
    RETURN NULL;
END
$$;

DROP TRIGGER note_update ON people;
CREATE TRIGGER note_update AFTER UPDATE ON people REFERENCING OLD TABLE AS was NEW TABLE AS now_is
FOR EACH STATEMENT WHEN (current_setting('ingestion.bulk', true) = 'on') EXECUTE FUNCTION ingestion.note_people();
CREATE TRIGGER take_note AFTER UPDATE ON people
FOR EACH ROW WHEN (current_setting('ingestion.bulk', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION ingestion.note_person();

DROP TRIGGER note_insert ON processing_status;
DROP TRIGGER note_update ON processing_status;
CREATE TRIGGER note_update AFTER UPDATE ON processing_status REFERENCING OLD TABLE AS was NEW TABLE AS now_is
FOR EACH STATEMENT WHEN (current_setting('ingestion.bulk', true) = 'on') EXECUTE FUNCTION ingestion.note_processing_status();
CREATE TRIGGER take_note AFTER INSERT OR UPDATE ON processing_status
FOR EACH ROW WHEN (current_setting('ingestion.bulk', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION ingestion.note_one_processing_status();

DROP TRIGGER note_insert ON s3_metadata;
DROP TRIGGER note_update ON s3_metadata;
CREATE TRIGGER note_update AFTER UPDATE ON s3_metadata REFERENCING OLD TABLE AS was NEW TABLE AS now_is
FOR EACH STATEMENT WHEN (current_setting('ingestion.bulk', true) = 'on') EXECUTE FUNCTION ingestion.note_s3_metadata();
CREATE TRIGGER take_note AFTER INSERT OR UPDATE ON s3_metadata
FOR EACH ROW WHEN (current_setting('ingestion.bulk', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION ingestion.note_one_s3_metadata();

-- A condition that calls no function of ours is not planned anew for each statement.
DROP TRIGGER stray ON people;
CREATE TRIGGER stray BEFORE UPDATE ON people FOR EACH ROW
WHEN (coalesce(current_setting('ingestion.epoch', true), '') = '') EXECUTE FUNCTION ingestion.stray_person();

DROP TRIGGER stray ON processing_status;
CREATE TRIGGER stray AFTER INSERT OR UPDATE OR DELETE ON processing_status FOR EACH ROW
WHEN (coalesce(current_setting('ingestion.epoch', true), '') = '') EXECUTE FUNCTION ingestion.stray_child();
DROP TRIGGER stray_time ON processing_status;
CREATE TRIGGER stray_time BEFORE UPDATE ON processing_status FOR EACH ROW
WHEN (coalesce(current_setting('ingestion.epoch', true), '') = '' AND OLD IS DISTINCT FROM NEW)
EXECUTE FUNCTION ingestion.stray_time();

DROP TRIGGER stray ON s3_metadata;
CREATE TRIGGER stray AFTER INSERT OR UPDATE OR DELETE ON s3_metadata FOR EACH ROW
WHEN (coalesce(current_setting('ingestion.epoch', true), '') = '') EXECUTE FUNCTION ingestion.stray_child();
DROP TRIGGER stray_time ON s3_metadata;
CREATE TRIGGER stray_time BEFORE UPDATE ON s3_metadata FOR EACH ROW
WHEN (coalesce(current_setting('ingestion.epoch', true), '') = '' AND OLD IS DISTINCT FROM NEW)
EXECUTE FUNCTION ingestion.stray_time();
