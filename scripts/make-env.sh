#!/usr/bin/env bash
# Writes a .env with fresh secrets: scripts/make-env.sh DOMAIN [ADMIN_EMAIL]. Does not touch one that is there.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
env_file=${ENV_FILE:-$root/.env}
domain=${1:?usage: scripts/make-env.sh DOMAIN [ADMIN_EMAIL]}
email=${2:-admin@$domain}
[ ! -e "$env_file" ] || { echo "$env_file is there already" >&2; exit 1; }
umask 077
random() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }
while IFS= read -r line; do
    case $line in
        DOMAIN=*) line=DOMAIN=$domain ;;
        ADMIN_EMAIL=*) line=ADMIN_EMAIL=$email ;;
        ADMIN_PASSWORD=) line=ADMIN_PASSWORD=$(random 8) ;;
        S3_ACCESS_KEY_ID=) line=S3_ACCESS_KEY_ID=GK$(random 12) ;;
        *_PASSWORD= | *_SECRET= | *_TOKEN= | S3_SECRET_ACCESS_KEY=) line=$line$(random 32) ;;
    esac
    printf '%s\n' "$line"
done <"$root/.env.example" >"$env_file"
echo "$env_file was written. The admin's first password in it: ADMIN_PASSWORD."
