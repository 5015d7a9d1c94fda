# Shared by the scripts that run the product on Docker: settings of .env, and Compose with the files that they ask for.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
env_file=${ENV_FILE:-$root/.env}
# How many replicas `make scale` asked for.
scale_file=$root/deploy/state/scale.env

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# setting NAME [DEFAULT]: from the environment, or from .env; an empty value counts as absent, as everywhere
setting() {
    local value=${!1:-}
    if [ -z "$value" ] && [ -f "$env_file" ]; then
        value=$(sed -n "s/^[[:space:]]*$1=//p" "$env_file" | tail -n 1 | sed -e 's/[[:space:]]*$//' -e 's/^"\(.*\)"$/\1/' -e "s/^'\(.*\)'\$/\1/")
    fi
    printf '%s' "${value:-${2:-}}"
}

# NAME_FILE=/path in .env: the secret is in a file of its own
load_secret_files() {
    local name file
    while IFS='=' read -r name file; do
        name=${name%_FILE}
        [ -r "$file" ] || die "${name}_FILE: $file cannot be read"
        export "$name=$(<"$file")"
    done < <(grep -E '^[A-Z0-9_]+_(PASSWORD|SECRET|TOKEN|KEY|URL)_FILE=.' "$env_file" 2>/dev/null || true)
}

compose_files() {
    local store
    echo "$root/deploy/compose.yaml"
    store=$(setting OBJECT_STORE minio)
    case $store in
        minio) ;;
        seaweedfs | garage) echo "$root/deploy/compose.$store.yaml" ;;
        *) die "OBJECT_STORE must be minio, seaweedfs or garage" ;;
    esac
    if [ "${ENV:-prod}" = dev ]; then echo "$root/deploy/compose.dev.yaml"; else echo "$root/deploy/compose.prod.yaml"; fi
    [ "$(setting OBSERVABILITY false)" != true ] || echo "$root/deploy/compose.observability.yaml"
}

compose() {
    local arguments=() file
    [ -f "$env_file" ] || die "There is no $env_file: make one with scripts/make-env.sh, or copy .env.example."
    while read -r file; do arguments+=(-f "$file"); done < <(compose_files)
    arguments+=(--env-file "$env_file")
    [ ! -f "$scale_file" ] || arguments+=(--env-file "$scale_file")
    docker compose "${arguments[@]}" "$@"
}

# containers SERVICE: ids of the running ones, the oldest first
containers() { compose ps --quiet --status running "$1" | while read -r id; do
    docker inspect -f '{{.Created}} {{.ID}}' "$id"; done | sort | cut -d' ' -f2; }

load_secret_files

# -- replacing and adding replicas without losing a request ---------------------------------------------------------------
# Addresses of containers as nginx sees them.
addresses() { docker inspect "$@" | jq -r --arg network "$(network proxy)" '.[].NetworkSettings.Networks[$network].IPAddress'; }
network() { compose config --format json | jq -r ".networks.$1.name"; }
in_nginx() { compose exec -T nginx "$@"; }

# await SECONDS WHAT COMMAND...
await() {
    local deadline=$((SECONDS + $1)) what=$2
    until "${@:3}"; do
        [ $SECONDS -lt $deadline ] || { say "$what: not within $1 s"; return 1; }
        sleep 0.5
    done
}

all_healthy() { local id; for id in "$@"; do
    [ "$(docker inspect -f '{{.State.Health.Status}}' "$id" 2>/dev/null)" = healthy ] || return 1
done; }
nginx_uses() { # SERVICE ADDRESS...
    local list address
    list=$(in_nginx /etc/nginx/grafikarsa/upstreams.sh show) || return 1
    for address in "${@:2}"; do grep -qxF "$1 $address" <<<"$list" || return 1; done
}
nginx_uses_none() { # SERVICE ADDRESS...
    local list address
    list=$(in_nginx /etc/nginx/grafikarsa/upstreams.sh show) || return 1
    for address in "${@:2}"; do if grep -qxF "$1 $address" <<<"$list"; then return 1; fi; done
}

# add_replicas SERVICE N: N more, in use when this returns; on failure they are removed and the others stay
add_replicas() {
    local service=$1 before after new
    before=$(containers "$service")
    compose up --detach --no-deps --no-recreate --scale "$service=$(($(wc -w <<<"$before") + $2))" "$service" >&2
    after=$(containers "$service")
    new=$(comm -13 <(sort <<<"$before") <(sort <<<"$after"))
    # shellcheck disable=SC2086 # lists of words
    if ! { [ "$(wc -w <<<"$new")" = "$2" ] && await 120 "$service is healthy" all_healthy $new &&
        await 20 "nginx uses $service" nginx_uses "$service" $(addresses $new); }; then
        docker logs --tail 20 "$(head -n 1 <<<"$new")" >&2 || true
        retire "$service" $new
        return 1
    fi
}

# retire SERVICE CONTAINER...: nginx first, then the containers
retire() {
    local service=$1 leaving
    shift
    leaving=$(addresses "$@")
    in_nginx sh -c 'cat >>/run/nginx/leaving && /etc/nginx/grafikarsa/upstreams.sh update' <<<"$leaving"
    # shellcheck disable=SC2086
    await 20 "nginx leaves $service" nginx_uses_none "$service" $leaving
    # What nginx had begun before is over soon; what is not, the service still finishes.
    sleep 1
    docker stop --time 30 "$@" >/dev/null
    docker rm "$@" >/dev/null
    in_nginx sh -c ': >/run/nginx/leaving'
}
