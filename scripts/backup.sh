#!/usr/bin/env bash
# A backup of the running stack: a folder named by its time in BACKUP_DIR, with
#   database.dump   PostgreSQL, one snapshot of all schemas
#   rows.txt        rows of each table in it
#   objects/        the objects; those of the last backup are hard links
#   SHA256SUMS      of everything
# Objects are fetched before and after the dump, so that each one that the dump refers to is there. Ends with 0 when all of it
# is done, 1 when there is no new backup, 2 when there is one, but removing old ones or sending it to BACKUP_S3_* failed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
umask 077
folder=$(setting BACKUP_DIR backups)
[[ $folder = /* ]] || folder=$root/$folder
keep=$(setting BACKUP_KEEP_DAYS 30)
[[ $keep =~ ^[0-9]+$ ]] || die "BACKUP_KEEP_DAYS must be a number of days"
mkdir -p "$folder"
exec 8>"$folder/.lock"
flock -n 8 || die "another backup is running"
stamp=$(date -u +%Y%m%dT%H%M%SZ)
work=$folder/.unfinished
failure=1
# shellcheck disable=SC2329 # the trap's
finish() {
    local status=$?
    rm -rf "$work"
    [ $status = 0 ] || exit $failure
}
trap finish EXIT
rm -rf "$work"
mkdir "$work"
export BACKUP_OWNER=${BACKUP_OWNER:-$(id -u):$(id -g)}
objects() { compose run --rm --no-deps -T -v "$work:/backup" objects "$@"; }
last=$(find "$folder" -maxdepth 1 -name '2*Z' -type d | sort | tail -n 1)
if [ -n "$last" ]; then
    cp -al "$last/objects" "$work/objects"
    cp "$last/objects.types" "$work/" 2>/dev/null || true
    # What the disk has spoilt since is fetched anew; the older backups share the spoilt file.
    { grep ' \./objects/' "$last/SHA256SUMS" || true; } >"$work/carried"
    (cd "$work" && sha256sum --check --quiet carried 2>/dev/null || true) | sed -n 's/: FAILED.*//p' | while read -r file; do
        say "$last/$file is damaged there."
        rm -f "$work/$file"
    done
    rm "$work/carried"
fi

# The database as it is in PostgreSQL, uncompressed, and the objects that are not here yet.
database=$(compose exec -T postgres psql --username=postgres -XAt grafikarsa -c "select pg_database_size('grafikarsa')")
stored=$(objects list | awk '{ n += $1 } END { printf "%d", n }')
carried=$(find "$work" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%d", n }')
new=$((stored > carried ? stored - carried : 0))
free=$(df --output=avail -B1 "$folder" | tail -n 1)
[ "$free" -gt $((database + new + 100000000)) ] || die "$folder has $free bytes left; this backup may need $((database + new + 100000000))."

say "Objects …"
objects fetch /backup >/dev/null
say "Database …"
since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
compose exec -T postgres pg_dump --username=postgres --format=custom --compress=6 grafikarsa >"$work/database.dump"
# Counted in the dump itself, so that the numbers are those of its snapshot.
compose exec -T postgres pg_restore --data-only --file=- <"$work/database.dump" | awk '
    /^COPY .* FROM stdin;$/ { table = $2; count[table] = 0; next }
    table != "" && $0 == "\\." { table = ""; next }
    table != "" { count[table]++ }
    END { for (table in count) print table, count[table] }' | sort >"$work/rows.txt"
say "Objects that came meanwhile …"
count=$(objects fetch /backup)
# What the store had no more before the dump goes; the list is what counts.
(cd "$work" && comm -23 <(find objects -type f | sort) <(awk '{ print "objects/" $3 }' objects.list | sort) | tr '\n' '\0' | xargs -0 -r rm --)
echo "dumped_at=$since" >"$work/backup.env"
(cd "$work" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
# On the disk before it counts as a backup.
sync "$work"/*
mv "$work" "$folder/$stamp"
failure=2
say "$folder/$stamp: $(stat -c %s "$folder/$stamp/database.dump") bytes of database, $count objects"

# The newest three stay, whatever their age.
find "$folder" -maxdepth 1 -name '2*Z' -type d | sort | head -n -3 | while read -r old; do
    if [ "$(date -u -d "$(basename "$old" | sed -E 's/(....)(..)(..)T(..)(..)(..)Z/\1-\2-\3 \4:\5:\6/')" +%s)" -lt $(($(date +%s) - keep * 86400)) ]; then
        rm -rf "$old"
        say "$old was older than $keep days."
    fi
done

if [ -n "$(setting BACKUP_S3_ENDPOINT)" ]; then
    compose run --rm --no-deps -T -v "$folder/$stamp:/backup:ro" offsite send /backup "$stamp" || { die "It was not sent to BACKUP_S3_ENDPOINT."; }
    say "Sent to $(setting BACKUP_S3_ENDPOINT)."
    days=$(setting BACKUP_S3_KEEP_DAYS)
    [ -z "$days" ] || compose run --rm --no-deps -T offsite prune "$days" >&2 || die "Old ones were not removed there."
fi
