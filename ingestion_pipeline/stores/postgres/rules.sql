-- name: types
-- Columns that are missing or of another type than the contract declares.
SELECT count(*)
FROM unnest(%(columns)s::text[], %(types)s::text[]) AS declared (name, type)
LEFT JOIN pg_attribute AS found
    ON found.attrelid = {table}::regclass AND found.attname = declared.name AND NOT found.attisdropped
WHERE found.attname IS NULL
    OR replace(
        replace(format_type(found.atttypid, found.atttypmod), 'character varying', 'varchar'),
        'timestamp without time zone', 'timestamp'
    ) <> declared.type

-- name: keys
SELECT (SELECT count(*) FROM people WHERE {nulls} OR row_id = '')
    + (SELECT count(*) - count(DISTINCT row_id) FROM people)

-- name: orphans
SELECT count(*)
FROM people
FULL JOIN {child} AS child ON child.person_id = people.id
WHERE people.id IS NULL OR child.person_id IS NULL

-- name: lengths
SELECT count(*) FROM {child} WHERE {too_long}

-- name: maps
SELECT count(*)
FROM s3_metadata
CROSS JOIN LATERAL (VALUES (file_uuids), (s3_paths)) AS map (entries)
WHERE jsonb_typeof(entries) <> 'object'
    OR jsonb_path_exists(entries, 'strict $.* ? (@.type() != "string")')

-- name: maps_agree
SELECT count(*)
FROM s3_metadata
CROSS JOIN LATERAL jsonb_each_text(file_uuids) AS entry (description, uuid)
WHERE NOT coalesce(s3_paths ? entry.uuid, false)
