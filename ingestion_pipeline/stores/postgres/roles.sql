-- name: found
-- A role by its name, and what it has here: whether it is more than a group, who is in it, and whether it is the one
-- that this database's grants were made for.
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR rolcanlogin,
    ARRAY(
        SELECT member.rolname::text FROM pg_auth_members
        JOIN pg_roles AS member ON member.oid = pg_auth_members.member
        WHERE pg_auth_members.roleid = pg_roles.oid
        GROUP BY member.rolname
        ORDER BY member.rolname
    ),
    EXISTS (SELECT FROM ingestion.role WHERE part = %(part)s AND name = rolname)
        AND has_schema_privilege(rolname, 'ingestion', 'USAGE')
FROM pg_roles
WHERE rolname = %(name)s

-- name: may_create
SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user

-- name: create
CREATE ROLE {role} NOLOGIN

-- name: is_owner
-- Whether what is the owner's is this user's.
SELECT pg_has_role(%(owner)s, 'USAGE')

-- name: join_owner
GRANT {owner} TO CURRENT_USER

-- name: is_more
-- Whether the one has what the other has.
SELECT pg_has_role(%(role)s, %(other)s, 'MEMBER')

-- name: grant
SELECT ingestion.grant_roles(%(owner)s, %(writer)s, %(reader)s)
