-- name: is_level
-- Whether nothing has changed since the index was made level.
SELECT EXISTS (
    SELECT FROM ingestion.indexed, ingestion.history_id_seq
    WHERE language = %(language)s AND change = CASE WHEN is_called THEN last_value ELSE 0 END
)

-- name: language
-- Which language the index is in; no row where it was never made.
SELECT language FROM ingestion.indexed

-- name: lock
-- One refresh at a time.
SELECT pg_advisory_xact_lock(hashtext('ingestion.search_index'))

-- name: last_change
-- The last number given in history. To be read before the people are, in a statement of its own.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM ingestion.history_id_seq

-- name: is_quiet
-- Whether every transaction that has a number of its own has ended, so that what follows sees all of them. This one must
-- get its number here: those that changed something before last_change was read have lower ones.
SELECT pg_snapshot_xmin(pg_current_snapshot()) = pg_current_xact_id()

-- name: forget
-- Words of another language are of no use.
DELETE FROM ingestion.search_index
WHERE EXISTS (SELECT FROM ingestion.indexed WHERE language <> %(language)s)

-- name: refresh
-- Whoever is new, has changed or is gone since, in one state of the tables; gives how many they are.
WITH changed AS MATERIALIZED (
    SELECT coalesce(people.id, known.person_id) AS id, people.id IS NULL AS is_gone
    FROM people
    FULL JOIN ingestion.search_index AS known ON known.person_id = people.id
    WHERE known.revision IS DISTINCT FROM people.revision
), cleared_words AS (
    DELETE FROM ingestion.search_index USING changed WHERE person_id = changed.id AND is_gone
), cleared_files AS (
    DELETE FROM ingestion.file USING changed WHERE person_id = changed.id
), files AS (
    INSERT INTO ingestion.file (person_id, uuid, description, path)
    SELECT changed.id, found.uuid, found.description, found.path
    FROM changed
    JOIN s3_metadata ON s3_metadata.person_id = changed.id
    CROSS JOIN LATERAL (
        SELECT uuid, description, path
        FROM (SELECT key, value FROM jsonb_each_text(file_uuids) WHERE value IS NOT NULL) AS named (description, uuid)
        FULL JOIN jsonb_each_text(s3_paths) AS lying (uuid, path) USING (uuid)
    ) AS found
), words AS (
    INSERT INTO ingestion.search_index (person_id, revision, words)
    SELECT people.id, people.revision, ingestion.words(%(language)s::regconfig, people.name, document_text)
    FROM changed
    JOIN people USING (id)
    LEFT JOIN processing_status ON processing_status.person_id = people.id
    ON CONFLICT (person_id) DO UPDATE SET revision = excluded.revision, words = excluded.words
)
SELECT count(*) FROM changed

-- name: tidy
-- Words are put into the index by the many, which is several times quicker; nobody who searches is to read through the
-- list of those that are not in it yet. Only the owner may do this; else it waits for autovacuum.
SELECT gin_clean_pending_list('ingestion.search_index_words')
FROM pg_class
WHERE oid = 'ingestion.search_index_words'::regclass AND pg_has_role(relowner, 'USAGE')

-- name: analyse
-- Or the next plans would be guesses, until autovacuum comes by.
ANALYZE ingestion.search_index, ingestion.file

-- name: remember
-- What the index is level with now.
INSERT INTO ingestion.indexed (change, language) VALUES (%(change)s, %(language)s)
ON CONFLICT (singleton) DO UPDATE SET change = excluded.change, language = excluded.language

-- name: count_behind
-- People who are not in the index as they are now.
SELECT count(*)
FROM people
LEFT JOIN ingestion.search_index AS known ON known.person_id = people.id
WHERE known.revision IS DISTINCT FROM people.revision

-- name: search
-- Those in whom the words are found, the best first; of very many, the best of so many as are counted.
WITH matched AS MATERIALIZED (
    SELECT people.id, people.ordinal,
        ts_rank(words, websearch_to_tsquery(%(language)s::regconfig, %(query)s)) AS rank
    FROM ingestion.search_index
    JOIN people ON people.id = person_id
    WHERE words @@ websearch_to_tsquery(%(language)s::regconfig, %(query)s)
    LIMIT %(most)s + 1
), best AS (
    SELECT id, rank FROM matched ORDER BY rank DESC, ordinal LIMIT %(limit)s
)
SELECT row_id, name, rank,
    ts_headline(
        %(language)s::regconfig, ingestion.text_to_search(concat_ws(E'\n', name, document_text), 1000000),
        websearch_to_tsquery(%(language)s::regconfig, %(query)s), %(form)s
    ),
    (SELECT count(*) FROM matched)
FROM best
JOIN people USING (id)
LEFT JOIN processing_status ON processing_status.person_id = people.id
ORDER BY rank DESC, people.ordinal

-- name: find
-- The files of which this is true, in the people's order, and how many they are.
SELECT row_id, name, uuid, description, path, count(*) OVER ()
FROM ingestion.file
JOIN people ON people.id = person_id
WHERE {condition}
ORDER BY ordinal, description, uuid
LIMIT %(limit)s

-- name: of_uuid
uuid_hash = hashtextextended(%(text)s, 0) AND uuid = %(text)s

-- name: of_description
description_hash = hashtextextended(%(text)s, 0) AND description = %(text)s

-- name: of_path
path_hash = hashtextextended(%(text)s, 0) AND path = %(text)s

-- name: of_mismatched
(description IS NULL OR path IS NULL)

-- name: shared
-- UUIDs and paths that several people have, those of most people first, and how many they are.
WITH uuids AS (
    SELECT uuid_hash AS hash FROM ingestion.file
    GROUP BY uuid_hash HAVING min(person_id) <> max(person_id)
), paths AS (
    SELECT path_hash AS hash FROM ingestion.file WHERE path_hash IS NOT NULL
    GROUP BY path_hash HAVING min(person_id) <> max(person_id)
), held AS (
    -- Two texts may have one hash, and one person a text twice.
    SELECT 'uuid' AS kind, uuid AS text, person_id FROM ingestion.file JOIN uuids ON hash = uuid_hash
    UNION
    SELECT 'path', path, person_id FROM ingestion.file JOIN paths ON hash = path_hash
)
SELECT kind, text, count(*), (array_agg(row_id ORDER BY ordinal))[:%(named)s], count(*) OVER ()
FROM held
JOIN people ON people.id = person_id
GROUP BY kind, text
HAVING count(*) > 1
ORDER BY count(*) DESC, kind DESC, text
LIMIT %(limit)s
