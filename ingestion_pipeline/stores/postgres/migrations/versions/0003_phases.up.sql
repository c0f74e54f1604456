-- From where on both sides have to be looked at again after a comparison.
ALTER TABLE ingestion.proof
    -- The last record of the CSV's journal that was in the file compared.
    ADD COLUMN sequence bigint,
    -- The oldest transaction whose changes may not have been in the tables compared.
    ADD COLUMN horizon text;
