-- name: create_staged
-- Each row of the file as text; the identity counts the rows in file order.
CREATE TEMP TABLE staged (
    position bigint GENERATED ALWAYS AS IDENTITY (MINVALUE 1), {definitions}
) ON COMMIT DROP

-- name: copy_staged
-- The file's own bytes: past the gate, PostgreSQL reads the same cells from them.
COPY staged ({columns}) FROM STDIN (FORMAT csv, FORCE_NOT_NULL ({columns}))

-- name: create_correction
-- Cells that are not canonical: what to load instead (NULL for nothing), what the file says, and why.
CREATE TEMP TABLE correction (
    position bigint PRIMARY KEY, verbatim jsonb NOT NULL, reasons jsonb NOT NULL{definitions}
) ON COMMIT DROP

-- name: copy_correction
COPY correction (position, verbatim, reasons{columns}) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (verbatim{columns}))

-- name: create_set_aside
-- Rows that are not loaded: rejected for a reason, or, without one, a repeat of the row at first_position.
CREATE TEMP TABLE set_aside (
    position bigint PRIMARY KEY, column_name text NOT NULL, reason text, first_position bigint
) ON COMMIT DROP

-- name: copy_set_aside
COPY set_aside (position, column_name, reason) FROM STDIN (FORMAT csv)

-- name: analyse_staged
-- The planner must know how many rows there are before it joins them.
ANALYZE staged (position, row_id), correction, set_aside

-- name: set_repeats_aside
-- A second row with a row_id is a repeat when all its cells are the first one's, else it is rejected.
INSERT INTO set_aside (position, column_name, reason, first_position)
SELECT
    again.position, 'row_id',
    CASE WHEN ({again}) IS DISTINCT FROM ({first}) THEN 'duplicate_row_id' END,
    first.position
FROM (
    SELECT row_id, min(position) AS position
    FROM staged
    WHERE NOT EXISTS (SELECT FROM set_aside WHERE set_aside.position = staged.position)
    GROUP BY row_id
    HAVING count(*) > 1
) AS repeated
JOIN staged AS first ON first.position = repeated.position
JOIN staged AS again ON again.row_id = repeated.row_id AND again.position > repeated.position
WHERE NOT EXISTS (SELECT FROM set_aside WHERE set_aside.position = again.position)

-- name: create_incoming
-- The records the file holds, typed.
CREATE TEMP VIEW incoming AS
SELECT staged.position, correction.verbatim, {typed}
FROM staged
LEFT JOIN correction USING (position)
WHERE NOT EXISTS (SELECT FROM set_aside WHERE set_aside.position = staged.position)

-- name: create_rejected
-- The rows the file holds that cannot be loaded, each with all its cells.
CREATE TEMP VIEW rejected AS
SELECT staged.position, set_aside.column_name, set_aside.reason, staged.row_id,
    jsonb_build_object({cells}) AS raw
FROM set_aside
JOIN staged USING (position)
WHERE set_aside.reason IS NOT NULL
