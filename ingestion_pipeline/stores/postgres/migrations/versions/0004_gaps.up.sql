-- Times between the last change that a restored dump knows of and its restoring: what was then, history does not tell.
CREATE TABLE ingestion.gap (
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    CONSTRAINT gap_is_forward CHECK (since <= until)
);
