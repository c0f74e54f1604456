-- name: parts
SELECT ingestion.parts()

-- name: partition
SELECT ingestion.partition_tables(%(parts)s)

-- name: count_people
SELECT count(*) FROM people
