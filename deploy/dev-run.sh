#!/usr/bin/env bash
# dev-run SERVICE: builds the service from /src, migrates and serves; builds again when a file changes. A build that fails
# leaves the last one running.
set -uo pipefail
service=$1
stamp=$(mktemp)
pid=

stop() { if [ -n "$pid" ]; then kill -TERM "$pid" 2>/dev/null; wait "$pid"; pid=; fi; }
trap 'stop; exit 0' TERM INT

changed() {
    [ -n "$(find Cargo.toml Cargo.lock docs/openapi.json libs proto-events "services/$service" -newer "$stamp" -type f -print -quit)" ]
}

while :; do
    touch "$stamp"
    if cargo build --locked -p "$service"; then
        stop
        # A copy: cargo replaces its file while this one runs.
        install -D "$CARGO_TARGET_DIR/debug/$service" "/tmp/run/$service"
        "/tmp/run/$service" migrate && { "/tmp/run/$service" serve & pid=$!; }
    fi
    until changed; do sleep 1 & wait $!; done
done
