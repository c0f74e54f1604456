-- name: keep_others_out
-- Whoever restores a dump, as that begins with these tables; and whoever else refreshes, so that none reads a
-- state older than what it replaces. Comes before anything that fixes the state that is seen.
LOCK TABLE public.people_full IN ACCESS SHARE MODE;
LOCK TABLE ingestion.refreshed IN SHARE ROW EXCLUSIVE MODE

-- name: is_filled
SELECT relispopulated FROM pg_class WHERE oid = %(view)s::regclass

-- name: refresh
REFRESH MATERIALIZED VIEW {concurrently} {view}

-- name: note
INSERT INTO ingestion.refreshed (name, at, seconds, rows)
SELECT %(name)s, now(), %(seconds)s, count(*) FROM {view}
ON CONFLICT (name) DO UPDATE SET at = excluded.at, seconds = excluded.seconds, rows = excluded.rows
RETURNING at, seconds, rows

-- name: are_filled
SELECT bool_and(relispopulated)
FROM pg_class
WHERE oid IN (SELECT name::regclass FROM unnest(%(views)s::text[]) AS name)

-- name: refreshed
SELECT name, at, seconds, rows FROM ingestion.refreshed ORDER BY name

-- name: download_outcomes
SELECT source, status, people, with_errors, permanent_failures
FROM {counted} AS counted
ORDER BY source DESC, people DESC, status COLLATE "C"

-- name: processing_summary
SELECT people, processed, with_document_text, with_download_attempt, with_download_errors,
    with_permanent_failure, last_download_attempt, in_quarantine, undecided
FROM {counted} AS counted

-- name: storage_inventory
SELECT kind, name, amount FROM {counted} AS counted ORDER BY amount DESC, name

-- name: type_distribution
SELECT type, people FROM {counted} AS counted ORDER BY people DESC, type

-- name: definition
-- What a view counts, with the names that are in `public` unqualified: `of_some` takes one of them for itself.
SET LOCAL search_path = public;
SELECT rtrim(pg_get_viewdef(%(view)s::regclass), ';')

-- name: of_some
-- What a view counts, over some of the people only.
(
    WITH people_full AS NOT MATERIALIZED (SELECT * FROM public.people_full WHERE {condition})
    SELECT * FROM ({definition}) AS whole
)
