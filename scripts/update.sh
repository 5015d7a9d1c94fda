#!/usr/bin/env bash
# Brings what runs up to the files and images of this clone: builds (BUILD=no: uses images that are there; PULL=yes: fetches
# newer images of what it builds on and of the servers), migrates, and replaces the services one by one without losing a request. What has no second (nginx, PostgreSQL, NATS, the store) is
# announced, replaced after a yes (YES=1 says it beforehand), and the pause is measured.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ "${ENV:-prod}" != prod ] || "$root/scripts/check-settings.sh"
[ "${PULL:-no}" != yes ] || compose pull --ignore-buildable >&2
[ "${BUILD:-yes}" = no ] || "$root/scripts/build.sh"
# A routing that nginx refuses would stop every change of replicas half-way.
compose run --rm --no-deps -T nginx check >&2 || die "nginx refuses its new configuration: nothing was changed."

is_current() { # SERVICE: its containers are those that Compose would make now
    local ids id wanted image
    ids=$(containers "$1" all)
    [ -n "$ids" ] && [ "$ids" = "$(containers "$1")" ] || return 1
    wanted=$(compose config --hash "$1" | cut -d' ' -f2)
    image=$(compose config --format json | jq -r ".services.$1.image")
    for id in $ids; do
        [ "$(docker inspect -f '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$id")" = "$wanted" ] || return 1
        [ "$(docker inspect -f '{{.Image}}' "$id")" = "$(docker image inspect -f '{{.Id}}' "$image" 2>/dev/null)" ] || return 1
    done
}

replace() { # SERVICE: as many new ones as there should be beside the old, then the old go
    local old count
    old=$(containers "$1" all)
    count=$(replicas "$1")
    say "$1: $count new beside $(wc -w <<<"$old") old"
    add_replicas "$1" "$count" || die "$1 was not replaced."
    # shellcheck disable=SC2086 # a list of words
    retire "$1" $old || die "$1: the old ones are still in use."
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
    loop='for i in $(seq 6000); do if $ask 2>/dev/null; then echo ok; else echo -; fi; sleep 0.05; done'
    if [ "$1" = nginx ]; then ask=$ask_site bash -c "$loop"; else in_nginx env ask="$ask_media" sh -c "$loop"; fi |
        while read -r state; do echo "$(date +%s%3N) $state"; done
}
log=$(mktemp) probe=
# shellcheck disable=SC2329 # the trap's
finish() { rm -f "$log"; [ -z "$probe" ] || kill -- "-$probe" 2>/dev/null || true; }
trap finish EXIT
for server in "${pause[@]}"; do
    : >"$log"
    set -m # a group of its own, which ends as one
    watch_out "$server" >"$log" 2>/dev/null &
    probe=$!
    set +m
    await 30 "the watch over $server" test -s "$log"
    compose up --detach --no-deps --wait --wait-timeout 120 "$server" >&2
    await 90 "the product after $server" sh -c "[ \"\$(tail -n 5 '$log' | grep -c ok)\" = 5 ]"
    kill -- "-$probe" 2>/dev/null || true
    wait "$probe" 2>/dev/null || true
    probe=
    say "$server was replaced; the pause: $(awk '$2 == "ok" { if (last && $1 - last > most) most = $1 - last; last = $1 } END { print most }' "$log") ms"
done

for job in volumes setup-db setup-store; do compose run --rm --no-deps "$job" >&2; done
for service in auth portfolio media; do compose run --rm --no-deps "migrate-$service" >&2; done
# media before those that call it, auth last: every release serves the calls of the one before.
for service in media portfolio auth; do
    if is_current "$service"; then say "$service is current."; else replace "$service"; fi
done
# The routing is a mounted folder: nginx checks it and takes it without a pause.
in_nginx sh -c 'nginx -t -q -c /etc/nginx/grafikarsa/nginx.conf && kill -HUP "$(cat /run/nginx/nginx.pid)"'
say "Everything is current."
