-- The words of a person. None of these tables refers to people by a foreign key: checking it would lock the people that
-- are indexed, and whoever deletes them would wait. Who is gone is left out by joins, and cleared away with the next refresh.
CREATE TABLE ingestion.search_index (
    person_id bigint,
    revision bigint NOT NULL,
    words tsvector NOT NULL,
    -- The revision beside it, so that a refresh need not read the words to see who has changed.
    CONSTRAINT search_index_pkey PRIMARY KEY (person_id) INCLUDE (revision)
);
CREATE INDEX search_index_words ON ingestion.search_index USING gin (words);

-- The files of a person: each description with its UUID and that UUID's path, and each UUID that has no description.
-- Text may be longer than an index takes, so it is found by its hash; the person beside it shows who shares it.
CREATE TABLE ingestion.file (
    person_id bigint NOT NULL,
    uuid text NOT NULL,
    -- NULL where the UUID stands in s3_paths only.
    description text,
    -- NULL where the UUID stands in file_uuids only.
    path text,
    uuid_hash bigint GENERATED ALWAYS AS (hashtextextended(uuid, 0)) STORED,
    description_hash bigint GENERATED ALWAYS AS (hashtextextended(description, 0)) STORED,
    path_hash bigint GENERATED ALWAYS AS (hashtextextended(path, 0)) STORED
);
CREATE INDEX file_person ON ingestion.file (person_id);
CREATE INDEX file_uuid ON ingestion.file (uuid_hash, person_id);
CREATE INDEX file_description ON ingestion.file (description_hash);
CREATE INDEX file_path ON ingestion.file (path_hash, person_id);
CREATE INDEX file_mismatched ON ingestion.file (person_id, uuid_hash) WHERE description IS NULL OR path IS NULL;

-- What the index was last made level with. One row, or none.
CREATE TABLE ingestion.indexed (
    singleton boolean DEFAULT true CONSTRAINT indexed_pkey PRIMARY KEY
        CONSTRAINT indexed_one_row CHECK (singleton),
    -- The last number given in history before: every change of a person takes one. NULL where somebody who may have taken
    -- one had not committed yet.
    change bigint,
    -- Not regconfig, which keeps pg_upgrade from upgrading a cluster.
    language text NOT NULL
);

-- The beginning of a text, with whatever has no blank for long broken up: of such, the parser may take a time that grows
-- with the square of the length.
CREATE FUNCTION ingestion.text_to_search(document text, characters integer) RETURNS text LANGUAGE sql IMMUTABLE
RETURN regexp_replace("left"(document, characters), '(\S{255})', '\1 ', 'g');

-- The words of a name and a document. A tsvector holds 1 MB; of 65,536 characters it always holds the words.
CREATE FUNCTION ingestion.words(language regconfig, name text, document text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    named constant tsvector := setweight(to_tsvector(language, name), 'A');
    written constant text := coalesce(document, '');
BEGIN
    RETURN named || setweight(to_tsvector(language, ingestion.text_to_search(written, 1000000)), 'B');
EXCEPTION WHEN program_limit_exceeded THEN
    RETURN named || setweight(to_tsvector(language, ingestion.text_to_search(written, 65536)), 'B');
END
$$;
