DROP FUNCTION ingestion.grant_again();
DROP FUNCTION ingestion.grant_roles(name, name, name);
DROP FUNCTION ingestion.take_alone(regclass[]);
DROP FUNCTION ingestion.begin_site(text, bigint);
DROP FUNCTION ingestion.held_phase();
DROP VIEW ingestion.standing;
DROP TABLE ingestion.role;
