#!/usr/bin/env bash
# restore.sh FOLDER: puts a backup into a stack without data, verifies it, starts the services, and has them publish again the
# events of the 7 days before the dump. Refuses a database, a bucket or a bus that holds anything.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
backup=${1:-}
[ -f "$backup/SHA256SUMS" ] || die "usage: make restore BACKUP=folder of a backup"
backup=$(cd "$backup" && pwd)
if [ "${ENV:-prod}" = prod ]; then
    "$root/scripts/check-settings.sh"
    "$root/scripts/cert.sh" self-signed
fi
export BACKUP_OWNER=${BACKUP_OWNER:-$(id -u):$(id -g)}
objects() { compose run --rm --no-deps -T -v "$backup:/backup:ro" objects "$@"; }
sql() { compose exec -T postgres psql --username=postgres -XAt -F' ' grafikarsa "$@"; }

say "Checking the backup …"
(cd "$backup" && sha256sum --quiet --check SHA256SUMS) || die "The backup is damaged."
for service in auth portfolio media; do [ -z "$(containers $service)" ] || die "$service runs: make down first."; done

say "Servers …"
compose run --rm setup-db >&2
compose run --rm setup-store >&2
compose up --detach --no-deps --wait nats >&2
tables="select count(*) from pg_tables where schemaname in ('auth', 'portfolio', 'media')"
[ "$(sql -c "$tables")" = 0 ] || die "The database holds tables: restore only into an empty stack."
streams=$(compose exec -T nats wget -q -O - http://127.0.0.1:8222/jsz | jq .streams)
[ "$streams" = 0 ] || die "NATS holds streams: restore only into an empty stack."
there=$(objects list)
[ -z "$there" ] || die "The bucket holds objects: restore only into an empty stack."

say "Database …"
compose exec -T postgres pg_restore --username=postgres --dbname=grafikarsa --clean --if-exists --single-transaction <"$backup/database.dump"
# Roles' rights on the database, and extensions.
compose run --rm setup-db >&2
sql -c analyze >/dev/null
while read -r table _; do printf "select '%s', count(*) from %s;\n" "$table" "$table"; done <"$backup/rows.txt" | sql | sort |
    diff "$backup/rows.txt" - >&2 || die "Rows differ from those of the backup."

say "Objects …"
objects store /backup >/dev/null
# Sizes and, as long as the store names an object by its MD5, contents.
objects list | sort -k3 | diff "$backup/objects.list" - >&2 || die "Objects differ from those of the backup."

say "Services …"
. "$backup/backup.env"
# The bus is empty. As if they had never been published: once they are, they are kept for another 7 days, however old the backup is.
for schema in auth portfolio media; do
    sql -c "update $schema.outbox set published_at = null where published_at >= timestamptz '$dumped_at' - interval '7 days'" >&2
done
"$root/scripts/up.sh"
waiting() { sql -c "select (select count(*) from auth.outbox where published_at is null) + (select count(*) from portfolio.outbox where published_at is null)
    + (select count(*) from media.outbox where published_at is null)"; }
all_published() { [ "$(waiting)" = 0 ]; }
await 600 "the events are published" all_published || say "$(waiting) events still wait; they go on by themselves: make health"
say "Restored: $(wc -l <"$backup/rows.txt") tables and $(wc -l <"$backup/objects.list") objects, as they were at $dumped_at."
