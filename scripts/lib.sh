# Shared by the scripts that run the product on Docker: settings of .env, and Compose with the files that they ask for.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
env_file=${ENV_FILE:-$root/.env}
# How many replicas `make scale` asked for.
scale_file=$root/deploy/state/scale.env
# Lists are sorted and compared, here and in the containers.
export LC_ALL=C

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

# The files that the settings ask for. Ends the script itself when they are wrong: another stack would be started otherwise.
choose_files() {
    local store version
    case ${ENV:-prod} in prod | dev) ;; *) die "ENV must be prod or dev, not $ENV" ;; esac
    store=$(setting OBJECT_STORE minio)
    compose_options=(-f "$root/deploy/compose.yaml")
    case $store in
        minio) ;;
        seaweedfs | garage) compose_options+=(-f "$root/deploy/compose.$store.yaml") ;;
        *) die "OBJECT_STORE must be minio, seaweedfs or garage, not $store" ;;
    esac
    compose_options+=(-f "$root/deploy/compose.${ENV:-prod}.yaml")
    case $(setting OBSERVABILITY false) in
        true) compose_options+=(-f "$root/deploy/compose.observability.yaml") ;;
        false) ;;
        *) die "OBSERVABILITY must be true or false" ;;
    esac
    compose_options+=(--env-file "$env_file")
    if version=$(docker compose version --short 2>/dev/null); then
        printf '2.30\n%s\n' "${version#v}" | sort --version-sort --check=quiet || die "Docker Compose $version is too old: 2.30 at least"
    fi
}

# A changed file that is mounted makes a new container: its sum is a label there.
sum() { cat "${@/#/$root/}" | sha256sum | cut -c1-16; }

compose() {
    [ -f "$env_file" ] || die "There is no $env_file: make one with scripts/make-env.sh, or copy .env.example."
    # `make scale` may have written it since.
    if [ -f "$scale_file" ]; then set -- --env-file "$scale_file" "$@"; fi
    docker compose "${compose_options[@]}" "$@"
}

# containers SERVICE [all]: ids of the running ones or of all, the oldest first; jobs of `compose run` are none
containers() {
    local ids
    ids=$(compose ps --quiet --all "$1") || return
    # One that goes meanwhile is an error of inspect, and not ours.
    # shellcheck disable=SC2086 # a list of words
    [ -z "$ids" ] || { docker inspect -f '{{.Created}} {{.ID}} {{.State.Status}} {{index .Config.Labels "com.docker.compose.oneoff"}}' $ids 2>/dev/null || true; } |
        awk -v all="${2:-}" '$4 == "False" && (all != "" || $3 == "running")' | sort | cut -d' ' -f2
}
# replicas SERVICE: how many there should be
replicas() { compose config --format json | jq -r ".services.$1 | .scale // .deploy.replicas // 1"; }

load_secret_files
choose_files
NATS_FILES=$(sum deploy/nats/nats.conf)
STORE_FILES=$(sum deploy/seaweedfs/run.sh deploy/garage/garage.toml)
NGINX_FILES=$(sum nginx/run.sh nginx/upstreams.sh)
export NATS_FILES STORE_FILES NGINX_FILES
# Who is told of alerts, if somebody said so.
if [ -f "$root/deploy/state/alertmanager.yml" ]; then export ALERTMANAGER_CONFIG=./state/alertmanager.yml; fi

# -- replacing and adding replicas without losing a request ---------------------------------------------------------------
# Addresses of containers as nginx sees them; one that does not run has none.
addresses() { docker inspect "$@" | jq -r --arg network "$(network proxy)" \
    '.[].NetworkSettings.Networks[$network].IPAddress // "" | select(. != "")'; }
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
    local service=$1 before new
    before=$(containers "$service" all)
    # shellcheck disable=SC2046,SC2086 # lists of words
    if compose up --detach --no-deps --no-recreate --scale "$service=$(($(wc -w <<<"$before") + $2))" "$service" >&2 &&
        new=$(added "$service" "$before") && [ "$(wc -w <<<"$new")" = "$2" ] &&
        await 120 "$service is healthy" all_healthy $new &&
        await 20 "nginx uses $service" nginx_uses "$service" $(addresses $new); then
        return 0
    fi
    new=$(added "$service" "$before")
    [ -z "$new" ] || docker logs --tail 20 "$(head -n 1 <<<"$new")" >&2 || true
    # shellcheck disable=SC2086
    retire "$service" $new || docker rm --force $new >/dev/null
    return 1
}
added() { comm -13 <(sort <<<"$2") <(containers "$1" all | sort); } # SERVICE BEFORE

# retire SERVICE CONTAINER...: nginx first, then the containers. They stay if nginx does not let go of them.
retire() {
    local service=$1 leaving
    shift
    [ $# -gt 0 ] || return 0
    leaving=$(addresses "$@") || return
    if [ -n "$leaving" ]; then
        in_nginx sh -c 'cat >>/run/nginx/leaving && /etc/nginx/grafikarsa/upstreams.sh update' <<<"$leaving" || true
        # shellcheck disable=SC2086
        if ! await 20 "nginx leaves $service" nginx_uses_none "$service" $leaving; then
            in_nginx sh -c ': >/run/nginx/leaving' || true
            return 1
        fi
        # What nginx had begun before is over soon; what is not, the service still finishes.
        sleep 1
    fi
    docker stop --time 30 "$@" >/dev/null
    docker rm "$@" >/dev/null
    [ -z "$leaving" ] || in_nginx sh -c ': >/run/nginx/leaving'
}
