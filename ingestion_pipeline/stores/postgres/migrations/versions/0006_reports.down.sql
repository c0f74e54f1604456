-- In the order in which a refresh takes them.
LOCK TABLE people_full IN ACCESS EXCLUSIVE MODE;
DROP TABLE ingestion.refreshed;
DROP MATERIALIZED VIEW ingestion.download_outcomes, ingestion.processing_summary, ingestion.storage_inventory,
    ingestion.type_distribution;
DROP VIEW people_full;
