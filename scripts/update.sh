#!/usr/bin/env bash
# Brings what runs up to the files and images of this clone: builds (BUILD=no: uses images that are there), migrates, and
# replaces the services one by one without losing a request. What has no second (nginx, PostgreSQL, NATS, the store) is
# announced, replaced after a yes (YES=1 says it beforehand), and the pause is measured.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ "${ENV:-prod}" != prod ] || "$root/scripts/check-settings.sh"
[ "${BUILD:-yes}" = no ] || compose build auth portfolio media

is_current() { # SERVICE: its containers are those that Compose would make now
    local id wanted image
    wanted=$(compose config --hash "$1" | cut -d' ' -f2)
    image=$(compose config --format json | jq -r ".services.$1.image")
    for id in $(containers "$1"); do
        [ "$(docker inspect -f '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$id")" = "$wanted" ] || return 1
        [ "$(docker inspect -f '{{.Image}}' "$id")" = "$(docker image inspect -f '{{.Id}}' "$image" 2>/dev/null)" ] || return 1
    done
}

replace() { # SERVICE: as many new ones beside the old, then the old go
    mapfile -t old < <(containers "$1")
    say "$1: ${#old[@]} new beside ${#old[@]} old"
    add_replicas "$1" ${#old[@]}
    retire "$1" "${old[@]}"
    say "$1 was replaced."
}

pause=()
for server in postgres nats store nginx; do is_current "$server" || pause+=("$server"); done
if [ ${#pause[@]} -gt 0 ]; then
    say "There is only one of: ${pause[*]}. While they are replaced requests fail or wait, as a rule for a few seconds each."
    if [ "${YES:-}" != 1 ]; then
        read -r -p "Now? [y/N] " answer || answer=
        [ "$answer" = y ] || { say "Left as they are; the services go on."; pause=(); }
    fi
fi

site=https://localhost:$(setting HTTPS_PORT 443)/health
[ "${ENV:-prod}" = prod ] || site=http://localhost:$(setting DEV_PORT 8080)/health
# Of nginx a visitor notices that nobody answers; of the others, that media, which needs all of them, is not ready.
ask_site="curl -ksSf --max-time 1 -o /dev/null $site"
ask_media='curl -fs --max-time 1 -o /dev/null http://media:9003/readyz'
watch_out() { # SERVER: "MILLISECONDS ok" or "MILLISECONDS -" a line
    local loop
    loop='while :; do if $ask 2>/dev/null; then echo ok; else echo -; fi; sleep 0.05; done'
    if [ "$1" = nginx ]; then ask=$ask_site bash -c "$loop"; else in_nginx env ask="$ask_media" sh -c "$loop"; fi |
        while read -r state; do echo "$(date +%s%3N) $state"; done
}
for server in "${pause[@]}"; do
    log=$(mktemp)
    set -m # a group of its own, which ends as one
    watch_out "$server" >"$log" 2>/dev/null &
    probe=$!
    set +m
    await 30 "the watch over $server" test -s "$log"
    compose up --detach --no-deps --wait --wait-timeout 120 "$server" >&2
    await 90 "the product after $server" sh -c "[ \"\$(tail -n 5 '$log' | grep -c ok)\" = 5 ]"
    kill -- "-$probe" 2>/dev/null || true
    wait "$probe" 2>/dev/null || true
    say "$server was replaced; the pause: $(awk '$2 == "ok" { if (last && $1 - last > most) most = $1 - last; last = $1 } END { print most }' "$log") ms"
    rm "$log"
done

for job in volumes setup-db setup-store; do compose run --rm "$job" >&2; done
for service in auth portfolio media; do compose run --rm --no-deps "migrate-$service" >&2; done
# media before those that call it, auth last: every release serves the calls of the one before.
for service in media portfolio auth; do
    if is_current "$service"; then say "$service is current."; else replace "$service"; fi
done
# The routing is a mounted folder: nginx checks it and takes it without a pause.
in_nginx sh -c 'nginx -t -q -c /etc/nginx/grafikarsa/nginx.conf && kill -HUP "$(cat /run/nginx/nginx.pid)"'
say "Everything is current."
