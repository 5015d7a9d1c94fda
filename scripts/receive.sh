#!/usr/bin/env bash
# receive.sh NAME: gets a backup that was sent to BACKUP_S3_* back into BACKUP_DIR, verified and ready for restore.sh. Without
# NAME: which ones there are.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ -n "$(setting BACKUP_S3_ENDPOINT)" ] || die "BACKUP_S3_ENDPOINT is not set in $env_file."
name=${1:-}
if [ -z "$name" ]; then
    compose run --rm --no-deps -T offsite names
    exit
fi
[[ $name =~ ^2[0-9]{7}T[0-9]{6}Z$ ]] || die "usage: make receive BACKUP=20261128T021700Z"
folder=$(setting BACKUP_DIR backups)
[[ $folder = /* ]] || folder=$root/$folder
[ ! -e "$folder/$name" ] || die "$folder/$name is there already."
umask 077
work=$folder/.receiving
mkdir -p "$work"
export BACKUP_OWNER=${BACKUP_OWNER:-$(id -u):$(id -g)}
# Repeated after a failure it goes on with what is missing.
compose run --rm --no-deps -T -v "$work:/backup" offsite receive /backup "$name"
(cd "$work" && sha256sum --quiet --check SHA256SUMS) || die "It was damaged on the way: remove $work and try again."
mv "$work" "$folder/$name"
say "make restore BACKUP=$folder/$name"
