DROP TABLE ingestion.gap;
