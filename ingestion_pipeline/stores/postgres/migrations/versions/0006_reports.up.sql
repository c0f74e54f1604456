-- The columns of the full mode in its order, for those who look at the tables from outside.
CREATE VIEW people_full AS
SELECT
    p.row_id, p.name, p.email, p.type, p.link,
    s.extracted_links, s.youtube_playlist, s.google_drive, s.processed, s.document_text,
    s.youtube_status, s.youtube_files, s.youtube_media_id,
    s.drive_status, s.drive_files, s.drive_media_id,
    s.last_download_attempt, s.download_errors, s.permanent_failure,
    m.file_uuids, m.s3_paths
FROM people AS p
LEFT JOIN processing_status AS s ON s.person_id = p.id
LEFT JOIN s3_metadata AS m ON m.person_id = p.id;

-- When the materialized views were refreshed, and how long that took.
CREATE TABLE ingestion.refreshed (
    name text COLLATE "C" CONSTRAINT refreshed_pkey PRIMARY KEY,
    at timestamptz NOT NULL,
    seconds double precision NOT NULL,
    rows bigint NOT NULL
);

-- How far the work on people has come. One row.
CREATE MATERIALIZED VIEW ingestion.processing_summary AS
SELECT
    true AS singleton,
    count(*) AS people,
    count(*) FILTER (WHERE processed) AS processed,
    count(*) FILTER (WHERE document_text <> '') AS with_document_text,
    count(*) FILTER (WHERE last_download_attempt IS NOT NULL) AS with_download_attempt,
    count(*) FILTER (WHERE download_errors <> '') AS with_download_errors,
    count(*) FILTER (WHERE permanent_failure) AS with_permanent_failure,
    max(last_download_attempt) AS last_download_attempt,
    -- Entries that stand, of rows and of cells; those of rows are no people.
    (SELECT count(*) FROM ingestion.quarantine WHERE decision IS NULL OR decision = 'accept') AS in_quarantine,
    (SELECT count(*) FROM ingestion.quarantine WHERE decision IS NULL) AS undecided
FROM people_full
WITH NO DATA;
CREATE UNIQUE INDEX processing_summary_singleton ON ingestion.processing_summary (singleton);

-- How many people have which type.
CREATE MATERIALIZED VIEW ingestion.type_distribution AS
SELECT type COLLATE "C" AS type, count(*) AS people
FROM people_full
GROUP BY 1
WITH NO DATA;
CREATE UNIQUE INDEX type_distribution_type ON ingestion.type_distribution (type);

-- How the downloads of each source went.
CREATE MATERIALIZED VIEW ingestion.download_outcomes AS
SELECT
    source, status, count(*) AS people,
    -- A person's errors and failure are not told apart by source.
    count(*) FILTER (WHERE download_errors <> '') AS with_errors,
    count(*) FILTER (WHERE permanent_failure) AS permanent_failures
FROM people_full
CROSS JOIN LATERAL (
    VALUES ('youtube', coalesce(nullif(youtube_status, ''), '(none)')),
        ('drive', coalesce(nullif(drive_status, ''), '(none)'))
) AS download (source, status)
GROUP BY source, status
WITH NO DATA;
CREATE UNIQUE INDEX download_outcomes_status ON ingestion.download_outcomes (source, status);

-- Files, by what the two maps say of them: figures, and the distinct paths by where they lie and by their ending.
CREATE MATERIALIZED VIEW ingestion.storage_inventory AS
WITH
-- A person's files by UUID: from the one map, from the other, or from both.
file AS (
    SELECT row_id, uuid, described.uuid IS NOT NULL AS is_described, stored.path
    FROM (
        SELECT DISTINCT row_id, value AS uuid
        FROM people_full CROSS JOIN LATERAL jsonb_each_text(file_uuids)
        WHERE value <> ''
    ) AS described
    FULL JOIN (
        SELECT row_id, key AS uuid, value AS path FROM people_full CROSS JOIN LATERAL jsonb_each_text(s3_paths)
        WHERE value <> ''
    ) AS stored USING (row_id, uuid)
),
place AS (
    SELECT
        row_id, path,
        -- A bucket, or else the first folder: never what may be a file's own name.
        coalesce(substring(path FROM '^[a-z0-9]+://[^/]+/'), substring(path FROM '^/?[^/]+/'), '(none)') AS prefix,
        coalesce('.' || lower(substring(path FROM '\.([A-Za-z0-9]{1,5})$')), '(none)') AS ending
    FROM file
    WHERE path IS NOT NULL
),
-- What only one person has may be named after them; and of many only the largest are of interest.
share AS (
    SELECT
        kind,
        CASE
            WHEN name = '(none)' THEN name
            WHEN count(DISTINCT row_id) > 1 AND row_number() OVER (
                PARTITION BY kind ORDER BY count(DISTINCT row_id) > 1 DESC, count(DISTINCT path) DESC, name
            ) <= 20 THEN name
            ELSE '(others)'
        END AS name,
        count(DISTINCT path) AS paths
    FROM place
    CROSS JOIN LATERAL (VALUES ('prefix', prefix), ('ending', ending)) AS named (kind, name)
    GROUP BY kind, name
)
SELECT 'figure' AS kind, name COLLATE "C" AS name, amount
FROM (
    SELECT
        count(DISTINCT uuid) AS uuids,
        count(DISTINCT path) AS distinct_paths,
        count(DISTINCT row_id) AS people_with_files,
        count(*) FILTER (WHERE NOT is_described) AS paths_without_uuid,
        count(*) FILTER (WHERE path IS NULL) AS uuids_without_path
    FROM file
) AS counted
CROSS JOIN LATERAL (
    VALUES ('uuids', uuids), ('distinct_paths', distinct_paths), ('people_with_files', people_with_files),
        ('paths_without_uuid', paths_without_uuid), ('uuids_without_path', uuids_without_path)
) AS figure (name, amount)
UNION ALL
SELECT kind, name, sum(paths)::bigint FROM share GROUP BY kind, name
WITH NO DATA;
CREATE UNIQUE INDEX storage_inventory_name ON ingestion.storage_inventory (kind, name);
