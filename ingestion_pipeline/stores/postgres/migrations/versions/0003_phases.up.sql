-- From where on both sides have to be looked at again after a comparison.
ALTER TABLE ingestion.proof
    -- The last record of the CSV's journal that was in the file compared.
    ADD COLUMN sequence bigint,
    -- The snapshot that was compared.
    ADD COLUMN snapshot text;

-- Whether a row version was made by a transaction that a snapshot did not see.
CREATE FUNCTION ingestion.made_since(made xid, seen pg_snapshot) RETURNS boolean LANGUAGE sql STABLE
RETURN
    -- Nearly all are older, which is quickly told.
    age(made) <= age(pg_snapshot_xmin(seen)::xid)
    -- The 32 bits a row keeps, as the full number nearest below the next one.
    AND NOT pg_visible_in_snapshot(
        (
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint
            - (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - made::text::bigint & 4294967295)
        )::text::xid8,
        seen
    );
