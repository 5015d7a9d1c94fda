#!/usr/bin/env bash
# Refuses production with missing, short, guessable or repeated secrets, and names each. The rules are those of libs/config;
# the services apply them again to what reaches them.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ -f "$env_file" ] || die "There is no $env_file: make one with scripts/make-env.sh, or copy .env.example."

# As in libs/config/src/reader.rs.
well_known='change-me|changeme|change_me|example|password|secret-secret|grafikarsa-dev|12345678'
guessed_first='access|admin|administrator|auth|database|default|development|garage|grafikarsa|guest|internal|jwt|key|letmein|media|minio|nats|portfolio|postgres|postgresql|production|qwerty|rahasia|root|seaweedfs|secret|test|token|user'

problems=()
problem() { problems+=("$1 $2"); }

is_weak() {
    local lower=${1,,} letters distinct
    letters=${lower//[^[:alpha:]]/}
    distinct=$(fold -w1 <<<"$lower" | sort -u | wc -l)
    [ "$distinct" -lt 6 ] || [[ $lower =~ $well_known ]] || [[ -n $letters && $letters =~ ^($guessed_first)+$ ]]
}

secret() { # NAME MIN_BYTES
    local value
    value=$(setting "$1")
    if [ -z "$value" ]; then
        problem "$1" "is missing"
    elif [ "$(printf %s "$value" | wc -c)" -lt "$2" ]; then
        problem "$1" "is too short: $2 bytes at least"
    elif is_weak "$value"; then
        problem "$1" "is a default or easily guessed value; generate one with \`openssl rand -hex 32\`"
    fi
    # What Compose, JSON and the files of curl and Garage read as it stands.
    [[ $value =~ ^[A-Za-z0-9._~+/=@%^,:!*?-]*$ ]] || problem "$1" "may hold letters, digits and ._~+/=@%^,:!*?- only"
}

# They become parts of addresses.
address_password() { # NAME
    secret "$1" 12
    [[ $(setting "$1") =~ ^[A-Za-z0-9._~-]*$ ]] || problem "$1" "may hold letters, digits and ._~- only"
}

if [ "$(setting APP_ENV production)" != production ]; then
    [ "${ENV:-prod}" = dev ] || problem APP_ENV "must be production here; \`make up ENV=dev\` runs development"
fi
domain=$(setting DOMAIN)
[ -n "$domain" ] || problem DOMAIN "is missing"
[[ $domain =~ ^[A-Za-z0-9.-]*$ ]] || problem DOMAIN "must be a host name, without https:// and path"
secret JWT_ACCESS_SECRET 32
secret JWT_REFRESH_SECRET 32
secret INTERNAL_API_TOKEN 32
[ -z "$(setting ADMIN_PASSWORD)" ] || secret ADMIN_PASSWORD 8
for name in POSTGRES_PASSWORD AUTH_DB_PASSWORD PORTFOLIO_DB_PASSWORD MEDIA_DB_PASSWORD \
    AUTH_NATS_PASSWORD PORTFOLIO_NATS_PASSWORD MEDIA_NATS_PASSWORD; do
    address_password "$name"
done
secret STORE_ADMIN_SECRET 16
[[ $(setting STORE_ADMIN_SECRET) =~ ^[A-Za-z0-9._~-]*$ ]] || problem STORE_ADMIN_SECRET "may hold letters, digits and ._~- only"
[ -n "$(setting S3_ACCESS_KEY_ID)" ] || problem S3_ACCESS_KEY_ID "is missing"
for name in S3_ACCESS_KEY_ID STORE_ADMIN_KEY_ID BACKUP_S3_ACCESS_KEY_ID S3_BUCKET BACKUP_S3_BUCKET S3_REGION BACKUP_S3_REGION; do
    [[ $(setting "$name") =~ ^[A-Za-z0-9._-]*$ ]] || problem "$name" "may hold letters, digits and ._- only"
done
[[ $(setting BACKUP_S3_SECRET_ACCESS_KEY) =~ ^[A-Za-z0-9._~+/=-]*$ ]] || problem BACKUP_S3_SECRET_ACCESS_KEY "may hold letters, digits and ._~+/=- only"
secret S3_SECRET_ACCESS_KEY 16
[ "$(setting OBJECT_STORE minio)" != garage ] || secret GARAGE_RPC_SECRET 64
if [ "$(setting OBSERVABILITY false)" = true ]; then
    secret GRAFANA_ADMIN_PASSWORD 12
    address_password MONITOR_DB_PASSWORD
fi

declare -A seen=()
for name in JWT_ACCESS_SECRET JWT_REFRESH_SECRET INTERNAL_API_TOKEN POSTGRES_PASSWORD AUTH_DB_PASSWORD PORTFOLIO_DB_PASSWORD \
    MEDIA_DB_PASSWORD AUTH_NATS_PASSWORD PORTFOLIO_NATS_PASSWORD MEDIA_NATS_PASSWORD MONITOR_DB_PASSWORD STORE_ADMIN_SECRET S3_SECRET_ACCESS_KEY; do
    value=$(setting "$name")
    [ -n "$value" ] || continue
    if [ -n "${seen[$value]:-}" ]; then problem "$name" "must differ from ${seen[$value]}"; else seen[$value]=$name; fi
done

if [ ${#problems[@]} -gt 0 ]; then
    say "These settings of $env_file are not fit for production:"
    for line in "${problems[@]}"; do say "  $line"; done
    exit 1
fi
