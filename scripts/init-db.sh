#!/bin/sh
# Makes what the services need of PostgreSQL, and only what is missing: extensions, and a schema and a login role for each,
# none of them a superuser. Repeating it sets the passwords anew. PGHOST, PGUSER, PGPASSWORD and PGDATABASE lead to the
# server as somebody who may create roles; AUTH_DB_PASSWORD, PORTFOLIO_DB_PASSWORD and MEDIA_DB_PASSWORD are the roles'.
# With MONITOR_DB_PASSWORD also a role that may read figures, and no table.
set -eu
psql -X --quiet --set=ON_ERROR_STOP=1 <<'SQL'
\set QUIET on
-- Passwords must not reach the server's log.
set log_min_duration_statement = -1;
set log_statement = 'none';
set client_min_messages = warning;
\getenv auth AUTH_DB_PASSWORD
\getenv portfolio PORTFOLIO_DB_PASSWORD
\getenv media MEDIA_DB_PASSWORD
\getenv database PGDATABASE
\set monitor ''
\getenv monitor MONITOR_DB_PASSWORD
select :'monitor' <> '' as monitored \gset
begin;
revoke all on schema public from public;
create schema if not exists extensions;
grant usage on schema extensions to public;
create extension if not exists pg_trgm schema extensions;

select format('create role %I login', name) from unnest(array['auth', 'portfolio', 'media']) as name
where not exists (select from pg_roles where rolname = name) \gexec
alter role auth password :'auth';
alter role portfolio password :'portfolio';
alter role media password :'media';
select format('alter role %I set search_path = %I, extensions', name, name)
from unnest(array['auth', 'portfolio', 'media']) as name \gexec
-- Who is no superuser makes a schema for roles that he is a member of only.
select format('grant %I to current_user', name) from unnest(array['auth', 'portfolio', 'media']) as name
where not (select rolsuper from pg_roles where rolname = current_user) \gexec
select format('create schema if not exists %I authorization %I', name, name)
from unnest(array['auth', 'portfolio', 'media']) as name \gexec
revoke connect, temporary on database :"database" from public;
grant connect, temporary on database :"database" to auth, portfolio, media;
\if :monitored
select 'create role monitor login' where not exists (select from pg_roles where rolname = 'monitor') \gexec
alter role monitor password :'monitor' connection limit 5;
grant pg_monitor to monitor;
grant connect on database :"database" to monitor;
\endif
commit;
SQL
echo "The database $PGDATABASE is prepared."
