#!/usr/bin/env bash
# Describes the checked SQL of each service in its .sqlx folder, or with --check says whether the folder is fresh.
# Runs under `devstack exec --unmigrated`: the migrations come from their files, so that a query which does not compile
# yet can be described.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=false
for service in auth portfolio media; do
    variable="${service^^}_DATABASE_URL"
    (cd "services/$service" && cargo sqlx migrate run --no-dotenv --database-url "${!variable}" >/dev/null &&
        cargo sqlx prepare "$@" --database-url "${!variable}" -- --all-targets)
done
