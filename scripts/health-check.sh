#!/usr/bin/env bash
# Every part of the running stack, a line each: ok, warn or FAIL. --json: one JSON object instead. Ends with 1 if a part fails,
# 0 otherwise. With ALERT_HOOK set, that program gets the JSON on its standard input when the state of a part has changed, and
# once a day while something is wrong; run it from cron, every five minutes.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
json=no
[ "${1:-}" != --json ] || json=yes

parts=() lines=() states=()
worst=ok
note() { # STATE PART DETAIL
    local detail=${3//\\/}
    detail=${detail//\"/\'}
    detail=$(tr -d '\n\r\t' <<<"$detail")
    parts+=("$(printf '{"part":"%s","state":"%s","detail":"%s"}' "$2" "$1" "$detail")")
    lines+=("$(printf '%-4s  %-22s %s' "${1/fail/FAIL}" "$2" "$detail")")
    [ "$1" = ok ] || states+=("$1 $2")
    case $1 in fail) worst=fail ;; warn) [ "$worst" = fail ] || worst=warn ;; esac
}
above() { # VALUE WARN FAIL
    if [ "$1" -ge "$3" ]; then echo fail; elif [ "$1" -ge "$2" ]; then echo warn; else echo ok; fi
}

config=$(compose config --format json 2>/dev/null)
for service in postgres nats store auth portfolio media nginx; do
    mapfile -t ids < <(containers "$service" 2>/dev/null)
    healthy=0
    for id in "${ids[@]}"; do all_healthy "$id" && healthy=$((healthy + 1)); done
    restarts=$(for id in "${ids[@]}"; do docker inspect -f '{{.RestartCount}}' "$id"; done | awk '{ n += $1 } END { print n + 0 }')
    state=ok
    [ "$restarts" -lt 5 ] || state=warn
    wanted=$(jq -r ".services.$service | .scale // 1" <<<"$config" 2>/dev/null)
    [ "$healthy" -ge "${wanted:-1}" ] && [ "$healthy" = "${#ids[@]}" ] || state=warn
    [ "$healthy" -gt 0 ] || state=fail
    note "$state" "$service" "$healthy of ${wanted:-1} healthy, $restarts restarts"
done

if [ "${ENV:-prod}" = prod ]; then site=https://localhost:$(setting HTTPS_PORT 443); else site=http://localhost:$(setting DEV_PORT 8080); fi
answer=$(curl -ksS --max-time 10 -o /dev/null -w '%{http_code} %{time_total}' "$site/health" 2>&1)
if [[ $answer = 200* ]]; then note ok site "/health answers in ${answer#* } s"; else note fail site "/health: $answer"; fi

sql() { compose exec -T postgres psql --username=postgres -XAtq grafikarsa -c "$1" 2>/dev/null; }
for schema in auth portfolio media; do
    if row=$(sql "select (select count(*) from $schema.dead_letters where replayed_at is null),
        (select coalesce(extract(epoch from now() - min(created_at))::int, 0) from $schema.outbox where published_at is null)"); then
        letters=${row%|*} oldest=${row#*|}
        note "$(above "$letters" 1 1000000)" "$schema dead letters" "$letters"
        note "$(above "$oldest" 30 300)" "$schema outbox" "oldest unpublished event waits for $oldest s"
    else
        note fail "$schema events" "the database does not answer"
    fi
done
if row=$(sql "select count(*), current_setting('max_connections')::int from pg_stat_activity where backend_type = 'client backend'"); then
    note "$(above $((${row%|*} * 100 / ${row#*|})) 80 95)" connections "${row%|*} of ${row#*|}"
fi

used=$(df --output=pcent "$(docker info -f '{{.DockerRootDir}}' 2>/dev/null || echo /)" | tail -n 1 | tr -d ' %')
note "$(above "$used" 80 92)" disk "$used % used"

if [ "${ENV:-prod}" = prod ]; then
    if until=$("$root/scripts/cert.sh" show 2>/dev/null | sed -n 's/^notAfter=//p') && [ -n "$until" ]; then
        days=$((($(date -d "$until" +%s) - $(date +%s)) / 86400))
        state=ok
        [ $days -gt 20 ] || state=warn
        [ $days -gt 3 ] || state=fail
        note $state certificate "valid for $days days"
    else
        note fail certificate "cannot be read"
    fi
fi

folder=$(setting BACKUP_DIR backups)
[[ $folder = /* ]] || folder=$root/$folder
last=$(find "$folder" -maxdepth 1 -name '2*Z' -type d 2>/dev/null | sort | tail -n 1)
if [ -n "$last" ]; then
    hours=$((($(date +%s) - $(stat -c %Y "$last")) / 3600))
    note "$(above $hours 26 72)" backup "the last is $hours hours old"
else
    note warn backup "there is none"
fi

report=$(printf '{"state":"%s","time":"%s","host":"%s","parts":[%s]}' "$worst" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(hostname)" \
    "$(IFS=,; echo "${parts[*]}")")
if [ $json = yes ]; then echo "$report"; else printf '%s\n' "${lines[@]}"; fi
hook=$(setting ALERT_HOOK)
if [ -n "$hook" ]; then
    told=$root/deploy/state/told
    now=$(printf '%s\n' "${states[@]}")
    if [ "$now" != "$(cat "$told" 2>/dev/null)" ] || { [ "$worst" != ok ] && [ -n "$(find "$told" -mmin +1440)" ]; }; then
        mkdir -p "$(dirname "$told")"
        # What could not be told is told the next time.
        if "$hook" <<<"$report"; then printf '%s' "$now" >"$told"; else say "ALERT_HOOK failed"; fi
    fi
fi
[ "$worst" != fail ]
