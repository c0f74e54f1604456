DROP TABLE ingestion.search_index, ingestion.file, ingestion.indexed;
DROP FUNCTION ingestion.words, ingestion.text_to_search;
