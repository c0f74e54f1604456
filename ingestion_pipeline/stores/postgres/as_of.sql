-- name: told
-- The time; since when history tells; when somebody last gave a person another row_id after that time; and until
-- when a dump was restored over what was then.
SELECT now(), (SELECT min(at) FROM ingestion.history), (
    SELECT max(at) FROM ingestion.history
    WHERE at > %(at)s AND table_name = 'people' AND operation = 'update' AND changed ? 'row_id'
), (
    SELECT max(until) FROM ingestion.gap WHERE since < %(at)s AND until > %(at)s
)

-- name: find_later
-- From which change on a person is undone; what waited for that one is undone too, though it began earlier.
CREATE TEMP TABLE later ON COMMIT DROP AS
SELECT row_id, min(id) AS id FROM ingestion.history WHERE at > %(at)s GROUP BY row_id

-- name: find_undone
-- What each cell was before the first change that is undone.
CREATE TEMP TABLE undone ON COMMIT DROP AS
SELECT row_id, jsonb_object_agg(key, before) AS cells
FROM (
    SELECT DISTINCT ON (history.row_id, one.key) history.row_id, one.key, one.value -> 0 AS before
    FROM later
    JOIN ingestion.history AS history ON history.row_id = later.row_id AND history.id >= later.id
    CROSS JOIN LATERAL jsonb_each(history.changed) AS one
    ORDER BY history.row_id, one.key, history.id
) AS earliest
GROUP BY row_id

-- name: find_comings
-- Who came or went since, and which of the two was first.
CREATE TEMP TABLE coming ON COMMIT DROP AS
SELECT DISTINCT ON (history.row_id) history.row_id, history.operation
FROM later
JOIN ingestion.history AS history ON history.row_id = later.row_id AND history.id >= later.id
WHERE history.table_name = 'people' AND history.operation IN ('insert', 'delete')
ORDER BY history.row_id, history.id

-- name: count_doubtful
-- People with a map of then that was last set other than through the pipeline: history keeps no null in it.
SELECT count(DISTINCT undone.row_id)
FROM undone
JOIN later ON later.row_id = undone.row_id
CROSS JOIN unnest(%(maps)s::text[]) AS map (name)
WHERE jsonb_typeof(undone.cells -> map.name) = 'object' AND (
    SELECT history.epoch IS NULL
    FROM ingestion.history AS history
    WHERE history.row_id = undone.row_id AND history.id < later.id AND history.changed ? map.name
    ORDER BY history.id DESC
    LIMIT 1
)

-- name: free_places
-- All, as the one of places lies elsewhere where the tables are in parts.
SET CONSTRAINTS ALL DEFERRED

-- name: delete_comers
DELETE FROM people USING coming WHERE people.row_id = coming.row_id AND coming.operation = 'insert'

-- name: bring_back_people
-- Those who went, whether or not they have come again.
INSERT INTO people (row_id, name, email, type, link, ordinal, verbatim)
SELECT undone.row_id, was.name, was.email, was.type, was.link, was.ordinal, was.verbatim
FROM undone
JOIN coming ON coming.row_id = undone.row_id AND coming.operation = 'delete'
CROSS JOIN LATERAL jsonb_populate_record(NULL::people, undone.cells) AS was
ON CONFLICT (row_id) DO UPDATE
SET name = excluded.name, email = excluded.email, type = excluded.type, link = excluded.link,
    ordinal = excluded.ordinal, verbatim = excluded.verbatim

-- name: undo_people
UPDATE people
SET (name, email, type, link, ordinal, verbatim)
    = (SELECT was.name, was.email, was.type, was.link, was.ordinal, was.verbatim
        FROM jsonb_populate_record(people, undone.cells) AS was)
FROM undone
WHERE people.row_id = undone.row_id AND NOT EXISTS (SELECT FROM coming WHERE coming.row_id = undone.row_id)

-- name: bring_back_child
-- The rows of those who came back, and rows that somebody has deleted on their own.
INSERT INTO {table} (person_id)
SELECT people.id
FROM undone
JOIN people ON people.row_id = undone.row_id
ON CONFLICT (person_id) DO NOTHING

-- name: empty_child
-- A row that was made since held nothing; a load that made it has not noted so.
UPDATE {table} SET {blank} WHERE created_at > %(at)s

-- name: undo_child
UPDATE {table}
SET ({columns}) = (SELECT {was} FROM jsonb_populate_record({table}, undone.cells - 'row_id') AS was)
FROM undone
JOIN people ON people.row_id = undone.row_id
WHERE {table}.person_id = people.id

-- name: take_back_rows
-- Rows that went to quarantine since.
UPDATE ingestion.quarantine
SET decision = 'superseded', decided_by = session_user, decided_at = now()
WHERE scope = 'row' AND found_at > %(at)s

-- name: bring_back_rows
-- Rows that stood in quarantine then.
UPDATE ingestion.quarantine
SET decision = NULL, decided_by = NULL, decided_at = NULL
WHERE scope = 'row' AND found_at <= %(at)s AND decided_at > %(at)s
